//! The contents of the notice page. The URL is shown defanged, so that it is readable and not a link.

use askama::Template;
use domain::enums::{Answer, Category, MessageKind, NoticeState};
use domain::url::CanonicalUrl;
use platform::error::Problem;
use proto::v1;

use super::FormInput;
use super::labels::{self, DisplayTime};
use super::signature_check::{self, SignatureCheck};
use crate::Config;
use crate::upstream::malformed_response;

#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct NoticeView {
    hotline: String,
    contact: String,
    notice_id: String,
    provider_id: String,
    category: &'static str,
    /// Defanged.
    url: String,
    legal_basis: String,
    issued: DisplayTime,
    due: Option<DisplayTime>,
    state: &'static str,
    state_description: &'static str,
    last_answer: Option<&'static str>,
    retracted: bool,
    /// No answer is needed any more: the content is offline, or the notice is closed.
    finished: bool,
    /// Introduces `text`.
    message: Option<&'static str>,
    /// Text written by the hotline's staff; may be empty.
    text: String,
    signature: SignatureCheck,
    keys_url: String,
    /// Answers that need nothing but a click.
    one_click_answers: Vec<AnswerChoice>,
    answers: Vec<AnswerChoice>,
    input: FormInput,
    error: Option<FieldError>,
}

struct AnswerChoice {
    value: &'static str,
    label: &'static str,
    hint: &'static str,
    selected: bool,
}

/// An invalid field of the form.
struct FieldError {
    detail: String,
    field: &'static str,
}

impl NoticeView {
    pub(super) fn from_proto(
        config: &Config,
        view: v1::ViewByLinkResponse,
        keys: Option<Vec<v1::SigningKey>>,
        input: FormInput,
        problem: Option<Problem>,
    ) -> Result<Self, Problem> {
        let notice = view.notice.ok_or_else(malformed_response)?;
        let state = NoticeState::from_wire(notice.state).map_err(|_| malformed_response())?;
        let last_answer =
            Answer::from_wire_optional(view.answered).map_err(|_| malformed_response())?;
        let due = match notice.due_at.as_ref() {
            Some(at) => Some(DisplayTime::from_timestamp(at)?),
            None => None,
        };
        let message = MessageKind::from_wire(notice.message).map_err(|_| malformed_response())?;
        let retracted = message == MessageKind::Retraction || state == NoticeState::Withdrawn;
        Ok(Self {
            hotline: config.hotline.clone(),
            contact: config.contact.clone(),
            category: Category::from_wire(notice.category)
                .map_err(|_| malformed_response())?
                .as_str(),
            url: defanged(&notice.url),
            issued: DisplayTime::from_timestamp(
                notice.issued_at.as_ref().ok_or_else(malformed_response)?,
            )?,
            due,
            state: state.as_str(),
            state_description: labels::next_step(state),
            last_answer: last_answer.map(labels::label),
            retracted,
            finished: matches!(
                state,
                NoticeState::Removed | NoticeState::Watched | NoticeState::Closed
            ),
            message: match message {
                MessageKind::Reminder => Some("This is a reminder."),
                MessageKind::Information => {
                    Some("You asked about this notice. The hotline answers:")
                }
                MessageKind::Upheld => {
                    Some("The hotline has reviewed this notice, and the notice remains in force.")
                }
                MessageKind::Notice | MessageKind::Retraction => None,
            },
            signature: signature_check::check(&notice, keys),
            keys_url: format!("{}/.well-known/takedown-keys.json", config.public_base),
            one_click_answers: choices(&input, labels::is_one_click),
            answers: choices(&input, |_| true),
            error: problem.map(field_error),
            notice_id: notice.notice_id,
            provider_id: notice.provider_id,
            legal_basis: notice.legal_basis,
            text: notice.text,
            input,
        })
    }

    fn has_error(&self, field: &str) -> bool {
        self.error
            .as_ref()
            .is_some_and(|error| error.field == field)
    }
}

fn choices(input: &FormInput, include: impl Fn(Answer) -> bool) -> Vec<AnswerChoice> {
    Answer::ALL
        .iter()
        .filter(|answer| include(**answer))
        .map(|answer| AnswerChoice {
            value: answer.as_str(),
            label: labels::label(*answer),
            hint: labels::hint(*answer),
            selected: input.answer == answer.as_str(),
        })
        .collect()
}

fn field_error(problem: Problem) -> FieldError {
    // Dispatch may give a longer path, such as `answer.until`.
    let path = problem.field.as_deref().unwrap_or_default();
    let field = ["until", "named", "text"]
        .into_iter()
        .find(|field| path == *field || path.ends_with(&format!(".{field}")))
        .unwrap_or("answer");
    let detail = if field == "answer" && problem.code == "field_missing" {
        "Choose one of the answers.".to_owned()
    } else {
        problem.detail
    };
    FieldError { detail, field }
}

/// `https://img.site.example/a` becomes `hxxps://img.site[.]example/a`.
fn defanged(text: &str) -> String {
    match CanonicalUrl::parse(text) {
        Ok(url) => {
            let scheme = if text.starts_with("https") {
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
        // Dispatch sends only URLs that it has parsed. If one is invalid nevertheless, it must not become a
        // link.
        Err(_) => text.replace("://", "[:]//").replace('.', "[.]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_defanged() {
        assert_eq!(
            defanged("https://img.site.example:8443/a/b.jpg?x=1"),
            "hxxps://img.site[.]example:8443/a/b.jpg?x=1"
        );
        assert_eq!(defanged("http://203.0.113.9/"), "hxxp://203.0.113[.]9/");
    }
}
