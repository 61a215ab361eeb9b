//! The faults of a run and their order, determined by the seed.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use roles::role::Role;
use simulator::multi_process::Instance;
use takedown::demo::BusKind;

use super::system::SECOND_DISPATCHER;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// SIGKILL of one process, then a restart.
    Kill(Instance),
    /// SIGKILL of the postmaster, then a restart.
    KillDatabase,
    /// SIGKILL of the broker, then a restart.
    KillBroker,
    /// SIGKILL of a role while its write for an event waits for the database.
    KillDuringWrite(Role),
    /// SIGKILL of every role at once, then a restart in random order.
    KillAll,
    /// SIGSTOP past a lease, then SIGCONT: the process continues with a lease that it no longer has.
    Freeze(Instance),
    /// Transactions that have appended to the log stay open while later ones commit.
    BlockedAnswers,
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(instance) => write!(f, "kill -9 {instance}"),
            Self::KillDatabase => f.write_str("kill -9 postgres"),
            Self::KillBroker => f.write_str("kill -9 broker"),
            Self::KillDuringWrite(role) => write!(f, "kill -9 {role} during a write"),
            Self::KillAll => f.write_str("kill -9 of every role at once"),
            Self::Freeze(instance) => write!(f, "SIGSTOP {instance} past a lease"),
            Self::BlockedAnswers => f.write_str("answers blocked before their commit"),
        }
    }
}

/// One freeze and one blocked transaction for this many kills.
const KILLS_PER_OTHER_FAULT: usize = 20;

/// This many kills, mixed with the other faults. A short run contains the most revealing kills.
pub fn schedule(kills: usize, bus: BusKind, rng: &mut StdRng) -> Vec<InjectedFault> {
    let round = kill_round(bus);
    let mut faults: Vec<InjectedFault> = round.iter().copied().cycle().take(kills).collect();
    // Only once per run, because the recovery takes long.
    let mut first = true;
    for fault in &mut faults {
        if *fault == InjectedFault::KillAll && !std::mem::replace(&mut first, false) {
            *fault = InjectedFault::Kill(SECOND_DISPATCHER);
        }
    }
    let others = (kills / KILLS_PER_OTHER_FAULT).max(2);
    let frozen = [SECOND_DISPATCHER, Role::Dispatch.into()];
    faults.extend((0..others).map(|n| InjectedFault::Freeze(frozen[n % frozen.len()])));
    faults.extend((0..others).map(|_| InjectedFault::BlockedAnswers));
    faults.shuffle(rng);
    faults
}

/// A round of kills, the most revealing first; busy roles are killed more often.
fn kill_round(bus: BusKind) -> Vec<InjectedFault> {
    use Role::{Console, Dispatch, Gateway, Intake, Ledger, Verification};
    let kill = |role: Role| InjectedFault::Kill(role.into());
    let mut round = vec![
        InjectedFault::KillAll,
        InjectedFault::KillDuringWrite(Dispatch),
        InjectedFault::KillDatabase,
        InjectedFault::KillDuringWrite(Verification),
        kill(Dispatch),
        InjectedFault::Kill(SECOND_DISPATCHER),
        kill(Intake),
        kill(Verification),
        kill(Ledger),
        kill(Gateway),
        kill(Console),
        InjectedFault::KillDuringWrite(Ledger),
        kill(Dispatch),
        InjectedFault::Kill(SECOND_DISPATCHER),
        kill(Intake),
        kill(Verification),
        kill(Dispatch),
        kill(Ledger),
        kill(Gateway),
        kill(Intake),
    ];
    if bus == BusKind::Kafka {
        round.insert(2, InjectedFault::KillBroker);
    }
    round
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn the_same_seed_gives_the_same_faults_and_every_role_is_killed_at_once_only_once() {
        let faults = |seed| schedule(200, BusKind::Kafka, &mut StdRng::seed_from_u64(seed));
        assert_eq!(faults(1), faults(1));
        assert_ne!(faults(1), faults(2));
        let count = |fault| faults(1).into_iter().filter(|f| *f == fault).count();
        let kills = |fault: &&InjectedFault| {
            !matches!(
                fault,
                InjectedFault::Freeze(_) | InjectedFault::BlockedAnswers
            )
        };
        assert_eq!(faults(1).iter().filter(kills).count(), 200);
        assert_eq!(count(InjectedFault::KillAll), 1);
        assert!(count(InjectedFault::KillBroker) >= 9 && count(InjectedFault::KillDatabase) >= 9);
    }

    #[test]
    fn a_short_run_contains_the_most_revealing_faults() {
        let short = schedule(4, BusKind::Local, &mut StdRng::seed_from_u64(1));
        for fault in [
            InjectedFault::KillAll,
            InjectedFault::KillDatabase,
            InjectedFault::Freeze(SECOND_DISPATCHER),
        ] {
            assert!(short.contains(&fault), "{fault}");
        }
    }
}
