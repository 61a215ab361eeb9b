//! Kafka's jars: found in the cache, or fetched there by Maven once and whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BrokerError;
use crate::config::{cache_dir, search_path};
use crate::embedded::{FolderLock, Say};

const POM: &str = include_str!("pom.xml");
/// As in `pom.xml`; a test compares them.
const VERSION: &str = "4.1.0";

/// The folder of the jars.
pub(super) async fn ensure(say: Say<'_>) -> Result<PathBuf, BrokerError> {
    let dir = cache_dir().join(format!("kafka-{VERSION}"));
    let libs = dir.join("libs");
    if libs.is_dir() {
        return Ok(libs);
    }
    let _lock = FolderLock::wait(&dir).await?;
    if !libs.is_dir() {
        say(&format!("fetching Kafka {VERSION}"));
        let (dir, libs) = (dir.clone(), libs.clone());
        tokio::task::spawn_blocking(move || fetch(&dir, &libs))
            .await
            .map_err(|e| BrokerError::io("fetching Kafka", std::io::Error::other(e)))??;
    }
    Ok(libs)
}

/// A program of `PATH`.
pub(super) fn program(name: &'static str) -> Result<PathBuf, BrokerError> {
    search_path()
        .into_iter()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .ok_or(BrokerError::NoProgram(name))
}

/// Beside its place first, and moved there when it is whole.
fn fetch(dir: &Path, libs: &Path) -> Result<(), BrokerError> {
    let (pom, fresh) = (dir.join("pom.xml"), dir.join("libs.new"));
    fs::write(&pom, POM).map_err(|e| BrokerError::io(format!("writing {}", pom.display()), e))?;
    let output = Command::new(program("mvn")?)
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fresh.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| BrokerError::io("running mvn", e))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        return Err(BrokerError::NoJars(text));
    }
    fs::rename(&fresh, libs).map_err(|e| BrokerError::io(format!("moving {}", fresh.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_by_the_version_that_is_fetched() {
        let wanted = format!("<version>{VERSION}</version>");
        assert_eq!(POM.matches(&wanted).count(), 2);
    }
}
