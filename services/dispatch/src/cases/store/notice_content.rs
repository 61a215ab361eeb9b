//! The content of notices, opened for signing, delivery and display.

use domain::enums::{Category, ContentStatus, DeliveryChannel, Media, NoticeState, Rung};
use domain::id::{CaseId, NoticeId, ProviderId, ReportId};
use domain::url::CanonicalUrl;
use platform::sealed::{DataKey, Keyring, Purpose, WrappedKey};
use prost::Message as _;
use proto::v1;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::cases::lifecycle::Message;
use crate::row::RowReader;

/// One notice with its case, decrypted. Exists in memory only.
#[derive(Clone)]
pub struct NoticeContent {
    pub notice_id: NoticeId,
    pub case_id: CaseId,
    pub provider_id: ProviderId,
    pub episode: i32,
    pub step: i32,
    pub sequence: i32,
    pub rung: Rung,
    pub state: NoticeState,
    pub escalated_to: Option<Rung>,
    pub content_status: ContentStatus,
    pub channel: DeliveryChannel,
    pub message: Message,
    /// The hotline's text with the newest message.
    pub text: Option<String>,
    pub category: Category,
    pub media: Option<Media>,
    pub url: CanonicalUrl,
    /// Salt of the commitment to the URL.
    pub salt: [u8; 32],
    /// Name of the policy's regime, which states the legal basis.
    pub regime: String,
    pub opened_at: OffsetDateTime,
    pub verified_at: OffsetDateTime,
    pub due_at: OffsetDateTime,
    /// The first notice about this case to this provider, in any episode: later mails are threaded to it.
    pub first_notice_id: NoticeId,
    /// The approval proof: encoded body, signature and key.
    pub proof: v1::ApprovalProof,
    /// Trace context of the decision's event, if it was traced.
    pub traceparent: Option<String>,
    /// The current answer, if any.
    pub answer: Option<domain::enums::Answer>,
    /// Whether a message about it was delivered.
    pub is_delivered: bool,
}

impl NoticeContent {
    /// Whether the newest message may be sent now; see [`crate::cases::lifecycle::may_be_sent`].
    pub fn may_be_sent(&self) -> bool {
        crate::cases::lifecycle::may_be_sent(
            self.content_status,
            self.state,
            self.escalated_to,
            self.message,
        )
    }

    /// Whether the addressee may read it now: during a police hold only what was delivered before it.
    pub fn may_be_shown(&self) -> bool {
        self.content_status != ContentStatus::Held || self.is_delivered
    }
}

/// As [`notice_contents`], but returns the ids of notices that cannot be decrypted separately, so that one
/// corrupt notice does not block the others.
pub async fn readable_contents(
    conn: &mut PgConnection,
    keyring: &Keyring,
    notices: &[NoticeId],
) -> Result<(Vec<NoticeContent>, Vec<NoticeId>), Error> {
    match notice_contents(conn, keyring, notices).await {
        Ok(contents) => return Ok((contents, Vec::new())),
        Err(Error::Db(error)) => return Err(error.into()),
        Err(_) => {}
    }
    let (mut readable, mut corrupt) = (Vec::new(), Vec::new());
    for id in notices {
        match notice_contents(conn, keyring, std::slice::from_ref(id)).await {
            Ok(contents) => readable.extend(contents),
            Err(Error::Db(error)) => return Err(error.into()),
            Err(_) => corrupt.push(*id),
        }
    }
    Ok((readable, corrupt))
}

/// The contents of these notices, in no particular order; unknown ids are ignored.
pub async fn notice_contents(
    conn: &mut PgConnection,
    keyring: &Keyring,
    notices: &[NoticeId],
) -> Result<Vec<NoticeContent>, Error> {
    let ids: Vec<Uuid> = notices.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query(
        "-- notice_contents
        select n.id, n.case_id, n.provider_id, n.episode, n.step, n.sequence, n.rung, n.state, n.escalated_to, c.content_status,
            n.delivered_at, n.channel, n.message, n.text, c.category, c.media, c.regime, n.opened_at, c.verified_at, n.due_at, n.answer,
            (select f.id from notice f where f.case_id = n.case_id and f.provider_id = n.provider_id
                order by f.episode, f.step limit 1) as first_id,
            s.proof_body, s.proof_signature, s.proof_key, s.wrapped_key, s.sealed_content, s.content_report_id, s.traceparent
        from notice n
        join dispatch_case c on c.case_id = n.case_id
        join case_seal s on s.case_id = n.case_id
        where n.id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| content(keyring, row)).collect()
}

fn content(keyring: &Keyring, row: &PgRow) -> Result<NoticeContent, Error> {
    let id: Uuid = row.try_get("id")?;
    let r = RowReader {
        table: "notice",
        id,
        row,
    };
    let case_id: Uuid = r.get("case_id")?;
    let wrapped: Vec<u8> = r.get("wrapped_key")?;
    let key = keyring.unwrap(case_id, &WrappedKey::parse(wrapped)?)?;
    let sealed: Vec<u8> = r.get("sealed_content")?;
    let report: Uuid = r.get("content_report_id")?;
    let text: Option<Vec<u8>> = r.get("text")?;
    Ok(NoticeContent {
        notice_id: NoticeId::new(id),
        case_id: CaseId::new(case_id),
        provider_id: r.parse("provider_id")?,
        episode: r.get("episode")?,
        step: r.get("step")?,
        sequence: r.get("sequence")?,
        rung: r.parse("rung")?,
        state: r.parse("state")?,
        escalated_to: r.parse_optional("escalated_to")?,
        content_status: r.parse("content_status")?,
        channel: r.parse("channel")?,
        message: r.parse("message")?,
        text: text
            .map(|sealed| {
                let opened = key.open(Purpose::Answer, case_id, id, sealed)?;
                Ok::<_, Error>(opened.text()?.to_owned())
            })
            .transpose()?,
        category: r.parse("category")?,
        media: r.parse_optional("media")?,
        url: open_url(&key, CaseId::new(case_id), ReportId::new(report), &sealed)?,
        salt: key.salt(),
        regime: r.get("regime")?,
        opened_at: r.get("opened_at")?,
        verified_at: r.get("verified_at")?,
        due_at: r.get("due_at")?,
        first_notice_id: NoticeId::new(r.get("first_id")?),
        proof: v1::ApprovalProof {
            body: r.get::<Vec<u8>>("proof_body")?.into(),
            signature: r.get::<Vec<u8>>("proof_signature")?.into(),
            key_id: r.get("proof_key")?,
        },
        traceparent: r.get("traceparent")?,
        answer: r.parse_optional("answer")?,
        is_delivered: r.get::<Option<OffsetDateTime>>("delivered_at")?.is_some(),
    })
}

/// Decrypts the sealed content of a case and returns its URL.
pub fn open_url(
    key: &DataKey,
    case_id: CaseId,
    report: ReportId,
    sealed: &[u8],
) -> Result<CanonicalUrl, Error> {
    let damaged = || Error::Row {
        table: "case_seal",
        column: "sealed_content",
        id: case_id.uuid(),
    };
    let opened = key.open(Purpose::Url, case_id.uuid(), report.uuid(), sealed)?;
    let content = v1::CaseContent::decode(&*opened).map_err(|_| damaged())?;
    CanonicalUrl::from_stored(&content.url).map_err(|_| damaged())
}
