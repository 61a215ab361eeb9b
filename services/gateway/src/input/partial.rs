//! Lists of which a part may be wrong: the good items go on together, and the answers come back in the sender's order.

use platform::error::Problem;
use proto::v1;

use crate::problem::{Refused, of_item};

/// The good items of a list with their places, and what is wrong with the others.
pub(crate) struct Partial<T> {
    name: &'static str,
    pub(crate) good: Vec<T>,
    places: Vec<usize>,
    bad: Vec<(usize, Problem)>,
}

impl<T> Partial<T> {
    /// `name` is what the sender calls the list.
    pub(crate) fn sort(
        name: &'static str,
        items: impl IntoIterator<Item = Result<T, Refused>>,
    ) -> Self {
        let mut sorted = Self {
            name,
            good: Vec::new(),
            places: Vec::new(),
            bad: Vec::new(),
        };
        for (place, item) in items.into_iter().enumerate() {
            match item {
                Ok(item) => {
                    sorted.good.push(item);
                    sorted.places.push(place);
                }
                Err(refused) => sorted.bad.push((place, *refused.problem)),
            }
        }
        sorted
    }

    /// Takes the good items out, to be sent.
    pub(crate) fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.good)
    }

    /// Puts the owner's results, one for each good item in order, among the refusals of our own; None where the owner
    /// answered another number of items than it was asked.
    pub(crate) fn join<R>(
        self,
        results: Vec<R>,
        mut problem: impl FnMut(usize, Problem) -> R,
    ) -> Option<Vec<R>> {
        if results.len() != self.places.len() {
            return None;
        }
        let refused = self
            .bad
            .into_iter()
            .map(|(place, refused)| (place, problem(place, refused)));
        let mut all: Vec<_> = self
            .places
            .into_iter()
            .zip(results)
            .chain(refused)
            .collect();
        all.sort_by_key(|(place, _)| *place);
        Some(all.into_iter().map(|(_, result)| result).collect())
    }

    /// The owner's problem with the n-th good item, its field named by the place in the sender's list.
    pub(crate) fn problem(&self, n: usize, item: &v1::ItemProblem) -> Problem {
        let mut problem = of_item(item);
        if let (Some(place), Some(field)) = (self.places.get(n), problem.field.as_deref()) {
            let rest = field
                .strip_prefix(&format!("items[{n}]"))
                .map_or_else(|| format!(".{field}"), str::to_owned);
            problem.field = Some(format!("{}[{place}]{rest}", self.name));
        }
        problem
    }

    /// The owner calls the list `items`, whatever the sender calls it.
    pub(crate) fn rename(&self, status: tonic::Status) -> Refused {
        let mut problem = Problem::from(status);
        if problem.field.as_deref() == Some("items") {
            problem.field = Some(self.name.to_owned());
        }
        problem.into()
    }
}
