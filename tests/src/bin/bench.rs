//! `make bench`: what the appliance does per second and how long an answer takes, beside what the disk, the
//! HSM and the HTTP server alone would allow.

use std::process::ExitCode;

#[path = "../bench/mod.rs"]
mod bench;

fn main() -> ExitCode {
    bench::main()
}
