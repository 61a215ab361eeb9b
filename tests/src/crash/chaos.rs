//! Carries the faults out, one after the other, while the load goes on, and times what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::{join_all, try_join_all};
use platform::clock::wall;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use takedown::role::Role;
use takedown::spread::{Instance, Signal};
use takedown::street::residents::Residents;

use super::faults::Fault;
use super::held::Held;
use super::load::Reporters;
use super::stage::{SECOND, Stage};

/// From its start to its readiness; far beyond what is expected of it.
const BACK_WITHIN: Duration = Duration::from_mins(2);
/// Longer than a lease of a delivery, which is four seconds.
const FROZEN: Duration = Duration::from_secs(6);
/// How long an effect is held up before its role dies.
const HELD: Duration = Duration::from_millis(1200);
/// How long a transaction is kept open: others must append to its shard of the log meanwhile.
const PASSED: Duration = Duration::from_millis(2500);
/// How long a moment is waited for at which a kill tells most.
const MOMENT: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(20);

/// What was done, and what it came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// By who died.
    pub kills: BTreeMap<String, usize>,
    /// Frozen past a lease.
    pub frozen: usize,
    /// Answers were about to be committed, and kept so.
    pub held_open: usize,
    /// Effects were under way when their role died.
    pub midway: usize,
    /// Dispatchers that died or froze while a host kept them waiting.
    pub while_waiting: usize,
    /// From the start of one process to its first work.
    pub back: Vec<Duration>,
    /// From the start of all to the first notice that was claimed since and reached its host.
    pub all_back: Option<Duration>,
}

pub struct Chaos {
    pub stage: Arc<Stage>,
    pub residents: Arc<Residents>,
    pub reporters: Arc<Reporters>,
    pub chance: StdRng,
    pub tally: Tally,
    pub began: Instant,
}

impl Chaos {
    /// All of it. Fails when something does not come back.
    pub async fn run(&mut self, faults: &[Fault]) -> Result<()> {
        for (number, fault) in faults.iter().enumerate() {
            self.pause(300..1100).await;
            let at = self.began.elapsed().as_secs_f64();
            let took = self
                .bring(*fault)
                .await
                .with_context(|| format!("after {fault}"))?;
            eprintln!(
                "{at:7.1} s  {:>3}/{}  {fault}{took}",
                number + 1,
                faults.len()
            );
        }
        Ok(())
    }

    async fn pause(&mut self, millis: std::ops::Range<u64>) {
        let millis = self.chance.random_range(millis);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn bring(&mut self, fault: Fault) -> Result<String> {
        match fault {
            Fault::Kill(one) => {
                if one.role() == Role::Dispatch {
                    self.a_host_keeps_somebody_waiting().await;
                }
                self.kill(&[one]).await?;
                self.pause(0..400).await;
                self.back(one).await
            }
            Fault::Database => self.database().await,
            Fault::Broker => self.broker().await,
            Fault::Midway(role) => self.midway(role).await,
            Fault::All => self.all().await,
            Fault::Freeze(one) => self.freeze(one).await,
            Fault::HeldOpen => self.held_open().await,
        }
    }

    async fn kill(&mut self, victims: &[Instance]) -> Result<()> {
        try_join_all(victims.iter().map(|one| self.stage.spread.kill(*one))).await?;
        for one in victims {
            self.died(&one.to_string());
        }
        Ok(())
    }

    fn died(&mut self, who: &str) {
        *self.tally.kills.entry(who.to_owned()).or_default() += 1;
    }

    /// Starts one process again and waits until it does its work.
    async fn back(&mut self, one: Instance) -> Result<String> {
        let (began, since, accepted) = (Instant::now(), wall(), self.reporters.accepted());
        self.stage.spread.launch(one).await?;
        self.stage.spread.ready(one, BACK_WITHIN).await?;
        let log = self.residents.log();
        let works = match one.role() {
            Role::Intake => within(BACK_WITHIN, || self.reporters.accepted() > accepted).await,
            Role::Verification | Role::Dispatch => {
                within(BACK_WITHIN, || log.was_brought_since(since)).await
            }
            Role::Gateway => within(BACK_WITHIN, || log.was_answered_since(since)).await,
            Role::Ledger | Role::Console => true,
        };
        ensure!(works, "{one} is ready and does nothing");
        self.tally.back.push(began.elapsed());
        Ok(format!(
            ": at work in {:.2} s",
            began.elapsed().as_secs_f64()
        ))
    }

    async fn database(&mut self) -> Result<String> {
        let database = self.stage.spread.database();
        kill_9(database.pid()).await?;
        self.died("postgres");
        self.pause(0..1000).await;
        let began = Instant::now();
        self.stage.spread.database().restart().await?;
        self.all_ready().await?;
        Ok(format!(
            ": all ready in {:.2} s",
            began.elapsed().as_secs_f64()
        ))
    }

    async fn broker(&mut self) -> Result<String> {
        let stage = Arc::clone(&self.stage);
        let mut broker = stage.broker.lock().await;
        let broker = broker.as_mut().context("there is no broker")?;
        broker.kill().await;
        self.died("broker");
        self.pause(0..2000).await;
        let began = Instant::now();
        broker.restart().await?;
        Ok(format!(": up in {:.2} s", began.elapsed().as_secs_f64()))
    }

    /// Kills those who do a role's work while what they do about events waits for a table of theirs.
    async fn midway(&mut self, role: Role) -> Result<String> {
        let mut victims = vec![Instance::from(role)];
        if role == Role::Dispatch {
            victims.push(SECOND);
        }
        let mut held = Held::effects_of(self.stage.spread.database_url(), role).await?;
        let bit = held.somebody_waits(MOMENT).await?;
        // What else comes meanwhile waits behind it.
        tokio::time::sleep(HELD).await;
        self.kill(&victims).await?;
        held.let_go().await?;
        self.tally.midway += usize::from(bit);
        let mut took = String::new();
        for one in victims {
            took = self.back(one).await?;
        }
        Ok(took)
    }

    async fn all(&mut self) -> Result<String> {
        self.a_host_keeps_somebody_waiting().await;
        let mut everybody = self.stage.spread.instances();
        self.kill(&everybody).await?;
        everybody.shuffle(&mut self.chance);
        let (began, since) = (Instant::now(), wall());
        for one in &everybody {
            self.stage.spread.launch(*one).await?;
        }
        self.all_ready().await?;
        let ready = began.elapsed();
        let log = self.residents.log();
        let works = within(BACK_WITHIN, || log.was_brought_since(since)).await;
        ensure!(works, "nothing reaches a host any more");
        let works = began.elapsed();
        self.tally.all_back = Some(works);
        Ok(format!(
            ": ready in {:.2} s, the first notice delivered in {:.2} s",
            ready.as_secs_f64(),
            works.as_secs_f64()
        ))
    }

    async fn freeze(&mut self, one: Instance) -> Result<String> {
        self.a_host_keeps_somebody_waiting().await;
        self.stage.spread.signal(one, Signal::Stop).await?;
        tokio::time::sleep(FROZEN).await;
        self.stage.spread.signal(one, Signal::Continue).await?;
        self.tally.frozen += 1;
        self.stage.spread.ready(one, BACK_WITHIN).await?;
        Ok(format!(" for {:.0} s", FROZEN.as_secs_f64()))
    }

    async fn held_open(&mut self) -> Result<String> {
        let mut held = Held::answers(self.stage.spread.database_url()).await?;
        let bit = held.somebody_waits(MOMENT).await?;
        tokio::time::sleep(PASSED).await;
        held.let_go().await?;
        self.tally.held_open += usize::from(bit);
        Ok(if bit { "" } else { ": there was none" }.to_owned())
    }

    async fn all_ready(&self) -> Result<()> {
        let instances = self.stage.spread.instances();
        let ready = instances
            .into_iter()
            .map(|one| self.stage.spread.ready(one, BACK_WITHIN));
        join_all(ready).await.into_iter().collect()
    }

    /// The moment at which the death of a dispatcher tells most: an attempt is under way that its host will not take.
    async fn a_host_keeps_somebody_waiting(&mut self) {
        let log = self.residents.log();
        let waits = || log.keeps_waiting(wall() - time::Duration::milliseconds(500));
        self.tally.while_waiting += usize::from(within(MOMENT, waits).await);
    }
}

/// Whether it comes true in time.
async fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let comes = async {
        while !holds() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(time, comes).await.is_ok()
}

/// By the shell's own command, which is everywhere.
async fn kill_9(pid: u32) -> Result<()> {
    let status = tokio::process::Command::new("sh")
        .args(["-c", "kill -9 \"$0\"", &pid.to_string()])
        .status()
        .await?;
    ensure!(status.success(), "process {pid} could not be killed");
    Ok(())
}
