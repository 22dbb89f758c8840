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
use crate::usage::resident_memory;

/// A server that does not echo messages confirms this many at a time.
const CONFIRMED: u64 = 100;

/// The maximum number of messages of a client that are not confirmed.
const UNCONFIRMED: u64 = 40 * CONFIRMED;

/// The number of connections before the measurement.
const FIRST: usize = 50;

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
    match plan.scenario {
        Scenario::Echo => echo(plan, &mut load, &mut meter)?,
        Scenario::Broadcast => broadcast(plan, &mut load, &mut meter)?,
        Scenario::FanIn => fan_in(plan, &mut load, &mut meter)?,
        Scenario::Handshakes => handshakes(plan, &mut load, &mut meter)?,
        Scenario::Idle => bail!("idle connections count nothing"),
    }
    Ok(meter.report())
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

fn broadcast(plan: &Plan, load: &mut Load, meter: &mut Meter) -> Result<()> {
    load.open(plan.connections)?;
    let all = plan.connections as u64;
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
                load.clients[0].send(finished);
                load.clients[0].write()?;
            }
        }
    }
    Ok(())
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

/// Measures the cost of idle connections.
pub(crate) fn idle(plan: &Plan) -> Result<IdleReport> {
    // The first connections allocate what all connections share. They are few, because
    // the memory that they leave is used again, and would be missing in the measurement.
    let few = Plan {
        connections: FIRST.min(plan.connections),
        ..plan.clone()
    };
    drop(idle_clients(&few)?);
    let each = |before: u64, after: u64| (after as f64 - before as f64) / plan.connections as f64;
    let before = settled_memory(plan)?;
    let first = idle_clients(plan)?;
    let memory = each(before, settled_memory(plan)?);
    drop(first);
    settled_memory(plan)?;
    let _second = idle_clients(plan)?;
    Ok(IdleReport {
        connections: plan.connections,
        memory,
        memory_after_churn: each(before, settled_memory(plan)?),
    })
}

/// Opens clients, each of which sends and receives a message.
fn idle_clients(plan: &Plan) -> Result<Load> {
    let mut load = plan.load(true)?;
    load.open(plan.connections)?;
    for client in &mut load.clients {
        client.send(1);
        client.write()?;
    }
    let mut missing = plan.connections;
    while missing > 0 {
        load.turn(|_, _, what| {
            ensure!(matches!(what, Received::Echo { .. }), "something else came");
            missing -= 1;
            Ok(())
        })?;
    }
    Ok(load)
}

/// Returns the memory of the server after a garbage collection.
fn settled_memory(plan: &Plan) -> Result<u64> {
    let plain = Plan {
        deflate: None,
        ..plan.clone()
    };
    let mut load = plain.load(false)?;
    load.open(1)?;
    load.clients[0].send_frame(frame::TEXT, b"collect garbage");
    load.clients[0].write()?;
    let mut is_done = false;
    while !is_done {
        load.turn(|_, _, what| {
            is_done = matches!(what, Received::Message(_));
            Ok(())
        })?;
    }
    resident_memory(plan.pid).context("the memory of a process is only known on Linux")
}
