//! Where a case stands, as far as the ledger has heard: pure and total. No clock, no I/O, no strings but names.
//!
//! Each service's events about a case come in order, but two services' events may overtake each other. So a state is
//! made of facts that one service alone speaks of, and the stage follows from the facts: it is the same in whichever
//! order the services were heard.

#[cfg(test)]
mod tests;

/// Declares the values of a column with their spellings.
macro_rules! spelled {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    )*};
}

spelled! {
    /// What verification last said.
    Verdict {
        None = "none",
        /// An analyst opened it; no verdict yet.
        LookedAt = "looked_at",
        Actionable = "actionable",
        NotActionable = "not_actionable",
        /// An actionable verdict was taken back.
        Withdrawn = "withdrawn",
    }

    /// What dispatch last said.
    Removal {
        None = "none",
        /// Somebody was told, and it is not gone.
        Noticed = "noticed",
        /// Handed over to a supervisor or the regulator; nobody is left to tell.
        Exhausted = "exhausted",
        /// Checks agreed that it is gone.
        Removed = "removed",
        /// Gone to the end of the watch.
        Closed = "closed",
    }

    /// Where reports are counted.
    Stage {
        Received = "received",
        BeingLookedAt = "being_looked_at",
        Actionable = "actionable",
        BeingRemoved = "being_removed",
        Exhausted = "exhausted",
        Removed = "removed",
        Closed = "closed",
        NotActionable = "not_actionable",
        VerdictWithdrawn = "verdict_withdrawn",
        Held = "held",
        /// Reports that were taken back, wherever their cases stand.
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
    /// Of a case that nobody has spoken of.
    pub const NEW: Self = Self {
        verdict: Verdict::None,
        held: false,
        removal: Removal::None,
    };

    pub const fn stage(self) -> Stage {
        if self.held {
            return Stage::Held;
        }
        match (self.verdict, self.removal) {
            (Verdict::Withdrawn, _) => Stage::VerdictWithdrawn,
            (Verdict::NotActionable, _) => Stage::NotActionable,
            (Verdict::None, Removal::None) => Stage::Received,
            (Verdict::LookedAt, Removal::None) => Stage::BeingLookedAt,
            (Verdict::Actionable, Removal::None) => Stage::Actionable,
            // Dispatch acts on a verdict alone: where it was heard first, the verdict is still to be heard.
            (_, Removal::Noticed) => Stage::BeingRemoved,
            (_, Removal::Exhausted) => Stage::Exhausted,
            (_, Removal::Removed) => Stage::Removed,
            (_, Removal::Closed) => Stage::Closed,
        }
    }
}

/// What an event says of where its case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// An analyst opened the URL.
    Look,
    Act,
    Reject,
    /// The verdict was taken back.
    Withdraw,
    Hold,
    Release,
    /// Somebody was told.
    Notify,
    /// A rung fired and opened a notice.
    Escalate,
    /// A rung fired for which nobody is sent anything.
    HandOver,
    Confirm,
    /// It was seen again, or is acted upon again.
    Reopen,
    Close,
    /// Nothing is done any more, because the verdict was taken back.
    GiveUp,
}

/// What is so after a command. Every command is taken in every state: the ledger only listens.
pub const fn apply(state: State, command: Command) -> State {
    let State {
        mut verdict,
        mut held,
        mut removal,
    } = state;
    match command {
        Command::Look => {
            verdict = match verdict {
                // What was taken back is looked at only once it is assessed anew.
                Verdict::None | Verdict::LookedAt | Verdict::Withdrawn => Verdict::LookedAt,
                decided @ (Verdict::Actionable | Verdict::NotActionable) => decided,
            }
        }
        Command::Act => verdict = Verdict::Actionable,
        Command::Reject => verdict = Verdict::NotActionable,
        Command::Withdraw => {
            verdict = match verdict {
                Verdict::Actionable | Verdict::Withdrawn => Verdict::Withdrawn,
                // Nobody was told anything: the case simply waits again.
                Verdict::NotActionable | Verdict::None => Verdict::None,
                Verdict::LookedAt => Verdict::LookedAt,
            }
        }
        Command::Hold => held = true,
        Command::Release => held = false,
        Command::Notify => {
            removal = match removal {
                Removal::None => Removal::Noticed,
                // A reminder, or a sending that the removal overtook.
                further @ (Removal::Noticed
                | Removal::Exhausted
                | Removal::Removed
                | Removal::Closed) => further,
            }
        }
        Command::Escalate => {
            removal = match removal {
                Removal::None | Removal::Noticed | Removal::Exhausted => Removal::Noticed,
                gone @ (Removal::Removed | Removal::Closed) => gone,
            }
        }
        Command::HandOver => {
            removal = match removal {
                Removal::None | Removal::Noticed | Removal::Exhausted => Removal::Exhausted,
                gone @ (Removal::Removed | Removal::Closed) => gone,
            }
        }
        Command::Confirm => removal = Removal::Removed,
        Command::Reopen => removal = Removal::Noticed,
        Command::Close => removal = Removal::Closed,
        Command::GiveUp => removal = Removal::None,
    }
    State {
        verdict,
        held,
        removal,
    }
}
