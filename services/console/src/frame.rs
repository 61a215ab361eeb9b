//! What surrounds every page: the menu, the name of the member of staff, what was done or refused just now.

use std::sync::Arc;

use axum_extra::extract::CookieJar;

use crate::edge::Edge;
use crate::form::{FieldError, RefusedForm};
use crate::keys::Shortcut;
use crate::session::{Session, SignedIn};
use crate::tokens::{Audience, StaffMember};

pub(crate) struct Frame {
    /// The entry of the menu that the page belongs to.
    menu_path: &'static str,
    pub(crate) staff: Option<Arc<StaffMember>>,
    pub(crate) form_token: String,
    /// What was done just now; empty where nothing was.
    pub(crate) done: &'static str,
    pub(crate) refused: Option<RefusedForm>,
    /// The page's own address, where it answers a form that was sent to another one.
    pub(crate) address: Option<String>,
}

pub(crate) struct MenuEntry {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) shortcut: Shortcut,
}

const fn entry(path: &'static str, name: &'static str, shortcut: Shortcut) -> MenuEntry {
    MenuEntry {
        path,
        name,
        shortcut,
    }
}

/// The last two are for those who may read them. An entry's key does not depend on the reader's roles.
const MENU: [MenuEntry; 8] = [
    entry("/", "Pipeline", Shortcut::Pipeline),
    entry("/queue", "Queue", Shortcut::Queue),
    entry("/overdue", "Overdue", Shortcut::Overdue),
    entry("/cases", "Cases", Shortcut::Cases),
    entry("/providers", "Providers", Shortcut::Providers),
    entry("/lists", "Lists and rules", Shortcut::Lists),
    entry("/shift", "Shift", Shortcut::Shift),
    entry("/parked", "Parked events", Shortcut::Parked),
];

impl Frame {
    pub(crate) fn new(menu_path: &'static str, signed_in: &SignedIn) -> Self {
        Self {
            menu_path,
            staff: Some(signed_in.staff.clone()),
            form_token: signed_in.session.form_token(),
            done: "",
            refused: None,
            address: None,
        }
    }

    /// Around a page for visitors without a session.
    pub(crate) fn signed_out() -> Self {
        Self {
            menu_path: "",
            staff: None,
            form_token: String::new(),
            done: "",
            refused: None,
            address: None,
        }
    }

    /// Around an error page: the menu and the name stay, also while verification does not respond.
    pub(crate) async fn for_error(edge: &Edge, jar: &CookieJar, path: &str) -> Self {
        let Some(session) = Session::from_jar(edge, jar) else {
            return Self::signed_out();
        };
        let staff = match edge.tokens.last_known_staff(session.expose()) {
            Some(staff) => Some(staff),
            None => match edge.token(&session, Audience::Verification).await {
                Ok(token) => Some(token.staff),
                Err(_) => None,
            },
        };
        let Some(staff) = staff else {
            return Self::signed_out();
        };
        let mut paths = MENU.iter().map(|entry| entry.path).skip(1);
        let menu_path = paths.find(|entry| path.starts_with(entry)).unwrap_or("");
        Self::new(menu_path, &SignedIn { session, staff })
    }

    /// The entries that the reader may open.
    pub(crate) fn menu(&self) -> Vec<&'static MenuEntry> {
        let Some(staff) = self.staff.as_deref() else {
            return Vec::new();
        };
        let is_readable = |path: &str| match path {
            "/shift" => staff.oversees_staff(),
            "/parked" => staff.oversees_staff() || staff.is_operator,
            _ => true,
        };
        MENU.iter()
            .filter(|entry| is_readable(entry.path))
            .collect()
    }

    pub(crate) fn is_current(&self, entry: &MenuEntry) -> bool {
        self.menu_path == entry.path
    }

    /// Shows what was done, where the address contains the code of an act.
    pub(crate) fn with_done(mut self, code: Option<&str>) -> Self {
        self.done = match code.unwrap_or_default() {
            "released" | "queued" => "The case is back in the queue.",
            "withdrawn" => "The verdict is withdrawn. Notices based on it are being retracted.",
            "withdrawn-and-queued" => {
                "The verdict is withdrawn and the case is back in the queue. Notices based on it are being retracted."
            }
            "police-hold" => "The case is on police hold. No notices are sent until the hold ends.",
            "hold-lifted" => "The police hold is lifted. The case continues from where it was.",
            "answered" => {
                "Your answer is being sent to the provider. The provider's deadline is running again."
            }
            "approved" => "Approved. It now decides new cases and the cases that are waiting.",
            "retired" => "Retired. It no longer decides any case.",
            "nothing-to-claim" => "There is no case in the queue that you can claim at the moment.",
            _ => "",
        };
        self
    }

    /// Shows a refused form again, in the page at this address.
    pub(crate) fn with_refused(
        mut self,
        refused: Option<RefusedForm>,
        address: impl Into<String>,
    ) -> Self {
        if refused.is_some() {
            self.refused = refused;
            self.address = Some(address.into());
        }
        self
    }

    /// What was typed into a field that was refused; empty otherwise.
    pub(crate) fn typed(&self, form: &str, field: &str) -> &str {
        let refused = self.refused.as_ref();
        refused.map_or("", |refused| refused.value(form, field))
    }

    /// Whether this form was refused just now.
    pub(crate) fn is_refused(&self, form: &str) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|refused| refused.is_for(form))
    }

    /// The message at a field.
    pub(crate) fn field_error(&self, form: &str, field: &str) -> FieldError<'_> {
        FieldError::new(self.refused.as_ref(), form, field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_is_in_the_order_of_its_keys() {
        let keys: Vec<_> = MENU.iter().map(|entry| entry.shortcut.key()).collect();
        assert_eq!(keys, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }
}
