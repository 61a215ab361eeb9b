//! Addresses of the roles that each role calls. With Kafka they include the producers whose logs it reads by
//! `ReadLog`.

use serde::Deserialize;

use crate::role::Role;

/// The producers that a core role consumes, each with the address of its log service.
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
    /// For its newest checkpoint, which is part of every notice.
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
    fn a_role_has_an_address_for_each_log_that_it_consumes() {
        let mut logs_read = BTreeSet::new();
        let pairs = |role: Role, logs: Vec<(&'static str, &str)>| -> Vec<(&str, &str)> {
            let producers = logs.into_iter().map(|(producer, _)| producer);
            producers.map(|producer| (producer, role.name())).collect()
        };
        logs_read.extend(pairs(Role::Intake, IntakePeers::default().logs()));
        logs_read.extend(pairs(
            Role::Verification,
            VerificationPeers::default().logs(),
        ));
        logs_read.extend(pairs(Role::Dispatch, DispatchPeers::default().logs()));
        logs_read.extend(pairs(Role::Ledger, LedgerPeers::default().logs()));
        assert_eq!(logs_read, BTreeSet::from(SHARED_LOGS));
    }
}
