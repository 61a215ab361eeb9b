//! `provider watch` and `provider answer`: the commands of the reference client.

use anyhow::{Result, bail};
use host_client::answer::AnswerOptions;
use host_client::signed_notice::{NoticeRejection, VerifiedNotice};
use host_client::watch::{WatchEvent, WatchOptions};
use platform::shutdown;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::output::{Format, facts, format_time, note, print};

/// Prints each notice until a signal: one line of JSON, or a paragraph.
pub(super) async fn watch(options: WatchOptions, format: Format) -> Result<()> {
    let shutdown = shutdown::on_signals()?;
    host_client::watch::watch(options, shutdown, |event| match event {
        WatchEvent::Listening(address) => note(&format!("receiving webhooks on {address}")),
        WatchEvent::Received { notice, verified } if format.json => {
            print(&to_json(notice, &verified).to_string());
        }
        WatchEvent::Received { notice, verified } => print(&to_text(notice, &verified)),
    })
    .await?;
    Ok(())
}

fn to_json(notice: Uuid, verified: &Result<VerifiedNotice, NoticeRejection>) -> Value {
    match verified {
        Ok(verified) => json!({
            "notice_id": notice, "authentic": true, "message": verified.kind.as_str(),
            "sequence": verified.sequence, "episode": verified.episode, "step": verified.step,
            "issued": format_time(verified.issued), "url": verified.url,
        }),
        Err(rejection) => {
            json!({ "notice_id": notice, "authentic": false, "rejected": rejection.code() })
        }
    }
}

fn to_text(notice: Uuid, verified: &Result<VerifiedNotice, NoticeRejection>) -> String {
    let lines = match verified {
        Ok(verified) => vec![
            ("notice", notice.to_string()),
            ("message", verified.kind.as_str().to_owned()),
            ("issued", format_time(verified.issued)),
            ("url", verified.url.clone()),
        ],
        Err(rejection) => vec![
            ("notice", notice.to_string()),
            ("not authentic", format!("{rejection}; do not act on it")),
        ],
    };
    facts(lines)
}

/// Sends one answer and prints the notice's state.
pub(super) async fn answer(options: AnswerOptions, format: Format) -> Result<()> {
    let notice = options.notice;
    let result = host_client::answer::answer(options).await?;
    if let Some(problem) = result.problem {
        bail!(
            "the hotline refused the answer ({}): {}",
            problem.code,
            problem.detail
        );
    }
    let state = result.state.unwrap_or_default();
    format.print(&json!({ "notice_id": notice, "state": state }), || {
        facts([("notice", notice.to_string()), ("state", state.clone())])
    });
    Ok(())
}
