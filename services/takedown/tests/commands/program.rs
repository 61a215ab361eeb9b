//! The program as its users start it: a running `up`, and commands against it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use platform::testing::TestDatabase;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_mins(1);

/// A system of its own: a database, a data folder, and `takedown up` on both.
pub struct Up {
    pub database: TestDatabase,
    pub dir: tempfile::TempDir,
    /// What `up --json` said when it was ready.
    pub said: Value,
    child: Child,
}

impl Up {
    pub async fn start() -> Self {
        let database = TestDatabase::new(&[]).await;
        let dir = tempfile::tempdir().unwrap();
        let (child, said) = launch(&database.url(), dir.path());
        Self {
            database,
            dir,
            said,
            child,
        }
    }

    /// A command against this system.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = takedown(&self.database.url(), self.dir.path());
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
        let output = self.command(args).arg("--json").output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{args:?}: {}",
            errors(&output)
        );
        let line = errors(&output);
        let line = line.lines().last().unwrap_or_default();
        let failure: Value = serde_json::from_str(line).unwrap();
        failure["error"]["code"].as_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Ends as an operator ends it.
    pub fn terminate(mut self) -> ExitStatus {
        signal(&self.child, "-TERM");
        wait(&mut self.child)
    }

    /// Ends as a power cut ends it, and starts again.
    pub fn killed_and_started_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.said) = launch(&self.database.url(), self.dir.path());
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

fn launch(url: &str, dir: &Path) -> (Child, Value) {
    let mut child = takedown(url, dir)
        .args(["up", "--json"])
        .args(["--console-listen", "127.0.0.1:0"])
        .args(["--gateway-listen", "127.0.0.1:0"])
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
    panic!("`up` ended before it was ready: {:?}", child.wait());
}

fn takedown(url: &str, dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_takedown"));
    command
        .env("DATABASE_URL", url)
        .env("TAKEDOWN_DATA_DIR", dir)
        .env("TAKEDOWN_LOG", "error")
        .stdin(Stdio::null());
    command
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
