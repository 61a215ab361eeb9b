//! The baseline: how many single-row commits a second pgbench reaches at 64 clients on the same server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

/// Commits a second.
pub async fn commits(database_url: &str, seconds: u64) -> Result<f64> {
    let program = program().await?;
    let mut conn = PgConnection::connect(database_url).await?;
    sqlx::query("-- bench_table\ncreate table if not exists public.bench (id bigint generated always as identity primary key, filler text not null)")
        .execute(&mut conn)
        .await?;
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("insert.sql");
    std::fs::write(
        &script,
        "insert into public.bench (filler) values ('one row, one commit');\n",
    )?;
    let output = Command::new(program)
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--client=64",
            "--jobs=2",
        ])
        .arg(format!("--time={seconds}"))
        .arg("--file")
        .arg(&script)
        .arg(database_url)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "pgbench failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let tps = tps.and_then(|rest| rest.split_whitespace().next());
    Ok(tps.context("pgbench named no rate")?.parse()?)
}

/// On the path, beside a server of the distribution, or unpacked from its package into the cache.
async fn program() -> Result<PathBuf> {
    let cache = platform::config::cache_dir().join("pgbench");
    let found = || {
        let beside = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten();
        let beside = beside.filter_map(|entry| Some(entry.ok()?.path().join("bin/pgbench")));
        let unpacked = std::fs::read_dir(cache.join("usr/lib/postgresql"))
            .into_iter()
            .flatten();
        let unpacked = unpacked.filter_map(|entry| Some(entry.ok()?.path().join("bin/pgbench")));
        let on_path = platform::config::search_path()
            .into_iter()
            .map(|folder| folder.join("pgbench"));
        on_path
            .chain(beside)
            .chain(unpacked)
            .find(|path| path.exists())
    };
    if let Some(program) = found() {
        return Ok(program);
    }
    eprintln!("fetching pgbench from the distribution");
    unpack(&cache).await?;
    found().context("there is no pgbench; install the package `postgresql`")
}

async fn unpack(into: &Path) -> Result<()> {
    std::fs::create_dir_all(into)?;
    let script = "apt-get download -qq $(apt-cache depends postgresql | sed -n 's/.*Depends: \\(postgresql-[0-9]*\\)$/\\1/p') libpq5 && for deb in *.deb; do dpkg -x \"$deb\" .; done";
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(into)
        .status()
        .await?;
    ensure!(
        status.success(),
        "pgbench could not be fetched; install the package `postgresql`"
    );
    Ok(())
}
