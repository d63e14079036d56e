//! The planted mistakes, and how many seeds it takes to find each.

use std::fmt::Write;

use ottla::mutants;

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
    ("fencing-leaves-the-isr-alone", "a fenced broker stays in its ISRs and leads"),
    ("controlled-shutdown-keeps-leading", "a stopping broker keeps its leaderships"),
    // Lives of a broker.
    ("leads-before-its-registration", "a broker leads by metadata from before its restart"),
    ("run-marker-of-another-boot-trusted", "a power loss counts as a kill"),
    ("clean-stop-marker-kept", "the marker of a clean stop outlives the next start"),
    // The log.
    ("flushed-without-a-sync", "the recovery point moves over what was not synced"),
    ("recovery-skips-the-crc", "recovery takes damaged batches for good ones"),
    ("recovery-forgets-epochs", "recovery does not rebuild the leader epochs"),
    ("half-a-batch-stays", "a failed write leaves half a batch behind"),
    ("snapshot-fault-fails-an-append", "an append fails after its records were written"),
    ("epochs-outlive-a-truncation", "a truncation leaves the leader epochs as they are"),
    ("producers-outlive-a-truncation", "a truncation leaves the producers' sequences as they are"),
    ("producers-not-rebuilt", "a restart forgets the producers' sequences"),
    ("followers-forget-producers", "a follower does not learn the producers' sequences"),
    ("followers-forget-epochs", "a follower does not learn the leader epochs"),
    ("duplicate-not-recognised", "a retried batch is not recognised"),
    ("any-sequence-accepted", "gaps and repetitions of sequence numbers are accepted"),
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

/// Plants each mistake in turn; `MUTANT` names a single one, `SIM_SEEDS` says how many seeds may be spent on each.
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
        let (check, needed) = match &killed {
            Some(killed) => (killed.check.clone(), killed.seeds.to_string()),
            None => (format!("**not found** (reached {reached} times)"), format!("> {seeds}")),
        };
        let _ = writeln!(table, "| `{name}` | {what} | {check} | {needed} |");
        eprintln!("{name}: {check} after {needed}");
        if killed.is_none() {
            survivors.push(*name);
        }
    }
    println!("{table}");
    assert!(survivors.is_empty(), "not found: {survivors:?}");
}
