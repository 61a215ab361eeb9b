//! The text that explains a report's outcome to its reporter, who may be a young person. It contains nothing
//! about the case, the URL or the host.

use domain::enums::Outcome;

/// What the outcome means and what the reporter can do.
pub(super) fn help(outcome: Outcome, helpline: &str) -> String {
    let text = match outcome {
        Outcome::Received => "We have your report, and one of us will check it soon.",
        Outcome::BeingAssessed => "We are checking your report now.",
        Outcome::BeingRemoved => {
            "We have asked the people who run the site to take it down. We keep checking until it is offline."
        }
        Outcome::Removed => {
            "It has been taken down. We keep checking, and act again if it comes back."
        }
        Outcome::NotAgainstTheLaw => {
            "We checked it carefully. The law does not let us have it removed. That does not mean it is all right, and \
             it does not mean that you did anything wrong. The site itself may still take it down if you report it there."
        }
        Outcome::CouldNotFind => {
            "We could not find anything at this address. It may have been taken down already. If you see it again, please \
             report it again."
        }
        Outcome::Withdrawn => "The report was taken back, and we do nothing more about it.",
    };
    let support = match outcome {
        Outcome::NotAgainstTheLaw | Outcome::CouldNotFind => {
            format!(" If you are worried, or just want to talk, you can contact {helpline}.")
        }
        Outcome::Received
        | Outcome::BeingAssessed
        | Outcome::BeingRemoved
        | Outcome::Removed
        | Outcome::Withdrawn => String::new(),
    };
    format!("{text}{support}")
}
