//! What a process shows of itself.

use std::fs;
use std::time::{Duration, Instant};

use crate::clock;
use crate::observability::metrics::{MetricSource, Page, families};

families! {
    BUILD Gauge "ottla_build_info" ["version"] "1, with the version that runs.";
    UPTIME Gauge "process_uptime_seconds" [] "Seconds since the node was started.";
    START Gauge "process_start_time_seconds" [] "When the node was started, in seconds since 1970.";
    MEMORY Gauge "process_resident_memory_bytes" [] "Resident memory of the process.";
    CPU Counter "process_cpu_seconds_total" [] "CPU time of the process, in user and kernel mode.";
    FILES Gauge "process_open_fds" [] "File descriptors in use.";
}

/// Tells of this process, as the kernel sees it.
pub(super) struct ProcessMetrics {
    started: Instant,
    started_ms: i64,
}

impl ProcessMetrics {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), started_ms: clock::wall().0 }
    }
}

impl MetricSource for ProcessMetrics {
    fn write(&self, page: &mut Page) {
        page.family(&BUILD).add(&[env!("CARGO_PKG_VERSION")], 1);
        page.value(&UPTIME, self.started.elapsed().as_secs());
        page.value(&START, self.started_ms / 1_000);
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        if let Some(resident) = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()) {
            page.value(&MEMORY, resident * rustix::param::page_size() as u64);
        }
        if let Some(cpu) = cpu_time() {
            page.value(&CPU, cpu.as_secs_f64());
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            page.value(&FILES, files.count());
        }
    }
}

/// Fields 14 and 15 of /proc/self/stat, in ticks; the name in field 2 may hold blanks.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
}
