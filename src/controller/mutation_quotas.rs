//! Who has created and deleted how many partitions of late: the quota `controller_mutation_rate` (KIP-599).
//!
//! It is one for the whole cluster, so the active controller counts, in memory: a new one begins with full buckets, as in
//! Kafka. What is let through is decided by `metadata`; here is only what that needs to know and leads to.

use std::collections::HashMap;

use crate::metadata::{Batch, ClusterImage, QuotaShare};
use crate::model::Monotonic;
use crate::quota::{QuotaWindows, TokenBucket};
use crate::rpc::metadata::{
    MetadataCommand, MetadataReply, MutationQuota, MutationsSpent, metadata_command::Kind,
    metadata_reply::Kind as Reply,
};

/// From so many buckets on, those that are full again are looked for before another one is added.
const BUCKETS_SWEPT_FROM: usize = 1_024;

/// The buckets of all who are limited.
#[derive(Debug)]
pub(super) struct MutationQuotas {
    windows: QuotaWindows,
    buckets: HashMap<QuotaShare, Limited>,
}

#[derive(Debug)]
struct Limited {
    rate: f64,
    bucket: TokenBucket,
}

impl MutationQuotas {
    /// `windows` are `controller.quota.window.num` and `controller.quota.window.size.seconds`.
    pub(super) fn new(windows: QuotaWindows) -> Self {
        Self { windows, buckets: HashMap::new() }
    }

    /// Decides a command within what its client may do, and counts what it has done.
    pub(super) fn decide(
        &mut self,
        batch: &mut Batch<'_>,
        command: &mut MetadataCommand,
        now: Monotonic,
    ) -> MetadataReply {
        let share = self.fill_in(batch.image(), command, now);
        let reply = batch.decide(command);
        let limited = share.and_then(|share| self.buckets.get_mut(&share));
        if let (Some(limited), Some(spent)) = (limited, spent(&reply)) {
            limited.bucket.take(spent.partitions as f64);
        }
        reply
    }

    /// Writes into the command what its client may still do; who shares the limit. Nothing is left in it when there is
    /// none.
    fn fill_in(&mut self, image: &ClusterImage, command: &mut MetadataCommand, now: Monotonic) -> Option<QuotaShare> {
        let asked = quota_of(command)?;
        let quota = asked.take()?;
        let (share, rate) = image.mutation_quota(&quota.user, &quota.client_id)?;
        let tokens = self.tokens(share.clone(), rate, now);
        *asked = Some(MutationQuota { rate, tokens, ..quota });
        Some(share)
    }

    fn tokens(&mut self, share: QuotaShare, rate: f64, now: Monotonic) -> f64 {
        if self.buckets.len() >= BUCKETS_SWEPT_FROM && !self.buckets.contains_key(&share) {
            self.buckets.retain(|_, limited| !limited.bucket.is_full(limited.rate, now));
        }
        let full = || Limited { rate, bucket: TokenBucket::full(self.windows, rate, now) };
        let limited = self.buckets.entry(share).or_insert_with(full);
        limited.rate = rate;
        limited.bucket.tokens(rate, now)
    }
}

/// Where commands that count say whose they are.
fn quota_of(command: &mut MetadataCommand) -> Option<&mut Option<MutationQuota>> {
    match command.kind.as_mut()? {
        Kind::CreateTopics(create) => Some(&mut create.quota),
        Kind::CreatePartitions(create) => Some(&mut create.quota),
        Kind::DeleteTopics(delete) => Some(&mut delete.quota),
        _ => None,
    }
}

fn spent(reply: &MetadataReply) -> Option<&MutationsSpent> {
    match reply.kind.as_ref()? {
        Reply::CreateTopics(reply) => reply.spent.as_ref(),
        Reply::CreatePartitions(reply) | Reply::DeleteTopics(reply) => reply.spent.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{ClusterDefaults, uuid_bytes};
    use crate::model::Uuid;
    use crate::rpc::metadata::{
        ClientQuotaRecord, CreatableTopic, CreateTopics, DeletableTopic, DeleteTopics, MetadataRecord, QuotaEntityPart,
        RegisterBrokerRecord, deletable_topic::Topic,
    };

    /// Five tokens.
    const WINDOWS: QuotaWindows = QuotaWindows { num: 5, size_ms: 1_000 };

    /// A cluster of one broker, where each client may create one partition a second.
    struct World {
        image: ClusterImage,
        quotas: MutationQuotas,
    }

    impl World {
        fn new() -> Self {
            let broker = RegisterBrokerRecord {
                broker_id: 1,
                broker_epoch: 1,
                incarnation_id: uuid_bytes(Uuid([1; 16])),
                ..RegisterBrokerRecord::default()
            };
            let part = QuotaEntityPart { entity_type: "client-id".to_owned(), name: None };
            let key = "controller_mutation_rate".to_owned();
            let limit = ClientQuotaRecord { entity: vec![part], key, value: Some(1.0) };
            let mut world = Self { image: ClusterImage::default(), quotas: MutationQuotas::new(WINDOWS) };
            world.apply(&[broker.into(), limit.into()]);
            world
        }

        fn apply(&mut self, records: &[MetadataRecord]) {
            self.image.replay_all(records).unwrap();
        }

        /// One batch; how long each client has to wait, `None` for those without a limit.
        fn decide(&mut self, commands: Vec<Kind>, now: u64) -> Vec<Option<i32>> {
            let defaults = ClusterDefaults::default();
            let mut batch = Batch::new(&self.image, &defaults);
            let commands = commands.into_iter().map(|kind| MetadataCommand { kind: Some(kind) });
            let replies: Vec<_> =
                commands.map(|mut command| self.quotas.decide(&mut batch, &mut command, Monotonic(now))).collect();
            let records = batch.into_records();
            self.apply(&records);
            replies.iter().map(|reply| spent(reply).map(|spent| spent.throttle_time_ms)).collect()
        }
    }

    /// `strict` as clients that understand the refusal have it.
    fn of(client_id: &str, strict: bool) -> Option<MutationQuota> {
        // What a broker claims of the rest counts for nothing.
        Some(MutationQuota { client_id: client_id.to_owned(), strict, rate: 1e9, tokens: 1e9, ..Default::default() })
    }

    fn create(number: u8, num_partitions: i32, quota: Option<MutationQuota>) -> Kind {
        let topic = CreatableTopic {
            name: format!("t{number}"),
            num_partitions,
            replication_factor: 1,
            topic_id: uuid_bytes(Uuid([number; 16])),
            ..CreatableTopic::default()
        };
        Kind::CreateTopics(CreateTopics { topics: vec![topic], quota, ..CreateTopics::default() })
    }

    fn delete(number: u8, quota: Option<MutationQuota>) -> Kind {
        let topic = DeletableTopic { topic: Some(Topic::Name(format!("t{number}"))) };
        Kind::DeleteTopics(DeleteTopics { topics: vec![topic], quota, ..DeleteTopics::default() })
    }

    #[test]
    fn what_one_command_spends_the_next_of_the_same_client_lacks() {
        let mut world = World::new();
        let commands = vec![
            create(1, 5, of("a", true)),
            create(2, 3, of("a", true)),
            create(3, 1, of("a", true)),
            create(4, 1, of("b", true)),
            create(5, 90, None),
        ];
        assert_eq!(world.decide(commands, 0), [Some(0), Some(0), Some(3_000), Some(0), None]);
        let exists = |name| world.image.topic_by_name(name).is_some();
        assert_eq!(["t1", "t2", "t3", "t4", "t5"].map(exists), [true, true, false, true, true]);
        assert_eq!(world.decide(vec![delete(2, of("a", true))], 2_999), [Some(1)]);
        assert_eq!(world.decide(vec![delete(2, of("a", true))], 3_000), [Some(0)]);
        assert_eq!(world.decide(vec![delete(1, of("a", false))], 3_000), [Some(8_000)], "5 more than the 3 before");
        assert!(world.image.topic_by_name("t1").is_none());
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        let mut world = World::new();
        for client in 0..BUCKETS_SWEPT_FROM {
            world.decide(vec![delete(9, of(&client.to_string(), true))], 0);
        }
        world.decide(vec![create(1, 9, of("0", true))], 0);
        world.decide(vec![delete(9, of("late", true))], 1_000);
        assert_eq!(world.quotas.buckets.len(), 2, "one that is in debt, and the new one");
    }
}
