//! Histories that random faults hardly ever make, played by hand on the machines themselves.
//!
//! Each ends with what must hold. They are tests of their own, and the checks of those planted mistakes that need
//! exactly this history to do harm.

mod groups;
mod logs;
mod metadata;
mod replication;
mod transactions;

/// What must hold, or a sentence that says what does not.
type Verdict = Result<(), String>;

/// A history, and the planted mistake that it finds.
pub struct Script {
    pub mutant: &'static str,
    pub invariant: &'static str,
    pub name: &'static str,
    pub play: fn() -> Verdict,
}

const fn script(mutant: &'static str, invariant: &'static str, name: &'static str, play: fn() -> Verdict) -> Script {
    Script { mutant, invariant, name, play }
}

pub const SCRIPTS: &[Script] = &[
    script("refusal-matched-without-id", "A8", "a refusal that comes twice", replication::a_refusal_that_comes_twice),
    script(
        "fetch-of-an-earlier-life-counts",
        "A5",
        "a fetch that outlives its process",
        replication::a_fetch_that_outlives_its_process,
    ),
    script(
        "giving-up-takes-the-last-replica",
        "A7",
        "a reassignment given up too late",
        metadata::a_reassignment_given_up_too_late,
    ),
    script(
        "leads-before-its-registration",
        "D7",
        "a feed that begins before the restart",
        metadata::a_feed_that_begins_before_the_restart,
    ),
    script(
        "earlier-start-ends-a-later-one",
        "A7",
        "a registration that comes late",
        metadata::a_registration_that_comes_late,
    ),
    script(
        "refused-proposal-may-come-again",
        "A8",
        "a refused proposal that comes again",
        metadata::a_refused_proposal_that_comes_again,
    ),
    script(
        "unflushed-copies-count",
        "A5",
        "a copy that is not on the disk",
        replication::a_copy_that_is_not_on_the_disk,
    ),
    script(
        "start-takes-the-clean-stops-word",
        "A12",
        "a start that is killed behind a clean stop",
        logs::a_start_that_is_killed_behind_a_clean_stop,
    ),
    script(
        "deleted-epochs-are-forgotten",
        "A1",
        "a log of records that were deleted elsewhere",
        logs::a_log_of_records_that_were_deleted_elsewhere,
    ),
    script(
        "epochs-outlive-a-reset",
        "A7",
        "a log that begins anew before the power fails",
        logs::a_log_that_begins_anew_before_the_power_fails,
    ),
    script("half-a-batch-stays", "A12", "a full disk and a kill", logs::a_full_disk_and_a_kill),
    script(
        "former-coordinator-accepted",
        "B6",
        "a marker of a deposed coordinator",
        logs::a_marker_of_a_deposed_coordinator,
    ),
    script(
        "repeats-answer-from-memory",
        "B3",
        "an end that a deposed coordinator calls done",
        transactions::an_end_that_a_deposed_coordinator_calls_done,
    ),
    script("late-marker-accepted", "B4", "a marker that comes twice", logs::a_marker_that_comes_twice),
    script(
        "late-batch-opens-a-transaction",
        "B4",
        "a batch behind its transaction's end",
        logs::a_batch_behind_the_end,
    ),
    script(
        "verification-outlives-its-transaction",
        "B4",
        "a batch behind its transaction's end",
        logs::a_batch_behind_the_end,
    ),
    script("older-producer-epoch-accepted", "B6", "the first batch of an older epoch", logs::a_batch_of_an_older_epoch),
    script(
        "stale-member-epoch-commits",
        "C2",
        "a commit of a partition given away",
        groups::a_commit_of_what_was_given_away,
    ),
    script("partition-of-two-members", "C3", "a member that does not let go", groups::a_member_that_does_not_let_go),
    script("revocation-not-waited-for", "C3", "a member that does not let go", groups::a_member_that_does_not_let_go),
];

fn must(holds: bool, otherwise: &str) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

#[test]
fn directed_histories_end_well() {
    for script in SCRIPTS {
        if let Err(what) = (script.play)() {
            panic!("{}: {what} ({}, as `{}` would have it)", script.name, script.invariant, script.mutant);
        }
    }
}
