//! Finds reports by reference, external id, case or URL.

use std::collections::HashMap;

use domain::enums::Media;
use domain::id::CaseId;
use domain::invalid::text;
use domain::url::ReportedUrl;
use domain::wire::timestamp;
use platform::sealed::{DataKey, Purpose, Tag, TagPurpose};
use proto::v1;
use proto::v1::find_reports_request::By;
use sqlx::PgConnection;

use super::{Intake, bytes};
use crate::error::Error;
use crate::store;
use crate::store::report::{self, ReportFilter, StoredReport};
use crate::submission;

impl Intake {
    pub(super) async fn find(&self, by: By) -> Result<Vec<v1::ReportSummary>, Error> {
        let mut conn = self.pool.acquire().await?;
        let tags;
        let filter = match by {
            By::Reference(reference) => {
                tags = self.reference_tags(&reference)?;
                ReportFilter::Reference(bytes(&tags))
            }
            By::ExternalId(external_id) => {
                let external_id = text("external_id", &external_id, 128)?;
                tags = self
                    .keyring
                    .tags(TagPurpose::Reference, external_id.as_bytes());
                ReportFilter::ExternalRef(bytes(&tags))
            }
            By::CaseId(case) => ReportFilter::Case(case.parse::<CaseId>()?),
            By::Url(url) => {
                let url =
                    ReportedUrl::parse(&url).map_err(|e| Error::from(e.into_invalid("url")))?;
                tags = submission::url_tags(&self.keyring, url.canonical());
                let tags: Vec<&Tag> = tags.iter().collect();
                match store::find_tags(&mut conn, &tags).await?.first() {
                    Some((_, case)) => ReportFilter::Case(*case),
                    None => return Ok(Vec::new()),
                }
            }
        };
        let found = report::find(&mut conn, &filter).await?;
        let keys = self.keys(&mut conn, &found).await?;
        found
            .into_iter()
            .map(|report| {
                let key = keys.get(&report.case);
                summary(report, key)
            })
            .collect()
    }

    /// The data keys of these reports' cases.
    async fn keys(
        &self,
        conn: &mut PgConnection,
        reports: &[StoredReport],
    ) -> Result<HashMap<CaseId, DataKey>, Error> {
        let mut cases: Vec<_> = reports.iter().map(|report| report.case.uuid()).collect();
        cases.sort_unstable();
        cases.dedup();
        store::case_keys(conn, &cases)
            .await?
            .into_iter()
            .map(|(case, wrapped)| Ok((case, self.keyring.unwrap(case.uuid(), &wrapped)?)))
            .collect()
    }
}

fn summary(report: StoredReport, key: Option<&DataKey>) -> Result<v1::ReportSummary, Error> {
    let external_id = match (report.sealed_external_ref, key) {
        (Some(sealed), Some(key)) => key
            .open(
                Purpose::Reference,
                report.case.uuid(),
                report.id.uuid(),
                sealed,
            )?
            .text()?
            .to_owned(),
        _ => String::new(),
    };
    Ok(v1::ReportSummary {
        report_id: report.id.to_string(),
        case_id: report.case.to_string(),
        channel: report.channel.wire(),
        partner: report.partner.unwrap_or_default(),
        external_id,
        media: report.media.map_or(0, Media::wire),
        outcome: report.outcome.wire(),
        received_at: Some(timestamp(report.received_at)),
        accepted_at: Some(timestamp(report.accepted_at)),
    })
}
