//! What clients ask for, and how long the answers take.

use std::sync::Arc;
use std::time::Duration;

use crate::observability::metrics::{Histogram, MetricSource, Page, families};
use crate::protocol::ApiKey;

families! {
    REQUESTS Counter "kafka_network_requestmetrics_requests_total" ["request"] "Requests answered, by API.";
    TIMES Histogram "kafka_network_requestmetrics_totaltimems" ["request"]
        "Milliseconds from a request's start to its answer, long polls and waits for replicas included.";
}

/// Times of requests by API. Counting one is two relaxed additions and no lookup.
pub struct RequestMetrics {
    by_code: Box<[Histogram]>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let codes =
            ApiKey::ALL.iter().map(|api| api.code()).max().map_or(0, |last| usize::try_from(last).unwrap_or(0) + 1);
        Self { by_code: (0..codes).map(|_| Histogram::default()).collect() }
    }
}

impl RequestMetrics {
    /// Counts a request that has been answered.
    pub fn on_answered(&self, api: ApiKey, time: Duration) {
        if let Some(histogram) = self.of(api) {
            histogram.observe(time);
        }
    }

    fn of(&self, api: ApiKey) -> Option<&Histogram> {
        self.by_code.get(usize::try_from(api.code()).ok()?)
    }
}

/// Tells of the requests of a broker.
pub struct BrokerMetrics(pub Arc<RequestMetrics>);

impl MetricSource for BrokerMetrics {
    fn write(&self, page: &mut Page) {
        let asked: Vec<_> = ApiKey::ALL
            .iter()
            .filter_map(|api| Some((api.name(), self.0.of(*api)?)))
            .filter(|(_, times)| times.count() > 0)
            .collect();
        let mut requests = page.family(&REQUESTS);
        asked.iter().for_each(|(name, times)| requests.add(&[name], times.count()));
        let mut histograms = page.family(&TIMES);
        asked.iter().for_each(|(name, times)| histograms.add_histogram(&[name], times));
    }
}
