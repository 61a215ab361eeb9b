//! `takedown provider answer`: answers one notice.

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use uuid::Uuid;

use crate::gateway_client::{
    AnswerResult, GatewayClient, GatewayError, SubmittedAnswer, http_client,
};

/// The answers of the provider API.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum AnswerCode {
    Acknowledged,
    Removed,
    Unavailable,
    Moved,
    NotOurs,
    Preserved,
    NeedTime,
    NeedInformation,
    Disputed,
    NoAction,
}

impl AnswerCode {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Removed => "removed",
            Self::Unavailable => "unavailable",
            Self::Moved => "moved",
            Self::NotOurs => "not_ours",
            Self::Preserved => "preserved",
            Self::NeedTime => "need_time",
            Self::NeedInformation => "need_information",
            Self::Disputed => "disputed",
            Self::NoAction => "no_action",
        }
    }
}

/// Command line of `takedown provider answer`.
#[derive(Debug, Clone, Args)]
pub struct AnswerOptions {
    /// The id of the notice
    pub notice: Uuid,
    #[arg(value_enum)]
    pub answer: AnswerCode,
    /// This provider's key (tdh_…)
    #[arg(long, env = "TAKEDOWN_PROVIDER_KEY", hide_env_values = true)]
    pub key: SecretString,
    /// The hotline's address, such as https://portal.hotline.example
    #[arg(long)]
    pub gateway: String,
    /// With moved and not_ours: the provider that hosts it
    #[arg(long)]
    pub named: Option<String>,
    /// With need_information and disputed: your question, your reasons
    #[arg(long)]
    pub text: Option<String>,
    /// With need_time: until when (RFC 3339)
    #[arg(long)]
    pub until: Option<String>,
}

/// Sends the answer. The result says whether the hotline accepted it.
///
/// # Errors
/// The request failed.
pub async fn answer(options: AnswerOptions) -> Result<AnswerResult, GatewayError> {
    let gateway = GatewayClient::new(&options.gateway, Some(options.key), http_client()?)?;
    let answer = SubmittedAnswer {
        named: options.named,
        text: options.text,
        until: options.until,
        ..SubmittedAnswer::new(options.notice, options.answer.as_str())
    };
    let results = gateway.submit_answers(&[answer], Uuid::new_v4()).await?;
    Ok(results.into_iter().next().unwrap_or(AnswerResult {
        state: None,
        problem: None,
    }))
}
