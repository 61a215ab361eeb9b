//! One role's process: starts, terminates, kills or freezes it. At most one process per instance runs at a time.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::{Instance, SystemPlan};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGSTOP: the process freezes and keeps its locks and leases.
    Stop,
    /// SIGCONT.
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
    pub(super) fn new(plan: &SystemPlan, instance: Instance, config: PathBuf) -> Self {
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
            let has_ended = running.try_wait()?.is_some();
            ensure!(has_ended, "{} is already running", self.instance);
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
            // A role must use the database URL of its own configuration.
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

    /// The exit status if the process has ended by itself; it can be launched again then.
    pub(super) async fn exit_status(&self) -> Result<Option<ExitStatus>> {
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
        let pid = pid.with_context(|| format!("{} is not running", self.instance))?;
        send(pid, signal).await
    }

    pub(super) async fn terminate(&self, within: Duration) -> Result<ExitStatus> {
        let mut child = self.child.lock().await;
        let running = child
            .as_mut()
            .with_context(|| format!("{} is not running", self.instance))?;
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

/// Uses the shell's `kill`, which needs no dependency.
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
