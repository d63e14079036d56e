//! What people read: sums over many seeds, and the story of one that failed.

use std::fmt::Write;
use std::time::Duration;

use crate::context::MESSAGE_FAULTS;
use crate::oracle::CHECKS;
use crate::shrink::shrink;
use crate::swarm::FAULT_NAMES;
use crate::world::{Outcome, Plan, run};

/// Lines of the trace that are shown.
const LINES_SHOWN: usize = 200;

/// Sums over all runs.
pub struct Totals {
    seeds: u64,
    steps: u64,
    virtual_ms: u64,
    records_committed: u64,
    records_acked: u64,
    unclean_elections: u64,
    /// Committed and aborted.
    transactions: (u64, u64),
    offsets: [u64; 3],
    faults: [u64; FAULT_NAMES.len()],
    message_faults: [u64; MESSAGE_FAULTS.len()],
    checks: [u64; CHECKS.len()],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            seeds: 0,
            steps: 0,
            virtual_ms: 0,
            records_committed: 0,
            records_acked: 0,
            unclean_elections: 0,
            transactions: (0, 0),
            offsets: [0; 3],
            faults: [0; FAULT_NAMES.len()],
            message_faults: [0; MESSAGE_FAULTS.len()],
            checks: [0; CHECKS.len()],
        }
    }
}

impl Totals {
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.virtual_ms += outcome.virtual_ms;
        self.records_committed += outcome.records_committed;
        self.records_acked += outcome.records_acked;
        self.unclean_elections += outcome.unclean_elections;
        self.transactions.0 += outcome.transactions.0;
        self.transactions.1 += outcome.transactions.1;
        add(&mut self.offsets, &outcome.offsets);
        add(&mut self.faults, &outcome.faults);
        add(&mut self.message_faults, &outcome.message_faults);
        add(&mut self.checks, &outcome.checks);
    }

    /// Faults that never struck and checks that were never made.
    pub fn missing(&self) -> Vec<&'static str> {
        let faults = FAULT_NAMES.iter().zip(self.faults).filter(|(_, count)| *count == 0).map(|(name, _)| *name);
        let messages = MESSAGE_FAULTS.iter().zip(self.message_faults).filter(|(_, count)| *count == 0);
        let checks = CHECKS.iter().zip(self.checks).filter(|(_, count)| *count == 0).map(|((name, _), _)| *name);
        let offsets = [
            "offset moved by a transaction",
            "offset dropped with its transaction",
            "offset that was not told because of an open transaction",
        ];
        let offsets = offsets.into_iter().zip(self.offsets).filter(|(_, count)| *count == 0).map(|(name, _)| name);
        faults.chain(messages.map(|(name, _)| *name)).chain(checks).chain(offsets).collect()
    }

    pub fn show(&self, took: Duration) -> String {
        let mut out = String::new();
        let seconds = took.as_secs_f64();
        let per_minute = self.steps as f64 / seconds * 60.0;
        let hours = self.virtual_ms as f64 / 3_600_000.0;
        let _ = writeln!(
            out,
            "{} seeds, {} steps in {seconds:.1} s ({per_minute:.0} steps a minute), {hours:.1} virtual hours",
            self.seeds, self.steps
        );
        let _ = writeln!(
            out,
            "{} records committed, {} acknowledged with acks=all; {} transactions committed, {} aborted; {} elections of \
             a last known leader",
            self.records_committed,
            self.records_acked,
            self.transactions.0,
            self.transactions.1,
            self.unclean_elections
        );
        let [moved, dropped, unstable] = self.offsets;
        let _ = writeln!(
            out,
            "{moved} offsets moved by transactions, {dropped} dropped with theirs; {unstable} times a member had to wait for \
             the end of one"
        );
        let faults = FAULT_NAMES.iter().zip(self.faults).chain(MESSAGE_FAULTS.iter().zip(self.message_faults));
        for (name, count) in faults {
            let _ = writeln!(out, "  fault  {count:>12}  {name}");
        }
        for ((name, what), count) in CHECKS.iter().zip(self.checks) {
            let _ = writeln!(out, "  check  {count:>12}  {name:<5} {what}");
        }
        out
    }
}

fn add<const N: usize>(sums: &mut [u64; N], counts: &[u64; N]) {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

/// The commit of the sources, if git knows it.
fn commit() -> String {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default().trim().to_owned()
}

/// The story of a run: how it ended, how to run it again, the faults that matter and the last of the trace.
pub fn describe(plan: &Plan, outcome: &Outcome) -> String {
    let Some(violation) = &outcome.violation else {
        let (seed, hash) = (outcome.seed, outcome.trace_hash);
        let mut out = outcome.lines.iter().fold(String::new(), |text, line| text + line + "\n");
        let _ = write!(out, "seed {seed} is sound: {} steps, trace {hash:016x}", outcome.steps);
        return out;
    };
    let shrunk = shrink(plan, violation);
    let story = run(&shrunk);
    let mut out = String::new();
    let (seed, steps) = (outcome.seed, outcome.steps);
    let _ = writeln!(out, "seed {seed} breaks {} at step {steps}: {}", violation.invariant, violation.what);
    let _ = writeln!(out, "commit {}; run it again with scripts/sim --seed {seed} --steps {}", commit(), plan.steps);
    let left = story.struck.len();
    let calm = if shrunk.calm_messages { ", on a network that does no harm of its own" } else { "" };
    let _ = writeln!(out, "cut down to {left} of {} faults{calm}. The end of that run:", outcome.struck.len());
    let skip = story.lines.len().saturating_sub(LINES_SHOWN);
    story.lines.iter().skip(skip).for_each(|line| {
        let _ = writeln!(out, "{line}");
    });
    if let Some(violation) = story.violation {
        let _ = writeln!(out, "{}: {}", violation.invariant, violation.what);
    }
    out
}
