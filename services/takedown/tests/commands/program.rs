//! A running `takedown up`, and commands against it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use roles::client::{Client, Profile};
use serde_json::Value;
use testkit::TestDatabase;

const DEADLINE: Duration = Duration::from_mins(1);

/// A running system with its own data folder and database.
pub struct RunningSystem {
    /// `None` for a system with a private Postgres.
    external: Option<TestDatabase>,
    pub dir: tempfile::TempDir,
    /// The output of `up --json`.
    pub output: Value,
    child: Child,
}

impl RunningSystem {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further arguments to `up`.
    pub async fn start_with(args: &[&str]) -> Self {
        Self::on(Some(TestDatabase::new(&[]).await), folder(), args)
    }

    /// Without an external database.
    pub fn private() -> Self {
        Self::on(None, folder(), &[])
    }

    pub fn on(external: Option<TestDatabase>, dir: tempfile::TempDir, args: &[&str]) -> Self {
        let (child, output) = launch(takedown(external.as_ref(), dir.path()), args);
        Self {
            external,
            dir,
            output,
            child,
        }
    }

    /// The external database.
    pub fn database(&self) -> &TestDatabase {
        self.external.as_ref().unwrap()
    }

    /// A client of the services as the local operator.
    pub fn client(&self) -> Client {
        let profile = Profile::read(self.dir.path()).unwrap();
        Client::new(&profile.addresses, profile.operator.session).unwrap()
    }

    /// A command against this system.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = takedown(self.external.as_ref(), self.dir.path());
        command.args(args);
        command
    }

    /// Runs a command, which must succeed; returns its JSON output.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command, which must fail; returns the code of its error.
    pub fn refusal(&self, args: &[&str]) -> String {
        code(&self.command(args).arg("--json").output().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Stops the system with SIGTERM.
    pub fn terminate(&mut self) -> ExitStatus {
        terminate(&mut self.child)
    }

    /// Kills the system and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let command = takedown(self.external.as_ref(), self.dir.path());
        (self.child, self.output) = launch(command, &[]);
    }
}

impl Drop for RunningSystem {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A data folder that the account of a private Postgres may enter.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

fn launch(mut up: Command, args: &[&str]) -> (Child, Value) {
    up.args(["up", "--console-listen", "127.0.0.1:0"])
        .args(["--gateway-listen", "127.0.0.1:0"])
        .args(args);
    start_and_wait(up)
}

/// Starts a long-running command and waits for its JSON output, which it prints when it is ready.
pub fn start_and_wait(mut command: Command) -> (Child, Value) {
    let mut child = command
        .arg("--json")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    // The output is one JSON object over several lines, closed by the last one.
    let mut text = String::new();
    for line in out.lines() {
        let line = line.unwrap();
        text.push_str(&line);
        if line == "}" {
            return (child, serde_json::from_str(&text).unwrap());
        }
    }
    panic!("the process exited before it was ready: {:?}", child.wait());
}

/// The program on a data folder; without `database` it uses a private one.
pub fn takedown(database: Option<&TestDatabase>, dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_takedown"));
    command
        .env_remove("DATABASE_URL")
        .env("TAKEDOWN_DATA_DIR", dir)
        .env("TAKEDOWN_LOG", "error")
        .stdin(Stdio::null());
    if let Some(database) = database {
        command.env("DATABASE_URL", database.url());
    }
    command
}

/// The code of an error that was printed as JSON.
pub fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    let line = errors(output);
    let line = line.lines().last().unwrap_or_default();
    let failure: Value = serde_json::from_str(line).unwrap();
    failure["error"]["code"].as_str().unwrap().to_owned()
}

/// Stops a process with SIGTERM.
pub fn terminate(child: &mut Child) -> ExitStatus {
    signal(child, "-TERM");
    wait(child)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < DEADLINE, "the process does not exit");
        std::thread::yield_now();
    }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Polls until there is a result.
pub async fn wait_for<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = poll() {
            return result;
        }
        assert!(start.elapsed() < DEADLINE, "timed out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
