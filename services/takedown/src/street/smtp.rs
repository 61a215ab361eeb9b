//! The street's mailboxes, behind the system's own server of mail, on loopback only. A mail is handed to its addressee
//! and forgotten.

use std::sync::Arc;
use std::time::Duration;

use platform::smtp::{self, Limits, Mail, Mailroom, Peer, Reply, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::files::Behaviour;
use super::mishap::Mishap;
use super::player::Player;

/// Whose mailbox an address is.
pub type Mailboxes = Arc<dyn Fn(&str) -> Option<Arc<Player>> + Send + Sync>;

/// Serves until shutdown.
pub async fn serve(listener: TcpListener, mailboxes: Mailboxes, shutdown: CancellationToken) {
    let settings = Settings {
        name: "street.test".to_owned(),
        limits: Limits {
            connections: 1024,
            recipients: 16,
            size: 512 * 1024,
            // RFC 5321 section 4.5.3.2 would have five minutes; nobody on a loopback is that slow.
            patience: Duration::from_mins(2),
            // A relay keeps its connections.
            session: Duration::from_hours(24),
        },
        tls: None,
    };
    smtp::serve(listener, Doormat(mailboxes), settings, shutdown).await;
}

#[derive(Clone)]
struct Doormat(Mailboxes);

impl Mailroom for Doormat {
    type Recipient = Arc<Player>;

    async fn recipient(&self, _: Peer, address: &str) -> Result<Arc<Player>, Reply> {
        match (self.0)(address) {
            None => Err(Reply::Say("550 5.1.1 nobody of that name lives here")),
            Some(player) if player.behaviour() == Behaviour::Bounces => {
                Err(Reply::Say("550 5.2.1 this mailbox takes no mail"))
            }
            Some(player) if player.is_down() => {
                Err(Reply::Close("421 4.3.2 this host is down, try again later"))
            }
            Some(player) => Ok(player),
        }
    }

    async fn take(&self, mail: Mail<Arc<Player>>) -> Reply {
        let mut mishap = Mishap::None;
        for player in mail.recipients {
            // What is not believed was taken all the same: mail has nobody to tell.
            mishap = player.hear_mail(&mail.bytes).await.unwrap_or(Mishap::None);
        }
        match mishap.come().await {
            Mishap::None => Reply::Say("250 2.0.0 taken"),
            Mishap::NotNow | Mishap::NotNowLate => Reply::Say("451 4.3.0 not now"),
            Mishap::ReplyLost | Mishap::ReplyLostLate => Reply::Vanish,
        }
    }
}
