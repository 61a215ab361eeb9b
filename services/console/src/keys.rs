//! The console's single-key shortcuts: one key has one action on every page, for every role.
//!
//! Pages put a [`Shortcut`] on the element that it activates, the help dialog and `docs/CONSOLE.md` list them, and
//! `assets/console.js` finds the action of a pressed key in the dialog. It handles `/`, `?`, Esc and Enter itself.

use std::fmt;

use askama::filters::HtmlSafe;

/// The pages of a shortcut that works wherever a member of staff is signed in.
const EVERYWHERE: &str = "every page";

macro_rules! shortcuts {
    ($($variant:ident $name:literal $key:literal $pages:expr, $action:literal;)*) => {
        /// An action that a single key performs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Shortcut {
            $($variant,)*
        }

        impl Shortcut {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of `data-shortcut`.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// As it is printed on a keyboard, in lower case.
            pub(crate) const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)* }
            }

            /// On which pages it works.
            pub(crate) const fn pages(self) -> &'static str {
                match self { $(Self::$variant => $pages,)* }
            }

            /// What it does, for the help dialog and the documentation.
            pub(crate) const fn action(self) -> &'static str {
                match self { $(Self::$variant => $action,)* }
            }
        }
    };
}

// No `q`: a Hebrew layout has `/` on that key.
shortcuts! {
    Pipeline "pipeline" "1" EVERYWHERE, "Open Pipeline";
    Queue "queue" "2" EVERYWHERE, "Open Queue";
    Overdue "overdue" "3" EVERYWHERE, "Open Overdue";
    Cases "cases" "4" EVERYWHERE, "Open Cases";
    Providers "providers" "5" EVERYWHERE, "Open Providers";
    Lists "lists" "6" EVERYWHERE, "Open Lists and rules";
    Shift "shift" "7" EVERYWHERE, "Open Shift (supervisors and auditors)";
    Parked "parked" "8" EVERYWHERE, "Open Parked events (supervisors, auditors and operators)";
    Find "find" "/" EVERYWHERE, "Find a case";
    Help "help" "?" EVERYWHERE, "Show the keys of this page";
    Leave "leave" "Esc" EVERYWHERE, "Leave a field, or close the list of keys";
    ClaimNext "claim-next" "n" "Queue, case", "Claim the most urgent case";
    ClaimCase "claim-case" "t" "decision page of an unclaimed case", "Claim this case";
    Decide "decide" "d" "case", "Open the decision page";
    CategoryA "category-a" "a" "decision page", "Choose category A";
    CategoryB "category-b" "b" "decision page", "Choose category B";
    CategoryC "category-c" "c" "decision page", "Choose category C";
    NotIllegal "not-illegal" "l" "decision page", "Choose not illegal";
    NotFound "not-found" "f" "decision page", "Choose nothing found";
    OutOfScope "out-of-scope" "o" "decision page", "Choose out of scope";
    NeedsInformation "needs-information" "i" "decision page", "Choose needs more information";
    SecondOpinion "second-opinion" "s" "decision page", "Choose second opinion";
    Uphold "uphold" "u" "decision page of a review", "Choose uphold";
    Offline "offline" "e" "decision page of a review", "Choose offline or something else";
    WithdrawReviewed "withdraw-reviewed" "w" "decision page of a review", "Choose withdraw";
    Record "record" "Enter" "decision page, after a verdict is chosen", "Record the verdict and claim the next case";
    Reveal "reveal" "r" "decision page", "Write a reason to reveal the URL";
    CopyUrl "copy-url" "y" "decision page, after a reveal", "Copy the URL";
    Release "release" "z" "decision page", "Return the case to the queue";
    PoliceHold "police-hold" "h" "decision page, case", "Put the case on police hold";
    LiftPoliceHold "lift-hold" "v" "case on police hold", "Lift the police hold";
    WithdrawVerdict "withdraw-verdict" "x" "case, or after a verdict is recorded", "Withdraw the verdict";
    AssessAgain "assess-again" "g" "case with a withdrawn verdict", "Assess the case again";
    PauseUpdates "pause-updates" "p" "Pipeline, Overdue, Shift", "Pause or resume updates";
}

impl Shortcut {
    /// The shortcuts that do not work on every page: the help dialog shows those whose element is on the page.
    pub(crate) fn page_specific() -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|shortcut| shortcut.pages() != EVERYWHERE)
    }

    /// The attributes of the element that the key activates.
    pub(crate) fn attributes(self) -> ShortcutAttributes {
        ShortcutAttributes(self)
    }

    /// The key, shown behind a label. Assistive technology reads `aria-keyshortcuts` instead.
    pub(crate) fn hint(self) -> ShortcutHint {
        ShortcutHint(self)
    }
}

pub(crate) struct ShortcutAttributes(Shortcut);

impl fmt::Display for ShortcutAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = (self.0.name(), self.0.key());
        write!(f, "data-shortcut=\"{name}\" aria-keyshortcuts=\"{key}\"")
    }
}

impl HtmlSafe for ShortcutAttributes {}

pub(crate) struct ShortcutHint(Shortcut);

impl fmt::Display for ShortcutHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.key();
        write!(f, " <kbd class=\"js\" aria-hidden=\"true\">{key}</kbd>")
    }
}

impl HtmlSafe for ShortcutHint {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn one_key_has_one_action_and_one_action_has_one_key() {
        let keys: BTreeSet<_> = Shortcut::ALL.iter().map(|s| s.key()).collect();
        let names: BTreeSet<_> = Shortcut::ALL.iter().map(|s| s.name()).collect();
        let actions: BTreeSet<_> = Shortcut::ALL.iter().map(|s| s.action()).collect();
        let all = Shortcut::ALL.len();
        assert_eq!((keys.len(), names.len(), actions.len()), (all, all, all));
    }

    #[test]
    fn no_shortcut_uses_the_key_that_types_a_slash_on_a_hebrew_layout() {
        assert!(Shortcut::ALL.iter().all(|shortcut| shortcut.key() != "q"));
    }

    #[test]
    fn the_documentation_lists_every_key() {
        let page = include_str!("../../../docs/CONSOLE.md");
        let row = |s: &Shortcut| {
            format!(
                "| <kbd>{}</kbd> | {} | {} |",
                s.key(),
                s.pages(),
                s.action()
            )
        };
        let wanted: Vec<String> = Shortcut::ALL.iter().map(row).collect();
        let listed = page.lines().filter(|line| line.starts_with("| <kbd>"));
        assert_eq!(listed.collect::<Vec<_>>(), wanted);
    }
}
