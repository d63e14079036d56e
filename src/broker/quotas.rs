//! Limits on what clients send, fetch and ask for, by user, client id and address.
//!
//! Who goes too fast is answered at once, told how long to wait, and not read from until then (KIP-219). Rates are
//! measured per broker, but for that of created and deleted partitions, which the active controller counts. A limit for a user is shared by all of the user's clients on this broker, one for a client id by
//! all clients of that name, one for both by those of that user and name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metadata::{ClusterImage, QuotaShare};
use crate::model::Monotonic;
use crate::quota::{QuotaWindows, SampledRate};
use crate::rpc::metadata::{MutationQuota, MutationsSpent};

/// The principal of connections that have not authenticated.
const ANONYMOUS: &str = "ANONYMOUS";
/// From so many rates on, those that nobody uses any more are looked for before another one is added.
const RATES_SWEPT_FROM: usize = 1_024;

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limited {
    /// Bytes of Produce requests.
    Produce,
    /// Bytes of records in Fetch answers.
    Fetch,
    /// Time that requests take of this broker's threads, in percent of one thread.
    Request,
}

impl Limited {
    fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
        }
    }
}

#[derive(PartialEq, Eq, Hash, Debug)]
enum Measured {
    Share(Limited, QuotaShare),
    Connections(IpAddr),
}

/// The rates of all who are limited.
#[derive(Debug)]
pub struct ClientQuotas {
    windows: QuotaWindows,
    rates: Mutex<HashMap<Measured, SampledRate>>,
}

impl ClientQuotas {
    /// `windows` are `quota.window.num` and `quota.window.size.seconds`.
    pub fn new(windows: QuotaWindows) -> Self {
        Self { windows, rates: Mutex::default() }
    }

    /// Counts `amount` against the limit that holds for a client, and tells for how many milliseconds it has to wait.
    pub fn record(
        &self,
        image: &ClusterImage,
        limited: Limited,
        client_id: Option<&str>,
        amount: f64,
        now: Monotonic,
    ) -> u64 {
        let client_id = client_id.unwrap_or_default();
        let Some((share, limit)) = image.client_quota(ANONYMOUS, client_id, limited.key()) else { return 0 };
        let wait = self.count(Measured::Share(limited, share), amount, limit, now);
        match limited {
            // As in Kafka: a client must be able to send something now and then.
            Limited::Request => wait.min(self.windows.size_ms),
            Limited::Produce | Limited::Fetch => wait,
        }
    }

    /// The most that a client may be answered with at once: what its limit lets through in one window.
    pub fn burst(&self, image: &ClusterImage, limited: Limited, client_id: Option<&str>) -> usize {
        let limit = image.client_quota(ANONYMOUS, client_id.unwrap_or_default(), limited.key());
        limit.map_or(usize::MAX, |(_, limit)| self.windows.burst(limit) as usize)
    }

    /// Counts a new connection from an address, and tells for how many milliseconds too early it comes.
    pub fn on_connection(&self, image: &ClusterImage, address: IpAddr, now: Monotonic) -> u64 {
        if image.has_no_client_quotas() {
            return 0;
        }
        // An IPv4 client of a dual-stack socket comes with a mapped address.
        let address = address.to_canonical();
        match image.ip_quota(&address.to_string(), "connection_creation_rate") {
            Some(limit) => self.count(Measured::Connections(address), 1.0, limit, now).min(self.windows.size_ms),
            None => 0,
        }
    }

    fn count(&self, measured: Measured, amount: f64, limit: f64, now: Monotonic) -> u64 {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= RATES_SWEPT_FROM && !rates.contains_key(&measured) {
            rates.retain(|_, rate| !rate.is_idle(now));
        }
        let rate = rates.entry(measured).or_insert_with(|| SampledRate::new(self.windows));
        rate.record(amount, now);
        rate.throttle_ms(limit, now)
    }
}

/// Whose limit it counts against that a request creates or deletes partitions: the controllers count it, for the whole
/// cluster. `strict` says that the client understands THROTTLING_QUOTA_EXCEEDED.
pub fn mutation_quota(client_id: Option<&str>, strict: bool) -> MutationQuota {
    let client_id = client_id.unwrap_or_default().to_owned();
    MutationQuota { user: ANONYMOUS.to_owned(), client_id, strict, ..MutationQuota::default() }
}

/// Whether there is such a limit for the client.
pub fn has_mutation_quota(image: &ClusterImage, client_id: &str) -> bool {
    image.mutation_quota(ANONYMOUS, client_id).is_some()
}

/// How long the client of one request has to wait, as found on the way.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Arc<AtomicU64>);

impl Throttle {
    /// At least so many milliseconds.
    pub fn raise(&self, wait_ms: u64) {
        self.0.fetch_max(wait_ms, Ordering::Relaxed);
    }

    /// At least as long as the controllers say.
    pub fn raise_for(&self, spent: Option<&MutationsSpent>) {
        self.raise(spent.and_then(|spent| u64::try_from(spent.throttle_time_ms).ok()).unwrap_or(0));
    }

    /// As `throttle_time_ms` says it.
    pub fn throttle_time_ms(&self) -> i32 {
        i32::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i32::MAX)
    }

    /// How long nothing is read from the client.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::metadata::{ClientQuotaRecord, QuotaEntityPart};

    fn image(limits: &[(&str, Option<&str>, &str, f64)]) -> ClusterImage {
        let mut image = ClusterImage::default();
        for (entity_type, name, key, value) in limits {
            let part = QuotaEntityPart { entity_type: (*entity_type).into(), name: name.map(str::to_owned) };
            let record = ClientQuotaRecord { entity: vec![part], key: (*key).into(), value: Some(*value) };
            image.replay(&record.into(), image.applied_index() + 1).unwrap();
        }
        image
    }

    #[test]
    fn clients_of_one_name_share_their_limit_and_others_have_their_own() {
        let image = image(&[("client-id", None, "producer_byte_rate", 100.0)]);
        let quotas = ClientQuotas::new(QuotaWindows::default());
        let record = |client| quotas.record(&image, Limited::Produce, Some(client), 600.0, Monotonic(0));
        assert_eq!((record("a"), record("a")), (0, 2_000));
        assert_eq!(record("b"), 0);
        assert_eq!(quotas.record(&image, Limited::Fetch, Some("a"), 1e9, Monotonic(0)), 0, "not limited");
    }

    #[test]
    fn a_users_limit_is_for_all_its_clients_and_requests_wait_for_a_window_at_most() {
        let image = image(&[("user", Some(ANONYMOUS), "request_percentage", 1.0)]);
        let quotas = ClientQuotas::new(QuotaWindows::default());
        let record = |client| quotas.record(&image, Limited::Request, Some(client), 500.0, Monotonic(0));
        assert!(record("a") > 0);
        assert_eq!(record("b"), 1_000);
    }

    #[test]
    fn an_address_is_held_off_when_it_connects_too_often() {
        let image = image(&[("ip", Some("10.0.0.1"), "connection_creation_rate", 1.0)]);
        let quotas = ClientQuotas::new(QuotaWindows::default());
        let connect = |ip: &str| quotas.on_connection(&image, ip.parse().unwrap(), Monotonic(0));
        (0..10).for_each(|_| assert_eq!(connect("10.0.0.1"), 0));
        assert!(connect("::ffff:10.0.0.1") > 0);
        assert_eq!(connect("10.0.0.2"), 0);
    }

    #[test]
    fn rates_that_nobody_uses_are_forgotten() {
        let image = image(&[("client-id", None, "consumer_byte_rate", 1.0)]);
        let quotas = ClientQuotas::new(QuotaWindows::default());
        for n in 0..RATES_SWEPT_FROM {
            quotas.record(&image, Limited::Fetch, Some(&n.to_string()), 1.0, Monotonic(0));
        }
        quotas.record(&image, Limited::Fetch, Some("late"), 1.0, Monotonic(60_000));
        assert_eq!(quotas.rates.lock().unwrap().len(), 1);
    }
}
