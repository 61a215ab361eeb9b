//! A submission as it was parsed: what is asked, apart from who stores it and how. Bad items are kept beside the good
//! ones, each with its reason. No I/O; ids and keys come in with the parsing, so that a retry writes the same ones.

mod parse;

use domain::Invalid;
use domain::id::{CaseId, PartnerId, Reference, ReportId, Subject};
use domain::url::{CanonicalUrl, ReportedUrl};
use domain::word::{AgeBand, Media, ReportChannel};
use platform::principal::Principal;
use platform::sealed::{DataKey, Keyring, MacPurpose, Purpose, Tag, TagPurpose, WrappedKey};
use time::OffsetDateTime;
use uuid::Uuid;

pub use parse::parse;

/// The most items that one submission may carry.
pub const MAX_ITEMS: usize = 1000;

/// Everything that the accepting command needs.
pub struct Submission {
    pub id: Uuid,
    /// Whose idempotency key it is.
    pub principal: String,
    pub partner: Option<PartnerId>,
    /// A member of staff who reports something themselves.
    pub staff: Option<Subject>,
    /// 0 is no limit.
    pub daily_quota: u32,
    pub idempotency: Option<Idempotency>,
    pub channel: ReportChannel,
    pub country: Option<String>,
    pub age_band: Option<AgeBand>,
    /// Whether the sender may see which case a report belongs to.
    pub sees_cases: bool,
    /// In which it came, if it is traced.
    pub traceparent: Option<String>,
    pub items: Vec<Parsed>,
}

/// A key that the caller chose, what came with it, and the keyed hash of that as it is kept.
pub struct Idempotency {
    pub key: String,
    pub body: Vec<u8>,
    pub mac: [u8; 32],
}

impl Idempotency {
    /// Whether this mac was made of the same body, under the keyring's present key or the one before it.
    pub fn is_of(&self, keyring: &Keyring, mac: &[u8]) -> bool {
        keyring.mac_holds(MacPurpose::Body, &[&self.body], mac)
    }
}

/// One item, good or bad, with the sender's own id as it was given, as far as ids go.
pub struct Parsed {
    pub external_id: String,
    pub item: Result<Item, Invalid>,
}

/// A good item, with what it needs if it is the first of its URL.
pub struct Item {
    pub report: ReportId,
    pub reference: Reference,
    pub reference_tag: Tag,
    pub external: Option<External>,
    pub tags: Vec<Tag>,
    pub media: Option<Media>,
    pub received_at: Option<OffsetDateTime>,
    pub plain: Plain,
    /// The case that this item opens when nobody has reported the URL before.
    pub fresh: Fresh,
}

/// The sender's own number: it may identify a child to the helpline, so it is found by tag and kept sealed.
pub struct External {
    pub text: String,
    pub tag: Tag,
}

/// What is sealed and never leaves memory otherwise.
pub struct Plain {
    pub spelling: ReportedUrl,
    /// An encoded `SealedItem`.
    pub item: Vec<u8>,
}

/// A case in waiting, its report sealed already: sealing happens outside the transaction for all but the joining.
pub struct Fresh {
    pub case: CaseId,
    pub wrapped: WrappedKey,
    pub sealed: SealedReport,
}

/// The sealed columns of a report.
pub struct SealedReport {
    pub spelling: Vec<u8>,
    pub item: Vec<u8>,
    pub external: Option<Vec<u8>>,
}

impl Item {
    /// Seals this report under its case's key.
    pub fn seal(&self, key: &DataKey, case: CaseId) -> SealedReport {
        seal(key, case, self.report, &self.plain, self.external.as_ref())
    }
}

fn seal(
    key: &DataKey,
    case: CaseId,
    report: ReportId,
    plain: &Plain,
    external: Option<&External>,
) -> SealedReport {
    let (case, row) = (case.uuid(), report.uuid());
    let seal = |purpose, text: &[u8]| key.seal(purpose, case, row, text).into_bytes();
    SealedReport {
        spelling: seal(Purpose::Spelling, plain.spelling.reveal().as_bytes()),
        item: seal(Purpose::Url, &plain.item),
        external: external.map(|e| seal(Purpose::Reference, e.text.as_bytes())),
    }
}

/// Who submits, and what that allows.
pub struct Sender {
    pub principal: Principal,
    /// The channel and daily quota of a partner.
    pub partner: Option<(ReportChannel, u32)>,
}

/// The tags of a canonical URL, current key first.
pub fn url_tags(keyring: &Keyring, url: &CanonicalUrl) -> Vec<Tag> {
    keyring.tags(TagPurpose::Url, url.reveal().as_bytes())
}
