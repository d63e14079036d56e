//! Metrics in the text format that Prometheus reads.
//!
//! A [`Family`] is declared once, as a constant, where it is counted; docs/metrics.md is made of those constants. What a
//! scrape shows is mostly not kept for it: a [`MetricSource`] looks at the module's own state when asked, so a metric
//! costs nothing between scrapes. Only what happens and passes is counted, in relaxed atomics.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How a family's values move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only up, until the process ends.
    Counter,
    /// Up and down.
    Gauge,
    /// Counts of durations by size.
    Histogram,
}

impl Kind {
    /// Prometheus's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, with all its label values.
#[derive(PartialEq, Eq, Debug)]
pub struct Family {
    /// As it is scraped.
    pub name: &'static str,
    /// How its values move.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, as a sentence.
    pub help: &'static str,
}

/// Declares a module's families as constants, and `FAMILIES`, the list of them:
/// `CONSTANT Kind "name" ["label" …] "Help.";`
macro_rules! families {
    ($($constant:ident $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(static $constant: $crate::observability::metrics::Family = $crate::observability::metrics::Family {
            name: $name,
            kind: $crate::observability::metrics::Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*
        /// All families declared here.
        pub static FAMILIES: &[&$crate::observability::metrics::Family] = &[$(&$constant),*];
    };
}
pub(crate) use families;

/// Something that knows values.
pub trait MetricSource: Send + Sync {
    /// Writes all it knows. Called for each scrape; must not block on the disk or on a peer.
    fn write(&self, page: &mut Page);
}

/// The sources of a node, in the order in which they were added.
#[derive(Default)]
pub struct Registry {
    sources: RwLock<Vec<Arc<dyn MetricSource>>>,
}

impl Registry {
    /// Adds a source.
    pub fn add(&self, source: impl MetricSource + 'static) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(source));
    }

    /// What a scrape gets.
    pub fn text(&self) -> String {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut page = Page { text: String::new() };
        sources.iter().for_each(|source| source.write(&mut page));
        page.text
    }
}

/// The text of a scrape in the making.
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a family; each may be begun once in a page.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let Family { name, kind, help, .. } = family;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
        Samples { page: self, family }
    }

    /// A family with one value and no labels.
    pub fn value(&mut self, family: &'static Family, value: impl Display) {
        self.family(family).add(&[], value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// The values of one family.
pub struct Samples<'a> {
    page: &'a mut Page,
    family: &'static Family,
}

impl Samples<'_> {
    /// Adds the value for these label values, which come in the order of the family's labels.
    pub fn add(&mut self, labels: &[&str], value: impl Display) {
        self.sample("", labels, None, value);
    }

    /// Adds a histogram for these label values; durations are told in milliseconds.
    pub fn add_histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        let mut count = 0;
        for (at, bucket) in histogram.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS_US.get(at).map_or("+Inf".to_owned(), |us| milliseconds(*us).to_string());
            self.sample("_bucket", labels, Some(&bound), count);
        }
        self.sample("_sum", labels, None, milliseconds(histogram.sum_us.load(Ordering::Relaxed)));
        self.sample("_count", labels, None, count);
    }

    fn sample(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: impl Display) {
        let names = self.family.labels;
        assert_eq!(names.len(), values.len(), "labels of {}", self.family.name);
        let mut labels: Vec<String> =
            names.iter().zip(values).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        labels.extend(bound.map(|bound| format!("le=\"{bound}\"")));
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.page.line(format_args!("{}{suffix}{labels} {value}", self.family.name));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration that long is shown to the nearest microsecond or so")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Group ids may hold anything.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Upper bounds of a histogram's buckets but the last, in microseconds.
const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Counts durations; an observation is two relaxed additions.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many have been counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    families! {
        LAG Gauge "lag" ["group"] "How far behind.";
        TIME Histogram "time_ms" ["api"] "How long.";
        LIVES Counter "lives_total" [] "How often.";
    }

    struct Source(Histogram);

    impl MetricSource for Source {
        fn write(&self, page: &mut Page) {
            page.value(&LIVES, 7);
            page.family(&LAG).add(&["a \"b\" \\ c\nd"], 3);
            page.family(&TIME).add_histogram(&["Fetch"], &self.0);
        }
    }

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let histogram = Histogram::default();
        [90, 100, 101, 20_000_000].map(Duration::from_micros).into_iter().for_each(|time| histogram.observe(time));
        assert_eq!(histogram.count(), 4);
        let registry = Registry::default();
        registry.add(Source(histogram));
        let text = registry.text();
        let expected = "# HELP lives_total How often.\n# TYPE lives_total counter\nlives_total 7\n\
                        # HELP lag How far behind.\n# TYPE lag gauge\nlag{group=\"a \\\"b\\\" \\\\ c\\nd\"} 3\n";
        assert!(text.starts_with(expected), "{text}");
        let declared: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(declared, ["lag", "time_ms", "lives_total"]);
        for line in [
            "# TYPE time_ms histogram",
            "time_ms_bucket{api=\"Fetch\",le=\"0.1\"} 2",
            "time_ms_bucket{api=\"Fetch\",le=\"0.25\"} 3",
            "time_ms_bucket{api=\"Fetch\",le=\"10000\"} 3",
            "time_ms_bucket{api=\"Fetch\",le=\"+Inf\"} 4",
            "time_ms_sum{api=\"Fetch\"} 20000.291",
            "time_ms_count{api=\"Fetch\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
