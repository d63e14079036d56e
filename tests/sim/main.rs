//! Deterministic simulation of a cluster: the machines that decide, the log on a disk that forgets, and a network,
//! a quorum and clients that a seed drives. Safety is checked at every step (oracle.rs), then everything heals and
//! the cluster must converge. `scripts/sim` runs many seeds, or one with its trace.

mod broker;
mod client;
mod context;
mod message;
mod oracle;
mod quorum;
mod random;
mod replica;
mod swarm;
mod world;

use world::{Plan, run};

#[test]
fn seeds() {
    let from: u64 = std::env::var("SIM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::var("SIM_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let mut steps = 0;
    let start = std::time::Instant::now();
    for seed in from..from + count {
        let outcome = run(&Plan { traced: std::env::var("SIM_TRACE").is_ok(), ..Plan::new(seed, 5000) });
        steps += outcome.steps;
        if let Some(violation) = &outcome.violation {
            outcome.lines.iter().for_each(|line| println!("{line}"));
            println!("seed {seed} step {}: {violation:?}", outcome.steps);
        } else if count < 10 {
            println!("{outcome:?}");
        }
    }
    println!("{steps} steps in {:?}", start.elapsed());
}
