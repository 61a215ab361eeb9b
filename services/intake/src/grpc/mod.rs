//! The edge: parse, begin, command, commit, reply. No SQL, no branching on state.

mod find;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::Invalid;
use domain::id::{PartnerId, Reference};
use domain::invalid::text;
use domain::wire::timestamp;
use domain::word::ReportChannel;
use futures::{Stream, StreamExt};
use platform::batch::{Gather, Limits, in_batches};
use platform::clock::{self, Clock};
use platform::error::{Kind, Problem};
use platform::log::Hint;
use platform::metrics;
use platform::principal::{Principal, Role};
use platform::sealed::{Keyring, StaffTokenVerifier, Tag, TagPurpose};
use platform::trace::{self, Side, Work};
use proto::v1;
use proto::v1::intake_service_server::IntakeService;
use sqlx::PgPool;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{self, Speaker};
use crate::commands::{self, Accept, Accepted};
use crate::error::{Error, item_problem};
use crate::signs::SIGNS;
use crate::store::report::Which;
use crate::store::{partner, report};
use crate::submission::{self, Sender, Submission};

/// Submissions with more items than this commit apart, so that a single report does not wait behind a bulk.
const SMALL: usize = 16;
/// Submissions of one stream that are in flight at a time.
const IN_FLIGHT: usize = 8;
/// The name of the work on one submission of a stream.
const ONE: &str = "takedown.v1.IntakeService/StreamReports, one";

/// The service.
#[derive(Clone)]
pub struct Intake {
    pool: PgPool,
    keyring: Arc<Keyring>,
    staff: Arc<StaffTokenVerifier>,
    clock: Clock,
    trusted_for: Duration,
    small: Gather<Submission, Accepted>,
    bulk: Gather<Submission, Accepted>,
    appended: Hint,
}

impl Intake {
    pub fn new(
        pool: PgPool,
        keyring: Arc<Keyring>,
        staff: StaffTokenVerifier,
        clock: Clock,
        trusted_for: Duration,
        appended: Hint,
    ) -> Self {
        let accept = Accept {
            keyring: Arc::clone(&keyring),
            clock: clock.clone(),
        };
        let gather = |limits: Limits| {
            let (pool, accept, appended) = (pool.clone(), accept.clone(), appended.clone());
            Gather::start(limits, move |batch: Vec<Submission>| {
                let (pool, accept, appended) = (pool.clone(), accept.clone(), appended.clone());
                async move {
                    let replies = in_batches(&pool, &batch, &accept).await;
                    appended.ring();
                    replies
                        .into_iter()
                        .map(|reply| reply.and_then(|r| r))
                        .collect()
                }
            })
        };
        Self {
            small: gather(Limits {
                waiting: 4096,
                batch: 256,
                lanes: 2,
            }),
            bulk: gather(Limits {
                waiting: 256,
                batch: 4,
                lanes: 2,
            }),
            pool,
            keyring,
            staff: Arc::new(staff),
            clock,
            trusted_for,
            appended,
        }
    }

    async fn submit(&self, sender: &Sender, request: v1::SubmitReportsRequest) -> Accepted {
        let submission = submission::parse(request, sender, &self.keyring, clock::wall())
            .map_err(Problem::from)?;
        let queue = if submission.items.len() > SMALL {
            &self.bulk
        } else {
            &self.small
        };
        queue.call(submission).await?
    }

    async fn sender(&self, metadata: &MetadataMap) -> Result<Sender, Error> {
        let mut conn = self.pool.acquire().await?;
        auth::sender(&mut conn, &self.staff, &self.keyring, metadata).await
    }

    fn operator(&self, metadata: &MetadataMap) -> Result<Principal, Error> {
        let principal = auth::staff(&self.staff, metadata)?;
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

type Answers = Pin<Box<dyn Stream<Item = Result<v1::StreamReportsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl IntakeService for Intake {
    type StreamReportsStream = Answers;

    async fn submit_reports(
        &self,
        request: Request<v1::SubmitReportsRequest>,
    ) -> Result<Response<v1::SubmitReportsResponse>, Status> {
        let sender = self.sender(request.metadata()).await?;
        let response = self.submit(&sender, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn stream_reports(
        &self,
        request: Request<Streaming<v1::StreamReportsRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let sender = self.sender(request.metadata()).await?;
        let metadata = request.metadata().clone();
        let speaker = Arc::new(Speaker::new(sender, metadata, self.trusted_for));
        let intake = self.clone();
        // The call is one piece of work and has no end of its own: each submission is a trace, linked to it.
        let call = trace::current();
        let answers = request
            .into_inner()
            .map(move |message| {
                let (intake, speaker) = (intake.clone(), Arc::clone(&speaker));
                let work = Work::linked(call.as_deref().into_iter(), Side::Server, ONE);
                let accepting = async move {
                    let message = message?;
                    let sender = speaker
                        .sender(&intake.pool, &intake.staff, &intake.keyring)
                        .await?;
                    let answer = match message.request {
                        Some(request) => intake.submit(&sender, request).await,
                        None => Err(Error::from(Invalid::missing("request")).into()),
                    };
                    Ok(v1::StreamReportsResponse {
                        submission: message.submission,
                        result: Some(match answer {
                            Ok(response) => v1::stream_reports_response::Result::Response(response),
                            Err(problem) => v1::stream_reports_response::Result::Problem(
                                item_problem(problem, ""),
                            ),
                        }),
                    })
                };
                async move { work.scope(accepting).await }
            })
            .buffer_unordered(IN_FLIGHT);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_outcome(
        &self,
        request: Request<v1::GetOutcomeRequest>,
    ) -> Result<Response<v1::GetOutcomeResponse>, Status> {
        let tags = self
            .reference_tags(&request.get_ref().reference)
            .map_err(Error::from)?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        // The reference opens it; but what is shown beside it must hold.
        auth::sender(&mut conn, &self.staff, &self.keyring, request.metadata()).await?;
        let found = report::find(&mut conn, &Which::Reference(bytes(&tags))).await?;
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
        let sender = self.sender(request.metadata()).await?;
        let mut tx = self.pool.begin().await.map_err(Error::from)?;
        let now = self.clock.now(&mut tx).await.map_err(Error::from)?;
        let outcome = commands::withdraw(&mut tx, &sender.principal, bytes(&tags), now).await?;
        tx.commit().await.map_err(Error::from)?;
        self.appended.ring();
        Ok(Response::new(v1::WithdrawReportResponse {
            outcome: outcome.wire(),
        }))
    }

    async fn find_reports(
        &self,
        request: Request<v1::FindReportsRequest>,
    ) -> Result<Response<v1::FindReportsResponse>, Status> {
        auth::staff(&self.staff, request.metadata())?;
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
                    "the public needs no key; choose partner_hotline, proactive or report_remove",
                )),
                other => Ok(other),
            })
            .map_err(Error::from)?;
        if i32::try_from(request.daily_quota).is_err() {
            let detail = "a daily quota is at most 2147483647; send 0 for none";
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
            let detail = "a partner of this name exists; choose another name";
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
        auth::staff(&self.staff, request.metadata())?;
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
        auth::staff(&self.staff, request.metadata())?;
        let mut conn = self.pool.acquire().await.map_err(Error::from)?;
        let (counts, cases) = report::counts(&mut conn).await?;
        let now = self.clock.now(&mut conn).await.map_err(Error::from)?;
        let signs = metrics::signs(&mut conn, now, SIGNS).await;
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
            signs: signs.map_err(Error::from)?,
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
