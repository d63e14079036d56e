//! The planted mistakes, and how many seeds it takes to find each.

use std::fmt::Write;

use ottla::mutants;

use crate::directed::SCRIPTS;
use crate::world::{Plan, run};

/// One rule each that people get wrong, by the name in the code.
const MUTANTS: &[(&str, &str)] = &[
    // Replication: the leader.
    ("committed-isr-is-enough", "the high watermark does not wait for a replica that is proposed into the ISR"),
    ("shrink-counts-when-proposed", "it no longer waits for a replica that is merely proposed out of it"),
    ("fastest-follower-commits", "one follower is enough to commit"),
    ("commits-below-min-isr", "min.insync.replicas is not asked"),
    ("silence-counts-as-caught-up", "a follower that has not fetched in this epoch counts as caught up"),
    ("new-leader-commits-all-it-has", "a new leader takes its log end for the high watermark"),
    ("joins-below-the-high-watermark", "a follower that lacks committed records joins the ISR"),
    ("joins-below-the-epochs-start", "a follower joins before it has reached the leader epoch's start"),
    ("expelled-without-lag", "a follower leaves the ISR as soon as it is behind"),
    ("isr-never-grows", "a follower that has caught up is not proposed"),
    ("old-isr-news-taken-in", "an older state of the ISR replaces a newer one"),
    ("refusal-matched-without-id", "a refusal of an earlier proposal gives up the present one"),
    ("fetch-of-an-earlier-life-counts", "a late fetch of a follower's earlier life is an acknowledgement"),
    ("unflushed-appends-count", "with flush.before.ack the leader counts what is not on its disk"),
    ("unflushed-copies-count", "with flush.before.ack it counts what is not on its followers' disks"),
    // Replication: the follower.
    ("truncates-to-high-watermark", "a diverging follower truncates to its high watermark (before KIP-101)"),
    ("divergence-left-alone", "a diverging follower does not truncate"),
    ("cut-by-the-leaders-end-alone", "the follower's own end of the epoch is not asked (before KIP-279)"),
    ("follower-commits-what-it-lacks", "a follower's high watermark passes its log end"),
    ("follower-commits-all-it-has", "a follower takes its log end for the high watermark"),
    // Metadata.
    ("partition-epoch-not-compared", "AlterPartition is not a compare-and-set"),
    (
        "refused-proposal-may-come-again",
        "a late copy of a refused proposal is accepted when its member is eligible again",
    ),
    ("broker-epoch-not-compared", "an ISR member may be an earlier life of the broker (before KIP-903)"),
    ("inactive-broker-joins", "a fenced or stopping broker may join an ISR"),
    ("inactive-broker-elected", "a fenced or stopping broker may be elected"),
    ("no-elr", "there are no eligible leader replicas (before KIP-966)"),
    ("elr-keeps-a-lost-tail", "an unclean restart does not leave the ELR"),
    ("elr-beside-a-sufficient-isr", "the ELR is not emptied when the ISR can commit without it"),
    ("leader-epoch-not-raised", "a new leader leads in its predecessor's epoch"),
    ("last-known-leader-before-its-time", "the last known leader is elected although others hold everything"),
    ("registration-stays-in-its-isrs", "a new registration does not end what the last one was in sync with"),
    ("every-restart-counts-as-whole", "every restart counts as one that lost nothing"),
    ("only-the-last-life-vouches", "a broker killed twice during its start counts as one that lost its log"),
    ("registration-retry-gets-a-new-epoch", "a retried registration begins another life"),
    ("earlier-start-ends-a-later-one", "a late registration of an earlier process ends a life that is in sync"),
    ("fencing-leaves-the-isr-alone", "a fenced broker stays in its ISRs and leads"),
    ("controlled-shutdown-keeps-leading", "a stopping broker keeps its leaderships"),
    ("reassigned-before-in-sync", "a reassignment ends before the replicas that it adds are in sync"),
    ("lost-replica-keeps-the-epoch", "replicas are taken away within a leader epoch"),
    ("giving-up-takes-the-last-replica", "a reassignment is given up although what it added alone is complete"),
    // Lives of a broker.
    ("leads-before-its-registration", "a broker leads by metadata from before its restart"),
    ("run-marker-of-another-boot-trusted", "a power loss counts as a kill"),
    (
        "start-takes-the-clean-stops-word",
        "a kill before the registration makes a log that was stopped in order a lost one",
    ),
    ("clean-stop-marker-kept", "the marker of a clean stop outlives the next start"),
    // The log.
    ("flushed-without-a-sync", "the recovery point moves over what was not synced"),
    ("failed-sync-not-written-again", "what a failed sync left in the page cache alone counts as written"),
    ("recovery-skips-the-crc", "recovery takes damaged batches for good ones"),
    ("recovery-forgets-epochs", "recovery does not rebuild the leader epochs"),
    ("half-a-batch-stays", "a failed write leaves half a batch behind"),
    ("deleted-epochs-are-forgotten", "nobody knows any more of which epoch the deleted records were"),
    ("epochs-outlive-a-reset", "epochs of a log that began anew come back with the next start"),
    ("batch-across-the-start-refused", "a log that begins within a batch cannot be copied from there"),
    ("damaged-tail-counts-as-whole", "a log that is cut at a damaged batch counts as one that lost nothing"),
    ("cut-short-append-counts-as-damage", "a kill in the midst of an append counts as a loss"),
    ("snapshot-fault-fails-an-append", "an append fails after its records were written"),
    ("epochs-outlive-a-truncation", "a truncation leaves the leader epochs as they are"),
    ("producers-outlive-a-truncation", "a truncation leaves the producers' sequences as they are"),
    ("producers-not-rebuilt", "a restart forgets the producers' sequences"),
    ("followers-forget-producers", "a follower does not learn the producers' sequences"),
    ("followers-forget-epochs", "a follower does not learn the leader epochs"),
    ("duplicate-not-recognised", "a retried batch is not recognised"),
    ("any-sequence-accepted", "gaps and repetitions of sequence numbers are accepted"),
    // Transactions: what a partition's log knows of them.
    ("late-batch-opens-a-transaction", "the coordinator's word is not needed to begin a transaction in a partition"),
    ("verification-outlives-its-transaction", "the coordinator's word still counts behind the transaction's end"),
    ("older-producer-epoch-accepted", "a fenced producer may write"),
    ("late-marker-accepted", "a marker of a transaction before ends the present one"),
    ("former-coordinator-accepted", "markers of a coordinator that was replaced count"),
    ("open-transactions-are-stable", "readers of committed records read up to the high watermark"),
    ("stable-before-the-marker-is-committed", "a transaction counts as ended when its marker is appended"),
    ("snapshot-decides-transactions", "after a start, markers that are not committed count as if they were"),
    ("aborted-transactions-not-listed", "readers are not told what was aborted"),
    // Groups of the consumer protocol (KIP-848).
    ("stale-member-epoch-commits", "a member's commit counts in partitions that it has given away"),
    ("partition-of-two-members", "a partition is given to a member while another has it"),
    ("revocation-not-waited-for", "a member counts as having given up what it was told to give up"),
    // Groups of the classic protocol.
    ("commit-of-another-generation", "offsets of a generation that is over are taken in"),
    ("sync-of-another-generation", "a member of a generation that is over gets partitions of the present one"),
    ("generation-not-raised", "a rebalance begins no generation of its own"),
    ("first-commit-wins", "a later commit does not replace an earlier one"),
    // Offsets that are committed in transactions.
    ("pending-offsets-count-at-once", "an offset counts before its transaction is committed"),
    ("aborted-offsets-count", "the offset of an aborted transaction counts"),
    ("new-coordinator-forgets-pending-offsets", "a group's new coordinator drops the offsets of open transactions"),
    ("open-transactions-leave-offsets-stable", "a member is told an offset that an open transaction may change"),
    ("transaction-of-another-generation-commits", "a transaction may commit for a generation that is over"),
    // Transactions: the coordinator.
    ("fenced-producers-vouched-for", "a fenced producer may write records and offsets"),
    ("markers-before-the-decision", "markers are sent before the decision is committed"),
    ("repeats-answer-from-memory", "a deposed coordinator takes a request for a repeated one, and calls it done"),
    ("decided-ends-not-taken-up", "a new coordinator leaves decided transactions as they are"),
    ("decided-commit-is-aborted", "a decided commit is aborted when the producer comes back"),
    ("one-marker-ends-all", "a transaction is complete with its first marker"),
    ("end-keeps-the-epoch", "the end of a transaction does not raise the epoch (before KIP-890)"),
    ("coordinators-abort-keeps-the-epoch", "a transaction that took too long is aborted in its own epoch"),
    ("init-keeps-the-epoch", "a producer that begins does not fence the one before"),
];

struct Killed {
    seeds: u64,
    check: String,
}

/// The first seed that breaks something with this mistake in the code.
fn hunt(name: &'static str, steps: u64, seeds: u64) -> (Option<Killed>, u64) {
    mutants::turn_on(name);
    let mut reached = 0;
    let killed = (1..=seeds).find_map(|seed| {
        let outcome = run(&Plan::new(seed, steps));
        reached = mutants::reached();
        outcome.violation.map(|violation| Killed { seeds: seed, check: violation.invariant.to_owned() })
    });
    mutants::turn_off();
    (killed, reached)
}

/// The directed history that goes wrong with this mistake in the code.
fn directed(name: &'static str) -> Option<String> {
    mutants::turn_on(name);
    let found = SCRIPTS.iter().find(|script| script.mutant == name && (script.play)().is_err());
    mutants::turn_off();
    found.map(|script| format!("{}, history \"{}\"", script.invariant, script.name))
}

/// Plants each mistake in turn; `MUTANT` names a single one, `SIM_SEEDS` says how many seeds may be spent on each, and
/// `MUTANTS_FOUND` how many must be found with so few, if not all.
#[test]
fn planted_mistakes_are_found() {
    let seeds = crate::number("SIM_SEEDS").unwrap_or(2_000);
    let steps = crate::number("SIM_STEPS").unwrap_or(crate::STEPS);
    let only = std::env::var("MUTANT").ok();
    std::panic::set_hook(Box::new(|_| {}));
    let mut table = String::from("| planted mistake | what is wrong | found by | seeds |\n|---|---|---|---|\n");
    let mut survivors = Vec::new();
    for (name, what) in MUTANTS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let (killed, reached) = hunt(name, steps, seeds);
        let script = if killed.is_none() { directed(name) } else { None };
        let (check, needed) = match (&killed, &script) {
            (Some(killed), _) => (killed.check.clone(), killed.seeds.to_string()),
            (None, Some(found)) => (found.clone(), format!("> {seeds}")),
            (None, None) => (format!("**not found** (reached {reached} times)"), format!("> {seeds}")),
        };
        let _ = writeln!(table, "| `{name}` | {what} | {check} | {needed} |");
        eprintln!("{name}: {check} after {needed}");
        if killed.is_none() && script.is_none() {
            survivors.push(*name);
        }
    }
    println!("{table}");
    let found = (MUTANTS.len() - survivors.len()) as u64;
    let enough = crate::number("MUTANTS_FOUND").is_some_and(|enough| found >= enough);
    assert!(enough || survivors.is_empty(), "not found: {survivors:?}");
}
