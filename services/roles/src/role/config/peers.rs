//! Addresses of the roles that each role calls. With Kafka a core role reads the logs of its producers at these
//! addresses, by `ReadLog`.

use serde::Deserialize;

use crate::role::Role;

/// The roles that a role calls, each with its address.
pub trait PeerAddresses {
    fn addresses(&self) -> Vec<(Role, &str)>;
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

impl PeerAddresses for IntakePeers {
    fn addresses(&self) -> Vec<(Role, &str)> {
        vec![
            (Role::Verification, self.verification.as_str()),
            (Role::Dispatch, self.dispatch.as_str()),
        ]
    }
}

impl PeerAddresses for VerificationPeers {
    fn addresses(&self) -> Vec<(Role, &str)> {
        vec![
            (Role::Intake, self.intake.as_str()),
            (Role::Dispatch, self.dispatch.as_str()),
        ]
    }
}

impl PeerAddresses for DispatchPeers {
    fn addresses(&self) -> Vec<(Role, &str)> {
        vec![
            (Role::Verification, self.verification.as_str()),
            (Role::Ledger, self.ledger.as_str()),
        ]
    }
}

impl PeerAddresses for LedgerPeers {
    fn addresses(&self) -> Vec<(Role, &str)> {
        vec![
            (Role::Intake, self.intake.as_str()),
            (Role::Verification, self.verification.as_str()),
            (Role::Dispatch, self.dispatch.as_str()),
        ]
    }
}

impl PeerAddresses for GatewayPeers {
    fn addresses(&self) -> Vec<(Role, &str)> {
        vec![
            (Role::Intake, self.intake.as_str()),
            (Role::Dispatch, self.dispatch.as_str()),
        ]
    }
}

impl PeerAddresses for ConsolePeers {
    fn addresses(&self) -> Vec<(Role, &str)> {
        vec![
            (Role::Intake, self.intake.as_str()),
            (Role::Verification, self.verification.as_str()),
            (Role::Dispatch, self.dispatch.as_str()),
            (Role::Ledger, self.ledger.as_str()),
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
    use crate::role::SHARED_LOGS;

    #[test]
    fn a_role_has_an_address_for_each_log_that_it_consumes() {
        let called: BTreeSet<(&str, &str)> = [
            (Role::Intake, IntakePeers::default().addresses()),
            (Role::Verification, VerificationPeers::default().addresses()),
            (Role::Dispatch, DispatchPeers::default().addresses()),
            (Role::Ledger, LedgerPeers::default().addresses()),
        ]
        .iter()
        .flat_map(|(role, peers)| peers.iter().map(|(peer, _)| (peer.name(), role.name())))
        .collect();
        for (producer, consumer) in SHARED_LOGS {
            assert!(
                called.contains(&(producer, consumer)),
                "{consumer} reads {producer}"
            );
        }
    }
}
