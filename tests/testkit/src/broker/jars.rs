//! The Kafka jars: taken from the cache, or fetched into it by Maven once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::BrokerError;
use platform::Progress;
use platform::config::{cache_dir, search_path};
use platform::folder_lock::FolderLock;

const POM: &str = include_str!("pom.xml");
/// Same as in `pom.xml`; a test compares the two.
const VERSION: &str = "4.1.0";

/// Returns the folder of the jars, fetching them if necessary.
pub(super) async fn ensure(progress: Progress<'_>) -> Result<PathBuf, BrokerError> {
    let dir = cache_dir().join(format!("kafka-{VERSION}"));
    let libs = dir.join("libs");
    if libs.is_dir() {
        return Ok(libs);
    }
    let _lock = FolderLock::wait(&dir).await?;
    if !libs.is_dir() {
        progress(&format!("fetching Kafka {VERSION}"));
        let (dir, libs) = (dir.clone(), libs.clone());
        tokio::task::spawn_blocking(move || fetch(&dir, &libs))
            .await
            .map_err(|e| BrokerError::io("fetching Kafka", std::io::Error::other(e)))??;
    }
    Ok(libs)
}

/// Finds a program in `PATH`.
pub(super) fn program(name: &'static str) -> Result<PathBuf, BrokerError> {
    search_path()
        .into_iter()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .ok_or(BrokerError::NoProgram(name))
}

/// Fetches into a temporary folder, and renames it when it is complete.
fn fetch(dir: &Path, libs: &Path) -> Result<(), BrokerError> {
    let (pom, temporary) = (dir.join("pom.xml"), dir.join("libs.new"));
    fs::write(&pom, POM).map_err(|e| BrokerError::io(format!("writing {}", pom.display()), e))?;
    let output = Command::new(program("mvn")?)
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", temporary.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| BrokerError::io("running mvn", e))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        return Err(BrokerError::NoJars(text));
    }
    fs::rename(&temporary, libs)
        .map_err(|e| BrokerError::io(format!("moving {}", temporary.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_has_the_version_of_the_pom() {
        let element = format!("<version>{VERSION}</version>");
        assert_eq!(POM.matches(&element).count(), 2);
    }
}
