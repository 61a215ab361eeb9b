//! Enums: categories, channels, answers, outcomes. Each value has one name, used in SQL, JSON, metrics and
//! pages, and one number in protobuf messages.

use std::{fmt, str::FromStr};

use proto::v1;

use crate::Invalid;

/// Declares an enum with the name of each value and the protobuf enum of the same name. The literal after the
/// type is the field that parse errors name.
macro_rules! wire_enum {
    ($($(#[$doc:meta])* $name:ident $field:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the value in SQL, JSON, metrics and pages.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The number in protobuf messages.
            pub const fn wire(self) -> i32 {
                match self {
                    $(Self::$variant => v1::$name::$variant as i32,)*
                }
            }

            /// Parses the number of a protobuf message.
            ///
            /// # Errors
            /// `field_missing` for 0, `value_unknown` for an unknown number.
            pub fn from_wire(number: i32) -> Result<Self, Invalid> {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => Ok(Self::$variant),)*
                    Ok(v1::$name::Unspecified) => Err(Invalid::missing($field)),
                    Err(_) => Err(Self::unknown()),
                }
            }

            /// As [`Self::from_wire`], for an optional field.
            ///
            /// # Errors
            /// `value_unknown` for an unknown number.
            pub fn from_wire_optional(number: i32) -> Result<Option<Self>, Invalid> {
                if number == 0 { Ok(None) } else { Self::from_wire(number).map(Some) }
            }

            fn unknown() -> Invalid {
                let known = [$($text,)*].join(", ");
                Invalid::new("value_unknown", $field, format!("`{}` is not one of: {known}", $field))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    "" => Err(Invalid::missing($field)),
                    _ => Err(Self::unknown()),
                }
            }
        }
    )*};
}

wire_enum! {
    /// Severity of the material of a case, as graded by the UK Sentencing Council.
    Category "category" { A = "A", B = "B", C = "C", }

    /// The report channel: how a report arrived at the hotline.
    ReportChannel "channel" {
        Public = "public",
        PartnerHotline = "partner_hotline",
        Proactive = "proactive",
        /// A young person reports an image of themselves.
        ReportRemove = "report_remove",
    }

    /// The kind of material that a report is about.
    Media "media" { Image = "image", Video = "video", Text = "text", }

    /// The age bands of Report Remove.
    AgeBand "age_band" { Under13 = "under_13", AgeBand1315 = "13_15", AgeBand1617 = "16_17", }

    /// Why a case is not actionable.
    NotActionableReason "reason" { NotIllegal = "not_illegal", NotFound = "not_found", OutOfScope = "out_of_scope", }

    /// What a reporter is told about a report.
    Outcome "outcome" {
        Received = "received",
        BeingAssessed = "being_assessed",
        BeingRemoved = "being_removed",
        Removed = "removed",
        NotAgainstTheLaw = "not_against_the_law",
        CouldNotFind = "could_not_find",
        Withdrawn = "withdrawn",
    }

    /// A provider's answer to a notice.
    Answer "answer" {
        Acknowledged = "acknowledged",
        Removed = "removed",
        Unavailable = "unavailable",
        Moved = "moved",
        NotOurs = "not_ours",
        Preserved = "preserved",
        NeedInformation = "need_information",
        NeedTime = "need_time",
        Disputed = "disputed",
        NoAction = "no_action",
    }

    /// What a provider does for a URL.
    ProviderRole "role" { Host = "host", Cdn = "cdn", Registrar = "registrar", Upstream = "upstream", }

    /// The delivery channel: how a message reaches a provider.
    DeliveryChannel "channel" { Api = "api", Webhook = "webhook", Email = "email", }

    /// A step of an escalation ladder.
    Rung "rung" {
        Host = "host",
        Remind = "remind",
        NextContact = "next_contact",
        Upstream = "upstream",
        Registrar = "registrar",
        Regulator = "regulator",
        Supervisor = "supervisor",
    }

    /// The kinds of hash that are accepted and matched.
    HashKind "hashes.kind" { Md5 = "md5", Sha1 = "sha1", Sha256 = "sha256", Pdq = "pdq", }

    /// Why dispatch requests a review.
    ReviewReason "reason" {
        Disputed = "disputed",
        Soft404 = "soft_404",
        NoContact = "no_contact",
        Onion = "onion",
        ReappearedChanged = "reappeared_changed",
        Replied = "replied",
    }

    /// The kind of a message about a notice.
    MessageKind "message" {
        /// The first message about a notice.
        Notice = "notice",
        /// The first message about a notice whose step is a reminder or a next contact.
        Reminder = "reminder",
        /// The hotline's answer to a provider's question.
        Information = "information",
        /// The verdict was upheld in a review.
        Upheld = "upheld",
        /// The verdict was withdrawn.
        Retraction = "retraction",
    }

    /// What a key signs.
    SigningPurpose "purpose" {
        Notice = "notice",
        Webhook = "webhook",
        Proof = "proof",
        Checkpoint = "checkpoint",
    }

    /// Which deadline of a notice has passed.
    DeadlineKind "deadline" { Acknowledge = "acknowledge", Remove = "remove", Received = "received", }

    /// How dispatch learned that another provider has the content.
    HostMoveSource "source" { Answered = "answered", Resolved = "resolved", }

    /// Why a notice was withdrawn.
    NoticeWithdrawalReason "reason" { VerdictWithdrawn = "verdict_withdrawn", }

    /// Who can decide a case next.
    AwaitedRole "waits_for" {
        Analyst = "analyst",
        Supervisor = "supervisor",
        /// All accounts belong to people who reported the case or gave the first of its two verdicts.
        NoEligibleStaff = "nobody",
    }

    /// The kind of a mail that arrived in response to a notice.
    MailKind "kind" { Bounced = "bounced", Delayed = "delayed", Automatic = "automatic", Reply = "reply", }

    /// What a member of staff may do.
    StaffRole "role" { Analyst = "analyst", Supervisor = "supervisor", Operator = "operator", Auditor = "auditor", }

    /// The content status of a case.
    ContentStatus "content_status" {
        Online = "online",
        Offline = "offline",
        Watched = "watched",
        Held = "held",
        Exhausted = "exhausted",
        Closed = "closed",
        Withdrawn = "withdrawn",
    }

    /// The state of a notice.
    NoticeState "state" {
        Queued = "queued",
        Sent = "sent",
        Delivered = "delivered",
        Acknowledged = "acknowledged",
        RemovalClaimed = "removal_claimed",
        Removed = "removed",
        Watched = "watched",
        Closed = "closed",
        Bounced = "bounced",
        NotOurs = "not_ours",
        NeedInformation = "need_information",
        NeedTime = "need_time",
        Preserved = "preserved",
        Disputed = "disputed",
        NoAction = "no_action",
        Escalated = "escalated",
        Moved = "moved",
        Withdrawn = "withdrawn",
    }

    /// The state of an assessment.
    AssessmentState "state" {
        Queued = "queued",
        Claimed = "claimed",
        AwaitingSecondOpinion = "awaiting_second_opinion",
        Actionable = "actionable",
        NotActionable = "not_actionable",
        NeedsInformation = "needs_information",
        PoliceHold = "police_hold",
        UnderReview = "under_review",
        Withdrawn = "withdrawn",
    }
}

impl ReviewReason {
    /// True if the page at the URL has changed, so that a person must decide whether it still shows the
    /// material.
    pub const fn is_about_page(self) -> bool {
        match self {
            Self::Soft404 | Self::ReappearedChanged => true,
            Self::Disputed | Self::NoContact | Self::Onion | Self::Replied => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_through_text_and_protobuf() {
        for answer in Answer::ALL {
            assert_eq!(answer.as_str().parse::<Answer>().as_ref(), Ok(answer));
            assert_eq!(Answer::from_wire(answer.wire()).as_ref(), Ok(answer));
        }
        assert_eq!(Answer::from_wire(0).unwrap_err().code, "field_missing");
        assert_eq!(Answer::from_wire(999).unwrap_err().code, "value_unknown");
    }
}
