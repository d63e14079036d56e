//! Where the replicas of new partitions go.
//!
//! The active brokers form a ring in which the racks take turns:
//!
//! ```text
//!   racks a: 1 4, b: 2 5, c: 3   ─▶   ring 1 2 3 4 5
//! ```
//!
//! Partition p is led by the p-th broker of the ring, so leaderships are even; its other replicas are those
//! that follow on the ring, each in a rack that has none yet as long as there is one. With every turn around
//! the ring the others move on by one broker, so that the partitions led by a broker do not all fall to the
//! same successor. A fenced broker holds a replica only where there are too few active ones, and never leads.
//!
//! The order of racks and brokers is drawn from a seed that came with the command.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Refusal;
use super::image::ClusterImage;
use crate::model::{BrokerId, ErrorCode};

/// The shape of a placement.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Index of the first partition to place.
    pub(super) first_partition: usize,
    /// How many partitions to place.
    pub(super) count: usize,
    /// How many replicas each gets.
    pub(super) replication_factor: usize,
}

/// Chooses the replicas of each partition, the preferred leader first.
pub(super) fn place(image: &ClusterImage, shape: Shape, seed: u64) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    let registered = image.brokers().count();
    if shape.replication_factor > registered {
        let factor = shape.replication_factor;
        return refuse(format!("replication factor {factor} needs {factor} brokers, but {registered} are registered"));
    }
    let mut random = Random(seed);
    let active = Ring::new(image, |id| image.is_active(id), &mut random);
    let spare = Ring::new(image, |id| !image.is_active(id), &mut random);
    if active.brokers.is_empty() {
        return refuse("all brokers are fenced or about to stop".to_owned());
    }
    let partitions = shape.first_partition..shape.first_partition + shape.count;
    Ok(partitions.map(|partition| place_one(&active, &spare, partition, shape.replication_factor)).collect())
}

fn place_one(active: &Ring<'_>, spare: &Ring<'_>, partition: usize, replication_factor: usize) -> Vec<BrokerId> {
    let others = active.brokers.len() - 1;
    let leader = partition % active.brokers.len();
    let turn = partition / active.brokers.len();
    let mut chosen = Chosen::default();
    chosen.take(active.at(leader));
    let followers: Vec<_> = (0..others).map(|step| active.at(leader + 1 + (step + turn) % others.max(1))).collect();
    chosen.fill(&followers, replication_factor);
    let spares: Vec<_> = (0..spare.brokers.len()).map(|step| spare.at(partition + step)).collect();
    chosen.fill(&spares, replication_factor);
    chosen.replicas
}

/// A broker's rack. Brokers that name none share one.
type Rack<'a> = Option<&'a str>;

/// Brokers in an order in which the racks take turns.
struct Ring<'a> {
    brokers: Vec<(BrokerId, Rack<'a>)>,
}

impl<'a> Ring<'a> {
    fn new(image: &'a ClusterImage, wanted: impl Fn(BrokerId) -> bool, random: &mut Random) -> Self {
        let mut racks: BTreeMap<Rack<'a>, Vec<BrokerId>> = BTreeMap::new();
        for broker in image.brokers().filter(|broker| wanted(broker.id)) {
            racks.entry(broker.rack.as_deref()).or_default().push(broker.id);
        }
        let mut racks: Vec<_> = racks.into_iter().collect();
        random.shuffle(&mut racks);
        racks.iter_mut().for_each(|(_, brokers)| random.shuffle(brokers));
        let depth = racks.iter().map(|(_, brokers)| brokers.len()).max().unwrap_or(0);
        let nth_of_each = |n| racks.iter().filter_map(move |(rack, brokers)| Some((*brokers.get(n)?, *rack)));
        Self { brokers: (0..depth).flat_map(nth_of_each).collect() }
    }

    fn at(&self, position: usize) -> (BrokerId, Rack<'a>) {
        self.brokers[position % self.brokers.len()]
    }
}

/// The replicas of one partition, as they are chosen.
#[derive(Default)]
struct Chosen<'a> {
    replicas: Vec<BrokerId>,
    racks: BTreeSet<Rack<'a>>,
}

impl<'a> Chosen<'a> {
    fn take(&mut self, (broker, rack): (BrokerId, Rack<'a>)) {
        self.replicas.push(broker);
        self.racks.insert(rack);
    }

    /// Takes from the candidates until there are `count` replicas, always from a rack that has had fewer turns.
    fn fill(&mut self, candidates: &[(BrokerId, Rack<'a>)], count: usize) {
        while self.replicas.len() < count {
            let is_free = |(broker, _): &&(BrokerId, Rack<'a>)| !self.replicas.contains(broker);
            let elsewhere = candidates.iter().filter(is_free).find(|(_, rack)| !self.racks.contains(rack)).copied();
            match elsewhere {
                Some(candidate) => self.take(candidate),
                None if candidates.iter().any(|candidate| is_free(&candidate)) => self.racks.clear(),
                None => return,
            }
        }
    }
}

/// SplitMix64: a stream of numbers that a seed determines.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Fisher and Yates. The bias of the remainder is below 2⁻⁵⁰ for any number of brokers.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = (self.next() % (last as u64 + 1)) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::metadata::BrokerImage;
    use crate::model::{BrokerEpoch, StartNumber, Uuid};

    /// Brokers 0, 1, …: the rack of each (0: none), and whether it is fenced.
    fn cluster(brokers: &[(u8, bool)]) -> ClusterImage {
        let mut image = ClusterImage::default();
        for (id, (rack, fenced)) in (0..).zip(brokers) {
            let broker = BrokerImage {
                id: BrokerId(id),
                epoch: BrokerEpoch(id.into()),
                incarnation_id: Uuid::ZERO,
                directory_ids: vec![],
                endpoints: vec![],
                rack: (*rack > 0).then(|| format!("rack{rack}").into()),
                features: vec![],
                fenced: *fenced,
                in_controlled_shutdown: false,
                log_whole_since: BrokerEpoch(id.into()),
                offline_replicas: imbl::OrdSet::new(),
                logs_intact_since: BrokerEpoch(id.into()),
                start_number: StartNumber(0),
            };
            image.brokers.insert(broker.id, Arc::new(broker));
        }
        image
    }

    proptest! {
        #[test]
        fn even_spread_and_active_first(
            brokers in prop::collection::vec((0..4_u8, prop::bool::weighted(0.2)), 1..9),
            first_partition in 0..20_usize,
            count in 1..40_usize,
            replication_factor in 1..9_usize,
            seed in any::<u64>(),
        ) {
            let image = cluster(&brokers);
            let active = brokers.iter().filter(|(_, fenced)| !fenced).count();
            let placed = place(&image, Shape { first_partition, count, replication_factor }, seed);
            if active == 0 || replication_factor > brokers.len() {
                prop_assert_eq!(placed.unwrap_err().code, ErrorCode::InvalidReplicationFactor);
                return Ok(());
            }
            let placed = placed.expect("there are enough brokers");
            prop_assert_eq!(placed.len(), count);
            let rack = |id: &BrokerId| brokers[id.0 as usize].0;
            let racks_of = |ids: &[BrokerId]| ids.iter().map(rack).collect::<BTreeSet<_>>().len();
            let all_active: Vec<_> = image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id).collect();
            let mut leaderships = BTreeMap::<BrokerId, usize>::new();
            for replicas in &placed {
                prop_assert_eq!(replicas.len(), replication_factor);
                prop_assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), replication_factor);
                let active_chosen = replicas.iter().filter(|id| image.is_active(**id)).count();
                prop_assert_eq!(active_chosen, replication_factor.min(active));
                prop_assert!(image.is_active(replicas[0]));
                if replication_factor <= active {
                    prop_assert_eq!(racks_of(replicas), replication_factor.min(racks_of(&all_active)));
                }
                *leaderships.entry(replicas[0]).or_default() += 1;
            }
            let most = leaderships.values().max().copied().unwrap_or(0);
            prop_assert!(most <= count.div_ceil(active), "{:?} over {} active", leaderships, active);
        }
    }
}
