//! Everything that stands in a notice, for whoever writes or sends it.

use domain::id::{CaseId, NoticeId, ProviderId, ReportId};
use domain::url::CanonicalUrl;
use domain::word::{Category, DeliveryChannel, LiveState, Media, NoticeState, Rung};
use platform::sealed::{DataKey, Keyring, Purpose, WrappedKey};
use prost::Message as _;
use proto::v1;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::Reader;
use crate::Error;
use crate::lifecycle::Message;

/// One notice with its case, opened. Lives in memory only.
#[derive(Clone)]
pub struct Content {
    pub notice_id: NoticeId,
    pub case_id: CaseId,
    pub provider_id: ProviderId,
    pub episode: i32,
    pub step: i32,
    pub sequence: i32,
    pub rung: Rung,
    pub state: NoticeState,
    pub escalated_to: Option<Rung>,
    pub live: LiveState,
    pub channel: DeliveryChannel,
    pub message: Message,
    /// The hotline's words with the newest message.
    pub text: Option<String>,
    pub category: Category,
    pub media: Option<Media>,
    pub url: CanonicalUrl,
    /// Salt of the commitment to the URL.
    pub salt: [u8; 32],
    /// The regime of the policy, whose row names the legal basis.
    pub regime: String,
    pub opened_at: OffsetDateTime,
    pub verified_at: OffsetDateTime,
    pub due_at: OffsetDateTime,
    /// The first notice of (case, provider), in whichever episode: what later ones are threaded to.
    pub first_notice_id: NoticeId,
    /// The approval proof that it stands on: encoded body, signature, key.
    pub proof: v1::ApprovalProof,
    /// In which the decision was heard, if it was traced.
    pub traceparent: Option<String>,
    /// The answer that stands, if any.
    pub answer: Option<domain::word::Answer>,
    /// Its addressee has had a message about it.
    pub is_delivered: bool,
}

impl Content {
    /// Whether this message may leave now; see [`crate::lifecycle::may_leave`].
    pub fn may_leave(&self) -> bool {
        crate::lifecycle::may_leave(self.live, self.state, self.escalated_to, self.message)
    }

    /// Whether its addressee may look it up now: a hold shows nothing that was not there before it.
    pub fn may_be_shown(&self) -> bool {
        self.live != LiveState::Held || self.is_delivered
    }
}

/// As [`documents`], with those that do not open told by id: one that was tampered with costs no other its turn.
pub async fn readable_documents(
    conn: &mut PgConnection,
    keyring: &Keyring,
    notices: &[NoticeId],
) -> Result<(Vec<Content>, Vec<NoticeId>), Error> {
    match documents(conn, keyring, notices).await {
        Ok(contents) => return Ok((contents, Vec::new())),
        Err(Error::Db(error)) => return Err(error.into()),
        Err(_) => {}
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for id in notices {
        match documents(conn, keyring, std::slice::from_ref(id)).await {
            Ok(contents) => good.extend(contents),
            Err(Error::Db(error)) => return Err(error.into()),
            Err(_) => bad.push(*id),
        }
    }
    Ok((good, bad))
}

/// The contents of these notices, in no particular order; unknown ids are left out.
pub async fn documents(
    conn: &mut PgConnection,
    keyring: &Keyring,
    notices: &[NoticeId],
) -> Result<Vec<Content>, Error> {
    let ids: Vec<Uuid> = notices.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query(
        "-- documents
        select n.id, n.case_id, n.provider_id, n.episode, n.step, n.sequence, n.rung, n.state, n.escalated_to, c.live,
            n.delivered_at, n.channel, n.message, n.text, c.category, c.media, c.regime, n.opened_at, c.verified_at, n.due_at, n.answer,
            (select f.id from notice f where f.case_id = n.case_id and f.provider_id = n.provider_id
                order by f.episode, f.step limit 1) as first_id,
            s.proof_body, s.proof_signature, s.proof_key, s.wrapped_key, s.sealed_item, s.item_report_id, s.traceparent
        from notice n
        join case_file c on c.case_id = n.case_id
        join case_seal s on s.case_id = n.case_id
        where n.id = any($1)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| content(keyring, row)).collect()
}

fn content(keyring: &Keyring, row: &PgRow) -> Result<Content, Error> {
    let id: Uuid = row.try_get("id")?;
    let r = Reader {
        table: "notice",
        id,
        row,
    };
    let case_id: Uuid = r.get("case_id")?;
    let wrapped: Vec<u8> = r.get("wrapped_key")?;
    let key = keyring.unwrap(case_id, &WrappedKey::parse(wrapped)?)?;
    let item: Vec<u8> = r.get("sealed_item")?;
    let report: Uuid = r.get("item_report_id")?;
    let text: Option<Vec<u8>> = r.get("text")?;
    Ok(Content {
        notice_id: NoticeId::new(id),
        case_id: CaseId::new(case_id),
        provider_id: r.parse("provider_id")?,
        episode: r.get("episode")?,
        step: r.get("step")?,
        sequence: r.get("sequence")?,
        rung: r.parse("rung")?,
        state: r.parse("state")?,
        escalated_to: r.parse_optional("escalated_to")?,
        live: r.parse("live")?,
        channel: r.parse("channel")?,
        message: Message::parse(r.get("message")?).ok_or_else(|| r.damaged("message"))?,
        text: text
            .map(|sealed| {
                let opened = key.open(Purpose::Answer, case_id, id, sealed)?;
                Ok::<_, Error>(opened.text()?.to_owned())
            })
            .transpose()?,
        category: r.parse("category")?,
        media: r.parse_optional("media")?,
        url: open_url(&key, CaseId::new(case_id), ReportId::new(report), &item)?,
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

/// Opens the sealed item of a case for its URL.
pub(crate) fn open_url(
    key: &DataKey,
    case_id: CaseId,
    report: ReportId,
    item: &[u8],
) -> Result<CanonicalUrl, Error> {
    let damaged = || Error::Row {
        table: "case_seal",
        column: "sealed_item",
        id: case_id.uuid(),
    };
    let opened = key.open(Purpose::Url, case_id.uuid(), report.uuid(), item)?;
    let item = v1::SealedItem::decode(&*opened).map_err(|_| damaged())?;
    CanonicalUrl::from_stored(&item.url).map_err(|_| damaged())
}
