//! Cuts the schedule of faults of a failing run down to those without which it does not fail.
//!
//! The schedule depends on nothing that happens in the run, so entries can be left out one by one or by halves, and
//! so can the harm that the network and the quorum do to single messages.

use crate::oracle::Violation;
use crate::world::{Plan, run};

/// Most runs that are spent.
const RUNS_MAX: usize = 400;

/// A plan with fewer faults that breaks the same invariant.
pub fn shrink(plan: &Plan, violation: &Violation) -> Plan {
    let mut search = Search { invariant: violation.invariant, runs: 0 };
    let mut best = Plan { traced: false, ..plan.clone() };
    let calm = Plan { calm_messages: true, ..best.clone() };
    if search.fails(&calm) {
        best = calm;
    }
    let mut left = run(&best).struck;
    let mut size = left.len().div_ceil(2).max(1);
    while !left.is_empty() && search.runs < RUNS_MAX {
        let mut cut = false;
        for chunk in left.clone().chunks(size) {
            let mut fewer = best.clone();
            fewer.masked.extend(chunk);
            if search.fails(&fewer) {
                best = fewer;
                left.retain(|fault| !chunk.contains(fault));
                cut = true;
            }
        }
        if size == 1 && !cut {
            break;
        }
        size = (size / 2).max(1);
    }
    Plan { traced: true, ..best }
}

struct Search {
    invariant: &'static str,
    runs: usize,
}

impl Search {
    fn fails(&mut self, plan: &Plan) -> bool {
        self.runs += 1;
        self.runs <= RUNS_MAX && run(plan).violation.is_some_and(|violation| violation.invariant == self.invariant)
    }
}
