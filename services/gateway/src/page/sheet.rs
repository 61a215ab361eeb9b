//! What stands on a notice's page. The address is shown defanged: readable, and not to be clicked on.

use askama::Template;
use domain::url::CanonicalUrl;
use domain::word::{Answer, Category, NoticeState};
use platform::error::Problem;
use proto::v1;

use super::Typed;
use super::proof::{self, Proof};
use super::words::{self, Moment};
use crate::Config;
use crate::words::damaged;

#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Sheet {
    hotline: String,
    contact: String,
    notice_id: String,
    provider_id: String,
    category: &'static str,
    address: String,
    legal_basis: String,
    issued: Moment,
    due: Option<Moment>,
    state: &'static str,
    state_says: &'static str,
    answered: Option<&'static str>,
    retracted: bool,
    /// Nothing more is asked for: it is gone, or the notice is at its end.
    over: bool,
    /// The hotline's own words, where there are any.
    message: Option<&'static str>,
    text: String,
    proof: Proof,
    keys_at: String,
    /// Answers that need no more than a click.
    clicks: Vec<Choice>,
    choices: Vec<Choice>,
    typed: Typed,
    problem: Option<Wrong>,
}

struct Choice {
    word: &'static str,
    label: &'static str,
    hint: &'static str,
    chosen: bool,
}

/// What is wrong with what was typed, and the field that it is about.
struct Wrong {
    detail: String,
    field: &'static str,
}

impl Sheet {
    pub(super) fn of(
        config: &Config,
        view: v1::ViewByLinkResponse,
        keys: Option<Vec<v1::SigningKey>>,
        typed: Typed,
        problem: Option<Problem>,
    ) -> Result<Self, Problem> {
        let notice = view.notice.ok_or_else(damaged)?;
        let state = NoticeState::from_wire(notice.state).map_err(|_| damaged())?;
        let answered = Answer::from_wire_optional(view.answered).map_err(|_| damaged())?;
        let due = match notice.due_at.as_ref() {
            Some(at) => Some(Moment::of(at)?),
            None => None,
        };
        let retracted = notice.message == "retraction" || state == NoticeState::Withdrawn;
        Ok(Self {
            hotline: config.hotline.clone(),
            contact: config.contact.clone(),
            category: Category::from_wire(notice.category)
                .map_err(|_| damaged())?
                .as_str(),
            address: defanged(&notice.url),
            issued: Moment::of(notice.issued_at.as_ref().ok_or_else(damaged)?)?,
            due,
            state: state.as_str(),
            state_says: words::next(state),
            answered: answered.map(words::label),
            retracted,
            over: matches!(
                state,
                NoticeState::Removed | NoticeState::Watched | NoticeState::Closed
            ),
            message: match notice.message.as_str() {
                "reminder" => Some("This is a reminder."),
                "information" => Some("You asked about this notice. The hotline answers:"),
                "upheld" => Some("The hotline has looked at this notice again, and it stands."),
                _ => None,
            },
            proof: proof::of(&notice, keys),
            keys_at: format!("{}/.well-known/takedown-keys.json", config.public_base),
            clicks: choices(&typed, words::is_one_click),
            choices: choices(&typed, |_| true),
            problem: problem.map(wrong),
            notice_id: notice.notice_id,
            provider_id: notice.provider_id,
            legal_basis: notice.legal_basis,
            text: notice.text,
            typed,
        })
    }

    /// Whether the field is the one at fault.
    fn is_wrong(&self, field: &str) -> bool {
        self.problem
            .as_ref()
            .is_some_and(|wrong| wrong.field == field)
    }
}

fn choices(typed: &Typed, wanted: impl Fn(Answer) -> bool) -> Vec<Choice> {
    Answer::ALL
        .iter()
        .filter(|answer| wanted(**answer))
        .map(|answer| Choice {
            word: answer.as_str(),
            label: words::label(*answer),
            hint: words::hint(*answer),
            chosen: typed.answer == answer.as_str(),
        })
        .collect()
}

fn wrong(problem: Problem) -> Wrong {
    // The owner may name it from further out: `answer.until`.
    let named = problem.field.as_deref().unwrap_or_default();
    let field = ["until", "named", "text"]
        .into_iter()
        .find(|field| named == *field || named.ends_with(&format!(".{field}")))
        .unwrap_or("answer");
    let detail = if field == "answer" && problem.code == "field_missing" {
        "Choose one of the answers.".to_owned()
    } else {
        problem.detail
    };
    Wrong { detail, field }
}

/// `https://img.site.example/a` becomes `hxxps://img.site[.]example/a`.
fn defanged(address: &str) -> String {
    match CanonicalUrl::parse(address) {
        Ok(url) => {
            let scheme = if address.starts_with("https") {
                "hxxps"
            } else {
                "hxxp"
            };
            let port = url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            format!(
                "{scheme}://{}{port}{}",
                url.host().defanged(),
                url.reveal_path_and_query()
            )
        }
        // Only what dispatch has parsed once comes here; still, nothing to click on.
        Err(_) => address.replace("://", "[:]//").replace('.', "[.]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_readable_and_not_to_be_clicked_on() {
        assert_eq!(
            defanged("https://img.site.example:8443/a/b.jpg?x=1"),
            "hxxps://img.site[.]example:8443/a/b.jpg?x=1"
        );
        assert_eq!(defanged("http://203.0.113.9/"), "hxxp://203.0.113[.]9/");
    }
}
