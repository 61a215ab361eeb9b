//! Injects the faults one after the other under continuous load, and measures the recovery times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::{join_all, try_join_all};
use platform::clock::wall;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use roles::role::Role;
use simulator::hosts::SimulatedHosts;
use simulator::multi_process::{Instance, Signal};

use super::faults::InjectedFault;
use super::reporters::Reporters;
use super::system::{CrashSystem, SECOND_DISPATCHER};
use super::table_lock::TableLock;

/// Limit for the start of a role; far above the expected time.
const RESTART_TIMEOUT: Duration = Duration::from_mins(2);
/// Longer than the lease of a delivery, which is four seconds.
const FREEZE_TIME: Duration = Duration::from_secs(6);
/// How long a write of a role is blocked before the role is killed.
const BLOCK_BEFORE_KILL: Duration = Duration::from_millis(1200);
/// How long a transaction is kept open; others must append to its shard of the log in this time.
const OPEN_TRANSACTION_TIME: Duration = Duration::from_millis(2500);
/// Longest wait for the moment at which a fault is most revealing.
const TIMING_TIMEOUT: Duration = Duration::from_secs(6);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What was injected, and the recovery times.
#[derive(Debug, Default)]
pub struct Tally {
    /// Kills by process name.
    pub kills: BTreeMap<String, usize>,
    /// Dispatchers frozen past a lease.
    pub frozen: usize,
    /// Transactions of answers that were blocked before their commit.
    pub blocked_answers: usize,
    /// Roles killed while a write for an event was blocked.
    pub killed_during_write: usize,
    /// Dispatchers killed or frozen while a host delayed its reply.
    pub hit_during_delivery: usize,
    /// From the start of one process to its first work.
    pub restart_times: Vec<Duration>,
    /// From the start of every process to the first notice that was claimed afterwards and reached its host.
    pub full_restart_time: Option<Duration>,
}

pub struct Chaos {
    pub system: Arc<CrashSystem>,
    pub hosts: Arc<SimulatedHosts>,
    pub reporters: Arc<Reporters>,
    pub rng: StdRng,
    pub tally: Tally,
    pub started: Instant,
}

impl Chaos {
    /// Injects every fault.
    ///
    /// # Errors
    /// A process does not recover.
    pub async fn run(&mut self, faults: &[InjectedFault]) -> Result<()> {
        for (number, fault) in faults.iter().enumerate() {
            self.pause(300..1100).await;
            let at = self.started.elapsed().as_secs_f64();
            let recovery = self
                .inject(*fault)
                .await
                .with_context(|| format!("after {fault}"))?;
            eprintln!(
                "{at:7.1} s  {:>3}/{}  {fault}{recovery}",
                number + 1,
                faults.len()
            );
        }
        Ok(())
    }

    async fn pause(&mut self, millis: std::ops::Range<u64>) {
        let millis = self.rng.random_range(millis);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn inject(&mut self, fault: InjectedFault) -> Result<String> {
        match fault {
            InjectedFault::Kill(instance) => {
                if instance.role() == Role::Dispatch {
                    self.wait_for_slow_delivery().await;
                }
                self.kill(&[instance]).await?;
                self.pause(0..400).await;
                self.restart(instance).await
            }
            InjectedFault::KillDatabase => self.kill_database().await,
            InjectedFault::KillBroker => self.kill_broker().await,
            InjectedFault::KillDuringWrite(role) => self.kill_during_write(role).await,
            InjectedFault::KillAll => self.kill_all().await,
            InjectedFault::Freeze(instance) => self.freeze(instance).await,
            InjectedFault::BlockedAnswers => self.block_answers().await,
        }
    }

    async fn kill(&mut self, victims: &[Instance]) -> Result<()> {
        try_join_all(
            victims
                .iter()
                .map(|instance| self.system.processes.kill(*instance)),
        )
        .await?;
        for instance in victims {
            self.count_kill(&instance.to_string());
        }
        Ok(())
    }

    fn count_kill(&mut self, victim: &str) {
        *self.tally.kills.entry(victim.to_owned()).or_default() += 1;
    }

    /// Restarts a killed process and waits until it works again.
    async fn restart(&mut self, instance: Instance) -> Result<String> {
        let (started, since, accepted) = (Instant::now(), wall(), self.reporters.receipt_count());
        self.system.processes.launch(instance).await?;
        self.system
            .processes
            .wait_until_ready(instance, RESTART_TIMEOUT)
            .await?;
        let log = self.hosts.log();
        let is_working = match instance.role() {
            Role::Intake => {
                within(RESTART_TIMEOUT, || {
                    self.reporters.receipt_count() > accepted
                })
                .await
            }
            Role::Verification | Role::Dispatch => {
                within(RESTART_TIMEOUT, || log.was_pushed_since(since)).await
            }
            Role::Gateway => within(RESTART_TIMEOUT, || log.was_answered_since(since)).await,
            Role::Ledger | Role::Console => true,
        };
        ensure!(is_working, "{instance} is ready but does not work");
        self.tally.restart_times.push(started.elapsed());
        Ok(format!(
            ": working after {:.2} s",
            started.elapsed().as_secs_f64()
        ))
    }

    async fn kill_database(&mut self) -> Result<String> {
        let database = self.system.processes.database();
        kill_process(database.pid()).await?;
        self.count_kill("postgres");
        self.pause(0..1000).await;
        let started = Instant::now();
        self.system.processes.database().restart().await?;
        self.wait_until_all_ready().await?;
        Ok(format!(
            ": every role ready after {:.2} s",
            started.elapsed().as_secs_f64()
        ))
    }

    async fn kill_broker(&mut self) -> Result<String> {
        let system = Arc::clone(&self.system);
        let mut broker = system.broker.lock().await;
        let broker = broker.as_mut().context("there is no broker")?;
        broker.kill().await;
        self.count_kill("broker");
        self.pause(0..2000).await;
        let started = Instant::now();
        broker.restart().await?;
        Ok(format!(
            ": up after {:.2} s",
            started.elapsed().as_secs_f64()
        ))
    }

    /// Kills every process of a role while its write for an event is blocked by a table lock.
    async fn kill_during_write(&mut self, role: Role) -> Result<String> {
        let mut victims = vec![Instance::from(role)];
        if role == Role::Dispatch {
            victims.push(SECOND_DISPATCHER);
        }
        let mut lock = TableLock::block_writes(self.system.processes.database_url(), role).await?;
        let is_blocked = lock.wait_for_blocked_session(TIMING_TIMEOUT).await?;
        // Further events queue up behind the blocked write.
        tokio::time::sleep(BLOCK_BEFORE_KILL).await;
        self.kill(&victims).await?;
        lock.release().await?;
        self.tally.killed_during_write += usize::from(is_blocked);
        let mut recovery = String::new();
        for instance in victims {
            recovery = self.restart(instance).await?;
        }
        Ok(recovery)
    }

    async fn kill_all(&mut self) -> Result<String> {
        self.wait_for_slow_delivery().await;
        let mut instances = self.system.processes.instances();
        self.kill(&instances).await?;
        instances.shuffle(&mut self.rng);
        let (started, since) = (Instant::now(), wall());
        for instance in &instances {
            self.system.processes.launch(*instance).await?;
        }
        self.wait_until_all_ready().await?;
        let ready = started.elapsed();
        let log = self.hosts.log();
        let is_working = within(RESTART_TIMEOUT, || log.was_pushed_since(since)).await;
        ensure!(is_working, "no notice reaches a host after the restart");
        let first_notice = started.elapsed();
        self.tally.full_restart_time = Some(first_notice);
        Ok(format!(
            ": ready after {:.2} s, first notice delivered after {:.2} s",
            ready.as_secs_f64(),
            first_notice.as_secs_f64()
        ))
    }

    async fn freeze(&mut self, instance: Instance) -> Result<String> {
        self.wait_for_slow_delivery().await;
        self.system.processes.signal(instance, Signal::Stop).await?;
        tokio::time::sleep(FREEZE_TIME).await;
        self.system
            .processes
            .signal(instance, Signal::Continue)
            .await?;
        self.tally.frozen += 1;
        self.system
            .processes
            .wait_until_ready(instance, RESTART_TIMEOUT)
            .await?;
        Ok(format!(" for {:.0} s", FREEZE_TIME.as_secs_f64()))
    }

    async fn block_answers(&mut self) -> Result<String> {
        let mut lock = TableLock::block_answers(self.system.processes.database_url()).await?;
        let is_blocked = lock.wait_for_blocked_session(TIMING_TIMEOUT).await?;
        tokio::time::sleep(OPEN_TRANSACTION_TIME).await;
        lock.release().await?;
        self.tally.blocked_answers += usize::from(is_blocked);
        let note = if is_blocked {
            ""
        } else {
            ": no answer arrived"
        };
        Ok(note.to_owned())
    }

    async fn wait_until_all_ready(&self) -> Result<()> {
        let instances = self.system.processes.instances();
        let ready = instances.into_iter().map(|instance| {
            self.system
                .processes
                .wait_until_ready(instance, RESTART_TIMEOUT)
        });
        join_all(ready).await.into_iter().collect()
    }

    /// Waits for the most revealing moment to kill a dispatcher: during an attempt whose host will refuse the message.
    async fn wait_for_slow_delivery(&mut self) {
        let log = self.hosts.log();
        let is_slow = || log.has_slow_refusal_since(wall() - time::Duration::milliseconds(500));
        self.tally.hit_during_delivery += usize::from(within(TIMING_TIMEOUT, is_slow).await);
    }
}

/// True if the condition is met in time.
async fn within(time: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let met = async {
        while !condition() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(time, met).await.is_ok()
}

/// Uses the shell's `kill`, which needs no dependency.
async fn kill_process(pid: u32) -> Result<()> {
    let status = tokio::process::Command::new("sh")
        .args(["-c", "kill -9 \"$0\"", &pid.to_string()])
        .status()
        .await?;
    ensure!(status.success(), "process {pid} could not be killed");
    Ok(())
}
