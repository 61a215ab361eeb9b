//! Reports by whatever somebody holds of them.

use std::collections::HashMap;

use domain::id::CaseId;
use domain::invalid::text;
use domain::url::ReportedUrl;
use domain::wire::timestamp;
use domain::word::Media;
use platform::sealed::{DataKey, Purpose, Tag, TagPurpose};
use proto::v1;
use proto::v1::find_reports_request::By;
use sqlx::PgConnection;

use super::{Intake, bytes};
use crate::error::Error;
use crate::store;
use crate::store::report::{self, Report, Which};
use crate::submission;

impl Intake {
    pub(super) async fn find(&self, by: By) -> Result<Vec<v1::ReportSummary>, Error> {
        let mut conn = self.pool.acquire().await?;
        let tags;
        let which = match by {
            By::Reference(reference) => {
                tags = self.reference_tags(&reference)?;
                Which::Reference(bytes(&tags))
            }
            By::ExternalId(external) => {
                let external = text("external_id", &external, 128)?;
                tags = self
                    .keyring
                    .tags(TagPurpose::Reference, external.as_bytes());
                Which::External(bytes(&tags))
            }
            By::CaseId(case) => Which::Case(case.parse::<CaseId>()?),
            By::Url(url) => {
                let url = ReportedUrl::parse(&url).map_err(|e| Error::from(e.at("url")))?;
                tags = submission::url_tags(&self.keyring, url.canonical());
                let tags: Vec<&Tag> = tags.iter().collect();
                match store::find_tags(&mut conn, &tags).await?.first() {
                    Some((_, case)) => Which::Case(*case),
                    None => return Ok(Vec::new()),
                }
            }
        };
        let found = report::find(&mut conn, &which).await?;
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
        reports: &[Report],
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

fn summary(report: Report, key: Option<&DataKey>) -> Result<v1::ReportSummary, Error> {
    let external_id = match (report.sealed_external, key) {
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
