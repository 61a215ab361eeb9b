//! Starts a role. Used by `takedown <role>` and by `takedown up`.

use std::convert::Infallible;
use std::sync::Arc;

use dispatch::policy::Policy;
use platform::bus::Bus;
use platform::clock::Clock;
use platform::connector::{self, Connector};
use platform::grpc::Listener;
use platform::metrics::{self, Gauge};
use platform::sealed::Keyring;
use platform::shutdown::Tasks;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tonic::transport::Channel;

/// Dependencies of every core role.
pub(crate) struct Core<C> {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Clock,
    pub(crate) settings: C,
    pub(crate) bus: Bus,
    pub(crate) listener: Listener,
}

/// Dependencies of dispatch only.
pub(crate) struct Egress {
    pub(crate) policy: Arc<Policy>,
    pub(crate) connector: connector::Policy,
    pub(crate) ledger: Channel,
}

pub(crate) fn intake(tasks: &mut Tasks, core: Core<intake::Config>) {
    poll_gauges(tasks, &core.pool, &core.clock, "intake", intake::GAUGES);
    let deps = intake::Deps {
        pool: core.pool,
        keyring: core.keyring,
        clock: core.clock,
        config: core.settings,
        bus: core.bus,
    };
    tasks.spawn("intake", intake::run(deps, core.listener, tasks.token()));
}

pub(crate) fn verification(
    tasks: &mut Tasks,
    core: Core<verification::Config>,
    wakeups: verification::Wakeups,
) {
    poll_gauges(
        tasks,
        &core.pool,
        &core.clock,
        "verification",
        verification::GAUGES,
    );
    let deps = verification::Deps {
        pool: core.pool,
        keyring: core.keyring,
        clock: core.clock,
        config: core.settings,
        bus: core.bus,
        wakeups,
    };
    let running = verification::run(deps, core.listener, tasks.token());
    tasks.spawn("verification", running);
}

pub(crate) fn dispatch(
    tasks: &mut Tasks,
    core: Core<dispatch::Config>,
    egress: Egress,
    wakeups: dispatch::DispatchWakeups,
) {
    poll_gauges(tasks, &core.pool, &core.clock, "dispatch", dispatch::GAUGES);
    let deps = dispatch::Deps {
        pool: core.pool,
        keyring: core.keyring,
        clock: core.clock,
        config: core.settings,
        bus: core.bus,
        policy: egress.policy,
        connector: Connector::new(egress.connector),
        ledger: Some(egress.ledger),
        wakeups,
    };
    let running = dispatch::run(deps, core.listener, tasks.token());
    tasks.spawn("dispatch", running);
}

pub(crate) fn ledger(tasks: &mut Tasks, core: Core<ledger::Config>) {
    poll_gauges(tasks, &core.pool, &core.clock, "ledger", ledger::GAUGES);
    let deps = ledger::Deps {
        pool: core.pool,
        keyring: core.keyring,
        clock: core.clock,
        config: core.settings,
        bus: core.bus,
    };
    tasks.spawn("ledger", ledger::run(deps, core.listener, tasks.token()));
}

pub(crate) fn gateway(tasks: &mut Tasks, deps: gateway::Deps, listener: TcpListener) {
    tasks.spawn("gateway", gateway::run(deps, listener, tasks.token()));
}

pub(crate) fn console(tasks: &mut Tasks, deps: console::Deps, listener: TcpListener) {
    tasks.spawn("console", console::run(deps, listener, tasks.token()));
}

/// Keeps the gauges of a core role's tables up to date.
fn poll_gauges(
    tasks: &mut Tasks,
    pool: &PgPool,
    clock: &Clock,
    role: &'static str,
    gauges: &'static [Gauge],
) {
    let polling = metrics::poll(pool.clone(), clock.clone(), role, gauges, tasks.token());
    tasks.spawn("gauges", async {
        polling.await;
        Ok::<_, Infallible>(())
    });
}
