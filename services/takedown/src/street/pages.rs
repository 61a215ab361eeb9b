//! The pages of the street and whether they are up. Pages have a length, an ETag and a type, and nothing worth reading.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::url::CanonicalUrl;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::files::{Behaviour, Street};

/// A page that comes back does so after it was looked at so often while it was gone, and after so long a pause: by then
/// its removal has been believed.
const LOOKS_BEFORE_RETURN: u32 = 3;
const PAUSE_BEFORE_RETURN: Duration = Duration::from_secs(2);
/// Longest wait for whoever stands in front of a page to say so.
const FRONT_WAIT: Duration = Duration::from_secs(30);

/// What a look at a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Up {
        length: u64,
        etag: String,
        kind: &'static str,
    },
    Gone,
}

struct Page {
    length: u64,
    etag: String,
    kind: &'static str,
    state: State,
    /// Somebody stands in front who will say that it is not theirs, and has not yet.
    front: Option<String>,
}

#[derive(Clone, Copy)]
enum State {
    Up,
    Gone {
        returns: bool,
        looks: u32,
        since: Instant,
    },
}

pub struct Pages {
    pages: Mutex<HashMap<CanonicalUrl, Page>>,
    front_spoke: Notify,
}

impl Pages {
    /// Every page that the street's reports speak of, up, except those where the truth says that nothing is there.
    pub fn of(street: &Street) -> Self {
        use domain::word::NotActionableReason::NotFound;

        use super::files::Verdict;

        let mut pages = HashMap::new();
        for entry in &street.entries {
            let Some(truth) = &entry.truth else { continue };
            let Ok(url) = CanonicalUrl::parse(&entry.report.url) else {
                continue;
            };
            if truth.verdict == Verdict::NotActionable(NotFound) {
                continue;
            }
            let owner = street.provider(&truth.provider);
            let front = owner.filter(|p| p.behaviour == Behaviour::NotOurs && p.origin.is_some());
            pages
                .entry(url)
                .or_insert_with_key(|url| page(url, front.map(|p| p.id.clone())));
        }
        Self {
            pages: Mutex::new(pages),
            front_spoke: Notify::new(),
        }
    }

    /// Somebody asks for the page's head.
    pub fn look(&self, url: &CanonicalUrl) -> Look {
        let mut pages = self.lock();
        let Some(page) = pages.get_mut(url) else {
            return Look::Gone;
        };
        if let State::Gone {
            returns: true,
            looks,
            since,
        } = &mut page.state
        {
            *looks += 1;
            if *looks > LOOKS_BEFORE_RETURN && since.elapsed() > PAUSE_BEFORE_RETURN {
                page.state = State::Up;
            }
        }
        match page.state {
            State::Up => Look::Up {
                length: page.length,
                etag: page.etag.clone(),
                kind: page.kind,
            },
            State::Gone { .. } => Look::Gone,
        }
    }

    pub fn take_down(&self, url: &CanonicalUrl, comes_back: bool) {
        let mut pages = self.lock();
        let Some(page) = pages.get_mut(url) else {
            return;
        };
        match &mut page.state {
            // Whoever puts it up again does so whoever else took it down.
            State::Gone { returns, .. } => *returns |= comes_back,
            State::Up => {
                page.state = State::Gone {
                    returns: comes_back,
                    looks: 0,
                    since: Instant::now(),
                };
            }
        }
    }

    /// `provider` has said that the page is not theirs.
    pub fn front_has_spoken(&self, url: &CanonicalUrl, provider: &str) {
        if let Some(page) = self.lock().get_mut(url) {
            page.front.take_if(|front| front == provider);
        }
        self.front_spoke.notify_waiters();
    }

    /// Waits until a front other than `provider` has spoken: whoever is behind it is slower to act.
    pub async fn front_settles(&self, url: &CanonicalUrl, provider: &str) {
        let settled = async {
            loop {
                let spoke = self.front_spoke.notified();
                let open = self.lock().get(url).and_then(|page| page.front.clone());
                if open.is_none_or(|front| front == provider) {
                    return;
                }
                spoke.await;
            }
        };
        // A front that was never reached keeps nobody waiting for good.
        let _ = tokio::time::timeout(FRONT_WAIT, settled).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CanonicalUrl, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page(url: &CanonicalUrl, front: Option<String>) -> Page {
    let digest = Sha256::digest(url.reveal());
    let kind = ["image/jpeg", "image/png", "video/mp4", "text/html"][usize::from(digest[0]) % 4];
    Page {
        length: 1_000 + u64::from(digest[1]) * 37 + u64::from(digest[2]),
        etag: format!("\"{}\"", hex::encode(&digest[3..11])),
        kind,
        state: State::Up,
        front,
    }
}
