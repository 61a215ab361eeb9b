//! RPCs about cases and notices: for providers, for staff, and for the gateway's links and inbound mail.

mod answers;
mod inbound_mail;
mod link;
mod notice_proto;
mod notices;
mod staff;

pub(crate) use answers::{AnswerCall, AnswerCallResult, group_commit};
pub(crate) use notice_proto::{clock_figure, length, stage_count};
