//! What is observable from outside after the recovery: the ledger's leaves, verification's assessments and dispatch's
//! notices.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use domain::enums::{Answer, AssessmentState, ContentStatus, Rung};
use domain::event::{Body, decode};
use domain::id::CaseId;
use domain::wire::required_time;
use proto::v1::{
    ApprovalProof, Assessment, GetCaseDispatchRequest, GetConservationRequest,
    GetDispatchCountsRequest, GetVerificationCountsRequest, Leaf, ListQueueRequest, NoticeSummary,
    ReadLeavesRequest, SearchNoticesRequest,
};
use roles::client::Client;
use time::OffsetDateTime;
use uuid::Uuid;

const PAGE_SIZE: i32 = 500;

/// An actionable verdict with its approval proof.
pub struct RecordedVerdict {
    pub at: OffsetDateTime,
    pub proof: ApprovalProof,
}

pub struct RecordedEscalation {
    pub case: CaseId,
    pub rung: Rung,
    pub due: OffsetDateTime,
    pub fired: OffsetDateTime,
    /// When the ledger recorded it, by a clock without skew.
    pub recorded: OffsetDateTime,
}

/// The facts in the ledger.
#[derive(Default)]
pub struct LedgerFacts {
    pub reports: HashSet<String>,
    pub actionable: HashMap<CaseId, RecordedVerdict>,
    pub not_actionable: HashSet<CaseId>,
    pub escalated: Vec<RecordedEscalation>,
    pub removed: HashSet<CaseId>,
    /// By notice id.
    pub delivered: HashSet<Uuid>,
    /// By notice id.
    pub answered: HashSet<(Uuid, Answer)>,
}

#[derive(Default)]
pub struct ObservedState {
    pub ledger: LedgerFacts,
    /// The basis of each case's verdict.
    pub basis_by_case: HashMap<CaseId, String>,
    /// Cases with a notice in dispatch.
    pub notified: HashSet<CaseId>,
    /// Cases without a confirmed removal that have reached the end of their ladder.
    pub exhausted: HashSet<CaseId>,
    /// Accepted reports minus the reports that the ledger has in any stage.
    pub not_conserved: i64,
}

impl ObservedState {
    pub async fn read(client: &Client) -> Result<Self> {
        let ledger = read_ledger(client).await?;
        let notices = list_notices(client).await?.into_iter();
        let notified: HashSet<CaseId> = notices
            .filter_map(|notice| notice.case_id.parse().ok())
            .collect();
        let mut exhausted = HashSet::new();
        for case in notified.difference(&ledger.removed) {
            if content_status(client, *case).await? == Some(ContentStatus::Exhausted) {
                exhausted.insert(*case);
            }
        }
        let conservation = client
            .ledger()
            .get_conservation(GetConservationRequest {})
            .await?;
        let assessments = list_assessments(client).await?.into_iter();
        Ok(Self {
            ledger,
            basis_by_case: assessments
                .filter_map(|case| Some((case.case_id.parse().ok()?, case.basis)))
                .collect(),
            notified,
            exhausted,
            not_conserved: conservation.get_ref().lost,
        })
    }

    /// Number of verdicts by basis: `analyst`, `list`, `rule`.
    pub fn by_basis(&self) -> BTreeMap<&str, usize> {
        let mut by_basis = BTreeMap::new();
        for basis in self
            .basis_by_case
            .values()
            .filter(|basis| !basis.is_empty())
        {
            let kind = basis.split(':').next().unwrap_or_default();
            *by_basis.entry(kind).or_default() += 1;
        }
        by_basis
    }

    /// Number of cases for which this rung has fired.
    pub fn escalated_to(&self, rung: Rung) -> usize {
        let escalations = self.ledger.escalated.iter();
        let cases = escalations.filter(|e| e.rung == rung).map(|e| e.case);
        cases.collect::<BTreeSet<_>>().len()
    }
}

/// Figures that change as long as the system works on a case. Cheap to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivitySnapshot {
    undecided: u64,
    actionable: u64,
    dispatched: u64,
    unsettled: u64,
    attempts: u64,
    notices: Vec<(String, u64)>,
    events: u64,
    lost: i64,
}

impl ActivitySnapshot {
    pub async fn read(client: &Client) -> Result<Self> {
        let mut verification = client.verification();
        let assessed = verification
            .get_verification_counts(GetVerificationCountsRequest {})
            .await?
            .into_inner();
        let mut dispatch = client.dispatch();
        let dispatched = dispatch
            .get_dispatch_counts(GetDispatchCountsRequest {})
            .await?
            .into_inner();
        let mut ledger = client.ledger();
        let conservation = ledger.get_conservation(GetConservationRequest {}).await?;
        let count = |states: &[&str]| {
            let by_state = assessed.by_state.iter();
            let selected = by_state.filter(|state| states.contains(&state.stage.as_str()));
            selected.map(|state| state.count).sum()
        };
        let by_notice_state = dispatched.by_notice_state.into_iter();
        Ok(Self {
            undecided: count(&[
                "queued",
                "claimed",
                "awaiting_second_opinion",
                "under_review",
            ]),
            actionable: count(&["actionable"]),
            dispatched: dispatched.cases,
            unsettled: dispatched.unsettled,
            attempts: dispatched.attempts,
            notices: by_notice_state
                .map(|state| (state.stage, state.count))
                .collect(),
            events: conservation.get_ref().events,
            lost: conservation.get_ref().lost,
        })
    }

    /// True if no service has work left, by its own figures.
    pub fn is_idle(&self) -> bool {
        self.undecided == 0
            && self.dispatched >= self.actionable
            && self.unsettled == 0
            && self.lost == 0
    }
}

async fn read_ledger(client: &Client) -> Result<LedgerFacts> {
    let request = ReadLeavesRequest { from_index: 0 };
    let mut pages = client.ledger().read_leaves(request).await?.into_inner();
    let mut facts = LedgerFacts::default();
    while let Some(page) = pages.message().await? {
        for leaf in page.leaves {
            facts.add_leaf(&leaf)?;
        }
    }
    Ok(facts)
}

impl LedgerFacts {
    fn add_leaf(&mut self, leaf: &Leaf) -> Result<()> {
        let case: CaseId = leaf.case_id.parse()?;
        match decode(&leaf.payload)? {
            Body::ReportReceived(event) => {
                self.reports.insert(event.report_id);
            }
            Body::CaseActionable(event) => {
                let at = required_time("decided_at", event.decided_at.as_ref())?;
                if let Some(proof) = event.proof {
                    self.actionable.insert(case, RecordedVerdict { at, proof });
                }
            }
            Body::CaseNotActionable(_) => {
                self.not_actionable.insert(case);
            }
            Body::NoticeDelivered(event) => self.delivered.extend(notice_id(event.notice)),
            Body::NoticeAnswered(event) => {
                let answer = Answer::from_wire(event.answer)?;
                self.answered
                    .extend(notice_id(event.notice).map(|id| (id, answer)));
            }
            Body::NoticeEscalated(event) => self.escalated.push(RecordedEscalation {
                case,
                rung: Rung::from_wire(event.rung)?,
                due: required_time("due_at", event.due_at.as_ref())?,
                fired: required_time("fired_at", event.fired_at.as_ref())?,
                recorded: required_time("recorded_at", leaf.recorded_at.as_ref())?,
            }),
            Body::RemovalConfirmed(_) => {
                self.removed.insert(case);
            }
            _ => {}
        }
        Ok(())
    }
}

fn notice_id(key: Option<proto::v1::NoticeKey>) -> Option<Uuid> {
    key?.notice_id.parse().ok()
}

async fn content_status(client: &Client, case: CaseId) -> Result<Option<ContentStatus>> {
    let request = GetCaseDispatchRequest {
        case_id: case.to_string(),
    };
    let found = client.dispatch().get_case_dispatch(request).await?;
    Ok(ContentStatus::from_wire(found.get_ref().content_status).ok())
}

async fn list_notices(client: &Client) -> Result<Vec<NoticeSummary>> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = SearchNoticesRequest {
            page_size: PAGE_SIZE,
            page_token,
            ..SearchNoticesRequest::default()
        };
        let page = client.dispatch().search_notices(request).await?;
        let page = page.into_inner();
        all.extend(page.notices);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        page_token = page.next_page_token;
    }
}

async fn list_assessments(client: &Client) -> Result<Vec<Assessment>> {
    let states: Vec<i32> = AssessmentState::ALL.iter().map(|s| s.wire()).collect();
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListQueueRequest {
            page_size: PAGE_SIZE,
            page_token,
            states: states.clone(),
        };
        let page = client.verification().list_queue(request).await?;
        let page = page.into_inner();
        all.extend(page.cases);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        page_token = page.next_page_token;
    }
}
