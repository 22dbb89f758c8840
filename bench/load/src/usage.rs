//! What a process uses, as Linux tells it in `/proc`; nothing elsewhere.

use std::fs;
use std::time::Duration;

/// The use of a process until now.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time of all its threads that are still there.
    pub(crate) process: Duration,
    /// Processor time of its main thread.
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

/// Forgets the most memory that was resident.
pub(crate) fn reset_peak_memory(pid: u32) {
    // Where it cannot be forgotten, the peak is that of the process's life.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// The most memory that was resident, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    status(pid, "VmHWM:")
}

/// The memory that is resident, in bytes.
pub(crate) fn resident_memory(pid: u32) -> Option<u64> {
    status(pid, "VmRSS:")
}

fn status(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
