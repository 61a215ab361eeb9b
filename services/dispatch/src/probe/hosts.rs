//! Looks under way by lane (whoever answers for a place): none takes every turn, none is asked by us more than it can
//! bear, and those that do not answer share what is left over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Looks in a row that met silence; from then on a lane gets one at a time, until one is answered.
const SILENT: u32 = 3;
/// Lanes whose silence is remembered while nothing is under way.
const REMEMBERED: usize = 1000;

/// Counts by lane. Clones share them.
#[derive(Clone)]
pub(super) struct Hosts {
    lanes: Arc<Mutex<HashMap<i64, Lane>>>,
    /// At one lane at once.
    each: u32,
    /// At all silent lanes at once.
    silent: u32,
}

#[derive(Clone, Copy, Default)]
struct Lane {
    looks: u32,
    /// Looks in a row that met silence.
    silence: u32,
}

impl Lane {
    fn is_silent(self) -> bool {
        self.silence >= SILENT
    }
}

impl Hosts {
    pub(super) fn new(each: u32, all: u32) -> Self {
        Self {
            lanes: Arc::default(),
            each: each.max(1),
            silent: (all / 2).max(1),
        }
    }

    /// Takes a place at a lane, where it has one.
    pub(super) fn enter(&self, lane: i64) -> Option<Place> {
        let mut lanes = self.lock();
        let known = lanes.get(&lane).copied().unwrap_or_default();
        if self.is_full(known, silent_looks(&lanes)) {
            return None;
        }
        lanes.entry(lane).or_default().looks += 1;
        drop(lanes);
        Some(Place {
            hosts: self.clone(),
            lane,
            met_silence: None,
        })
    }

    pub(super) fn total(&self) -> u32 {
        self.lock().values().map(|lane| lane.looks).sum()
    }

    /// Lanes at their bound.
    pub(super) fn full(&self) -> Vec<i64> {
        let lanes = self.lock();
        let silent = silent_looks(&lanes);
        let full = lanes
            .iter()
            .filter(|(_, lane)| self.is_full(**lane, silent));
        full.map(|(lane, _)| *lane).collect()
    }

    fn is_full(&self, lane: Lane, silent: u32) -> bool {
        if lane.is_silent() {
            lane.looks > 0 || silent >= self.silent
        } else {
            lane.looks >= self.each
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Lane>> {
        // A panic elsewhere leaves whole numbers behind.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn silent_looks(lanes: &HashMap<i64, Lane>) -> u32 {
    let silent = lanes.values().filter(|lane| lane.is_silent());
    silent.map(|lane| lane.looks).sum()
}

/// One look under way at a lane, until it is dropped.
pub(super) struct Place {
    hosts: Hosts,
    lane: i64,
    /// Unknown where the look was given up.
    met_silence: Option<bool>,
}

impl Place {
    /// The look is over.
    pub(super) fn leave(mut self, met_silence: bool) {
        self.met_silence = Some(met_silence);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.hosts.lock();
        let Some(lane) = lanes.get_mut(&self.lane) else {
            return;
        };
        lane.looks -= 1;
        match self.met_silence {
            Some(true) => lane.silence = lane.silence.saturating_add(1),
            Some(false) => lane.silence = 0,
            None => {}
        }
        if lane.looks == 0 && lane.silence == 0 {
            lanes.remove(&self.lane);
        } else if lanes.len() > REMEMBERED {
            lanes.retain(|_, lane| lane.looks > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_costs_a_lane_its_turns_and_an_answer_gives_them_back() {
        let hosts = Hosts::new(8, 8);
        for _ in 0..SILENT {
            hosts.enter(1).unwrap().leave(true);
        }
        let one = hosts.enter(1).unwrap();
        assert!(hosts.enter(1).is_none(), "one at a time");
        assert_eq!(hosts.full(), [1]);
        one.leave(false);
        let many: Vec<Place> = (0..8).map(|_| hosts.enter(1).unwrap()).collect();
        assert!(hosts.enter(1).is_none());
        drop(many);
        assert_eq!((hosts.total(), hosts.lock().len()), (0, 0));
    }

    #[test]
    fn however_many_lanes_are_silent_half_of_the_turns_are_for_the_others() {
        let hosts = Hosts::new(8, 8);
        for lane in 0..20 {
            for _ in 0..SILENT {
                hosts.enter(lane).unwrap().leave(true);
            }
        }
        let waiting: Vec<Place> = (0..20).filter_map(|lane| hosts.enter(lane)).collect();
        assert_eq!(waiting.len(), 4);
        assert!(hosts.enter(100).is_some(), "who is not known to be silent");
        assert_eq!(hosts.full().len(), 20);
    }
}
