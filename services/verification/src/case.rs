//! A case in memory while it is locked: its facts, its claim, its decision. Must not read or write anything.

use domain::id::{CaseId, DecisionId, HoldId, ReportId, Subject};
use domain::word::{Category, HashKind, Media, NotActionableReason, ReviewReason};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::lifecycle::{Command, Misfit, Rest, State};

/// What was found of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    Actionable(Category),
    NotActionable(NotActionableReason),
}

impl Finding {
    pub(crate) const fn is_actionable(self) -> bool {
        matches!(self, Self::Actionable(_))
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Actionable(category) => category.as_str(),
            Self::NotActionable(reason) => reason.as_str(),
        }
    }

    pub(crate) const fn category(self) -> Option<Category> {
        match self {
            Self::Actionable(category) => Some(category),
            Self::NotActionable(_) => None,
        }
    }

    pub(crate) const fn reason(self) -> Option<NotActionableReason> {
        match self {
            Self::Actionable(_) => None,
            Self::NotActionable(reason) => Some(reason),
        }
    }
}

/// What a decision rests on: `analyst`, `list:<name>@<version>` or `rule:<id>@<version>`.
pub(crate) const ANALYST: &str = "analyst";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) id: DecisionId,
    pub(crate) finding: Finding,
    pub(crate) basis: String,
    /// Subjects who stand behind it.
    pub(crate) approvers: Vec<Uuid>,
    pub(crate) at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) body: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) expires_at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) by: Subject,
    pub(crate) token: Uuid,
    pub(crate) until: OffsetDateTime,
}

/// The last claim that ended, so that a repeated decision is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) token: Uuid,
    pub(crate) verdict: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) id: HoldId,
    /// None when it has ended.
    pub(crate) until: Option<OffsetDateTime>,
}

/// What the first report brought and nobody changes.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) report: ReportId,
    pub(crate) media: Option<Media>,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    /// In which it came, if it was traced.
    pub(crate) traceparent: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: CaseId,
    pub(crate) state: State,
    pub(crate) version: i64,
    pub(crate) item: Item,
    pub(crate) reports: i32,
    pub(crate) withdrawn_reports: i32,
    pub(crate) self_reported: bool,
    pub(crate) under_13: bool,
    pub(crate) hash_kinds: HashKinds,
    pub(crate) claim: Option<Claim>,
    pub(crate) attempts: i32,
    pub(crate) spent: Option<Spent>,
    /// Staff who reported it: they never decide it.
    pub(crate) submitted_by: Vec<Uuid>,
    /// Who must not claim it while there is somebody else: they passed it on, or decided it before.
    pub(crate) not_for: Vec<Uuid>,
    /// Bases of decisions that were taken back.
    pub(crate) withdrawn: Vec<String>,
    /// A verdict that waits for a second analyst, who is never the first.
    pub(crate) first: Option<(Subject, Category)>,
    pub(crate) decision: Option<Decision>,
    pub(crate) proof: Option<Proof>,
    pub(crate) review: Option<ReviewReason>,
    pub(crate) for_supervisor: bool,
    pub(crate) dispatch_closed: bool,
    /// Dispatch has spoken of it: the end of the proof no longer counts.
    pub(crate) dispatch_opened: bool,
    /// A report came that dispatch has to hear of once the verdict is neither held nor questioned.
    pub(crate) announce_due: bool,
    pub(crate) hold: Option<Hold>,
    pub(crate) matched_epoch: i64,
    /// The last event heard about the case: the cause of what is said of it next.
    pub(crate) cause: Uuid,
}

impl Case {
    /// A case as its first report opens it; the report itself is counted by the caller.
    pub(crate) fn opened(id: CaseId, item: Item, cause: Uuid) -> Self {
        Self {
            id,
            state: State::At(Rest::Queued),
            version: 1,
            item,
            reports: 0,
            withdrawn_reports: 0,
            self_reported: false,
            under_13: false,
            hash_kinds: HashKinds::default(),
            claim: None,
            attempts: 0,
            spent: None,
            submitted_by: Vec::new(),
            not_for: Vec::new(),
            withdrawn: Vec::new(),
            first: None,
            decision: None,
            proof: None,
            review: None,
            for_supervisor: false,
            dispatch_closed: false,
            dispatch_opened: false,
            announce_due: false,
            hold: None,
            matched_epoch: 0,
            cause,
        }
    }

    /// Applies a command. Any change of state makes what somebody read before stale.
    pub(crate) fn apply(&mut self, command: Command) -> Result<(), Misfit> {
        let before = self.state;
        let next = before.apply(command)?;
        if next != before {
            self.state = next;
            self.version += 1;
            if !before.is_assessed() && next.is_assessed() {
                self.begin_anew();
            }
        }
        Ok(())
    }

    /// Forgets a decision that was taken back, for the case to be assessed as if for the first time: by other people
    /// where there are some, and by every list and rule but the one that was wrong.
    fn begin_anew(&mut self) {
        self.first = None;
        self.not_for.clear();
        self.proof = None;
        self.unmatch();
        if let Some(decision) = self.decision.take() {
            if decision.basis == ANALYST {
                self.not_for = decision.approvers;
            }
            self.withdrawn.push(decision.basis);
        }
    }

    /// Ends the claim, remembering how.
    pub(crate) fn spend_claim(&mut self, verdict: String) {
        if let Some(claim) = self.claim.take() {
            self.spent = Some(Spent {
                token: claim.token,
                verdict,
            });
        }
    }

    /// What a list or a rule may decide now.
    pub(crate) fn waits_for_match(&self) -> bool {
        matches!(self.state, State::At(Rest::Queued | Rest::NeedsInformation))
    }

    /// Makes the next sweep of lists and rules look at this case again.
    pub(crate) fn unmatch(&mut self) {
        self.matched_epoch = 0;
    }

    /// Higher is more urgent. A child who asks for help comes first, then the youngest, then what was decided and is
    /// questioned (a notice may be wrong, or paused), then what many people see.
    pub(crate) fn priority(&self) -> i32 {
        let standing = (self.reports - self.withdrawn_reports).clamp(0, 50);
        let mut priority = (standing - 1) * 10;
        if self.self_reported {
            priority += 2000;
        }
        if self.under_13 {
            priority += 1000;
        }
        if self.review.is_some() {
            priority += 600;
        }
        priority
    }
}

/// Kinds of hash, as bits in the order of the vocabulary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HashKinds(pub(crate) i16);

impl HashKinds {
    pub(crate) fn add(&mut self, kind: HashKind) {
        self.0 |= Self::bit(kind);
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = HashKind> {
        HashKind::ALL
            .iter()
            .copied()
            .filter(move |kind| self.0 & Self::bit(*kind) != 0)
    }

    const fn bit(kind: HashKind) -> i16 {
        match kind {
            HashKind::Md5 => 1,
            HashKind::Sha1 => 2,
            HashKind::Sha256 => 4,
            HashKind::Pdq => 8,
        }
    }
}
