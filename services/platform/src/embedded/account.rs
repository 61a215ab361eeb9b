//! The account that the server runs as, and its access to folders.
//!
//! Postgres refuses to run as root. In that case the account `nobody` from `/etc/passwd` is used, for the
//! server only.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::EmbeddedError;

#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// True if this process is root and must switch to the account.
    switch: bool,
}

impl Account {
    pub(super) fn find() -> Result<Self, EmbeddedError> {
        // The owner of /proc/self is the effective user.
        let own =
            fs::metadata("/proc/self").map_err(|e| EmbeddedError::io("reading /proc/self", e))?;
        if own.uid() != 0 {
            return Ok(Self {
                uid: own.uid(),
                gid: own.gid(),
                switch: false,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd")
            .map_err(|e| EmbeddedError::io("reading /etc/passwd", e))?;
        let (uid, gid) = unprivileged(&passwd).ok_or(EmbeddedError::NoAccount)?;
        Ok(Self {
            uid,
            gid,
            switch: true,
        })
    }

    /// A command that runs as this account with an empty environment, so that no `PG*` variable of the caller
    /// applies.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if self.switch {
            // The standard library also drops root's supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Runs a program to its end; an error contains its output.
    pub(super) fn run<I, S>(&self, program: &Path, args: I) -> Result<(), EmbeddedError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let name = program.display().to_string();
        let output = self
            .command(program)
            .args(args)
            .output()
            .map_err(|e| EmbeddedError::io(format!("running {name}"), e))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(EmbeddedError::Command {
            program: name,
            output: String::from_utf8_lossy(&text).trim().to_owned(),
        })
    }

    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid)).map_err(|e| {
                EmbeddedError::io(
                    format!("giving {} to the server's account", path.display()),
                    e,
                )
            })?;
        }
        Ok(())
    }

    /// True if this account has access to `dir` and its parents. `dir` is absolute and resolved.
    pub(super) fn reaches(&self, dir: &Path) -> bool {
        dir.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|m| {
                let bit = if m.uid() == self.uid {
                    0o100
                } else if m.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                m.mode() & bit != 0
            })
        })
    }
}

/// User and group id of `nobody`, which owns no files. (`postgres` may own other databases of this machine.)
fn unprivileged(passwd: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (name == "nobody" && uid != 0).then_some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::unprivileged;

    #[test]
    fn the_unprivileged_account_is_found_by_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/usr/sbin/nologin\n";
        assert_eq!(unprivileged(passwd), Some((65534, 65533)));
        assert_eq!(unprivileged("root:x:0:0::/:/bin/sh\n"), None);
    }
}
