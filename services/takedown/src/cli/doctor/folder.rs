//! The data folder: credentials and keys, and who can read them.

use std::path::Path;
use std::sync::Arc;

use platform::error::Problem;
use platform::sealed::Keyring;

use super::Finding;
use crate::client::Profile;
use crate::system::keyring_path;

/// What the other checks go on with.
pub(super) struct Seen {
    pub(super) profile: Option<Profile>,
    pub(super) keyring: Option<Arc<Keyring>>,
}

pub(super) fn look(data_dir: &Path) -> (Vec<Finding>, Seen) {
    let (about_profile, profile) = match Profile::read(data_dir) {
        Ok(profile) => {
            let detail = "readable by its owner alone";
            (Finding::right("client.toml", detail), Some(profile))
        }
        Err(error) => {
            let todo = error
                .downcast_ref::<Problem>()
                .map_or_else(|| error.to_string(), |problem| problem.detail.clone());
            let finding = Finding::wrong("client.toml", "cannot be used", todo);
            (finding, None)
        }
    };
    let (about_keyring, keyring) = match Keyring::open(&keyring_path(data_dir)) {
        Ok(keyring) => {
            let detail = format!(
                "readable by its owner alone; the current epoch is {}",
                keyring.epoch()
            );
            (Finding::right("keyring", detail), Some(Arc::new(keyring)))
        }
        Err(error) => {
            let todo = "put it back from its backup, with mode 600; without it nothing sealed can be opened";
            let finding = Finding::wrong("keyring", error.to_string(), todo);
            (finding, None)
        }
    };
    (
        vec![about_profile, about_keyring],
        Seen { profile, keyring },
    )
}
