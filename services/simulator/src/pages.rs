//! The simulated pages and their content status. A page has a length, an ETag and a type, and no content.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::url::CanonicalUrl;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::scenario::{Behaviour, Scenario};

/// A page reappears after this many checks found it offline and after this pause, so that the hotline has confirmed its
/// removal before.
const CHECKS_BEFORE_RETURN: u32 = 3;
const PAUSE_BEFORE_RETURN: Duration = Duration::from_secs(2);
/// Longest wait of an origin for the answer of the CDN in front of it.
const FRONT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a request for a page returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageResponse {
    Online {
        length: u64,
        etag: String,
        media_type: &'static str,
    },
    Offline,
}

struct SimulatedPage {
    length: u64,
    etag: String,
    media_type: &'static str,
    state: PageState,
    /// The provider in front of the origin (a CDN) that will answer `not_ours`, until it has answered.
    pending_front: Option<String>,
}

#[derive(Clone, Copy)]
enum PageState {
    Online,
    Offline {
        reappears: bool,
        checks: u32,
        since: Instant,
    },
}

pub struct Pages {
    pages: Mutex<HashMap<CanonicalUrl, SimulatedPage>>,
    front_answered: Notify,
}

impl Pages {
    /// One page for every reported URL, online, except those whose correct verdict is `not_found`.
    pub fn from_scenario(scenario: &Scenario) -> Self {
        use domain::enums::NotActionableReason::NotFound;

        use super::scenario::TrueVerdict;

        let mut pages = HashMap::new();
        for entry in &scenario.reports {
            let Some(truth) = &entry.truth else { continue };
            let Ok(url) = CanonicalUrl::parse(&entry.report.url) else {
                continue;
            };
            if truth.verdict == TrueVerdict::NotActionable(NotFound) {
                continue;
            }
            let provider = scenario.provider(&truth.provider);
            let front =
                provider.filter(|p| p.behaviour == Behaviour::NotOurs && p.origin.is_some());
            pages
                .entry(url)
                .or_insert_with_key(|url| new_page(url, front.map(|p| p.id.clone())));
        }
        Self {
            pages: Mutex::new(pages),
            front_answered: Notify::new(),
        }
    }

    /// Answers a request for the page, and counts it as a check.
    pub fn respond(&self, url: &CanonicalUrl) -> PageResponse {
        let mut pages = self.lock();
        let Some(page) = pages.get_mut(url) else {
            return PageResponse::Offline;
        };
        if let PageState::Offline {
            reappears: true,
            checks,
            since,
        } = &mut page.state
        {
            *checks += 1;
            if *checks > CHECKS_BEFORE_RETURN && since.elapsed() > PAUSE_BEFORE_RETURN {
                page.state = PageState::Online;
            }
        }
        match page.state {
            PageState::Online => PageResponse::Online {
                length: page.length,
                etag: page.etag.clone(),
                media_type: page.media_type,
            },
            PageState::Offline { .. } => PageResponse::Offline,
        }
    }

    pub fn take_down(&self, url: &CanonicalUrl, reappears: bool) {
        let mut pages = self.lock();
        let Some(page) = pages.get_mut(url) else {
            return;
        };
        match &mut page.state {
            // A page that one of several providers puts online again reappears, regardless of which took it down.
            PageState::Offline { reappears: set, .. } => *set |= reappears,
            PageState::Online => {
                page.state = PageState::Offline {
                    reappears,
                    checks: 0,
                    since: Instant::now(),
                };
            }
        }
    }

    /// Records that `provider` has answered `not_ours` for this page.
    pub fn front_answered(&self, url: &CanonicalUrl, provider: &str) {
        if let Some(page) = self.lock().get_mut(url) {
            page.pending_front.take_if(|front| front == provider);
        }
        self.front_answered.notify_waiters();
    }

    /// Waits until a front other than `provider` has answered, so that an origin acts after the CDN in front of it.
    pub async fn wait_for_front(&self, url: &CanonicalUrl, provider: &str) {
        let answered = async {
            loop {
                let notified = self.front_answered.notified();
                let front = self
                    .lock()
                    .get(url)
                    .and_then(|page| page.pending_front.clone());
                if front.is_none_or(|front| front == provider) {
                    return;
                }
                notified.await;
            }
        };
        // A front that no notice reaches never answers.
        let _ = tokio::time::timeout(FRONT_TIMEOUT, answered).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CanonicalUrl, SimulatedPage>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_page(url: &CanonicalUrl, pending_front: Option<String>) -> SimulatedPage {
    let hash = Sha256::digest(url.reveal());
    let media_type =
        ["image/jpeg", "image/png", "video/mp4", "text/html"][usize::from(hash[0]) % 4];
    SimulatedPage {
        length: 1_000 + u64::from(hash[1]) * 37 + u64::from(hash[2]),
        etag: format!("\"{}\"", hex::encode(&hash[3..11])),
        media_type,
        state: PageState::Online,
        pending_front,
    }
}
