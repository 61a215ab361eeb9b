//! Lists whose elements are validated one by one: the valid elements are forwarded together, and the results
//! are returned in the order in which the caller sent the elements.

use platform::error::Problem;
use proto::v1;

use crate::problem::{ProblemResponse, problem_from_item};

/// The valid elements of a list with their positions, and the problems of the others.
pub(crate) struct PartialList<T> {
    /// Name of the list, in the request to the gateway as in the request that is forwarded.
    name: &'static str,
    valid: Vec<T>,
    /// The position of each valid element in the caller's list.
    positions: Vec<usize>,
    problems: Vec<(usize, Problem)>,
}

impl<T> PartialList<T> {
    pub(crate) fn partition(
        name: &'static str,
        elements: impl IntoIterator<Item = Result<T, ProblemResponse>>,
    ) -> Self {
        let mut list = Self {
            name,
            valid: Vec::new(),
            positions: Vec::new(),
            problems: Vec::new(),
        };
        for (position, element) in elements.into_iter().enumerate() {
            match element {
                Ok(element) => {
                    list.valid.push(element);
                    list.positions.push(position);
                }
                Err(response) => list.problems.push((position, *response.problem)),
            }
        }
        list
    }

    /// Takes the valid elements out, to be forwarded.
    pub(crate) fn take_valid(&mut self) -> Vec<T> {
        std::mem::take(&mut self.valid)
    }

    /// Merges the results of the valid elements, given in order, with the problems found here. `None` if
    /// there is not exactly one result for each valid element.
    pub(crate) fn merge<R>(
        self,
        results: Vec<R>,
        mut from_problem: impl FnMut(usize, Problem) -> R,
    ) -> Option<Vec<R>> {
        if results.len() != self.positions.len() {
            return None;
        }
        let invalid = self
            .problems
            .into_iter()
            .map(|(position, problem)| (position, from_problem(position, problem)));
        let mut all: Vec<_> = self
            .positions
            .into_iter()
            .zip(results)
            .chain(invalid)
            .collect();
        all.sort_by_key(|(position, _)| *position);
        Some(all.into_iter().map(|(_, result)| result).collect())
    }

    /// The problem that intake or dispatch found with the `index`-th valid element, its field path changed to
    /// the position in the caller's list.
    pub(crate) fn problem(&self, index: usize, item: &v1::ItemProblem) -> Problem {
        let mut problem = problem_from_item(item);
        if let (Some(position), Some(field)) = (self.positions.get(index), problem.field.as_deref())
        {
            let rest = field
                .strip_prefix(&format!("{}[{index}]", self.name))
                .map_or_else(|| format!(".{field}"), str::to_owned);
            problem.field = Some(format!("{}[{position}]{rest}", self.name));
        }
        problem
    }
}
