//! The lock of a folder: one process at a time uses a data folder.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The lock of a data folder. The kernel releases it when the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum FolderLockError {
    #[error("another process already uses the folder {}; stop it first, or choose another folder", .0.display())]
    Busy(PathBuf),
    #[error("{doing} failed")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

impl FolderLock {
    /// Locks the folder, creating it if it does not exist.
    ///
    /// # Errors
    /// `Busy` if another process has locked it.
    pub fn acquire(data_dir: &Path) -> Result<Self, FolderLockError> {
        let (path, file) = open_lock(data_dir)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderLockError::Busy(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => {
                let doing = format!("locking {}", path.display());
                Err(FolderLockError::Io { doing, source })
            }
        }
    }

    /// Locks the folder as soon as the other process has released it.
    pub async fn wait(data_dir: &Path) -> Result<Self, FolderLockError> {
        loop {
            match Self::acquire(data_dir) {
                Err(FolderLockError::Busy(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                result => return result,
            }
        }
    }
}

fn open_lock(data_dir: &Path) -> Result<(PathBuf, File), FolderLockError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(data_dir)
        .map_err(|source| FolderLockError::Io {
            doing: format!("creating {}", data_dir.display()),
            source,
        })?;
    let path = data_dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| FolderLockError::Io {
            doing: format!("opening {}", path.display()),
            source,
        })?;
    Ok((path, file))
}
