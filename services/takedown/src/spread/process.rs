//! One role's process: started, asked to end, killed, frozen; one at a time.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::{Instance, Plan};

/// What a process can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It stands still, and holds on to what it has.
    Stop,
    /// It goes on as if nothing had been.
    Continue,
    Terminate,
}

pub(super) struct Process {
    program: PathBuf,
    instance: Instance,
    environment: Vec<(&'static str, String)>,
    config: PathBuf,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    pub(super) fn new(plan: &Plan, instance: Instance, config: PathBuf) -> Self {
        let log = plan.data_dir.join(format!("log/{instance}.log"));
        let environment = plan.environment.iter();
        let environment = environment.filter(|(whose, _, _)| *whose == instance);
        Self {
            program: plan.program.clone(),
            instance,
            environment: environment
                .map(|(_, name, value)| (*name, value.clone()))
                .collect(),
            config,
            log,
            child: Mutex::default(),
        }
    }

    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) async fn pid(&self) -> Option<u32> {
        self.child.lock().await.as_ref()?.id()
    }

    pub(super) async fn launch(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        if let Some(running) = &mut *child {
            let ended = running.try_wait()?.is_some();
            ensure!(ended, "{} runs already", self.instance);
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))?;
        let started = Command::new(&self.program)
            .arg(self.instance.role().name())
            .arg("--config")
            .arg(&self.config)
            // An address in the environment is not meant for a role that has its own.
            .env_remove("DATABASE_URL")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {} {}", self.program.display(), self.instance))?;
        *child = Some(started);
        Ok(())
    }

    /// How it ended, if it has ended by itself; then it can be launched again.
    pub(super) async fn ended(&self) -> Result<Option<ExitStatus>> {
        match &mut *self.child.lock().await {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    pub(super) async fn kill(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        if let Some(running) = &mut *child {
            running.kill().await?;
        }
        *child = None;
        Ok(())
    }

    pub(super) async fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().await;
        let pid = pid.with_context(|| format!("{} does not run", self.instance))?;
        send(pid, signal).await
    }

    pub(super) async fn terminate(&self, within: Duration) -> Result<ExitStatus> {
        let mut child = self.child.lock().await;
        let running = child
            .as_mut()
            .with_context(|| format!("{} does not run", self.instance))?;
        if let Some(pid) = running.id() {
            send(pid, Signal::Terminate).await?;
        }
        let status = tokio::time::timeout(within, running.wait())
            .await
            .with_context(|| format!("{} did not end in time", self.instance))??;
        *child = None;
        Ok(status)
    }
}

/// By the shell's own command, which is everywhere.
async fn send(pid: u32, signal: Signal) -> Result<()> {
    let name = match signal {
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
        Signal::Terminate => "TERM",
    };
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .status()
        .await?;
    ensure!(sent.success(), "process {pid} could not be sent {name}");
    Ok(())
}
