//! A provider's scorecard as a message.

use proto::v1;

use crate::cases::{clock_figure, length};
use crate::directory::store::{PunctualityCounts, Scorecard};

pub(super) fn scorecard_to_proto(card: &Scorecard) -> v1::Scorecard {
    let punctuality = |counts: &PunctualityCounts| v1::Punctuality {
        in_time: counts.in_time.cast_unsigned(),
        late: counts.late.cast_unsigned(),
        allowed: (counts.in_time + counts.late > 0).then(|| length(counts.allowed)),
    };
    v1::Scorecard {
        answered: Some(punctuality(&card.answered)),
        removed: Some(punctuality(&card.removed)),
        our_clocks: card.our_clocks.iter().map(clock_figure).collect(),
        retracted: card.retracted.cast_unsigned(),
        retracted_disputed: card.retracted_disputed.cast_unsigned(),
        disputes_open: card.disputes_open.cast_unsigned(),
        disputes_refused: card.disputes_refused.cast_unsigned(),
    }
}
