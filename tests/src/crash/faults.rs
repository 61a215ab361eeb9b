//! What goes wrong in a run, and in which order: by the seed alone.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use takedown::demo::Carrier;
use takedown::role::Role;
use takedown::spread::Instance;

use super::stage::SECOND;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of one process, and a new start.
    Kill(Instance),
    /// `kill -9` of the postmaster, and a new start.
    Database,
    /// `kill -9` of the broker, and a new start.
    Broker,
    /// What a role does about events waits for the database; there it is killed.
    Midway(Role),
    /// Every role at once.
    All,
    /// SIGSTOP past a lease, then CONT: it goes on with what it no longer has.
    Freeze(Instance),
    /// The database keeps transactions open that have appended to the log, while others commit past them.
    HeldOpen,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(one) => write!(f, "kill -9 {one}"),
            Self::Database => f.write_str("kill -9 postgres"),
            Self::Broker => f.write_str("kill -9 broker"),
            Self::Midway(role) => write!(f, "kill -9 {role} midway through an effect"),
            Self::All => f.write_str("kill -9 of every role at once"),
            Self::Freeze(one) => write!(f, "SIGSTOP {one} past a lease"),
            Self::HeldOpen => f.write_str("answers held open before their commit"),
        }
    }
}

/// One fault in so many that is no kill, for each of the two kinds.
const BESIDE: usize = 20;

/// So many kills, with what else goes wrong between them. A short run has the most telling ones.
pub fn schedule(kills: usize, bus: Carrier, chance: &mut StdRng) -> Vec<Fault> {
    let every_kill = every_kill(bus);
    let mut faults: Vec<Fault> = every_kill.iter().copied().cycle().take(kills).collect();
    // Once a run: it takes everything down for long.
    let mut first = true;
    for fault in &mut faults {
        if *fault == Fault::All && !std::mem::replace(&mut first, false) {
            *fault = Fault::Kill(SECOND);
        }
    }
    let beside = (kills / BESIDE).max(2);
    let frozen = [SECOND, Role::Dispatch.into()];
    faults.extend((0..beside).map(|n| Fault::Freeze(frozen[n % frozen.len()])));
    faults.extend((0..beside).map(|_| Fault::HeldOpen));
    faults.shuffle(chance);
    faults
}

/// A round of kills, the most telling first; who works most is killed most.
fn every_kill(bus: Carrier) -> Vec<Fault> {
    use Role::{Console, Dispatch, Gateway, Intake, Ledger, Verification};
    let kill = |role: Role| Fault::Kill(role.into());
    let mut round = vec![
        Fault::All,
        Fault::Midway(Dispatch),
        Fault::Database,
        Fault::Midway(Verification),
        kill(Dispatch),
        Fault::Kill(SECOND),
        kill(Intake),
        kill(Verification),
        kill(Ledger),
        kill(Gateway),
        kill(Console),
        Fault::Midway(Ledger),
        kill(Dispatch),
        Fault::Kill(SECOND),
        kill(Intake),
        kill(Verification),
        kill(Dispatch),
        kill(Ledger),
        kill(Gateway),
        kill(Intake),
    ];
    if bus == Carrier::Kafka {
        round.insert(2, Fault::Broker);
    }
    round
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn the_same_seed_gives_the_same_faults_and_all_die_at_once_only_once() {
        let of = |seed| schedule(200, Carrier::Kafka, &mut StdRng::seed_from_u64(seed));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let count = |fault| of(1).into_iter().filter(|f| *f == fault).count();
        let kills = |fault: &&Fault| !matches!(fault, Fault::Freeze(_) | Fault::HeldOpen);
        assert_eq!(of(1).iter().filter(kills).count(), 200);
        assert_eq!(count(Fault::All), 1);
        assert!(count(Fault::Broker) >= 9 && count(Fault::Database) >= 9);
    }

    #[test]
    fn a_short_run_has_the_telling_ones() {
        let short = schedule(4, Carrier::Local, &mut StdRng::seed_from_u64(1));
        for fault in [Fault::All, Fault::Database, Fault::Freeze(SECOND)] {
            assert!(short.contains(&fault), "{fault}");
        }
    }
}
