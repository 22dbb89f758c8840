//! What the clients do in each scenario.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use crate::client::{Common, Received};
use crate::corpus::Corpus;
use crate::frame;
use crate::load::Load;
use crate::meter::Meter;
use crate::plan::{IdleReport, Plan, Report, Scenario};
use crate::stream::Address;
use crate::usage::{descriptor_limit, descriptors, resident_memory};

/// A server that does not echo messages confirms this many at a time.
const CONFIRMED: u64 = 100;

/// The maximum number of messages of a client that are not confirmed.
const UNCONFIRMED: u64 = 40 * CONFIRMED;

/// The number of connections before the measurement, and how many times they are opened.
const FIRST: usize = 50;
const FIRST_TIMES: usize = 20;

/// A server with fewer free descriptors than this closes connections, or soon will.
const FREE_DESCRIPTORS: u64 = 256;

impl Plan {
    fn load(&self, echoes: bool) -> Result<Load> {
        Load::new(Common {
            address: Address::new(self.port, self.authority.as_deref())?,
            corpus: Corpus::new(self),
            deflate: self.deflate,
            echoes,
        })
    }

    fn after(seconds: f64) -> Instant {
        Instant::now() + Duration::from_secs_f64(seconds)
    }
}

/// Runs a scenario that counts something.
pub(crate) fn run(plan: &Plan) -> Result<Report> {
    let mut load = plan.load(plan.scenario != Scenario::FanIn)?;
    let mut meter = Meter::new(plan.pid);
    let mut owed = 0;
    match plan.scenario {
        Scenario::Echo => echo(plan, &mut load, &mut meter)?,
        Scenario::Broadcast => owed = broadcast(plan, &mut load, &mut meter)?,
        Scenario::FanIn => fan_in(plan, &mut load, &mut meter)?,
        Scenario::Handshakes => handshakes(plan, &mut load, &mut meter)?,
        Scenario::Idle => bail!("idle connections count nothing"),
    }
    let report = meter.report();
    // Otherwise the clients of the next run would receive messages of this one.
    while owed > 0 {
        load.turn(|_, _, what| {
            ensure!(matches!(what, Received::Echo { .. }), "something else came");
            owed -= 1;
            Ok(())
        })?;
    }
    Ok(report)
}

fn echo(plan: &Plan, load: &mut Load, meter: &mut Meter) -> Result<()> {
    load.open(plan.connections)?;
    for client in &mut load.clients {
        client.send(plan.depth as u64);
        client.write()?;
    }
    for is_counted in [false, true] {
        let deadline = begin(plan, is_counted, meter);
        load.turn_until(deadline, |client, _, what| {
            let Received::Echo { after } = what else {
                bail!("something else came back");
            };
            meter.count(1);
            meter.count_wire(std::mem::take(&mut client.wire));
            after.into_iter().for_each(|after| meter.time(after));
            client.send(1);
            Ok(())
        })?;
    }
    Ok(())
}

/// Returns the number of deliveries that are still to come.
fn broadcast(plan: &Plan, load: &mut Load, meter: &mut Meter) -> Result<u64> {
    load.open(plan.connections)?;
    let all = plan.connections as u64;
    let mut sent = plan.depth as u64;
    let mut delivered = 0;
    let mut sent_at = Instant::now();
    load.clients[0].send(plan.depth as u64);
    load.clients[0].write()?;
    for is_counted in [false, true] {
        let deadline = begin(plan, is_counted, meter);
        while Instant::now() < deadline {
            let mut finished = 0;
            load.turn(|client, _, what| {
                ensure!(matches!(what, Received::Echo { .. }), "something else came");
                meter.count(1);
                meter.count_wire(std::mem::take(&mut client.wire));
                delivered += 1;
                finished += u64::from(delivered % all == 0);
                Ok(())
            })?;
            if finished > 0 {
                // The time until the last client has received the message.
                meter.time(sent_at.elapsed());
                sent_at = Instant::now();
                sent += finished;
                load.clients[0].send(finished);
                load.clients[0].write()?;
            }
        }
    }
    Ok(sent * all - delivered)
}

fn fan_in(plan: &Plan, load: &mut Load, meter: &mut Meter) -> Result<()> {
    load.open(plan.connections)?;
    for client in &mut load.clients {
        client.send(UNCONFIRMED);
        client.write()?;
    }
    for is_counted in [false, true] {
        let deadline = begin(plan, is_counted, meter);
        load.turn_until(deadline, |client, _, what| {
            let Received::Message(message) = what else {
                bail!("something else came back");
            };
            ensure!(
                message == CONFIRMED.to_string().as_bytes(),
                "confirmed wrongly: {}",
                String::from_utf8_lossy(&message)
            );
            meter.count(CONFIRMED);
            client.send(CONFIRMED);
            Ok(())
        })?;
    }
    Ok(())
}

fn handshakes(plan: &Plan, load: &mut Load, meter: &mut Meter) -> Result<()> {
    let mut began = vec![Instant::now(); plan.connections];
    for _ in 0..plan.connections {
        load.add()?;
    }
    for is_counted in [false, true] {
        let deadline = begin(plan, is_counted, meter);
        while Instant::now() < deadline {
            let mut closed = Vec::new();
            load.turn(|client, index, what| {
                match what {
                    Received::Opened => {
                        meter.count(1);
                        meter.time(began[index].elapsed());
                        client.send_frame(frame::CLOSE, &1000u16.to_be_bytes());
                    }
                    Received::Closed => closed.push(index),
                    _ => bail!("a message came"),
                }
                Ok(())
            })?;
            closed.dedup();
            for index in closed {
                load.replace(index)?;
                began[index] = Instant::now();
            }
        }
    }
    Ok(())
}

/// Starts a part of the run: the warm-up or the measurement. Returns when it ends.
fn begin(plan: &Plan, is_counted: bool, meter: &mut Meter) -> Instant {
    if is_counted {
        meter.start();
        Plan::after(plan.seconds)
    } else {
        Plan::after(plan.warm_up)
    }
}

/// Opens connections, reports it on standard output, and keeps them open and idle until
/// this process is ended.
pub(crate) fn hold(plan: &Plan) -> Result<()> {
    let mut load = plan.load(false)?;
    open_idle(plan, &mut load)?;
    println!("open");
    load.hold()
}

/// Measures the cost of idle connections.
pub(crate) fn idle(plan: &Plan) -> Result<IdleReport> {
    // The first connections allocate what all connections share, and the server's
    // JavaScript is compiled. They are few at a time, because the memory that they leave
    // is used again, and would be missing in the measurement.
    let few = Plan {
        connections: FIRST.min(plan.connections),
        ..plan.clone()
    };
    let mut load = plan.load(true)?;
    for _ in 0..FIRST_TIMES {
        fill(&few, &mut load)?;
        load.clients.clear();
    }
    let before = Footprint::of(plan)?;
    fill(plan, &mut load)?;
    let (memory, descriptors) = Footprint::of(plan)?.each(&before, plan);
    for _ in 0..plan.churn {
        load.drop_every_second()?;
        // The server answers when it has handled the resets.
        ask(plan, &["wait"])?;
        fill(plan, &mut load)?;
    }
    let (memory_after_churn, descriptors_after_churn) = Footprint::of(plan)?.each(&before, plan);
    Ok(IdleReport {
        connections: plan.connections,
        memory,
        descriptors,
        memory_after_churn,
        descriptors_after_churn,
    })
}

/// What the server holds.
struct Footprint {
    memory: u64,
    descriptors: u64,
}

impl Footprint {
    /// Measures it after a garbage collection.
    fn of(plan: &Plan) -> Result<Self> {
        // The second one finds what the finalizers of the first one have released.
        let connection = ask(plan, &["collect garbage", "collect garbage"])?;
        let known = resident_memory(plan.pid).zip(descriptors(plan.pid));
        drop(connection);
        let (memory, descriptors) =
            known.context("the memory of a process is only known on Linux")?;
        Ok(Self {
            memory,
            descriptors,
        })
    }

    /// Returns the memory and the descriptors of each connection since `before`.
    fn each(&self, before: &Self, plan: &Plan) -> (f64, f64) {
        let each =
            |before: u64, after: u64| (after as f64 - before as f64) / plan.connections as f64;
        (
            each(before.memory, self.memory),
            each(before.descriptors, self.descriptors),
        )
    }
}

/// Opens clients until there are as many as planned. The new ones exchange messages with
/// the server: all of them the first, then all of them the next.
fn fill(plan: &Plan, load: &mut Load) -> Result<()> {
    let first = load.clients.len();
    open_idle(plan, load)?;
    for _ in 0..plan.messages {
        let mut missing = plan.connections - first;
        for client in &mut load.clients[first..] {
            client.send(1);
            client.write()?;
        }
        while missing > 0 {
            load.turn(|_, _, what| {
                ensure!(matches!(what, Received::Echo { .. }), "something else came");
                missing -= 1;
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Sends messages on a new connection, each when the one before has been answered.
/// Returns the connection.
fn ask(plan: &Plan, messages: &[&str]) -> Result<Load> {
    let plain = Plan {
        deflate: None,
        ..plan.clone()
    };
    let mut load = plain.load(false)?;
    load.open(1)?;
    for message in messages {
        load.clients[0].send_frame(frame::TEXT, message.as_bytes());
        load.clients[0].write()?;
        let mut is_answered = false;
        while !is_answered {
            load.turn(|_, _, what| {
                ensure!(matches!(what, Received::Message(_)), "no answer came");
                is_answered = true;
                Ok(())
            })?;
        }
    }
    Ok(load)
}

/// Opens clients until there are as many as planned. Fails if the server has too few
/// descriptors for them.
fn open_idle(plan: &Plan, load: &mut Load) -> Result<()> {
    let outcome = load.open(plan.connections - load.clients.len());
    if let Some((open, limit)) = descriptors(plan.pid).zip(descriptor_limit(plan.pid)) {
        ensure!(
            open + FREE_DESCRIPTORS < limit,
            "the server has {open} of the {limit} descriptors that it may have (ulimit -n)"
        );
    }
    outcome
}
