//! What goes wrong between the hotline and a host. Decided by the notice alone, so that a run can be repeated.

use std::time::Duration;

use uuid::Uuid;

/// How the way to a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Nothing goes wrong.
    Good,
    /// It goes wrong now and then, so that the hotline has to send again.
    Fair,
    /// It also hangs: half of what goes wrong does so after a while, which leaves attempts open for long.
    Hanging,
}

/// Of so many notices, one loses its reply and one is not taken at first; where it hangs, one more of each.
const MISHAP_IN: u8 = 8;

/// What happens on the way, decided by the notice alone so that a run can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    None,
    /// It is taken, and the connection is lost before the reply.
    ReplyLost,
    /// It is not taken, for now.
    NotNow,
    /// As `ReplyLost`, but long after it was taken: by then it is answered.
    ReplyLostLate,
    /// As `NotNow`, but only said after a while.
    NotNowLate,
}

/// For how long a host hangs.
const HANGS: Duration = Duration::from_millis(900);

impl Mishap {
    /// `before`: how often this message came before; only the first time goes wrong.
    pub(super) fn on_the_way(transport: Transport, notice: Uuid, before: u32) -> Self {
        if transport == Transport::Good || before > 0 {
            return Self::None;
        }
        let hangs = transport == Transport::Hanging;
        match notice.as_bytes()[0] % MISHAP_IN {
            0 => Self::ReplyLost,
            1 => Self::NotNow,
            2 if hangs => Self::ReplyLostLate,
            3 if hangs => Self::NotNowLate,
            _ => Self::None,
        }
    }

    pub(super) const fn hangs(self) -> bool {
        matches!(self, Self::ReplyLostLate | Self::NotNowLate)
    }

    pub(super) const fn is_taken(self) -> bool {
        !matches!(self, Self::NotNow | Self::NotNowLate)
    }

    /// Waits where it takes its time; what is left is what it comes to.
    pub(super) async fn come(self) -> Self {
        let comes_to = match self {
            Self::ReplyLostLate => Self::ReplyLost,
            Self::NotNowLate => Self::NotNow,
            soon => return soon,
        };
        tokio::time::sleep(HANGS).await;
        comes_to
    }
}
