//! The state of a case in the ledger: pure and total.
//!
//! The events of one service about a case arrive in order, but events of different services may arrive in any
//! order. Therefore each fact of the state is changed by events of one service only, and the stage is derived
//! from the facts: it does not depend on the order in which services were read.

#[cfg(test)]
mod tests;

/// Declares an enum with the name of each value in the database.
macro_rules! text_enum {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the database and in responses.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    )*};
}

text_enum! {
    /// The latest fact from verification.
    Verdict {
        None = "none",
        /// The URL was revealed; there is no verdict yet.
        BeingAssessed = "being_assessed",
        Actionable = "actionable",
        NotActionable = "not_actionable",
        /// An actionable verdict was withdrawn.
        Withdrawn = "withdrawn",
    }

    /// The latest fact from dispatch.
    Removal {
        None = "none",
        /// A provider was notified; removal is not confirmed.
        Notified = "notified",
        /// Passed to the regulator or a supervisor, with no provider left to notify.
        Exhausted = "exhausted",
        /// Removal was confirmed.
        Removed = "removed",
        /// Offline until the end of the watch period.
        Closed = "closed",
    }

    /// The stages under which reports are counted.
    CaseStage {
        Received = "received",
        BeingAssessed = "being_assessed",
        Actionable = "actionable",
        BeingRemoved = "being_removed",
        Exhausted = "exhausted",
        Removed = "removed",
        Closed = "closed",
        NotActionable = "not_actionable",
        VerdictWithdrawn = "verdict_withdrawn",
        Held = "held",
        /// Withdrawn reports, whatever the stage of their case.
        ReportWithdrawn = "report_withdrawn",
    }
}

/// The facts of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub verdict: Verdict,
    pub held: bool,
    pub removal: Removal,
}

impl State {
    /// A case without events.
    pub const NEW: Self = Self {
        verdict: Verdict::None,
        held: false,
        removal: Removal::None,
    };

    /// The stage of the case.
    pub const fn stage(self) -> CaseStage {
        if self.held {
            return CaseStage::Held;
        }
        match (self.verdict, self.removal) {
            (Verdict::Withdrawn, _) => CaseStage::VerdictWithdrawn,
            (Verdict::NotActionable, _) => CaseStage::NotActionable,
            (Verdict::None, Removal::None) => CaseStage::Received,
            (Verdict::BeingAssessed, Removal::None) => CaseStage::BeingAssessed,
            (Verdict::Actionable, Removal::None) => CaseStage::Actionable,
            // Dispatch acts only on a verdict. If its event arrives first, the verdict's event is still to
            // come.
            (_, Removal::Notified) => CaseStage::BeingRemoved,
            (_, Removal::Exhausted) => CaseStage::Exhausted,
            (_, Removal::Removed) => CaseStage::Removed,
            (_, Removal::Closed) => CaseStage::Closed,
        }
    }
}

/// The change that an event makes to the state of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The URL was revealed to a member of staff.
    RevealUrl,
    DecideActionable,
    DecideNotActionable,
    /// The verdict was withdrawn.
    WithdrawVerdict,
    StartPoliceHold,
    EndPoliceHold,
    /// A provider was notified.
    NotifyProvider,
    /// A rung fired and created a notice.
    Escalate,
    /// A rung fired that creates no notice (regulator, supervisor).
    Exhaust,
    ConfirmRemoval,
    /// The content is online again, or removal resumes.
    Reopen,
    Close,
    /// Removal ended because the verdict was withdrawn.
    CancelRemoval,
}

/// The state after a command. Every command is accepted in every state, because the ledger only records.
pub const fn apply(state: State, command: Command) -> State {
    let State {
        mut verdict,
        mut held,
        mut removal,
    } = state;
    match command {
        Command::RevealUrl => {
            verdict = match verdict {
                // The URL of a withdrawn case is revealed only when the case is assessed again.
                Verdict::None | Verdict::BeingAssessed | Verdict::Withdrawn => {
                    Verdict::BeingAssessed
                }
                decided @ (Verdict::Actionable | Verdict::NotActionable) => decided,
            }
        }
        Command::DecideActionable => verdict = Verdict::Actionable,
        Command::DecideNotActionable => verdict = Verdict::NotActionable,
        Command::WithdrawVerdict => {
            verdict = match verdict {
                Verdict::Actionable | Verdict::Withdrawn => Verdict::Withdrawn,
                // No provider was notified: the case waits for a verdict again.
                Verdict::NotActionable | Verdict::None => Verdict::None,
                Verdict::BeingAssessed => Verdict::BeingAssessed,
            }
        }
        Command::StartPoliceHold => held = true,
        Command::EndPoliceHold => held = false,
        Command::NotifyProvider => {
            removal = match removal {
                Removal::None => Removal::Notified,
                // A reminder, or a message sent before the removal was confirmed.
                unchanged @ (Removal::Notified
                | Removal::Exhausted
                | Removal::Removed
                | Removal::Closed) => unchanged,
            }
        }
        Command::Escalate => {
            removal = match removal {
                Removal::None | Removal::Notified | Removal::Exhausted => Removal::Notified,
                offline @ (Removal::Removed | Removal::Closed) => offline,
            }
        }
        Command::Exhaust => {
            removal = match removal {
                Removal::None | Removal::Notified | Removal::Exhausted => Removal::Exhausted,
                offline @ (Removal::Removed | Removal::Closed) => offline,
            }
        }
        Command::ConfirmRemoval => removal = Removal::Removed,
        Command::Reopen => removal = Removal::Notified,
        Command::Close => removal = Removal::Closed,
        Command::CancelRemoval => removal = Removal::None,
    }
    State {
        verdict,
        held,
        removal,
    }
}
