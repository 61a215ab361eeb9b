//! The gRPC service: parse, begin, command, commit, reply. No SQL, no branching on state.

mod find;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::Invalid;
use domain::enums::ReportChannel;
use domain::id::{PartnerId, Reference};
use domain::invalid::text;
use domain::wire::timestamp;
use futures::{Stream, StreamExt};
use platform::batch::{GroupCommit, GroupCommitLimits, in_batches};
use platform::clock::{self, Clock};
use platform::error::{Kind, Problem};
use platform::log::Wakeup;
use platform::metrics;
use platform::principal::{Principal, Role};
use platform::sealed::{Keyring, StaffTokenVerifier, Tag, TagPurpose};
use platform::trace::{self, Side, Span};
use proto::v1;
use proto::v1::intake_service_server::IntakeService;
use sqlx::PgPool;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{self, CachedSender};
use crate::commands::{self, Accept, Accepted};
use crate::error::{Error, item_problem};
use crate::gauges::GAUGES;
use crate::store::report::ReportFilter;
use crate::store::{partner, report};
use crate::submission::{self, Reporter, Submission};

/// Submissions with more reports than this commit in batches of their own, so that a single report does not
/// wait for a bulk submission.
const MAX_SMALL: usize = 16;
/// Submissions of one stream in flight at a time.
const IN_FLIGHT: usize = 8;
/// Span name for one submission of a stream.
const STREAM_SPAN: &str = "takedown.v1.IntakeService/StreamReports, one";

#[derive(Clone)]
pub struct Intake {
    pool: PgPool,
    keyring: Arc<Keyring>,
    staff: Arc<StaffTokenVerifier>,
    clock: Clock,
    recheck_after: Duration,
    small: GroupCommit<Submission, Accepted>,
    bulk: GroupCommit<Submission, Accepted>,
    appended: Wakeup,
}

impl Intake {
    pub fn new(
        pool: PgPool,
        keyring: Arc<Keyring>,
        staff: StaffTokenVerifier,
        clock: Clock,
        recheck_after: Duration,
        appended: Wakeup,
    ) -> Self {
        let accept = Accept {
            keyring: Arc::clone(&keyring),
            clock: clock.clone(),
        };
        let group_commit = |limits: GroupCommitLimits| {
            let (pool, accept, appended) = (pool.clone(), accept.clone(), appended.clone());
            GroupCommit::start(limits, move |batch: Vec<Submission>| {
                let (pool, accept, appended) = (pool.clone(), accept.clone(), appended.clone());
                async move {
                    let replies = in_batches(&pool, &batch, &accept).await;
                    appended.notify();
                    replies
                        .into_iter()
                        .map(|reply| reply.and_then(|r| r))
                        .collect()
                }
            })
        };
        Self {
            small: group_commit(GroupCommitLimits {
                queued: 4096,
                batch: 256,
                concurrent: 2,
            }),
            bulk: group_commit(GroupCommitLimits {
                queued: 256,
                batch: 4,
                concurrent: 2,
            }),
            pool,
            keyring,
            staff: Arc::new(staff),
            clock,
            recheck_after,
            appended,
        }
    }

    async fn submit(&self, reporter: &Reporter, request: v1::SubmitReportsRequest) -> Accepted {
        let submission = submission::parse(request, reporter, &self.keyring, clock::wall())
            .map_err(Problem::from)?;
        let queue = if submission.reports.len() > MAX_SMALL {
            &self.bulk
        } else {
            &self.small
        };
        queue.call(submission).await?
    }

    async fn reporter(&self, metadata: &MetadataMap) -> Result<Reporter, Error> {
        let mut conn = self.pool.acquire().await?;
        auth::reporter(&mut conn, &self.staff, &self.keyring, metadata).await
    }

    fn operator(&self, metadata: &MetadataMap) -> Result<Principal, Error> {
        let principal = auth::require_staff(&self.staff, metadata)?;
        principal.require_role(Role::Operator)?;
        Ok(principal)
    }

    fn reference_tags(&self, reference: &str) -> Result<Vec<Tag>, Invalid> {
        let reference: Reference = text("reference", reference, 64)?.parse()?;
        Ok(self
            .keyring
            .tags(TagPurpose::Reference, reference.symbols().as_bytes()))
    }
}

fn bytes(tags: &[Tag]) -> Vec<&[u8]> {
    tags.iter().map(|tag| tag.bytes.as_slice()).collect()
}

type StreamResponses =
    Pin<Box<dyn Stream<Item = Result<v1::StreamReportsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl IntakeService for Intake {
    type StreamReportsStream = StreamResponses;

    async fn submit_reports(
        &self,
        request: Request<v1::SubmitReportsRequest>,
    ) -> Result<Response<v1::SubmitReportsResponse>, Status> {
        let reporter = self.reporter(request.metadata()).await?;
        let response = self.submit(&reporter, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn stream_reports(
        &self,
        request: Request<Streaming<v1::StreamReportsRequest>>,
    ) -> Result<Response<StreamResponses>, Status> {
        let reporter = self.reporter(request.metadata()).await?;
        let metadata = request.metadata().clone();
        let cached_sender = Arc::new(CachedSender::new(reporter, metadata, self.recheck_after));
        let intake = self.clone();
        // A stream may stay open for a long time, so each submission is a trace of its own, linked to the
        // call.
        let call = trace::current_traceparent();
        let responses = request
            .into_inner()
            .map(move |message| {
                let (intake, cached_sender) = (intake.clone(), Arc::clone(&cached_sender));
                let span = Span::linked_to(call.as_deref().into_iter(), Side::Server, STREAM_SPAN);
                let accept = async move {
                    let message = message?;
                    let reporter = cached_sender
                        .reporter(&intake.pool, &intake.staff, &intake.keyring)
                        .await?;
                    let reply = match message.request {
                        Some(request) => intake.submit(&reporter, request).await,
                        None => Err(Error::from(Invalid::missing("request")).into()),
                    };
                    Ok(v1::StreamReportsResponse {
                        submission: message.submission,
                        result: Some(match reply {
                            Ok(response) => v1::stream_reports_response::Result::Response(response),
                            Err(problem) => v1::stream_reports_response::Result::Problem(
                                item_problem(problem, ""),
                            ),
                        }),
                    })
                };
                async move { span.scope(accept).await }
            })
            .buffer_unordered(IN_FLIGHT);
        Ok(Response::new(Box::pin(responses)))
    }

    async fn get_outcome(
        &self,
        request: Request<v1::GetOutcomeRequest>,
    ) -> Result<Response<v1::GetOutcomeResponse>, Status> {
        let tags = self
            .reference_tags(&request.get_ref().reference)
            .map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        // The reference is sufficient, but a credential that is sent must be valid.
        auth::reporter(&mut conn, &self.staff, &self.keyring, request.metadata()).await?;
        let found = report::find(&mut conn, &ReportFilter::Reference(bytes(&tags))).await?;
        let report = found.first().ok_or_else(|| Error::unknown("report"))?;
        Ok(Response::new(v1::GetOutcomeResponse {
            outcome: report.outcome.wire(),
            received_at: Some(timestamp(report.accepted_at)),
            updated_at: Some(timestamp(report.outcome_at)),
        }))
    }

    async fn withdraw_report(
        &self,
        request: Request<v1::WithdrawReportRequest>,
    ) -> Result<Response<v1::WithdrawReportResponse>, Status> {
        let tags = self
            .reference_tags(&request.get_ref().reference)
            .map_err(Error::from)?;
        let reporter = self.reporter(request.metadata()).await?;
        let mut tx = self.pool.begin().await.map_err(Error::from)?;
        let now = self.clock.now(&mut tx).await.map_err(Error::from)?;
        let outcome = commands::withdraw(&mut tx, &reporter.principal, bytes(&tags), now).await?;
        tx.commit().await.map_err(Error::from)?;
        self.appended.notify();
        Ok(Response::new(v1::WithdrawReportResponse {
            outcome: outcome.wire(),
        }))
    }

    async fn find_reports(
        &self,
        request: Request<v1::FindReportsRequest>,
    ) -> Result<Response<v1::FindReportsResponse>, Status> {
        auth::require_staff(&self.staff, request.metadata())?;
        let by = request
            .into_inner()
            .by
            .ok_or_else(|| Error::from(Invalid::missing("by")))?;
        let reports = self.find(by).await?;
        Ok(Response::new(v1::FindReportsResponse { reports }))
    }

    async fn create_partner(
        &self,
        request: Request<v1::CreatePartnerRequest>,
    ) -> Result<Response<v1::CreatePartnerResponse>, Status> {
        self.operator(request.metadata())?;
        let request = request.into_inner();
        let name = text("name", &request.name, 128).map_err(Error::from)?;
        let channel = ReportChannel::from_wire(request.channel)
            .and_then(|channel| match channel {
                ReportChannel::Public => Err(Invalid::new(
                    "channel_needs_no_key",
                    "channel",
                    "the public channel needs no key; choose partner_hotline, proactive or report_remove",
                )),
                other => Ok(other),
            })
            .map_err(Error::from)?;
        if i32::try_from(request.daily_quota).is_err() {
            let detail = "a daily quota must be at most 2147483647; send 0 for no limit";
            return Err(Error::from(Invalid::new("quota_too_large", "daily_quota", detail)).into());
        }
        let key = auth::new_key();
        let mut tx = self.pool.begin().await.map_err(Error::from)?;
        let partner = partner::Partner {
            id: key.id,
            name,
            channel,
            daily_quota: request.daily_quota,
            created_at: self.clock.now(&mut tx).await.map_err(Error::from)?,
            revoked_at: None,
        };
        let vouched = auth::vouch(&self.keyring, &partner, &key.hash);
        if !partner::insert(&mut tx, &partner, &key.hash, &vouched)
            .await
            .map_err(Error::from)?
        {
            let detail = "a partner with this name exists already; choose another name";
            return Err(Problem::new(Kind::Conflict, "name_taken", detail)
                .field("name")
                .into());
        }
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(v1::CreatePartnerResponse {
            partner: Some(partner_wire(partner)),
            key: key.text,
        }))
    }

    async fn list_partners(
        &self,
        request: Request<v1::ListPartnersRequest>,
    ) -> Result<Response<v1::ListPartnersResponse>, Status> {
        auth::require_staff(&self.staff, request.metadata())?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let partners = partner::list(&mut conn).await?;
        Ok(Response::new(v1::ListPartnersResponse {
            partners: partners.into_iter().map(partner_wire).collect(),
        }))
    }

    async fn revoke_partner(
        &self,
        request: Request<v1::RevokePartnerRequest>,
    ) -> Result<Response<v1::RevokePartnerResponse>, Status> {
        self.operator(request.metadata())?;
        let id: PartnerId = request.get_ref().partner_id.parse().map_err(Error::from)?;
        let mut tx = self.pool.begin().await.map_err(Error::from)?;
        let now = self.clock.now(&mut tx).await.map_err(Error::from)?;
        if !partner::revoke(&mut tx, id, now)
            .await
            .map_err(Error::from)?
        {
            return Err(Error::unknown("partner").into());
        }
        tx.commit().await.map_err(Error::from)?;
        Ok(Response::new(v1::RevokePartnerResponse {}))
    }

    async fn get_intake_counts(
        &self,
        request: Request<v1::GetIntakeCountsRequest>,
    ) -> Result<Response<v1::GetIntakeCountsResponse>, Status> {
        auth::require_staff(&self.staff, request.metadata())?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let (counts, cases) = report::counts(&mut conn).await?;
        let now = self.clock.now(&mut conn).await.map_err(Error::from)?;
        let gauges = metrics::readings(&mut conn, now, GAUGES).await;
        Ok(Response::new(v1::GetIntakeCountsResponse {
            accepted: counts.iter().map(|count| count.reports).sum(),
            cases,
            by_outcome: counts
                .into_iter()
                .map(|count| v1::StageCount {
                    stage: count.outcome.to_string(),
                    count: count.reports,
                    oldest: Some(timestamp(count.oldest)),
                })
                .collect(),
            gauges: gauges.map_err(Error::from)?,
        }))
    }
}

fn partner_wire(partner: partner::Partner) -> v1::Partner {
    v1::Partner {
        partner_id: partner.id.to_string(),
        name: partner.name,
        channel: partner.channel.wire(),
        daily_quota: partner.daily_quota,
        created_at: Some(timestamp(partner.created_at)),
        revoked_at: partner.revoked_at.map(timestamp),
    }
}
