//! The pull API as a host uses it: asks for what is new or changed, from where it stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::files::Behaviour;
use super::player::{Came, Player};

/// Between two questions that found nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks until shutdown.
pub async fn run(player: Arc<Player>, shutdown: CancellationToken) {
    if player.behaviour() == Behaviour::Bounces {
        return;
    }
    let mut cursor = String::new();
    loop {
        let found = if player.is_down() {
            0
        } else {
            once(&player, &mut cursor).await
        };
        if found == 0 {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.cancelled() => return,
            }
        }
        if shutdown.is_cancelled() {
            return;
        }
    }
}

/// Asks for one page, hears what is on it, and moves the cursor behind it. A page that was not read is asked for again.
pub async fn once(player: &Arc<Player>, cursor: &mut String) -> usize {
    let listed = match player.gateway().notices(cursor).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::debug!(provider.id = player.id(), %error, "the list could not be read");
            return 0;
        }
    };
    for shown in &listed.notices {
        // A notice that is not believed stands in the host's log; the list goes on.
        let _ = player.hear(shown, Came::Pulled).await;
    }
    if let Some(next) = listed.next_cursor {
        *cursor = next;
    }
    listed.notices.len()
}
