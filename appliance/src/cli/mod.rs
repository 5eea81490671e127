//! The command line: one clap tree, one `match`.
//!
//! Most commands speak the API's wire types over the daemon's socket. Those that work before there is a
//! daemon say so.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

mod app;
mod approval;
mod audit;
mod client;
mod config;
mod demo;
mod device;
mod enrol;
mod enrolment;
mod events;
mod hsm;
mod import;
mod letter;
mod messages;
mod mfa;
mod modem;
mod oath;
mod operator;
mod output;
mod progress;
mod prompt;
mod push;
mod role;
mod serve;
mod sms;
pub(crate) mod technician;
mod token;
mod user;
mod verify;

use output::Failure;

/// Done or accepted.
pub(crate) const EXIT_DONE: u8 = 0;
/// Refused or rejected.
pub(crate) const EXIT_REFUSED: u8 = 1;
/// Usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Daemon, HSM, store or modem unavailable.
pub(crate) const EXIT_UNAVAILABLE: u8 = 3;
/// A fault of our own.
pub(crate) const EXIT_FAULT: u8 = 4;

/// One-time passwords computed inside your HSM.
#[derive(Parser)]
#[command(name = "countersign", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub(crate) struct Global {
    /// Configuration file.
    #[arg(long, global = true, value_name = "FILE", env = "COUNTERSIGN_CONFIG",
        default_value = crate::config::DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    /// The daemon's socket.
    #[arg(long, global = true, value_name = "PATH", env = "COUNTERSIGN_SOCKET",
        default_value = crate::config::DEFAULT_SOCKET)]
    pub(crate) socket: PathBuf,
    /// File with an application's key, to speak as that application.
    #[arg(long, global = true, value_name = "FILE", env = "COUNTERSIGN_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// One JSON document on stdout; diagnostics on stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Nothing but errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Serve,
    /// Check the configuration, and let it take effect.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Initialise and inspect the HSM.
    #[command(subcommand)]
    Hsm(hsm::HsmCommand),
    /// Users: add, show, lock; passwords, addresses, methods, numbers.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Enrol and manage tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// OATH accounts: make, show, end, renew.
    #[command(subcommand)]
    Oath(oath::OathCommand),
    /// Phones: register, list, ask.
    #[command(subcommand)]
    Push(push::PushCommand),
    /// What phones show of the appliance.
    #[command(subcommand)]
    Mfa(mfa::MfaCommand),
    /// Enrolments: from the request for a factor to its binding.
    #[command(subcommand)]
    Enrol(enrol::EnrolCommand),
    /// Verify a code.
    Verify(verify::VerifyArgs),
    /// Order, typeset and follow activation letters.
    #[command(subcommand)]
    Letter(letter::LetterCommand),
    /// Send and follow text messages through the daemon.
    #[command(subcommand)]
    Sms(sms::SmsCommand),
    /// Check the texts for people. Needs no daemon.
    #[command(subcommand)]
    Messages(messages::MessagesCommand),
    /// Be a phone that scans, registers and answers pushes. Needs no daemon.
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Talk to GSM modems, encode and decode SMS, emulate a modem.
    #[command(subcommand)]
    Modem(modem::ModemCommand),
    /// Hardware tokens at the bench.
    #[command(subcommand)]
    Technician(technician::TechnicianCommand),
    /// Add, list and revoke client applications.
    #[command(subcommand)]
    App(app::AppCommand),
    /// Say who is an operator, and what each may do.
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Give and take roles, also for some organisations only.
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Say who the daemon takes you for, and what you may do.
    Whoami,
    /// Approve an act that waits for a second person.
    Approve {
        /// The handle, as the first person was told.
        id: String,
    },
    /// List, show and deny acts that wait for a second person.
    #[command(subcommand)]
    Approval(approval::ApprovalCommand),
    /// Check the chain of events.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List events.
    Events(events::EventsArgs),
    Demo(demo::DemoArgs),
    /// A child of the demo, which starts it.
    #[command(name = crate::demo::DEMO_CHILD, hide = true)]
    DemoChild(demo::ChildArgs),
    /// Print the API's OpenAPI 3.1 description.
    Openapi,
    /// Print a shell's completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// The process that holds the HSM; the daemon starts it.
    #[command(name = crate::daemon::HSM_CHILD, hide = true)]
    HsmChild,
}

/// Parses the command line and runs it.
///
/// Exit codes: 0 done or accepted, 1 refused or rejected, 2 usage or configuration,
/// 3 unavailable, 4 internal fault.
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let done = match command {
        Command::HsmChild => return ::hsm::child::run(domain::sentcode::render),
        Command::Modem(command) => return modem::run(command, global.json),
        Command::Serve => serve::run(&global),
        Command::Config(command) => config::run(&global, command),
        Command::Hsm(command) => hsm::run(&global, command),
        Command::User(command) => user::run(&global, command),
        Command::Token(command) => token::run(&global, command),
        Command::Oath(command) => oath::run(&global, command),
        Command::Push(command) => push::run(&global, command),
        Command::Mfa(command) => mfa::run(&global, command),
        Command::Messages(command) => messages::run(&global, &command),
        Command::Enrol(command) => enrol::run(&global, command),
        Command::Verify(args) => verify::run(&global, args),
        Command::Letter(command) => letter::run(&global, command),
        Command::Sms(command) => sms::run(&global, command),
        Command::Device(command) => device::run(&global, command),
        Command::Technician(command) => technician::run(&global, command),
        Command::App(command) => app::run(&global, command),
        Command::Operator(command) => operator::run(&global, command),
        Command::Role(command) => role::run(&global, command),
        Command::Whoami => operator::whoami(&global),
        Command::Approve { id } => approval::approve(&global, &id),
        Command::Approval(command) => approval::run(&global, command),
        Command::Audit(command) => audit::run(&global, command),
        Command::Events(args) => events::run(&global, &args),
        Command::Demo(args) => demo::run(&global, args),
        Command::DemoChild(args) => demo::child(&args),
        Command::Openapi => {
            print!("{}", crate::api::openapi_json());
            Ok(ExitCode::from(EXIT_DONE))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
            let script = String::from_utf8_lossy(&script).into_owned();
            output::print(&global, &serde_json::json!({ "completions": script }), |_| script.clone())
        }
    };
    done.unwrap_or_else(|failure: Failure| failure.report(&global))
}
