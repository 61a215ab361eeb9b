//! The notices of a locked case, each reached by its own index.

use std::ops::{Index, IndexMut};

use domain::id::NoticeId;

use crate::cases::store::Notice;

/// Position of a notice in its case. Only [`Notices`] makes one, and nothing else accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cases::commands) struct NoticeIdx(usize);

/// All notices of a case, by episode and step.
#[derive(Default)]
pub(in crate::cases::commands) struct Notices(Vec<Notice>);

impl Notices {
    /// Adds a notice, which is newer than the others.
    pub(super) fn push(&mut self, notice: Notice) -> NoticeIdx {
        self.0.push(notice);
        NoticeIdx(self.0.len() - 1)
    }

    /// The positions of all notices, in order.
    pub(in crate::cases::commands) fn indices(&self) -> impl Iterator<Item = NoticeIdx> + use<> {
        (0..self.0.len()).map(NoticeIdx)
    }

    pub(in crate::cases::commands) fn iter(&self) -> std::slice::Iter<'_, Notice> {
        self.0.iter()
    }

    pub(in crate::cases::commands) fn find(&self, id: NoticeId) -> Option<NoticeIdx> {
        self.0.iter().position(|n| n.id == id).map(NoticeIdx)
    }
}

impl Index<NoticeIdx> for Notices {
    type Output = Notice;

    fn index(&self, n: NoticeIdx) -> &Notice {
        &self.0[n.0]
    }
}

impl IndexMut<NoticeIdx> for Notices {
    fn index_mut(&mut self, n: NoticeIdx) -> &mut Notice {
        &mut self.0[n.0]
    }
}
