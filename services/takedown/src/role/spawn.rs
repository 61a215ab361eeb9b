//! Each role, given what it depends on and started: the one way, in a process of its own and with all others in one.

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

/// What every core role works with.
pub(crate) struct Core<C> {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Clock,
    pub(crate) settings: C,
    pub(crate) bus: Bus,
    pub(crate) listener: Listener,
}

/// What dispatch works with beside it.
pub(crate) struct Reach {
    pub(crate) policy: Arc<Policy>,
    pub(crate) way_out: connector::Policy,
    pub(crate) ledger: Channel,
}

pub(crate) fn intake(tasks: &mut Tasks, core: Core<intake::Config>) {
    look(tasks, &core.pool, &core.clock, "intake", intake::SIGNS);
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
    hints: verification::Hints,
) {
    look(
        tasks,
        &core.pool,
        &core.clock,
        "verification",
        verification::SIGNS,
    );
    let deps = verification::Deps {
        pool: core.pool,
        keyring: core.keyring,
        clock: core.clock,
        config: core.settings,
        bus: core.bus,
        hints,
    };
    let running = verification::run(deps, core.listener, tasks.token());
    tasks.spawn("verification", running);
}

pub(crate) fn dispatch(
    tasks: &mut Tasks,
    core: Core<dispatch::Config>,
    reach: Reach,
    hints: dispatch::Hints,
) {
    look(tasks, &core.pool, &core.clock, "dispatch", dispatch::SIGNS);
    let deps = dispatch::Deps {
        pool: core.pool,
        keyring: core.keyring,
        clock: core.clock,
        config: core.settings,
        bus: core.bus,
        policy: reach.policy,
        connector: Connector::new(reach.way_out),
        ledger: Some(reach.ledger),
        hints,
    };
    let running = dispatch::run(deps, core.listener, tasks.token());
    tasks.spawn("dispatch", running);
}

pub(crate) fn ledger(tasks: &mut Tasks, core: Core<ledger::Config>) {
    look(tasks, &core.pool, &core.clock, "ledger", ledger::SIGNS);
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

/// What the metrics show of a core role's tables.
fn look(
    tasks: &mut Tasks,
    pool: &PgPool,
    clock: &Clock,
    role: &'static str,
    signs: &'static [Gauge],
) {
    let looking = metrics::look(pool.clone(), clock.clone(), role, signs, tasks.token());
    tasks.spawn("signs", async {
        looking.await;
        Ok::<_, Infallible>(())
    });
}
