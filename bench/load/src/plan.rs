//! What to do, as the harness says it, and what came of it: both are JSON.

use serde::{Deserialize, Serialize};

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// Each client sends, and waits for what it sent to come back.
    Echo,
    /// One client sends, and the server sends it on to all.
    Broadcast,
    /// All clients send; the server confirms every so many messages.
    FanIn,
    /// Clients connect, open a WebSocket and close it, over and over.
    Handshakes,
    /// Clients connect and are quiet.
    Idle,
}

/// How permessage-deflate (RFC 7692) is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deflate {
    /// Contexts are kept from message to message.
    Takeover,
    NoTakeover,
}

/// What a load is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) port: u16,
    pub(crate) connections: usize,
    /// The length of a message, in bytes.
    pub(crate) size: usize,
    /// How many messages of a client may be on their way.
    pub(crate) depth: usize,
    pub(crate) binary: bool,
    pub(crate) deflate: Option<Deflate>,
    /// The file of the certificate to trust, where the server speaks TLS.
    pub(crate) authority: Option<String>,
    /// How long to run before it counts, in seconds.
    pub(crate) warm_up: f64,
    /// How long to count, in seconds.
    pub(crate) seconds: f64,
    /// The process of the server, whose use of processor and memory is measured.
    pub(crate) pid: u32,
}

/// What was measured.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// How long it was counted, in seconds.
    pub(crate) seconds: f64,
    /// Messages, or whatever else is counted.
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    /// Bytes received on the wire for each message.
    pub(crate) wire_bytes: f64,
    /// Times from sending to receiving, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Processor time of the server's process for each message, in microseconds.
    pub(crate) cpu: Option<f64>,
    /// The same of its main thread, which runs the JavaScript.
    pub(crate) main_cpu: Option<f64>,
    /// The share of the time that the load itself was busy: near 1 it, and not the
    /// server, is what limits.
    pub(crate) load: Option<f64>,
    /// The most memory that was resident meanwhile, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// What idle connections cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdleReport {
    pub(crate) connections: usize,
    /// Resident memory for each connection, in bytes.
    pub(crate) memory: f64,
    /// The same, for connections made after as many were closed.
    pub(crate) memory_after_churn: f64,
}
