//! Closed vocabularies: categories, channels, answers, outcomes. Each word has one spelling in SQL, JSON, metrics and
//! pages, and one number on the wire.

use std::{fmt, str::FromStr};

use proto::v1;

use crate::Invalid;

/// Declares a closed vocabulary with its spellings and its counterpart on the wire.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident $field:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every word, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The spelling in SQL, JSON, metrics and pages.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The number on the wire.
            pub const fn wire(self) -> i32 {
                match self {
                    $(Self::$variant => v1::$name::$variant as i32,)*
                }
            }

            /// Reads the number on the wire; an absent or unknown one is refused.
            pub fn from_wire(number: i32) -> Result<Self, Invalid> {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => Ok(Self::$variant),)*
                    Ok(v1::$name::Unspecified) => Err(Invalid::missing($field)),
                    Err(_) => Err(Self::unknown()),
                }
            }

            /// As [`Self::from_wire`], where the field may be absent.
            pub fn from_wire_optional(number: i32) -> Result<Option<Self>, Invalid> {
                if number == 0 { Ok(None) } else { Self::from_wire(number).map(Some) }
            }

            fn unknown() -> Invalid {
                let known = [$($text,)*].join(", ");
                Invalid::new("word_unknown", $field, format!("`{}` is not one of: {known}", $field))
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

words! {
    /// Severity of what a case shows.
    Category "category" { A = "A", B = "B", C = "C", }

    /// How a report came to the hotline.
    ReportChannel "channel" {
        Public = "public",
        PartnerHotline = "partner_hotline",
        Proactive = "proactive",
        /// A young person reports an image of themselves.
        ReportRemove = "report_remove",
    }

    /// What kind of material the report speaks of.
    Media "media" { Image = "image", Video = "video", Text = "text", }

    /// Report Remove's age bands.
    AgeBand "age_band" { Under13 = "under_13", AgeBand1315 = "13_15", AgeBand1617 = "16_17", }

    /// Why nothing is done about a case.
    NotActionableReason "reason" { NotIllegal = "not_illegal", NotFound = "not_found", OutOfScope = "out_of_scope", }

    /// What a reporter may be told.
    Outcome "outcome" {
        Received = "received",
        BeingLookedAt = "being_looked_at",
        BeingRemoved = "being_removed",
        Removed = "removed",
        NotAgainstTheLaw = "not_against_the_law",
        CouldNotFind = "could_not_find",
        Withdrawn = "withdrawn",
    }

    /// What a provider may say of a notice.
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

    /// What a provider is to a URL.
    ProviderRole "role" { Host = "host", Cdn = "cdn", Registrar = "registrar", Upstream = "upstream", }

    /// How a notice reaches a provider.
    DeliveryChannel "channel" { Api = "api", Webhook = "webhook", Email = "email", }

    /// Steps of an escalation ladder.
    Rung "rung" {
        Host = "host",
        Remind = "remind",
        NextContact = "next_contact",
        Upstream = "upstream",
        Registrar = "registrar",
        Regulator = "regulator",
        Supervisor = "supervisor",
    }

    /// Kinds of hash that are taken and matched.
    HashKind "hashes.kind" { Md5 = "md5", Sha1 = "sha1", Sha256 = "sha256", Pdq = "pdq", }

    /// Why verification is asked to look again.
    ReviewReason "reason" {
        Disputed = "disputed",
        Soft404 = "soft_404",
        NoContact = "no_contact",
        Onion = "onion",
        ReappearedChanged = "reappeared_changed",
        Replied = "replied",
    }

    /// What a mail is that came back to one of ours.
    MailKind "kind" { Bounced = "bounced", Delayed = "delayed", Automatic = "automatic", Reply = "reply", }

    /// What a member of staff may do.
    StaffRole "role" { Analyst = "analyst", Supervisor = "supervisor", Operator = "operator", Auditor = "auditor", }

    /// Where a case stands with dispatch.
    LiveState "live" {
        Up = "up",
        Gone = "gone",
        Watched = "watched",
        Held = "held",
        Exhausted = "exhausted",
        Closed = "closed",
        Withdrawn = "withdrawn",
    }

    /// Where a notice stands.
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

    /// Where a case stands with verification.
    AssessmentState "state" {
        Queued = "queued",
        Claimed = "claimed",
        AwaitingSecond = "awaiting_second",
        Actionable = "actionable",
        NotActionable = "not_actionable",
        NeedsInformation = "needs_information",
        PoliceHold = "police_hold",
        UnderReview = "under_review",
        Withdrawn = "withdrawn",
    }
}

impl ReviewReason {
    /// Something answers at the URL that is not what was seen before: a person has to say whether it is the material.
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
    fn words_survive_text_and_wire() {
        for word in Answer::ALL {
            assert_eq!(word.as_str().parse::<Answer>().as_ref(), Ok(word));
            assert_eq!(Answer::from_wire(word.wire()).as_ref(), Ok(word));
        }
        assert_eq!(Answer::from_wire(0).unwrap_err().code, "field_missing");
        assert_eq!(Answer::from_wire(999).unwrap_err().code, "word_unknown");
    }
}
