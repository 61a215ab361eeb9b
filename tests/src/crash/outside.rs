//! What can be seen from outside when everything is up again: the ledger's leaves, verification's cases, dispatch's
//! notices. The clients' receipts and the hosts' logs were kept all along.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use domain::event::{Body, decode};
use domain::id::CaseId;
use domain::wire::required_time;
use domain::word::{Answer, AssessmentState, LiveState, Rung};
use proto::v1::{
    ApprovalProof, Assessment, GetCaseDispatchRequest, GetConservationRequest,
    GetDispatchCountsRequest, GetVerificationCountsRequest, Leaf, ListQueueRequest, NoticeSummary,
    Page, ReadLeavesRequest, SearchNoticesRequest,
};
use takedown::client::Client;
use time::OffsetDateTime;
use uuid::Uuid;

const PAGE: u32 = 500;

/// A verdict with its proof.
pub struct Decided {
    pub at: OffsetDateTime,
    pub proof: ApprovalProof,
}

/// A rung that fired.
pub struct Escalated {
    pub case: CaseId,
    pub rung: Rung,
    pub due: OffsetDateTime,
    pub fired: OffsetDateTime,
    /// When the ledger heard of it, by a clock that is right.
    pub heard: OffsetDateTime,
}

/// What the ledger holds.
#[derive(Default)]
pub struct Told {
    pub reports: HashSet<String>,
    pub actionable: HashMap<CaseId, Decided>,
    pub not_actionable: HashSet<CaseId>,
    pub escalated: Vec<Escalated>,
    pub removed: HashSet<CaseId>,
    /// Notices.
    pub delivered: HashSet<Uuid>,
    pub answered: HashSet<(Uuid, Answer)>,
}

/// All that can be asked for.
#[derive(Default)]
pub struct Outside {
    pub told: Told,
    /// By case, on what the verdict stands.
    pub assessed: HashMap<CaseId, String>,
    /// Cases that dispatch has opened notices for.
    pub noticed: HashSet<CaseId>,
    /// Of cases without a confirmed removal: whether they have come to the end of their ladder.
    pub exhausted: HashSet<CaseId>,
    /// Accepted, less what the ledger has in some stage.
    pub conserved: i64,
}

impl Outside {
    pub async fn read(client: &Client) -> Result<Self> {
        let told = leaves(client).await?;
        let opened = notices(client).await?.into_iter();
        let noticed: HashSet<CaseId> = opened
            .filter_map(|notice| notice.case_id.parse().ok())
            .collect();
        let mut exhausted = HashSet::new();
        for case in noticed.difference(&told.removed) {
            if live(client, *case).await? == Some(LiveState::Exhausted) {
                exhausted.insert(*case);
            }
        }
        let conserved = client
            .ledger()
            .get_conservation(GetConservationRequest {})
            .await?;
        let assessed = assessments(client).await?.into_iter();
        Ok(Self {
            told,
            assessed: assessed
                .filter_map(|case| Some((case.case_id.parse().ok()?, case.basis)))
                .collect(),
            noticed,
            exhausted,
            conserved: conserved.get_ref().lost,
        })
    }

    /// How many verdicts stand on each kind of basis: `analyst`, `list`, `rule`.
    pub fn by_basis(&self) -> BTreeMap<&str, usize> {
        let mut by_basis = BTreeMap::new();
        for basis in self.assessed.values().filter(|basis| !basis.is_empty()) {
            let kind = basis.split(':').next().unwrap_or_default();
            *by_basis.entry(kind).or_default() += 1;
        }
        by_basis
    }

    /// Cases that a rung fired for.
    pub fn escalated_to(&self, rung: Rung) -> usize {
        let of_rung = self.told.escalated.iter().filter(|one| one.rung == rung);
        of_rung.map(|one| one.case).collect::<BTreeSet<_>>().len()
    }
}

/// Cheap figures that change as long as something moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    waiting: u64,
    actionable: u64,
    dispatched: u64,
    unsettled: u64,
    attempts: u64,
    notices: Vec<(String, u64)>,
    events: u64,
    lost: i64,
}

impl Standing {
    pub async fn read(client: &Client) -> Result<Self> {
        let mut verification = client.verification();
        let decided = verification
            .get_verification_counts(GetVerificationCountsRequest {})
            .await?
            .into_inner();
        let mut dispatch = client.dispatch();
        let sent = dispatch
            .get_dispatch_counts(GetDispatchCountsRequest {})
            .await?
            .into_inner();
        let mut ledger = client.ledger();
        let heard = ledger.get_conservation(GetConservationRequest {}).await?;
        let state = |wanted: &[&str]| {
            let states = decided.by_state.iter();
            let these = states.filter(|state| wanted.contains(&state.stage.as_str()));
            these.map(|state| state.count).sum()
        };
        let notices = sent.by_notice_state.into_iter();
        Ok(Self {
            waiting: state(&["queued", "claimed", "awaiting_second", "under_review"]),
            actionable: state(&["actionable"]),
            dispatched: sent.cases,
            unsettled: sent.unsettled,
            attempts: sent.attempts,
            notices: notices.map(|state| (state.stage, state.count)).collect(),
            events: heard.get_ref().events,
            lost: heard.get_ref().lost,
        })
    }

    /// Whether nothing more is to come, by the services' own word.
    pub fn is_quiet(&self) -> bool {
        self.waiting == 0
            && self.dispatched >= self.actionable
            && self.unsettled == 0
            && self.lost == 0
    }
}

async fn leaves(client: &Client) -> Result<Told> {
    let request = ReadLeavesRequest { from_index: 0 };
    let mut pages = client.ledger().read_leaves(request).await?.into_inner();
    let mut told = Told::default();
    while let Some(page) = pages.message().await? {
        for leaf in page.leaves {
            told.hear(&leaf)?;
        }
    }
    Ok(told)
}

impl Told {
    fn hear(&mut self, leaf: &Leaf) -> Result<()> {
        let case: CaseId = leaf.case_id.parse()?;
        match decode(&leaf.payload)? {
            Body::ReportReceived(said) => {
                self.reports.insert(said.report_id);
            }
            Body::CaseActionable(said) => {
                let at = required_time("decided_at", said.decided_at.as_ref())?;
                if let Some(proof) = said.proof {
                    self.actionable.insert(case, Decided { at, proof });
                }
            }
            Body::CaseNotActionable(_) => {
                self.not_actionable.insert(case);
            }
            Body::NoticeDelivered(said) => self.delivered.extend(id(said.notice)),
            Body::NoticeAnswered(said) => {
                let answer = Answer::from_wire(said.answer)?;
                self.answered.extend(id(said.notice).map(|id| (id, answer)));
            }
            Body::NoticeEscalated(said) => self.escalated.push(Escalated {
                case,
                rung: Rung::from_wire(said.rung)?,
                due: required_time("due_at", said.due_at.as_ref())?,
                fired: required_time("fired_at", said.fired_at.as_ref())?,
                heard: required_time("heard_at", leaf.heard_at.as_ref())?,
            }),
            Body::RemovalConfirmed(_) => {
                self.removed.insert(case);
            }
            _ => {}
        }
        Ok(())
    }
}

fn id(key: Option<proto::v1::NoticeKey>) -> Option<Uuid> {
    key?.notice_id.parse().ok()
}

async fn live(client: &Client, case: CaseId) -> Result<Option<LiveState>> {
    let request = GetCaseDispatchRequest {
        case_id: case.to_string(),
    };
    let found = client.dispatch().get_case_dispatch(request).await?;
    Ok(LiveState::from_wire(found.get_ref().live).ok())
}

async fn notices(client: &Client) -> Result<Vec<NoticeSummary>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = SearchNoticesRequest {
            page: Some(Page { size: PAGE, cursor }),
            ..SearchNoticesRequest::default()
        };
        let page = client.dispatch().search_notices(request).await?;
        let page = page.into_inner();
        all.extend(page.notices);
        if page.next_cursor.is_empty() {
            return Ok(all);
        }
        cursor = page.next_cursor;
    }
}

async fn assessments(client: &Client) -> Result<Vec<Assessment>> {
    let states: Vec<i32> = AssessmentState::ALL.iter().map(|s| s.wire()).collect();
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = ListQueueRequest {
            page: Some(Page { size: PAGE, cursor }),
            states: states.clone(),
        };
        let page = client.verification().list_queue(request).await?;
        let page = page.into_inner();
        all.extend(page.cases);
        if page.next_cursor.is_empty() {
            return Ok(all);
        }
        cursor = page.next_cursor;
    }
}
