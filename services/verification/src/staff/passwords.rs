//! Argon2id over passwords, on threads that may block, a bounded number at a time.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use platform::sealed::random;
use tokio::sync::Semaphore;

use crate::error::Error;

/// Hashes computed at once: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Calls that may wait for one; the next is refused at once.
const WAITING: usize = 64;

pub(super) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }
}

impl Passwords {
    pub(super) async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(move || hash(&password)).await?
    }

    /// Whether the password is right. Without a hash it takes as long, and is not.
    pub(super) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Error> {
        self.run(move || match hash {
            Some(hash) => verify(&password, &hash),
            None => verify(&password, stand_in()?).map(|_| false),
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.waiting.try_acquire().map_err(|_| Error::Full)?;
        let _turn = self.running.acquire().await.map_err(|_| Error::Full)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Password)
    }
}

fn hash(password: &str) -> Result<String, Error> {
    let salt = SaltString::encode_b64(&random::<16>()).map_err(|_| Error::Password)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(|_| Error::Password)?;
    Ok(hash.to_string())
}

fn verify(password: &str, hash: &str) -> Result<bool, Error> {
    let hash = PasswordHash::new(hash).map_err(|_| Error::Password)?;
    Ok(Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok())
}

/// The hash of a password that nobody has.
fn stand_in() -> Result<&'static str, Error> {
    static STAND_IN: OnceLock<String> = OnceLock::new();
    if STAND_IN.get().is_none() {
        let made = hash("")?;
        // Another thread may have been first: either will do.
        let _ = STAND_IN.set(made);
    }
    STAND_IN.get().map(String::as_str).ok_or(Error::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        let verify =
            |password: &str, hash: Option<String>| passwords.verify(password.to_owned(), hash);
        assert!(verify("correct horse", Some(hash.clone())).await.unwrap());
        assert!(!verify("correct horsf", Some(hash)).await.unwrap());
        assert!(!verify("", None).await.unwrap());
    }
}
