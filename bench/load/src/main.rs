//! Generates load for a WebSocket server on this machine:
//!
//! ```text
//! oxws-bench-load run PLAN    loads a server, and prints the results as JSON
//! oxws-bench-load hold PLAN   keeps connections open until it is ended
//! oxws-bench-load limit       runs the server that does the least possible
//! oxws-bench-load limit KEY CERTIFICATE   the same with TLS
//! ```
//!
//! `PLAN` is a [`Plan`] in JSON.

mod client;
mod corpus;
mod frame;
mod limit;
mod load;
mod meter;
mod plan;
mod scenarios;
mod stream;
mod usage;

use std::process::ExitCode;

use anyhow::{bail, Context, Result};

use plan::{Plan, Scenario};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", plan] => {
            let plan = parse(plan)?;
            let report = if plan.scenario == Scenario::Idle {
                serde_json::to_string(&scenarios::idle(&plan)?)
            } else {
                serde_json::to_string(&scenarios::run(&plan)?)
            };
            println!("{}", report?);
            Ok(())
        }
        ["hold", plan] => scenarios::hold(&parse(plan)?),
        ["limit"] => limit::serve(None),
        ["limit", key, certificate] => limit::serve(Some(stream::credentials(key, certificate)?)),
        _ => bail!("usage: oxws-bench-load run PLAN | hold PLAN | limit [KEY CERTIFICATE]"),
    }
}

fn parse(plan: &str) -> Result<Plan> {
    serde_json::from_str(plan).context("the plan is not valid")
}
