//! Which roles a role reaches, and where. Where Kafka carries events, also whose log a role reads by `ReadLog`.

use serde::Deserialize;

use crate::role::Role;

/// The logs that a core role hears, and where each is served.
pub trait Logs {
    fn logs(&self) -> Vec<(&'static str, &str)>;
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntakePeers {
    pub verification: String,
    pub dispatch: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerificationPeers {
    pub intake: String,
    pub dispatch: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DispatchPeers {
    pub verification: String,
    /// Not for its log: every notice carries its newest checkpoint.
    pub ledger: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerPeers {
    pub intake: String,
    pub verification: String,
    pub dispatch: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayPeers {
    pub intake: String,
    pub dispatch: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsolePeers {
    pub intake: String,
    pub verification: String,
    pub dispatch: String,
    pub ledger: String,
}

impl Logs for IntakePeers {
    fn logs(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("verification", &self.verification),
            ("dispatch", &self.dispatch),
        ]
    }
}

impl Logs for VerificationPeers {
    fn logs(&self) -> Vec<(&'static str, &str)> {
        vec![("intake", &self.intake), ("dispatch", &self.dispatch)]
    }
}

impl Logs for DispatchPeers {
    fn logs(&self) -> Vec<(&'static str, &str)> {
        vec![("verification", &self.verification)]
    }
}

impl Logs for LedgerPeers {
    fn logs(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("intake", &self.intake),
            ("verification", &self.verification),
            ("dispatch", &self.dispatch),
        ]
    }
}

impl Default for IntakePeers {
    fn default() -> Self {
        Self {
            verification: peer(Role::Verification),
            dispatch: peer(Role::Dispatch),
        }
    }
}

impl Default for VerificationPeers {
    fn default() -> Self {
        Self {
            intake: peer(Role::Intake),
            dispatch: peer(Role::Dispatch),
        }
    }
}

impl Default for DispatchPeers {
    fn default() -> Self {
        Self {
            verification: peer(Role::Verification),
            ledger: peer(Role::Ledger),
        }
    }
}

impl Default for LedgerPeers {
    fn default() -> Self {
        Self {
            intake: peer(Role::Intake),
            verification: peer(Role::Verification),
            dispatch: peer(Role::Dispatch),
        }
    }
}

impl Default for GatewayPeers {
    fn default() -> Self {
        Self {
            intake: peer(Role::Intake),
            dispatch: peer(Role::Dispatch),
        }
    }
}

impl Default for ConsolePeers {
    fn default() -> Self {
        Self {
            intake: peer(Role::Intake),
            verification: peer(Role::Verification),
            dispatch: peer(Role::Dispatch),
            ledger: peer(Role::Ledger),
        }
    }
}

fn peer(role: Role) -> String {
    format!("https://{role}:{}", role.port())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::system::SHARED_LOGS;

    #[test]
    fn a_role_has_a_way_to_each_log_that_it_hears() {
        let mut ways = BTreeSet::new();
        let of = |role: Role, logs: Vec<(&'static str, &str)>| -> Vec<(&str, &str)> {
            logs.into_iter().map(|(of, _)| (of, role.name())).collect()
        };
        ways.extend(of(Role::Intake, IntakePeers::default().logs()));
        ways.extend(of(Role::Verification, VerificationPeers::default().logs()));
        ways.extend(of(Role::Dispatch, DispatchPeers::default().logs()));
        ways.extend(of(Role::Ledger, LedgerPeers::default().logs()));
        assert_eq!(ways, BTreeSet::from(SHARED_LOGS));
    }
}
