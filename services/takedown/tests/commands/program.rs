//! The program as its users start it: a running `up`, and commands against it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use platform::testing::TestDatabase;
use serde_json::Value;
use takedown::client::{Client, Profile};

const DEADLINE: Duration = Duration::from_mins(1);

/// A system of its own: a data folder, a database, and `takedown up` on both.
pub struct Up {
    /// None for a system that keeps a private Postgres itself.
    given: Option<TestDatabase>,
    pub dir: tempfile::TempDir,
    /// What `up --json` said when it was ready.
    pub said: Value,
    child: Child,
}

impl Up {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further arguments to `up`.
    pub async fn start_with(args: &[&str]) -> Self {
        Self::on(Some(TestDatabase::new(&[]).await), folder(), args)
    }

    /// On the private Postgres that `up` keeps where no database is given.
    pub fn private() -> Self {
        Self::on(None, folder(), &[])
    }

    pub fn on(given: Option<TestDatabase>, dir: tempfile::TempDir, args: &[&str]) -> Self {
        let (child, said) = launch(takedown(given.as_ref(), dir.path()), args);
        Self {
            given,
            dir,
            said,
            child,
        }
    }

    /// The database that was given.
    pub fn database(&self) -> &TestDatabase {
        self.given.as_ref().unwrap()
    }

    /// The services, as the local operator.
    pub fn client(&self) -> Client {
        let profile = Profile::read(self.dir.path()).unwrap();
        Client::new(&profile.addresses, profile.operator.session).unwrap()
    }

    /// A command against this system.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = takedown(self.given.as_ref(), self.dir.path());
        command.args(args);
        command
    }

    /// Runs a command, which must end well, and reads its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a command, which must fail, and reads the code of its failure.
    pub fn refusal(&self, args: &[&str]) -> String {
        code(&self.command(args).arg("--json").output().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Ends as an operator ends it.
    pub fn terminate(&mut self) -> ExitStatus {
        terminate(&mut self.child)
    }

    /// Ends as a power cut ends it, and starts again.
    pub fn killed_and_started_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let command = takedown(self.given.as_ref(), self.dir.path());
        (self.child, self.said) = launch(command, &[]);
    }
}

impl Drop for Up {
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
    announced(up)
}

/// Starts what runs until it is ended, and waits until it has said in JSON that it is there.
pub fn announced(mut command: Command) -> (Child, Value) {
    let mut child = command
        .arg("--json")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    // The announcement is one JSON object over several lines; its last line closes it.
    let mut text = String::new();
    for line in out.lines() {
        let line = line.unwrap();
        text.push_str(&line);
        if line == "}" {
            return (child, serde_json::from_str(&text).unwrap());
        }
    }
    panic!("it ended before it was ready: {:?}", child.wait());
}

/// The program on a folder; without a database it keeps its own.
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

/// The code of a failure that was asked for in JSON.
pub fn code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", errors(output));
    let line = errors(output);
    let line = line.lines().last().unwrap_or_default();
    let failure: Value = serde_json::from_str(line).unwrap();
    failure["error"]["code"].as_str().unwrap().to_owned()
}

/// Ends a process as an operator ends it.
pub fn terminate(child: &mut Child) -> ExitStatus {
    signal(child, "-TERM");
    wait(child)
}

fn signal(child: &Child, which: &str) {
    let sent = Command::new("kill")
        .args([which, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < DEADLINE, "it does not end");
        std::thread::yield_now();
    }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks again until the answer fits.
pub async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "it does not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
