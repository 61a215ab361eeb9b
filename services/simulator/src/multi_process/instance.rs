//! Identifies a process: its role and its number.

use std::fmt;

use roles::role::Role;

/// One process of a role. The first one has the role's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    role: Role,
    number: u8,
}

impl Instance {
    /// A second process of a role, with the same work and its own listening address.
    pub const fn second(role: Role) -> Self {
        Self { role, number: 2 }
    }

    pub const fn role(self) -> Role {
        self.role
    }

    pub(super) const fn is_first(self) -> bool {
        self.number == 1
    }
}

impl From<Role> for Instance {
    fn from(role: Role) -> Self {
        Self { role, number: 1 }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role;
        if self.is_first() {
            write!(f, "{role}")
        } else {
            write!(f, "{role}-{}", self.number)
        }
    }
}
