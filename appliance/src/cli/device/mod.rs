//! `countersign device simulate`: a phone with an authenticator app, for whoever sets push up and has none at hand, and
//! for tests. It speaks to the address that the QR code names, as a phone would; the daemon's socket is not used.

mod listen;
mod network;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ::device::{Choice, Delivered, Notice, Personality, Phone, Subscription};
use clap::{Args, Subcommand, ValueEnum};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::{Failure, print};
use super::{EXIT_REFUSED, Global};
use crate::clock;
use listen::Listening;
use network::Network;
use state::{Keys, State};

/// Draws of a key: one in 2^32 is none.
const DRAWS: usize = 4;

/// Be a phone.
#[derive(Subcommand)]
pub(super) enum DeviceCommand {
    /// Scan a QR code's text, register, show the code, and answer one push. Needs no daemon on this machine.
    Simulate(SimulateArgs),
}

#[derive(Clone, Copy, ValueEnum)]
enum Sdk {
    AndroidLegacy,
    IosLegacy,
    PingNew,
}

impl From<Sdk> for Personality {
    fn from(sdk: Sdk) -> Self {
        match sdk {
            Sdk::AndroidLegacy => Personality::AndroidLegacy,
            Sdk::IosLegacy => Personality::IosLegacy,
            Sdk::PingNew => Personality::PingNew,
        }
    }
}

#[derive(Args)]
pub(super) struct SimulateArgs {
    /// The QR code's text, or - for a line on stdin, which other users of this machine cannot see. Not needed where
    /// --state holds it.
    #[arg(long, value_name = "URI", required_unless_present = "state")]
    uri: Option<String>,
    /// Whose SDK the app is built with.
    #[arg(long, value_enum, required_unless_present = "state")]
    personality: Option<Sdk>,
    /// What the person does with the push. Without --listen it is fetched.
    #[arg(long, value_name = "approve|deny|NUMBER", value_parser = choice)]
    answer: Option<Choice>,
    /// Fetch a push from the appliance.
    #[arg(long, conflicts_with_all = ["listen", "address"])]
    poll: bool,
    /// Wait for a push on this address, as a Web Push service with the phone's keys would bring it.
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "address")]
    listen: Option<SocketAddr>,
    /// Where the appliance reaches --listen, if that is another address.
    #[arg(long, value_name = "URL", requires = "listen")]
    endpoint: Option<String>,
    /// Tell this push address, and wait for nothing.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "answer")]
    address: Option<String>,
    /// How many seconds to wait for a push.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    wait: u64,
    /// Authorities to know the appliance by, in PEM, in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Keep the phone in this file, secrets included (mode 0600), and take it up from there.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

fn choice(text: &str) -> Result<Choice, String> {
    match text {
        "approve" => Ok(Choice::Approve),
        "deny" => Ok(Choice::Deny),
        number => {
            number.parse().map(Choice::Number).map_err(|_| "approve, deny, or the number to tap".to_owned())
        }
    }
}

/// A push as the app showed it.
#[derive(Serialize)]
struct Shown {
    text: String,
    kind: String,
    numbers: Vec<u8>,
}

/// What became of it.
#[derive(Serialize)]
struct Outcome {
    /// Whether the appliance took the registration.
    registered: bool,
    /// The code that the app shows now.
    code: Option<String>,
    /// `scanned` (codes alone), `registered`, `refused`, `no_push`, `received`, `approved`, `denied` or
    /// `answer_refused`.
    outcome: &'static str,
    push: Option<Shown>,
}

impl Outcome {
    fn text(&self) -> String {
        let mut lines = vec![format!("{}registered", if self.registered { "" } else { "not " })];
        lines.extend(self.code.as_ref().map(|code| format!("code: {code}")));
        if let Some(push) = &self.push {
            let numbers: Vec<String> = push.numbers.iter().map(u8::to_string).collect();
            lines.push(format!("push ({}): {}", push.kind, push.text));
            lines.extend((!numbers.is_empty()).then(|| format!("numbers: {}", numbers.join(" "))));
        }
        lines.push(format!("outcome: {}", self.outcome));
        lines.join("\n")
    }

    fn is_refused(&self) -> bool {
        ["refused", "no_push", "answer_refused"].contains(&self.outcome)
    }
}

pub(super) fn run(global: &Global, command: DeviceCommand) -> Result<ExitCode, Failure> {
    let DeviceCommand::Simulate(args) = command;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::fault)?;
    let outcome = runtime.block_on(simulate(&args, global.quiet));
    // A name that is just being resolved holds nobody up.
    runtime.shutdown_background();
    let outcome = outcome?;
    let done = print(global, &outcome, Outcome::text)?;
    Ok(if outcome.is_refused() { ExitCode::from(EXIT_REFUSED) } else { done })
}

async fn simulate(args: &SimulateArgs, quiet: bool) -> Result<Outcome, Failure> {
    let kept = args.state.as_deref().map(state::load).transpose()?.flatten();
    let fresh = kept.is_none();
    let listening = match args.listen {
        Some(address) => Some(Listening::bind(address).await?),
        None => None,
    };
    let mut phone = match kept {
        Some(kept) => resumed(args, kept)?,
        None => begun(args, listening.as_ref())?,
    };
    let network = Network::new(args.ca_file.as_deref())?;
    let personality = phone.personality()?;
    let mut app = Phone::new(personality, &phone.address);
    let scanned = app.scan(&phone.uri).map_err(Failure::refused)?;
    app.resume(scanned.account, fresh || phone.registered, phone.counter);
    if let Some(request) = scanned.request.filter(|_| fresh) {
        let (status, body) = network.post(&request).await?;
        phone.registered = app.answered(scanned.account, status, &body);
    }
    let has_push = app.accounts()[scanned.account].push.is_some();
    let unix_ms = u64::try_from(clock::wall_ms()).unwrap_or_default();
    let has_code = app.accounts()[scanned.account].code.is_some();
    let code = has_code.then(|| app.code(scanned.account, unix_ms / 1000));
    phone.counter = app.accounts()[scanned.account].code.as_ref().and_then(|code| code.counter);
    // Before the wait, which may be broken off.
    if let Some(file) = &args.state {
        state::save(file, &phone)?;
    }
    let waits = has_push && (listening.is_some() || args.poll || args.answer.is_some());
    if waits && !quiet {
        eprintln!("Waiting for a push, at most {} s.", args.wait);
    }
    let mut outcome = Outcome { registered: phone.registered, code, outcome: "registered", push: None };
    if !has_push {
        outcome.outcome = if phone.is_push() { "refused" } else { "scanned" };
    } else if let Some(listening) = listening {
        let keys = phone.subscription()?;
        let path = phone.keys.as_ref().map_or("", |keys| keys.path.as_str());
        let wait = Duration::from_secs(args.wait);
        let delivered = listening.push(path, &keys, personality, wait).await?;
        answer(args, &network, &app, delivered, &mut outcome).await?;
    } else if args.poll || args.answer.is_some() {
        let wait = Duration::from_secs(args.wait);
        let delivered = network.fetch(&app, scanned.account, personality, wait).await?;
        answer(args, &network, &app, delivered, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Shows the push and sends what the person chose.
async fn answer(
    args: &SimulateArgs,
    network: &Network,
    app: &Phone,
    delivered: Option<Delivered>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let Some(delivered) = delivered else {
        outcome.outcome = "no_push";
        return Ok(());
    };
    let notice = app.receive(&delivered.message_id, &delivered.jwt).map_err(Failure::refused)?;
    let Notice { text, kind, numbers, .. } = notice.clone();
    outcome.push = Some(Shown { text, kind, numbers });
    outcome.outcome = "received";
    let Some(choice) = args.answer else { return Ok(()) };
    let (status, _) = network.post(&app.respond(&notice, choice)).await?;
    outcome.outcome = match (status, choice) {
        (200, Choice::Deny) => "denied",
        (200, Choice::Approve | Choice::Number(_)) => "approved",
        _ => "answer_refused",
    };
    Ok(())
}

/// The phone of the file, which must be the one that is asked for.
fn resumed(args: &SimulateArgs, kept: State) -> Result<State, Failure> {
    let file = args.state.as_deref().unwrap_or_else(|| "".as_ref()).display();
    let other =
        |what: &str| Failure::usage(format!("{file} holds a phone with another {what}; name another file"));
    if args.uri.is_some() && uri(args)?.as_str() != kept.uri {
        return Err(other("QR code"));
    }
    if args.personality.is_some_and(|sdk| Personality::from(sdk).name() != kept.personality) {
        return Err(other("personality"));
    }
    if args.listen.is_some() && kept.keys.is_none() {
        return Err(other("way to be reached: it was not registered with --listen"));
    }
    Ok(kept)
}

fn begun(args: &SimulateArgs, listening: Option<&Listening>) -> Result<State, Failure> {
    let uri = uri(args)?;
    let personality = args.personality.ok_or_else(|| {
        Failure::usage("the file of --state is not there yet: a new phone needs --uri and --personality")
    })?;
    let keys = listening.map(|_| Keys::new(random()?, random()?, random()?)).transpose()?;
    let address = match (&keys, listening, &args.address) {
        (Some(keys), Some(listening), _) => {
            let base = args.endpoint.clone().unwrap_or_else(|| listening.url());
            keys.subscription()?.address(&format!("{}{}", base.trim_end_matches('/'), keys.path))
        }
        (_, _, Some(address)) => address.clone(),
        _ => format!("poll:{}", data_encoding::HEXLOWER.encode(&random::<8>()?)),
    };
    let personality = Personality::from(personality).name().to_owned();
    Ok(State { personality, uri: uri.to_string(), address, registered: false, counter: None, keys })
}

fn uri(args: &SimulateArgs) -> Result<Zeroizing<String>, Failure> {
    match args.uri.as_deref() {
        Some("-") => {
            let mut line = Zeroizing::new(String::new());
            std::io::stdin().read_line(&mut line).map_err(Failure::fault)?;
            Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
        }
        Some(uri) => Ok(Zeroizing::new(uri.to_owned())),
        None => Err(Failure::usage(
            "the file of --state is not there yet: a new phone needs --uri and --personality",
        )),
    }
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(filled) if filled == N => Ok(bytes),
        _ => Err(Failure::fault("the kernel gave no random bytes")),
    }
}

impl Keys {
    /// Keys from random bytes, drawn again where they are none.
    fn new(mut key: [u8; 32], auth: [u8; 16], path: [u8; 16]) -> Result<Self, Failure> {
        for _ in 0..DRAWS {
            if Subscription::new(&key, auth).is_some() {
                break;
            }
            key = random()?;
        }
        let path = format!("/push/{}", data_encoding::HEXLOWER.encode(&path));
        Ok(Keys {
            key: data_encoding::HEXLOWER.encode(&key),
            auth: data_encoding::HEXLOWER.encode(&auth),
            path,
        })
    }
}
