//! The times of `deploy/policies/demo.yaml`, the policy of the fixture, that the tests of the core depend on.
//! The names give the policy's keys; a test compares the values.

use domain::enums::Rung;
use time::Duration;

/// `probe.every`: time between two checks of a claim.
pub(crate) const CHECK_EVERY: Duration = Duration::milliseconds(500);
/// `probe.claim_window`: how long a claim under check defers the providers' rungs.
pub(crate) const CLAIM_WINDOW: Duration = Duration::seconds(5);
/// `probe.agree`: checks that must find the URL offline.
pub(crate) const CHECKS_TO_AGREE: i32 = 2;
/// `probe.of`: checks of one claim.
pub(crate) const CHECKS_OF_A_CLAIM: i32 = 3;
/// `watch`: checks after the confirmed removal; the case closes after the last.
pub(crate) const WATCH: [Duration; 4] = [
    Duration::seconds(2),
    Duration::seconds(4),
    Duration::seconds(7),
    Duration::seconds(10),
];
/// Checks until a removed case closes: `probe.agree` and the four of `watch`.
pub(crate) const CHECKS_UNTIL_CLOSED: i32 = CHECKS_TO_AGREE + 4;
/// `pauses.each`: longest single pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::seconds(20);
/// `pauses.total`: longest sum of all pauses of an episode.
pub(crate) const LONGEST_PAUSES: Duration = Duration::seconds(40);
/// `automatic_reply`: from an automatic reply to the next contact.
pub(crate) const AUTOMATIC_REPLY: Duration = Duration::seconds(2);
/// `regimes[0].acknowledge`: from the notice to the first answer.
pub(crate) const ACKNOWLEDGE: Duration = Duration::seconds(4);
/// `regimes[0].ladder[0].after`: the reminder.
pub(crate) const REMIND: Duration = Duration::seconds(5);
/// `regimes[0].ladder[1].after`: the provider's next delivery channel.
pub(crate) const NEXT_CONTACT: Duration = Duration::seconds(9);
/// `regimes[0].ladder[2].after`: the upstream provider.
pub(crate) const UPSTREAM: Duration = Duration::seconds(12);
/// `regimes[0].ladder[3].after`: the registrar.
pub(crate) const REGISTRAR: Duration = Duration::seconds(18);
/// `regimes[0].ladder[4].after`: a supervisor.
pub(crate) const SUPERVISOR: Duration = Duration::seconds(26);
/// `regimes[0].ladder[5].after`: the regulator's list, the last rung.
pub(crate) const REGULATOR: Duration = Duration::seconds(30);
/// An instant before a deadline.
pub(crate) const INSTANT: Duration = Duration::milliseconds(1);

#[test]
fn the_named_times_are_those_of_the_demo_policy() {
    let demo = include_str!("../../../../deploy/policies/demo.yaml");
    let policy = dispatch::policy::parse(demo).unwrap();
    let checks = &policy.checks;
    assert_eq!(
        (checks.interval, checks.claim_window),
        (CHECK_EVERY, CLAIM_WINDOW)
    );
    assert_eq!(
        (checks.min_agreeing, checks.max_checks),
        (CHECKS_TO_AGREE, CHECKS_OF_A_CLAIM)
    );
    assert_eq!(policy.watch, WATCH);
    assert_eq!(
        (policy.pauses.max_each, policy.pauses.max_total),
        (LONGEST_PAUSE, LONGEST_PAUSES)
    );
    assert_eq!(policy.automatic_reply, Some(AUTOMATIC_REPLY));
    assert_eq!(policy.regimes[0].acknowledge, ACKNOWLEDGE);
    let ladder: Vec<(Rung, Duration)> = policy.regimes[0]
        .ladder
        .rules()
        .iter()
        .map(|rule| (rule.rung, rule.after))
        .collect();
    assert_eq!(
        ladder,
        [
            (Rung::Remind, REMIND),
            (Rung::NextContact, NEXT_CONTACT),
            (Rung::Upstream, UPSTREAM),
            (Rung::Registrar, REGISTRAR),
            (Rung::Supervisor, SUPERVISOR),
            (Rung::Regulator, REGULATOR),
        ]
    );
}
