//! Measures messages, bytes and times, once it has been started.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::plan::Report;
use crate::usage::{peak_memory, reset_peak_memory, Usage};

/// The longest time that is measured, in nanoseconds.
const MAX_TIME: u64 = 60_000_000_000;

/// The measurements.
pub(crate) struct Meter {
    pid: u32,
    start: Option<Start>,
    count: u64,
    wire: u64,
    times: Histogram<u64>,
}

/// The state when the measurement was started.
struct Start {
    at: Instant,
    /// What the server had used.
    server: Option<Usage>,
    /// What the load generator had used.
    load: Option<Usage>,
}

impl Meter {
    /// Creates a meter for the server with this process ID.
    pub(crate) fn new(pid: u32) -> Self {
        Self {
            pid,
            start: None,
            count: 0,
            wire: 0,
            times: Histogram::new_with_max(MAX_TIME, 3).expect("the bounds are valid"),
        }
    }

    /// Starts to measure.
    pub(crate) fn start(&mut self) {
        reset_peak_memory(self.pid);
        self.start = Some(Start {
            at: Instant::now(),
            server: Usage::of(self.pid),
            load: Usage::of(std::process::id()),
        });
    }

    /// Counts messages.
    pub(crate) fn count(&mut self, messages: u64) {
        if self.start.is_some() {
            self.count += messages;
        }
    }

    /// Counts bytes received.
    pub(crate) fn count_wire(&mut self, bytes: u64) {
        if self.start.is_some() {
            self.wire += bytes;
        }
    }

    /// Records how long a message took.
    pub(crate) fn time(&mut self, time: Duration) {
        if self.start.is_some() {
            self.times.saturating_record(time.as_nanos() as u64);
        }
    }

    /// Returns the measurements so far.
    pub(crate) fn report(&self) -> Report {
        let Some(start) = &self.start else {
            return Report::default();
        };
        let seconds = start.at.elapsed().as_secs_f64();
        let (before, after) = (start.server, Usage::of(self.pid));
        let load = Usage::of(std::process::id())
            .zip(start.load)
            .map(|(after, before)| after.process.saturating_sub(before.process));
        let count = self.count.max(1) as f64;
        let each = |time: fn(Usage) -> Duration| {
            let used = time(after?).saturating_sub(time(before?));
            Some(used.as_secs_f64() * 1e6 / count)
        };
        let quantile = |quantile| self.times.value_at_quantile(quantile) as f64 / 1e3;
        Report {
            seconds,
            count: self.count,
            per_second: self.count as f64 / seconds,
            wire_bytes: self.wire as f64 / count,
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            cpu: each(|usage| usage.process),
            main_cpu: each(|usage| usage.main),
            load: load.map(|busy| busy.as_secs_f64() / seconds),
            peak_memory: peak_memory(self.pid),
        }
    }
}
