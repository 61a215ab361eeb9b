//! The pages: each asks the owners, and shows what they answer. No decision about a case is made here.

pub(crate) mod acts;
pub(crate) mod case;
pub(crate) mod cases;
mod choice;
pub(crate) mod decide;
pub(crate) mod lists;
pub(crate) mod overdue;
pub(crate) mod parked;
pub(crate) mod pipeline;
pub(crate) mod providers;
pub(crate) mod queue;
mod row;
pub(crate) mod shift;
pub(crate) mod sign_in;
mod signs;
mod stages;

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::response::Html;
use platform::error::Problem;
use proto::v1;

use crate::board::part;
use crate::edge::Edge;
use crate::refused::Refused;
use crate::session::Signed;
use crate::tokens::Who;

/// What surrounds every page.
pub(crate) struct Frame {
    /// The entry of the menu that this page belongs to.
    pub(crate) here: &'static str,
    pub(crate) who: Option<Arc<Who>>,
    pub(crate) form_token: String,
    /// What was done just now; empty where nothing was.
    pub(crate) done: &'static str,
}

/// Entries of the menu, in the order of their keys 1, 2, 3 …; the last two for those who may read them.
const MENU: [(&str, &str); 8] = [
    ("/", "Pipeline"),
    ("/queue", "Queue"),
    ("/overdue", "Overdue"),
    ("/cases", "Cases"),
    ("/providers", "Providers"),
    ("/lists", "Lists and rules"),
    ("/shift", "Shift"),
    ("/parked", "Parked"),
];

impl Frame {
    pub(crate) fn new(here: &'static str, signed: &Signed) -> Self {
        Self {
            here,
            who: Some(signed.who.clone()),
            form_token: signed.session.form_token(),
            done: "",
        }
    }

    /// Around a page that is shown to anybody.
    pub(crate) fn outside() -> Self {
        Self {
            here: "",
            who: None,
            form_token: String::new(),
            done: "",
        }
    }

    /// What the reader finds in the menu.
    pub(crate) fn menu(&self) -> Vec<(&'static str, &'static str)> {
        let Some(who) = self.who.as_deref() else {
            return Vec::new();
        };
        let is_theirs = |path: &str| match path {
            "/shift" => who.oversees(),
            "/parked" => who.oversees() || who.operator,
            _ => true,
        };
        let entries = MENU.into_iter();
        entries.filter(|(path, _)| is_theirs(path)).collect()
    }

    pub(crate) fn is_here(&self, path: &str) -> bool {
        self.here == path
    }

    /// Says what was done, where the address names something that can be done.
    pub(crate) fn done(mut self, code: Option<&str>) -> Self {
        self.done = match code.unwrap_or_default() {
            "released" => "The case is back in the queue.",
            "withdrawn" => {
                "The verdict is withdrawn. Notices that stand on it are being retracted."
            }
            "undone" => {
                "The verdict is taken back, and the case is in the queue again. Notices that stood on it are being retracted."
            }
            "queued" => "The case is in the queue again.",
            "held" => "A police hold is on this case. Nothing is sent while it lasts.",
            "unheld" => "The police hold is lifted. The case goes on from where it was.",
            "supplied" => "Your answer is on its way to the provider, and its clock goes on.",
            "approved" => "Approved. It decides from now on, also what is waiting already.",
            "retired" => "Retired. It decides nothing from now on.",
            "empty" => "Nothing waits that you could take. Well done.",
            _ => "",
        };
        self
    }
}

/// What a table shows in place of rows that an owner did not give.
pub(crate) struct Missing {
    pub(crate) what: &'static str,
    pub(crate) detail: String,
}

impl Missing {
    pub(crate) fn new(what: &'static str, problem: &Problem) -> Self {
        Self {
            what,
            detail: problem.detail.clone(),
        }
    }
}

fn render(page: &impl Template) -> Result<Html<String>, Refused> {
    Ok(Html(page.render()?))
}

/// A page of a list, from `?cursor=`.
fn page_of(cursor: Option<&String>) -> v1::Page {
    v1::Page {
        size: 0,
        cursor: cursor.cloned().unwrap_or_default(),
    }
}

/// Names of staff by subject. Without them pages show the beginning of a subject.
struct Names(HashMap<String, String>);

impl Names {
    async fn read(edge: &Edge, signed: &Signed) -> Result<Self, Refused> {
        let mut client = edge.verification(signed).await?;
        let request = v1::ListStaffRequest {};
        let staff = part(edge.ask(client.list_staff(request)).await)?;
        let staff = staff.map(|answer| answer.staff).unwrap_or_default();
        Ok(Self(
            staff
                .into_iter()
                .map(|one| (one.subject, one.name))
                .collect(),
        ))
    }

    /// Several people; empty for nobody.
    fn of_all(&self, subjects: &[String]) -> String {
        let names: Vec<String> = subjects.iter().map(|one| self.of(one)).collect();
        names.join(", ")
    }

    fn of(&self, subject: &str) -> String {
        match self.0.get(subject) {
            Some(name) => name.clone(),
            None => crate::show::short(subject).to_owned(),
        }
    }
}
