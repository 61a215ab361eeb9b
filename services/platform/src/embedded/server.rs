//! Making, starting, adopting and stopping one server.
//!
//! Only loopback and a private socket folder are listened on, always with a password. The server is
//! never killed: it is asked to stop, or left to be adopted.

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
use super::{EmbeddedError, Say, folder};

const USER: &str = "takedown";
/// A socket's whole path may have 107 bytes (unix(7)); beyond it loopback alone is used.
const SOCKET_DIR_LIMIT: usize = 107 - "/.s.PGSQL.65535".len();
/// How long a server that is alive may take to answer: it may be replaying a long log.
const PATIENCE: u32 = 600;
/// How often a killed server is started again until the last of its children is gone.
const RESTARTS: u32 = 50;

#[derive(Debug)]
pub(super) struct Server {
    binaries: Binaries,
    account: Account,
    home: PathBuf,
    password: String,
    port: u16,
    pid: AtomicU32,
}

impl Server {
    /// The server of this folder, running; `true` where it was running before.
    pub(super) async fn ensure(
        data_dir: &Path,
        durability: Durability,
        say: Say<'_>,
    ) -> Result<(Self, bool), EmbeddedError> {
        let account = Account::find()?;
        let home = folder::home(data_dir, &account, say)?;
        let binaries = Binaries::choose(major(&home), &account, say).await?;
        Self::ensure_with(binaries, account, home, data_dir, durability).await
    }

    /// The same with a server that was chosen already, of the data's major version if there is data.
    pub(super) async fn ensure_with(
        binaries: Binaries,
        account: Account,
        home: PathBuf,
        data_dir: &Path,
        durability: Durability,
    ) -> Result<(Self, bool), EmbeddedError> {
        let fresh = major(&home).is_none();
        let password = folder::password(data_dir, !fresh)?;
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
                if fresh {
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

    /// An address that libpq and sqlx read alike: the private socket where it fits, else loopback.
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

    /// Joins a server that is already running in the folder, waiting while it starts or recovers.
    async fn adopt(&mut self) -> Result<bool, EmbeddedError> {
        for _ in 0..PATIENCE {
            let Some((pid, port)) = running(&self.data()) else {
                return Ok(false);
            };
            self.port = port;
            self.pid.store(pid, Ordering::Relaxed);
            // Our own random password, checked in both directions by SCRAM: nobody else answers to it.
            if self.answers().await {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(EmbeddedError::Silent(self.home.clone(), self.pid()))
    }

    async fn answers(&self) -> bool {
        let url = self.url("postgres");
        let connect = PgConnection::connect(&url);
        match tokio::time::timeout(Duration::from_secs(5), connect).await {
            Ok(Ok(conn)) => conn.close().await.is_ok(),
            _ => false,
        }
    }

    /// A new cluster, made beside its place and moved there when it is whole.
    fn initialise(&self) -> Result<(), EmbeddedError> {
        let fresh = self.home.join("data.new");
        let secret = self.home.join("password.new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh)
                .map_err(|e| EmbeddedError::io(format!("removing {}", fresh.display()), e))?;
        }
        write_private(&secret, &self.password)?;
        self.account.own(&secret)?;
        let made = self.account.run(
            &self.binaries.program("initdb"),
            [
                format!("--pgdata={}", fresh.display()),
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
        made?;
        fs::rename(&fresh, self.data())
            .map_err(|e| EmbeddedError::io(format!("moving {}", fresh.display()), e))
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
                // Somebody may have taken the port in between.
                Err(_) if tries < 3 => {}
                Err(error) => return Err(error),
            }
        }
        self.found()
    }

    /// Starts it again as it was, on the same port, after it was killed. Its children end a moment after it, and the
    /// memory that they share is free then.
    pub(super) fn restart(&self) -> Result<(), EmbeddedError> {
        let mut tries = 0;
        while let Err(error) = self.launch() {
            tries += 1;
            if tries == RESTARTS {
                return Err(error);
            }
        }
        self.found()
    }

    fn launch(&self) -> Result<(), EmbeddedError> {
        let first_lines = self.home.join("start.log");
        self.account.run(
            &self.binaries.program("pg_ctl"),
            [
                "start".into(),
                "--wait".into(),
                format!("--timeout={PATIENCE}"),
                "--silent".into(),
                format!("--pgdata={}", self.data().display()),
                format!("--log={}", first_lines.display()),
            ],
        )
    }

    /// Keeps the process id of the server that was started.
    fn found(&self) -> Result<(), EmbeddedError> {
        let (pid, _) = running(&self.data()).ok_or_else(|| EmbeddedError::Command {
            program: "postgres".into(),
            output: format!("ended at once; see {}", self.home.join("log").display()),
        })?;
        self.pid.store(pid, Ordering::Relaxed);
        Ok(())
    }

    async fn create_database(&self) -> Result<(), EmbeddedError> {
        let mut conn = PgConnection::connect(&self.url("postgres")).await?;
        let there: bool = sqlx::query_scalar(
            "-- embedded_database_exists\nselect exists (select 1 from pg_database where datname = 'takedown')",
        )
        .fetch_one(&mut conn)
        .await?;
        if !there {
            sqlx::query("-- embedded_create_database\ncreate database takedown")
                .execute(&mut conn)
                .await?;
        }
        conn.close().await?;
        Ok(())
    }
}

/// The major version that a home's data belongs to; none where there is no data yet.
fn major(home: &Path) -> Option<u32> {
    let version = fs::read_to_string(home.join("data/PG_VERSION")).ok()?;
    version.trim().parse().ok()
}

/// Process id and port of the live server of a data folder, from its `postmaster.pid` (lines 1 and 4).
pub(super) fn running(data: &Path) -> Option<(u32, u16)> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let pid: u32 = lines.next()?.trim().parse().ok()?;
    let port = lines.nth(2)?.trim().parse().ok()?;
    // A number left behind by a crash may by now belong to any other program, also to another folder's server. A server
    // works in its data folder.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let is_ours = name.starts_with("postgres") && works_in == fs::canonicalize(data).ok()?;
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
    // The folder is writable by the server's account alone; a leftover of a killed start is replaced.
    let _ = fs::remove_file(path);
    fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| EmbeddedError::io(format!("writing {}", path.display()), e))
}
