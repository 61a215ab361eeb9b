//! The data folder: the location of the server's files, and the server's password.
//!
//! The password, which the server's account must not read, is in the data folder. The files that the account
//! owns are in its home, inside the data folder or, if the account has no access there, in `/var/tmp`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::EmbeddedError;
use super::account::Account;
use crate::Progress;

/// The folder that the server's account owns.
pub(super) fn home(
    data_dir: &Path,
    account: &Account,
    progress: Progress<'_>,
) -> Result<PathBuf, EmbeddedError> {
    let data_dir = fs::canonicalize(data_dir)
        .map_err(|e| EmbeddedError::io(format!("finding {}", data_dir.display()), e))?;
    let pointer = data_dir.join("postgres.home");
    let home = match fs::read_to_string(&pointer) {
        Ok(text) => PathBuf::from(text.trim_end()),
        Err(_) if account.reaches(&data_dir) => data_dir.join("postgres"),
        Err(_) => {
            let elsewhere = PathBuf::from(format!("/var/tmp/takedown-{}", random_hex(8)));
            write_private(&pointer, elsewhere.to_string_lossy().as_bytes())?;
            elsewhere
        }
    };
    if !home.starts_with(&data_dir) {
        progress(&format!(
            "the account of the database server has no access to {}; the database is in {}",
            data_dir.display(),
            home.display()
        ));
    }
    private_dir(&home, account)?;
    Ok(home)
}

/// Creates a folder that only the server's account can access, or checks that an existing one is.
pub(super) fn private_dir(dir: &Path, account: &Account) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => account.own(dir),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            // Links are not followed: in /var/tmp any user may have created one.
            let found = fs::symlink_metadata(dir)
                .map_err(|e| EmbeddedError::io(format!("checking {}", dir.display()), e))?;
            if found.uid() == account.uid && found.is_dir() {
                Ok(())
            } else if found.uid() == 0 && found.is_dir() {
                // Created just before this process was killed: the owner was not changed yet.
                account.own(dir)
            } else {
                Err(EmbeddedError::Foreign(dir.to_owned(), found.uid()))
            }
        }
        Err(e) => Err(EmbeddedError::io(format!("creating {}", dir.display()), e)),
    }
}

/// The superuser's password: created once, readable only by the user of this process.
pub(super) fn password(data_dir: &Path, initialised: bool) -> Result<String, EmbeddedError> {
    let path = data_dir.join("postgres.password");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound && initialised => {
            Err(EmbeddedError::PasswordLost(path))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let password = random_hex(32);
            write_private(&path, password.as_bytes())?;
            Ok(password)
        }
        Err(e) => Err(EmbeddedError::io(format!("reading {}", path.display()), e)),
    }
}

/// Writes to a temporary file and renames it, so that a crash leaves no incomplete file.
fn write_private(path: &Path, text: &[u8]) -> Result<(), EmbeddedError> {
    let written = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&written)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&written, path)
    };
    write().map_err(|e| EmbeddedError::io(format!("writing {}", path.display()), e))
}

fn random_hex(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut raw);
    hex::encode(raw)
}
