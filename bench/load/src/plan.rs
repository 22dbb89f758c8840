//! The plan that the harness passes in, and the report that it gets back, both in JSON.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// Each client sends messages, and waits for them to come back.
    Echo,
    /// One client sends messages, and the server sends them to all clients.
    Broadcast,
    /// All clients send messages, and the server confirms 100 at a time.
    FanIn,
    /// Clients connect, open a WebSocket and close it, repeatedly.
    Handshakes,
    /// Clients connect, exchange [`Plan::messages`], and are then idle.
    Idle,
}

/// How permessage-deflate (RFC 7692) is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deflate {
    /// Contexts are kept between messages.
    Takeover,
    NoTakeover,
}

/// What to measure.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) port: u16,
    pub(crate) connections: usize,
    /// The length of a message, in bytes.
    pub(crate) size: usize,
    /// How many messages of a client may be in flight.
    pub(crate) depth: usize,
    pub(crate) binary: bool,
    pub(crate) deflate: Option<Deflate>,
    /// Whether the clients do not mask their frames, for servers that return the bytes that
    /// they receive.
    #[serde(default)]
    pub(crate) unmasked: bool,
    /// How many messages each idle connection exchanges first, one after the other.
    #[serde(default = "one")]
    pub(crate) messages: u64,
    /// How many times half of the idle connections are dropped and opened again.
    #[serde(default)]
    pub(crate) churn: usize,
    /// The file of the certificate to trust, if the server uses TLS.
    pub(crate) authority: Option<String>,
    /// How long to run before the measurement, in seconds.
    pub(crate) warm_up: f64,
    /// How long to measure, in seconds.
    pub(crate) seconds: f64,
    /// The process ID of the server, whose CPU time and memory are measured.
    pub(crate) pid: u32,
}

fn one() -> u64 {
    1
}

/// The results of a measurement.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The duration of the measurement, in seconds.
    pub(crate) seconds: f64,
    /// The number of messages, or of whatever the scenario counts.
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    /// The number of bytes received for each message.
    pub(crate) wire_bytes: f64,
    /// Percentiles of the time from sending to receiving, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// The CPU time of the server's process for each message, in microseconds.
    pub(crate) cpu: Option<f64>,
    /// The CPU time of the server's main thread, which runs JavaScript, for each message.
    pub(crate) main_cpu: Option<f64>,
    /// The share of the time in which the load generator was busy. If it is near 1, the
    /// load generator is the limit and not the server.
    pub(crate) load: Option<f64>,
    /// The maximum resident memory of the server during the measurement, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

/// The cost of idle connections.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdleReport {
    pub(crate) connections: usize,
    /// The resident memory for each connection, in bytes.
    pub(crate) memory: f64,
    /// The open descriptors of the server for each connection.
    pub(crate) descriptors: f64,
    /// The memory after [`Plan::churn`].
    pub(crate) memory_after_churn: f64,
    /// The descriptors after [`Plan::churn`].
    pub(crate) descriptors_after_churn: f64,
}
