//! `token-sim`: an emulated hardware token.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An emulated hardware token on a pty
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Option<sim::Options>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a maker key and print its public half
    MakeMaker(MakeMaker),
    /// Attest a blank token behind a socket and give it a pty
    Bridge(sim::BridgeOptions),
}

#[derive(Args)]
struct MakeMaker {
    /// New file for the private half
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli { command: Some(Command::MakeMaker(MakeMaker { out })), .. } => {
            println!("{}", sim::make_maker(&out)?)
        }
        Cli { command: Some(Command::Bridge(options)), .. } => sim::bridge(&options)?,
        Cli { options: Some(options), .. } => sim::run(&options)?,
        Cli { .. } => anyhow::bail!("--link and --state are needed"),
    }
    Ok(())
}
