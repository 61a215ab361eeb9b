//! The delivery channels that a notice has used.

use domain::enums::DeliveryChannel;

/// A set of delivery channels; one bit each in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelSet(i16);

impl ChannelSet {
    /// The stored form: 1 api, 2 webhook, 4 email.
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// Reads the stored form; `None` if it has other bits.
    pub fn from_bits(bits: i16) -> Option<Self> {
        (0..8).contains(&bits).then_some(Self(bits))
    }

    pub const fn with(self, channel: DeliveryChannel) -> Self {
        let bit = match channel {
            DeliveryChannel::Api => 1,
            DeliveryChannel::Webhook => 2,
            DeliveryChannel::Email => 4,
        };
        Self(self.0 | bit)
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn contains(self, channel: DeliveryChannel) -> bool {
        self.with(channel) == self
    }
}
