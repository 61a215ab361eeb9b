//! The pull API as a host uses it: asks for what is new or changed, from where it stopped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::files::Behaviour;
use super::player::{Came, Player};

/// Between two questions that found nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks until shutdown.
pub async fn run(player: Arc<Player>, shutdown: CancellationToken) {
    if player.behaviour() == Behaviour::Bounces {
        // Never asks; and is there until it is told to end, like every other.
        return shutdown.cancelled().await;
    }
    let mut cursor = String::new();
    let mut fails = false;
    while !shutdown.is_cancelled() {
        if !player.is_down() {
            match once(&player, &mut cursor).await {
                Ok(found) => {
                    fails = false;
                    if found > 0 {
                        continue;
                    }
                }
                // Said once, and not twice a second.
                Err(error) if !fails => {
                    fails = true;
                    tracing::warn!(provider.id = player.id(), %error, "the list cannot be read");
                }
                Err(_) => {}
            }
        }
        // Whether the pause is over or the shutdown has come is asked above.
        let _ = tokio::time::timeout(PAUSE, shutdown.cancelled()).await;
    }
}

/// Asks for one page, hears what is on it, and moves the cursor behind it. A page that was not read is asked for again.
async fn once(player: &Arc<Player>, cursor: &mut String) -> Result<usize> {
    let listed = player.gateway().notices(cursor).await?;
    for shown in &listed.notices {
        // A notice that is not believed stands in the host's log; the list goes on.
        let _ = player.hear(shown, Came::Pulled).await;
    }
    if let Some(next) = listed.next_cursor {
        *cursor = next;
    }
    Ok(listed.notices.len())
}
