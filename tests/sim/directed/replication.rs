//! Histories of a leader and its followers.

use std::collections::BTreeSet;

use ottla::model::{BrokerEpoch, BrokerId, LeaderEpoch, Monotonic, Offset, PartitionEpoch};
use ottla::replication::{Effect, FollowerFetch, IsrMember, IsrProposal, Leader, LeaderStart};

use super::{Verdict, must};

fn ids(ids: &[i32]) -> BTreeSet<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

/// Broker 1 leads partition epoch 1 with this ISR, its log ends at 10, and nothing is known to be committed.
fn leader(isr: &[i32], flushed_offset: Option<Offset>) -> Leader {
    let start = LeaderStart {
        broker: IsrMember { broker_id: BrokerId(1), broker_epoch: BrokerEpoch(100) },
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(1),
        replicas: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
        isr: ids(isr),
        min_isr: 1,
        replica_lag_time_max_ms: 1_000,
        log_end_offset: 10,
        high_watermark: 0,
        flushed_offset,
        recovering: false,
    };
    Leader::new(start, Monotonic(0)).0
}

fn fetch(leader: &mut Leader, id: i32, broker_epoch: i64, offset: Offset, eligible: bool) -> Option<IsrProposal> {
    let follower = IsrMember { broker_id: BrokerId(id), broker_epoch: BrokerEpoch(broker_epoch) };
    let effects = leader.on_follower_fetch(
        FollowerFetch { follower, fetch_offset: offset, flushed_offset: None, eligible },
        Monotonic(1),
    );
    effects.into_iter().find_map(|effect| match effect {
        Effect::ProposeIsr(proposal) => Some(proposal),
        Effect::AdvanceHighWatermark { .. } => None,
    })
}

/// The controller refuses a proposal and its retry, because the follower is fenced. The second refusal comes when the
/// follower is back and proposed again: that proposal may be accepted, so its member counts.
pub fn a_refusal_that_comes_twice() -> Verdict {
    let mut leader = leader(&[1], None);
    let first = fetch(&mut leader, 2, 200, 10, true).ok_or("the follower is not proposed")?;
    leader.on_isr_refused(first.request_id);
    let second = fetch(&mut leader, 2, 200, 10, true).ok_or("the follower is not proposed again")?;
    leader.on_isr_refused(first.request_id);
    must(leader.pending_proposal() == Some(&second), "the refusal of another proposal gave the present one up")?;
    // The follower stands still and lags; a member all the same, once the controller takes it in.
    leader.tick(Monotonic(5_000));
    leader.on_append(20);
    must(leader.high_watermark() <= 10, "what the proposed member lacks was committed")
}

/// A follower acknowledges 10 records, loses power and the last five with it, and is back in the ISR; then a fetch that
/// its earlier process sent arrives from a buffer.
pub fn a_fetch_that_outlives_its_process() -> Verdict {
    let mut leader = leader(&[1, 2, 3], None);
    fetch(&mut leader, 2, 200, 5, true);
    fetch(&mut leader, 3, 300, 5, true);
    must(leader.high_watermark() == 5, "the records that all members hold are not committed")?;
    fetch(&mut leader, 2, 201, 5, true);
    fetch(&mut leader, 3, 300, 10, true);
    fetch(&mut leader, 2, 200, 10, false);
    must(leader.high_watermark() == 5, "what the follower's present life lacks was committed")
}

/// With `flush.before.ack`: a follower asks for what comes next before its disk has what came before.
pub fn a_copy_that_is_not_on_the_disk() -> Verdict {
    let mut leader = leader(&[1, 2], Some(10));
    let follower = IsrMember { broker_id: BrokerId(2), broker_epoch: BrokerEpoch(200) };
    let mut asks = |flushed: Offset| {
        let fetch = FollowerFetch { follower, fetch_offset: 10, flushed_offset: Some(flushed), eligible: true };
        leader.on_follower_fetch(fetch, Monotonic(1));
        leader.high_watermark()
    };
    must(asks(5) == 5, "what the follower's disk lacks was committed")?;
    must(asks(10) == 10, "what both disks hold is not committed")
}
