//! Faults between the hotline and a host. Determined by the notice id, so that a run can be repeated.

use std::time::Duration;

use uuid::Uuid;

/// How reliable the network to the hosts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkProfile {
    /// No faults.
    Reliable,
    /// Some deliveries fail, so that the hotline has to send again.
    Faulty,
    /// As `Faulty`, and as many deliveries again fail only after a delay, which leaves attempts open for long.
    Slow,
}

/// One notice in this many loses its reply, and one is refused at first; with `Slow`, one more of each, delayed.
const ONE_IN: u8 = 8;

/// The fault of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkFault {
    None,
    /// The host accepts the message, and the connection is lost before the reply.
    ReplyLost,
    /// The host refuses the message with a temporary error.
    Refused,
    /// As `ReplyLost`, after a delay; the host may have answered the notice by then.
    ReplyLostLate,
    /// As `Refused`, after a delay.
    RefusedLate,
}

/// How long a delayed fault takes.
const DELAY: Duration = Duration::from_millis(900);

impl NetworkFault {
    /// `earlier` is how often this message was delivered before; only the first delivery can fail.
    pub(super) fn for_delivery(network: NetworkProfile, notice: Uuid, earlier: u32) -> Self {
        if network == NetworkProfile::Reliable || earlier > 0 {
            return Self::None;
        }
        let is_slow = network == NetworkProfile::Slow;
        match notice.as_bytes()[0] % ONE_IN {
            0 => Self::ReplyLost,
            1 => Self::Refused,
            2 if is_slow => Self::ReplyLostLate,
            3 if is_slow => Self::RefusedLate,
            _ => Self::None,
        }
    }

    pub(super) const fn is_delayed(self) -> bool {
        matches!(self, Self::ReplyLostLate | Self::RefusedLate)
    }

    /// True if the host accepts the message in spite of the fault.
    pub(super) const fn is_accepted(self) -> bool {
        !matches!(self, Self::Refused | Self::RefusedLate)
    }

    /// Waits for the delay of a delayed fault, and returns the fault without its delay.
    pub(super) async fn after_delay(self) -> Self {
        let fault = match self {
            Self::ReplyLostLate => Self::ReplyLost,
            Self::RefusedLate => Self::Refused,
            undelayed => return undelayed,
        };
        tokio::time::sleep(DELAY).await;
        fault
    }
}
