//! The escalation policies that are built in, and reading one.

use std::sync::Arc;

use dispatch::policy::Policy;
use platform::error::{Kind, Problem};

/// The default escalation policy.
pub const PRODUCTION_POLICY: &str = include_str!("../../../deploy/policies/production.yaml");

/// The demo's escalation policy, with seconds instead of hours.
pub const DEMO_POLICY: &str = include_str!("../../../deploy/policies/demo.yaml");

/// Parses an escalation policy.
///
/// # Errors
///
/// `policy_wrong` with the first mistake.
pub fn policy(text: &str) -> Result<Arc<Policy>, Problem> {
    dispatch::policy::parse(text).map(Arc::new).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        Problem::new(
            Kind::Invalid,
            "policy_wrong",
            format!("The escalation policy has a mistake: {first}. `takedown policy lint` lists all of them."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policies_have_no_mistakes() {
        for text in [PRODUCTION_POLICY, DEMO_POLICY] {
            assert_eq!(dispatch::policy::lint(text), []);
        }
    }
}
