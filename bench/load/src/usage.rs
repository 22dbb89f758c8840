//! What a process uses, as shown in Linux's `/proc`. Not available on other systems.

use std::fs;
use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// The CPU time of all its threads that still run.
    pub(crate) process: Duration,
    /// The CPU time of its main thread.
    pub(crate) main: Duration,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let time = |task: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).ok()?;
            let nanoseconds = stat.split_whitespace().next()?.parse().ok()?;
            Some(Duration::from_nanos(nanoseconds))
        };
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let process = tasks
            .flatten()
            .filter_map(|task| task.file_name().to_str()?.parse().ok())
            .filter_map(time)
            .sum();
        Some(Self {
            process,
            main: time(pid)?,
        })
    }
}

/// Resets the maximum resident memory.
pub(crate) fn reset_peak_memory(pid: u32) {
    // If this fails, the maximum is that of the process's whole life.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Returns the maximum resident memory, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    status(pid, "VmHWM:")
}

/// Returns the resident memory, in bytes.
pub(crate) fn resident_memory(pid: u32) -> Option<u64> {
    status(pid, "VmRSS:")
}

/// Returns the number of open descriptors.
pub(crate) fn descriptors(pid: u32) -> Option<u64> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(open.count() as u64)
}

/// Returns how many descriptors may be open (`ulimit -n`).
pub(crate) fn descriptor_limit(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = (limits.lines()).find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn status(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
