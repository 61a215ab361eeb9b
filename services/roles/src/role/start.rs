//! Starts roles in this process: one in production, all of them in `takedown up`.

use std::sync::Arc;

use anyhow::Result;
use dispatch::policy::Policy;
use platform::bus::{Bus, BusConfig, BusKind};
use platform::clock::Clock;
use platform::connector::{self, Connector};
use platform::grpc::{ConsumerStates, Listener};
use platform::log::LogWakeups;
use platform::sealed::Keyring;
use platform::service::CoreDeps;
use platform::shutdown::Tasks;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tonic::transport::Channel;

use super::{Role, SHARED_LOGS};

/// A channel to another role.
pub(crate) type Peers<'a> = &'a dyn Fn(Role) -> Result<Channel>;

/// The roles of this process.
pub(crate) struct RoleProcess {
    pub(crate) tasks: Tasks,
    pub(crate) clock: Clock,
    pub(crate) consumer_states: ConsumerStates,
    log_wakeups: LogWakeups,
}

/// What a core role has of its own.
pub(crate) struct CoreParts<C> {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) bus: BusConfig,
    pub(crate) settings: C,
    pub(crate) listener: Listener,
}

/// Dependencies of dispatch only.
pub(crate) struct DispatchParts {
    pub(crate) policy: Arc<Policy>,
    pub(crate) connector: connector::Policy,
}

impl RoleProcess {
    pub(crate) fn new(tasks: Tasks, clock: Clock) -> Self {
        Self {
            tasks,
            clock,
            consumer_states: ConsumerStates::default(),
            log_wakeups: LogWakeups::default(),
        }
    }

    pub(crate) fn intake(
        &mut self,
        parts: CoreParts<intake::Config>,
        peers: Peers<'_>,
    ) -> Result<()> {
        let (deps, listener) = self.core(Role::Intake, parts, peers)?;
        let running = intake::run(deps, listener, self.tasks.token());
        self.tasks.spawn("intake", running);
        Ok(())
    }

    pub(crate) fn verification(
        &mut self,
        parts: CoreParts<verification::Config>,
        peers: Peers<'_>,
    ) -> Result<()> {
        let (deps, listener) = self.core(Role::Verification, parts, peers)?;
        let running = verification::run(deps, listener, self.tasks.token());
        self.tasks.spawn("verification", running);
        Ok(())
    }

    pub(crate) fn dispatch(
        &mut self,
        parts: CoreParts<dispatch::Config>,
        own: DispatchParts,
        peers: Peers<'_>,
    ) -> Result<()> {
        let (core, listener) = self.core(Role::Dispatch, parts, peers)?;
        let deps = dispatch::Deps {
            core,
            policy: own.policy,
            connector: Connector::new(own.connector),
            ledger: Some(peers(Role::Ledger)?),
        };
        let running = dispatch::run(deps, listener, self.tasks.token());
        self.tasks.spawn("dispatch", running);
        Ok(())
    }

    pub(crate) fn ledger(
        &mut self,
        parts: CoreParts<ledger::Config>,
        peers: Peers<'_>,
    ) -> Result<()> {
        let (deps, listener) = self.core(Role::Ledger, parts, peers)?;
        let running = ledger::run(deps, listener, self.tasks.token());
        self.tasks.spawn("ledger", running);
        Ok(())
    }

    /// `mail` is the listener for inbound mail, if the gateway accepts any.
    pub(crate) fn gateway(
        &mut self,
        config: gateway::Config,
        listener: TcpListener,
        mail: Option<TcpListener>,
        peers: Peers<'_>,
    ) -> Result<()> {
        let deps = gateway::Deps {
            intake: peers(Role::Intake)?,
            dispatch: peers(Role::Dispatch)?,
            mail,
            config,
        };
        let running = gateway::run(deps, listener, self.tasks.token());
        self.tasks.spawn("gateway", running);
        Ok(())
    }

    pub(crate) fn console(
        &mut self,
        config: console::Config,
        listener: TcpListener,
        peers: Peers<'_>,
    ) -> Result<()> {
        let deps = console::Deps {
            intake: peers(Role::Intake)?,
            verification: peers(Role::Verification)?,
            dispatch: peers(Role::Dispatch)?,
            ledger: peers(Role::Ledger)?,
            config,
        };
        let running = console::run(deps, listener, self.tasks.token());
        self.tasks.spawn("console", running);
        Ok(())
    }

    /// Opens the bus, on Kafka with a channel to the log of each producer that the role consumes.
    fn core<C>(
        &self,
        role: Role,
        parts: CoreParts<C>,
        peers: Peers<'_>,
    ) -> Result<(CoreDeps<C>, Listener)> {
        let mut bus = Bus::open(&parts.bus, &parts.keyring)?;
        if parts.bus.kind == BusKind::Kafka {
            for producer in Role::ALL {
                if SHARED_LOGS.contains(&(producer.name(), role.name())) {
                    bus = bus.with_log(producer.name(), peers(producer)?);
                }
            }
        }
        let deps = CoreDeps {
            clock: self.clock.clone(),
            bus,
            log_wakeups: self.log_wakeups(role),
            consumer_states: self.consumer_states.clone(),
            ..CoreDeps::new(parts.pool, parts.keyring, parts.settings)
        };
        Ok((deps, parts.listener))
    }

    /// Verification and dispatch act on each other's events, and wake each other. Intake and the ledger only record:
    /// they poll, so that a transaction of theirs is worth its commit.
    fn log_wakeups(&self, role: Role) -> LogWakeups {
        match role {
            Role::Verification | Role::Dispatch => self.log_wakeups.clone(),
            Role::Intake | Role::Ledger | Role::Gateway | Role::Console => LogWakeups::default(),
        }
    }
}
