//! How far an episode has got on the ladder of its regime: which rungs have fired, which is due next, and the
//! pauses that move the others later.

use domain::enums::Rung;
use time::{Duration, OffsetDateTime};

use crate::policy::{Ladder, PausePolicy, RungIdx, RungKey};

/// A pause of the ladder after a provider's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub since: OffsetDateTime,
    pub until: OffsetDateTime,
}

/// The stored form of [`LadderProgress`]; the migration explains the columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LadderRow {
    pub episode_at: Option<OffsetDateTime>,
    pub ladder_from: Option<OffsetDateTime>,
    /// Rungs that have fired, or were skipped, in this episode.
    pub rungs_fired: Vec<RungKey>,
    pub last_rung: Option<Rung>,
    pub next_contact_by: Option<OffsetDateTime>,
    pub pause: Option<Pause>,
    pub pauses: i32,
    pub paused_ms: i64,
    pub flagged_at: Option<OffsetDateTime>,
}

/// Progress on a ladder. Rungs are recorded by kind and time, not by position, so that a changed policy neither
/// skips a rung nor fires one twice.
#[derive(Clone, Default)]
pub struct LadderProgress(LadderRow);

impl LadderProgress {
    pub fn from_row(row: LadderRow) -> Self {
        Self(row)
    }

    pub fn row(&self) -> &LadderRow {
        &self.0
    }

    /// Starts an episode: only the rungs that ignore pauses are armed, and nothing has fired.
    pub(super) fn start(&mut self, now: OffsetDateTime) {
        self.0 = LadderRow {
            episode_at: Some(now),
            ..LadderRow::default()
        };
    }

    /// Arms the rungs of the hosts. Those that ignore pauses keep their deadlines and do not fire again.
    pub(super) fn arm(&mut self, ladder: &Ladder, now: OffsetDateTime) {
        let kept = ladder.indices().filter(|rung| {
            let rule = &ladder[*rung];
            rule.ignores_pauses() && self.has_fired(ladder, *rung)
        });
        self.0.rungs_fired = kept.map(|rung| ladder[rung].key()).collect();
        self.0.ladder_from = Some(now);
    }

    /// Start of the episode.
    pub(super) fn started_at(&self) -> Option<OffsetDateTime> {
        self.0.episode_at
    }

    pub(super) fn is_armed(&self) -> bool {
        self.0.ladder_from.is_some()
    }

    /// Whether a rung has fired in this episode.
    pub(super) fn has_fired(&self, ladder: &Ladder, rung: RungIdx) -> bool {
        self.0.rungs_fired.contains(&ladder[rung].key())
    }

    pub(super) fn have_all_fired(&self, ladder: &Ladder) -> bool {
        ladder.indices().all(|rung| self.has_fired(ladder, rung))
    }

    /// Records that a rung has fired, or was skipped, in this episode.
    pub(super) fn record_fired(&mut self, ladder: &Ladder, rung: RungIdx) {
        self.0.rungs_fired.push(ladder[rung].key());
    }

    /// The rung that is due next, and when. Rungs due at the same time fire in their order. A claim under check
    /// defers the providers' rungs until `deferred_until`.
    pub(super) fn next_due(
        &self,
        ladder: &Ladder,
        deferred_until: Option<OffsetDateTime>,
    ) -> Option<(OffsetDateTime, RungIdx)> {
        ladder
            .indices()
            .filter(|rung| !self.has_fired(ladder, *rung))
            .filter_map(|rung| Some((self.due(ladder, rung, deferred_until)?, rung)))
            .min()
    }

    /// When a rung is due; `None` while a pause stops it.
    fn due(
        &self,
        ladder: &Ladder,
        rung: RungIdx,
        deferred_until: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        let rule = &ladder[rung];
        if rule.ignores_pauses() {
            return Some(self.0.episode_at? + rule.after);
        }
        if self.0.pause.is_some() {
            return None;
        }
        let due = self.0.ladder_from? + rule.after;
        let due = match self.0.next_contact_by {
            Some(by) if self.is_next_contact(ladder, rung) => due.min(by),
            _ => due,
        };
        Some(deferred_until.map_or(due, |until| due.max(until)))
    }

    /// Whether this is the next unfired rung that contacts someone new.
    fn is_next_contact(&self, ladder: &Ladder, rung: RungIdx) -> bool {
        let next = ladder.indices().find(|other| {
            contacts_someone_new(ladder[*other].rung) && !self.has_fired(ladder, *other)
        });
        next == Some(rung)
    }

    /// Records that a rung of this kind reached someone, on its time or early.
    pub(super) fn record_reached(&mut self, rung: Rung) {
        self.0.last_rung = Some(rung);
        if contacts_someone_new(rung) {
            self.0.next_contact_by = None;
        }
    }

    /// Records a step outside the ladder that is one of its kinds. The next contact stays expedited.
    pub(super) fn set_last_rung(&mut self, rung: Rung) {
        self.0.last_rung = Some(rung);
    }

    pub(super) fn flag_for_supervisor(&mut self, now: OffsetDateTime) {
        self.0.flagged_at = Some(now);
    }

    /// The next contact is notified by `by` at the latest.
    pub(super) fn expedite_next_contact(&mut self, by: OffsetDateTime) {
        let earlier = self.0.next_contact_by;
        self.0.next_contact_by = Some(earlier.map_or(by, |earlier| earlier.min(by)));
    }

    /// A person has answered: the next contact is notified in its own time.
    pub(super) fn record_answer(&mut self) {
        self.0.next_contact_by = None;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.0.pause.is_some()
    }

    /// Latest end of the current pause.
    pub(super) fn paused_until(&self) -> Option<OffsetDateTime> {
        self.0.pause.map(|pause| pause.until)
    }

    /// Pauses, or prolongs the current pause, as far as the policy grants it; returns until when, or `None` if
    /// it grants nothing.
    pub(super) fn pause(
        &mut self,
        bounds: &PausePolicy,
        now: OffsetDateTime,
        wanted: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        let left = bounds.max_total - Duration::milliseconds(self.0.paused_ms);
        let max = bounds.max_each.min(left);
        if let Some(pause) = self.0.pause {
            let until = wanted
                .unwrap_or(pause.since + max)
                .clamp(pause.until, (pause.since + max).max(pause.until));
            self.0.pause = Some(Pause { until, ..pause });
            return Some(until);
        }
        if self.0.pauses >= bounds.max_count || !max.is_positive() {
            return None;
        }
        let latest = now + max;
        let until = wanted.map_or(latest, |wanted| wanted.min(latest));
        self.0.pauses += 1;
        self.0.pause = Some(Pause { since: now, until });
        Some(until)
    }

    /// Ends the current pause and moves the rungs later by its length, which it returns.
    pub(super) fn resume(&mut self, now: OffsetDateTime) -> Option<Duration> {
        let pause = self.0.pause.take()?;
        let length = (now.min(pause.until) - pause.since).max(Duration::ZERO);
        self.0.paused_ms += length.whole_milliseconds() as i64;
        self.0.ladder_from = self.0.ladder_from.map(|from| from + length);
        Some(length)
    }

    /// Drops the current pause, whose length no longer matters.
    pub(super) fn drop_pause(&mut self) {
        self.0.pause = None;
    }

    /// Moves everything later by the length of a police hold, also what no pause stops.
    pub(super) fn shift(&mut self, length: Duration) {
        let row = &mut self.0;
        row.episode_at = row.episode_at.map(|at| at + length);
        row.ladder_from = row.ladder_from.map(|from| from + length);
        if let Some(pause) = &mut row.pause {
            pause.since += length;
            pause.until += length;
        }
    }
}

/// True if this rung contacts a different party, or the same party by another delivery channel.
const fn contacts_someone_new(rung: Rung) -> bool {
    match rung {
        Rung::NextContact | Rung::Upstream | Rung::Registrar => true,
        Rung::Host | Rung::Remind | Rung::Regulator | Rung::Supervisor => false,
    }
}
