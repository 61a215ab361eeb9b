//! Creates, starts, adopts and stops one server.
//!
//! The server listens only on loopback and in a private socket folder, and always requires a password. It is
//! never killed: it is stopped with `pg_ctl`, or left running to be adopted.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::account::Account;
use super::binaries::Binaries;
use super::settings::{self, Durability};
use super::{EmbeddedError, folder};
use crate::Progress;

const USER: &str = "takedown";
/// Longest socket folder: a socket path may have 107 bytes (unix(7)). Otherwise only loopback is used.
const SOCKET_DIR_LIMIT: usize = 107 - "/.s.PGSQL.65535".len();
/// How long a running server may take to respond, in seconds: it may be replaying a long log.
const STARTUP_SECONDS: u32 = 600;
/// How often starting a killed server is tried until the last of its child processes has ended.
const MAX_RESTARTS: u32 = 50;

#[derive(Debug)]
pub(super) struct PostgresServer {
    binaries: Binaries,
    account: Account,
    home: PathBuf,
    password: String,
    port: u16,
    pid: AtomicU32,
}

impl PostgresServer {
    /// Ensures that the server of this folder is running; the second value is true if it was running already.
    pub(super) async fn ensure(
        data_dir: &Path,
        durability: Durability,
        progress: Progress<'_>,
    ) -> Result<(Self, bool), EmbeddedError> {
        let account = Account::find()?;
        let home = folder::home(data_dir, &account, progress)?;
        let binaries = Binaries::choose(major(&home), &account, progress).await?;
        Self::ensure_with(binaries, account, home, data_dir, durability).await
    }

    /// As [`Self::ensure`], with given binaries, which must match the major version of existing data.
    pub(super) async fn ensure_with(
        binaries: Binaries,
        account: Account,
        home: PathBuf,
        data_dir: &Path,
        durability: Durability,
    ) -> Result<(Self, bool), EmbeddedError> {
        let is_new = major(&home).is_none();
        let password = folder::password(data_dir, !is_new)?;
        let mut server = Self {
            binaries,
            account,
            home,
            password,
            port: 0,
            pid: AtomicU32::new(0),
        };
        let adopted = server.adopt().await?;
        if !adopted {
            server = tokio::task::spawn_blocking(move || {
                if is_new {
                    server.initialise()?;
                }
                server.start(durability)?;
                Ok::<_, EmbeddedError>(server)
            })
            .await
            .map_err(|e| EmbeddedError::io("starting the server", io::Error::other(e)))??;
        }
        server.create_database().await?;
        Ok((server, adopted))
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub(super) fn binaries(&self) -> &Path {
        &self.binaries.dir
    }

    /// A connection URL for libpq and sqlx: with the private socket if its path is short enough, otherwise
    /// with loopback.
    pub(super) fn url(&self, database: &str) -> String {
        let host = match self.socket_dir() {
            Some(dir) => percent_encoding::utf8_percent_encode(
                &dir.to_string_lossy(),
                percent_encoding::NON_ALPHANUMERIC,
            )
            .to_string(),
            None => "127.0.0.1".to_owned(),
        };
        format!(
            "postgresql://{USER}:{}@127.0.0.1:{}/{database}?host={host}&sslmode=disable",
            self.password, self.port
        )
    }

    pub(super) fn stop(&self) -> Result<(), EmbeddedError> {
        if !self.data().join("postmaster.pid").exists() {
            return Ok(());
        }
        self.account.run(
            &self.binaries.program("pg_ctl"),
            [
                "stop",
                "--mode=fast",
                "--wait",
                "--timeout=60",
                "--silent",
                &format!("--pgdata={}", self.data().display()),
            ],
        )
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn socket_dir(&self) -> Option<PathBuf> {
        let dir = self.home.join("run");
        (dir.as_os_str().len() <= SOCKET_DIR_LIMIT).then_some(dir)
    }

    /// Adopts a server that is already running in the folder, waiting while it starts or recovers.
    async fn adopt(&mut self) -> Result<bool, EmbeddedError> {
        for _ in 0..STARTUP_SECONDS {
            let Some((pid, port)) = running(&self.data()) else {
                return Ok(false);
            };
            self.port = port;
            self.pid.store(pid, Ordering::Relaxed);
            // SCRAM checks the random password in both directions, so only the server of this folder accepts
            // it.
            if self.accepts_connections().await {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(EmbeddedError::Silent(self.home.clone(), self.pid()))
    }

    async fn accepts_connections(&self) -> bool {
        let url = self.url("postgres");
        let connect = PgConnection::connect(&url);
        match tokio::time::timeout(Duration::from_secs(5), connect).await {
            Ok(Ok(conn)) => conn.close().await.is_ok(),
            _ => false,
        }
    }

    /// Creates a database cluster in a temporary folder and renames it when it is complete.
    fn initialise(&self) -> Result<(), EmbeddedError> {
        let new_data = self.home.join("data.new");
        let secret = self.home.join("password.new");
        if new_data.exists() {
            fs::remove_dir_all(&new_data)
                .map_err(|e| EmbeddedError::io(format!("removing {}", new_data.display()), e))?;
        }
        write_private(&secret, &self.password)?;
        self.account.own(&secret)?;
        let created = self.account.run(
            &self.binaries.program("initdb"),
            [
                format!("--pgdata={}", new_data.display()),
                format!("--pwfile={}", secret.display()),
                format!("--username={USER}"),
                "--auth=scram-sha-256".into(),
                "--encoding=UTF8".into(),
                "--locale=C".into(),
                "--data-checksums".into(),
                "--no-instructions".into(),
            ],
        );
        fs::remove_file(&secret)
            .map_err(|e| EmbeddedError::io(format!("removing {}", secret.display()), e))?;
        created?;
        fs::rename(&new_data, self.data())
            .map_err(|e| EmbeddedError::io(format!("moving {}", new_data.display()), e))
    }

    fn start(&mut self, durability: Durability) -> Result<(), EmbeddedError> {
        let (sockets, log) = (self.socket_dir(), self.home.join("log"));
        for dir in sockets.iter().chain([&log]) {
            folder::private_dir(dir, &self.account)?;
        }
        let configuration = self.data().join("postgresql.conf");
        let mut tries = 0;
        loop {
            self.port = free_port()?;
            let text = settings::text(durability, self.port, sockets.as_deref(), &log);
            fs::write(&configuration, text).map_err(|e| {
                EmbeddedError::io(format!("writing {}", configuration.display()), e)
            })?;
            tries += 1;
            match self.launch() {
                Ok(()) => break,
                // Another process may have taken the port in the meantime.
                Err(_) if tries < 3 => {}
                Err(error) => return Err(error),
            }
        }
        self.record_pid()
    }

    /// Starts the server again on the same port after it was killed. This succeeds only when its child
    /// processes have ended and released their shared memory.
    pub(super) fn restart(&self) -> Result<(), EmbeddedError> {
        let mut tries = 0;
        while let Err(error) = self.launch() {
            tries += 1;
            if tries == MAX_RESTARTS {
                return Err(error);
            }
        }
        self.record_pid()
    }

    fn launch(&self) -> Result<(), EmbeddedError> {
        let first_lines = self.home.join("start.log");
        self.account.run(
            &self.binaries.program("pg_ctl"),
            [
                "start".into(),
                "--wait".into(),
                format!("--timeout={STARTUP_SECONDS}"),
                "--silent".into(),
                format!("--pgdata={}", self.data().display()),
                format!("--log={}", first_lines.display()),
            ],
        )
    }

    /// Stores the process id of the started server.
    fn record_pid(&self) -> Result<(), EmbeddedError> {
        let (pid, _) = running(&self.data()).ok_or_else(|| EmbeddedError::Command {
            program: "postgres".into(),
            output: format!(
                "the server ended immediately; see {}",
                self.home.join("log").display()
            ),
        })?;
        self.pid.store(pid, Ordering::Relaxed);
        Ok(())
    }

    async fn create_database(&self) -> Result<(), EmbeddedError> {
        let mut conn = PgConnection::connect(&self.url("postgres")).await?;
        let exists: bool = sqlx::query_scalar(
            "-- embedded_database_exists\nselect exists (select 1 from pg_database where datname = 'takedown')",
        )
        .fetch_one(&mut conn)
        .await?;
        if !exists {
            sqlx::query("-- embedded_create_database\ncreate database takedown")
                .execute(&mut conn)
                .await?;
        }
        conn.close().await?;
        Ok(())
    }
}

/// The major version of the data; `None` if there is no data yet.
fn major(home: &Path) -> Option<u32> {
    let version = fs::read_to_string(home.join("data/PG_VERSION")).ok()?;
    version.trim().parse().ok()
}

/// Process id and port of the running server of a data folder, from its `postmaster.pid` (lines 1 and 4).
pub(super) fn running(data: &Path) -> Option<(u32, u16)> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let pid: u32 = lines.next()?.trim().parse().ok()?;
    let port = lines.nth(2)?.trim().parse().ok()?;
    // After a crash the process id may belong to another program, even to the server of another folder. The
    // working folder of a server is its data folder.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let working_dir = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let is_ours = name.starts_with("postgres") && working_dir == fs::canonicalize(data).ok()?;
    is_ours.then_some((pid, port))
}

fn free_port() -> Result<u16, EmbeddedError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| EmbeddedError::io("finding a free port", e))
}

fn write_private(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // Only the server's account can write to the folder; a file left by a killed start is replaced.
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| EmbeddedError::io(format!("writing {}", path.display()), e))
}
