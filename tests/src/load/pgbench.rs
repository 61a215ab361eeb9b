//! The baseline: pgbench's single-row commits per second with 64 clients on the same server.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

/// The program, and the folder of its `libpq` if both were unpacked from their packages.
pub struct Pgbench {
    program: PathBuf,
    libraries: Option<PathBuf>,
}

impl Pgbench {
    /// Commits per second.
    pub async fn commits(&self, database_url: &str, seconds: u64) -> Result<f64> {
        let mut conn = PgConnection::connect(database_url).await?;
        sqlx::query("-- create_baseline_table\ncreate table if not exists public.pgbench_baseline (id bigint generated always as identity primary key, filler text not null)")
            .execute(&mut conn)
            .await?;
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("insert.sql");
        std::fs::write(
            &script,
            "insert into public.pgbench_baseline (filler) values ('one row, one commit');\n",
        )?;
        let output = Command::new(&self.program)
            .envs(
                self.libraries
                    .iter()
                    .map(|libraries| ("LD_LIBRARY_PATH", libraries)),
            )
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
        let stdout = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "pgbench failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let tps = stdout.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|rest| rest.split_whitespace().next());
        Ok(tps.context("pgbench printed no rate")?.parse()?)
    }

    /// Finds pgbench on the path, next to a server of the distribution, or in the cache. Otherwise it downloads the package
    /// into the cache; call it before measuring.
    pub async fn find() -> Result<Self> {
        let cache = platform::config::cache_dir().join("pgbench");
        if let Some(found) = Self::on_this_machine().or_else(|| Self::unpacked(&cache)) {
            return Ok(found);
        }
        eprintln!("fetching pgbench from the distribution");
        unpack(&cache).await?;
        Self::unpacked(&cache).context("there is no pgbench; install the package `postgresql`")
    }

    fn on_this_machine() -> Option<Self> {
        let on_path = platform::config::search_path()
            .into_iter()
            .map(|folder| folder.join("pgbench"));
        let program = on_path
            .chain(server_programs(Path::new("/usr/lib/postgresql")))
            .find(|path| path.exists())?;
        Some(Self {
            program,
            libraries: None,
        })
    }

    /// The packages' own layout: `usr/lib/postgresql/MAJOR/bin`, and `usr/lib/TRIPLET` for the library.
    fn unpacked(into: &Path) -> Option<Self> {
        let program =
            server_programs(&into.join("usr/lib/postgresql")).find(|path| path.exists())?;
        let triplets = std::fs::read_dir(into.join("usr/lib")).ok()?;
        let libraries = triplets
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|folder| folder.join("libpq.so.5").exists());
        Some(Self { program, libraries })
    }
}

fn server_programs(versions: &Path) -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir(versions).into_iter().flatten();
    versions.filter_map(|entry| Some(entry.ok()?.path().join("bin/pgbench")))
}

async fn unpack(into: &Path) -> Result<()> {
    std::fs::create_dir_all(into)?;
    // A new machine has no package lists yet. Without the right to update them, the existing lists are used.
    let script = r#"
        server() { apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p'; }
        [ -n "$(server)" ] || apt-get update -qq
        apt-get download -qq $(server) libpq5 && for deb in *.deb; do dpkg -x "$deb" .; done
    "#;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacked_program_uses_the_library_of_its_package() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Pgbench::unpacked(folder.path()).is_none());
        for file in ["postgresql/17/bin/pgbench", "x86_64-linux-gnu/libpq.so.5"] {
            let path = folder.path().join("usr/lib").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = Pgbench::unpacked(folder.path()).unwrap();
        assert!(found.program.ends_with("17/bin/pgbench"));
        assert!(found.libraries.unwrap().ends_with("x86_64-linux-gnu"));
    }
}
