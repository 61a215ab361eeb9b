//! A parsed submission. Invalid reports are kept beside the valid ones, each with its reason. Parsing does no
//! I/O and draws all ids and keys, so that a retry of the transaction writes the same ones.

mod parse;

use domain::Invalid;
use domain::enums::{AgeBand, Media, ReportChannel};
use domain::id::{CaseId, PartnerId, Reference, ReportId, Subject};
use domain::url::{CanonicalUrl, ReportedUrl};
use platform::principal::Principal;
use platform::sealed::{DataKey, Keyring, MacPurpose, Purpose, Tag, TagPurpose, WrappedKey};
use time::OffsetDateTime;
use uuid::Uuid;

pub use parse::parse;

/// Maximum reports in one submission.
pub const MAX_REPORTS: usize = 1000;

/// Input of the command [`Accept`](crate::commands::Accept).
pub struct Submission {
    pub id: Uuid,
    /// The caller, to whom the idempotency key is scoped.
    pub principal: String,
    pub partner: Option<PartnerId>,
    /// The member of staff who submits it.
    pub staff: Option<Subject>,
    /// Reports per day; 0 for no limit.
    pub daily_quota: u32,
    pub idempotency: Option<Idempotency>,
    pub channel: ReportChannel,
    pub country: Option<String>,
    pub age_band: Option<AgeBand>,
    /// Whether the caller may see which case a report belongs to.
    pub sees_cases: bool,
    /// The trace of the call, if it is traced.
    pub traceparent: Option<String>,
    pub reports: Vec<ParsedReport>,
}

/// An idempotency key chosen by the caller, the encoded request, and the request's MAC, which is what is
/// stored.
pub struct Idempotency {
    pub key: String,
    pub body: Vec<u8>,
    pub mac: [u8; 32],
}

impl Idempotency {
    /// Whether `mac` is the MAC of the same body, with the current or the previous key of the keyring.
    pub fn matches(&self, keyring: &Keyring, mac: &[u8]) -> bool {
        keyring.verify_mac(MacPurpose::Body, &[&self.body], mac)
    }
}

/// One report, valid or not, with the reporter's own id, cut to the maximum length.
pub struct ParsedReport {
    pub external_id: String,
    pub report: Result<ValidReport, Invalid>,
}

/// A valid report, with a provisional case for a URL that has none yet.
pub struct ValidReport {
    pub id: ReportId,
    pub reference: Reference,
    pub reference_tag: Tag,
    pub external_ref: Option<ExternalRef>,
    /// Tags of the canonical URL, current key first.
    pub tags: Vec<Tag>,
    pub media: Option<Media>,
    pub received_at: Option<OffsetDateTime>,
    pub plaintext: Plaintext,
    /// The case that the report opens if its URL has no case yet.
    pub provisional: ProvisionalCase,
}

/// The reporter's own id for the report. It may identify a child to the helpline, so it is looked up by tag
/// and stored sealed.
pub struct ExternalRef {
    pub text: String,
    pub tag: Tag,
}

/// Values that leave memory only sealed.
pub struct Plaintext {
    pub reported_url: ReportedUrl,
    /// The encoded `CaseContent`.
    pub content: Vec<u8>,
}

/// A case that may be opened, with its report sealed already. Sealing takes place before the transaction,
/// except for a report that joins an existing case.
pub struct ProvisionalCase {
    pub case: CaseId,
    pub wrapped: WrappedKey,
    pub sealed: SealedReport,
}

/// The sealed columns of a report.
pub struct SealedReport {
    pub reported_url: Vec<u8>,
    pub content: Vec<u8>,
    pub external_ref: Option<Vec<u8>>,
}

impl ValidReport {
    /// Seals the report with the data key of its case.
    pub fn seal(&self, key: &DataKey, case: CaseId) -> SealedReport {
        let external_ref = self.external_ref.as_ref();
        seal(key, case, self.id, &self.plaintext, external_ref)
    }
}

fn seal(
    key: &DataKey,
    case: CaseId,
    report: ReportId,
    plaintext: &Plaintext,
    external_ref: Option<&ExternalRef>,
) -> SealedReport {
    let (case, row) = (case.uuid(), report.uuid());
    let seal = |purpose, text: &[u8]| key.seal(purpose, case, row, text).into_bytes();
    SealedReport {
        reported_url: seal(
            Purpose::ReportedUrl,
            plaintext.reported_url.reveal().as_bytes(),
        ),
        content: seal(Purpose::Url, &plaintext.content),
        external_ref: external_ref.map(|e| seal(Purpose::Reference, e.text.as_bytes())),
    }
}

/// The caller of intake, and what it may submit.
pub struct Reporter {
    pub principal: Principal,
    /// The channel and daily quota of a partner.
    pub partner: Option<(ReportChannel, u32)>,
}

/// The tags of a canonical URL, one per index key, current key first.
pub fn url_tags(keyring: &Keyring, url: &CanonicalUrl) -> Vec<Tag> {
    keyring.tags(TagPurpose::Url, url.reveal().as_bytes())
}
