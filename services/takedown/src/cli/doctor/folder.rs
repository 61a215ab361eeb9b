//! Checks the data folder: client.toml and keyring, and their modes.

use std::path::Path;
use std::sync::Arc;

use platform::error::Problem;
use platform::sealed::Keyring;
use roles::client::Profile;
use roles::system::keyring_path;

use super::CheckResult;

/// The contents of the folder, for the other checks.
pub(super) struct FolderContents {
    pub(super) profile: Option<Profile>,
    pub(super) keyring: Option<Arc<Keyring>>,
}

pub(super) fn check(data_dir: &Path) -> (Vec<CheckResult>, FolderContents) {
    let (profile_result, profile) = match Profile::read(data_dir) {
        Ok(profile) => {
            let detail = "readable only by its owner";
            (CheckResult::ok("client.toml", detail), Some(profile))
        }
        Err(error) => {
            let remedy = error
                .downcast_ref::<Problem>()
                .map_or_else(|| error.to_string(), |problem| problem.detail.clone());
            let result = CheckResult::problem("client.toml", "cannot be used", remedy);
            (result, None)
        }
    };
    let (keyring_result, keyring) = match Keyring::open(&keyring_path(data_dir)) {
        Ok(keyring) => {
            let detail = format!(
                "readable only by its owner; the current epoch is {}",
                keyring.epoch()
            );
            (CheckResult::ok("keyring", detail), Some(Arc::new(keyring)))
        }
        Err(error) => {
            let remedy =
                "restore it from its backup, with mode 600; without it nothing can be unsealed";
            let result = CheckResult::problem("keyring", error.to_string(), remedy);
            (result, None)
        }
    };
    (
        vec![profile_result, keyring_result],
        FolderContents { profile, keyring },
    )
}
