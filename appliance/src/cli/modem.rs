//! `countersign modem ...`: SMS coding, and modems without the daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use modem::emulator::{Emulator, EmulatorSettings, Script, Sim};
use modem::pdu::{self, AlphabetChoice, Number, PduError, SubmitOptions, Tpdu};
use modem::{Class, Family, Modem, ModemSettings, SendError};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

const DONE: u8 = 0;
const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const UNAVAILABLE: u8 = 3;
const FAULT: u8 = 4;

/// Talk to GSM modems, encode and decode SMS, emulate a modem.
#[derive(Subcommand)]
pub(super) enum ModemCommand {
    /// Encode a text as SMS-SUBMIT, without a service centre address.
    Pdu(PduArgs),
    /// Decode a PDU as AT+CMGR shows it.
    Decode(DecodeArgs),
    /// Emulate a modem on a pty, until SIGINT or SIGTERM.
    Emulate(EmulateArgs),
    /// Ask the modem at a port who it is and what it can do. Sends nothing.
    Probe(PortArgs),
    /// List the families of modems whose quirks are known.
    Profiles,
    /// Send through the modem at a port, past the daemon and its outbox.
    Send(SendArgs),
    /// Print udev rules for the AT ports of known modems.
    UdevRules,
}

/// What is sent, and how.
#[derive(Args)]
pub(super) struct PduArgs {
    /// Destination: + and digits, or a short code.
    #[arg(long, value_name = "NUMBER", value_parser = Number::parse)]
    to: Number,
    /// The text; what does not fit into one SMS becomes several.
    #[arg(long, allow_hyphen_values = true)]
    text: String,
    /// Shown at once and not stored (message class 0).
    #[arg(long)]
    flash: bool,
    /// How long the network tries to deliver, such as 90s, 10m, 2h, 1d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    validity: Option<Duration>,
    /// Ask for a status report.
    #[arg(long)]
    report: bool,
    /// The alphabet; auto takes GSM 7 bit where it has every character.
    #[arg(long, value_enum, default_value = "auto")]
    alphabet: AlphabetArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum AlphabetArg {
    Auto,
    Gsm7,
    Ucs2,
}

#[derive(Args)]
pub(super) struct DecodeArgs {
    /// The HEX has no service centre address before the TPDU.
    #[arg(long)]
    no_smsc: bool,
    /// The PDU in hexadecimal.
    hex: String,
}

#[derive(Args)]
pub(super) struct EmulateArgs {
    /// The symlink to make for clients.
    #[arg(long, value_name = "PATH")]
    link: PathBuf,
    /// Whose quirks; see `modem profiles`.
    #[arg(long, value_name = "NAME", default_value = "generic", value_parser = family)]
    profile: Family,
    /// Faults in TOML: [[fault]] on="AT+CMGS" nth=3 do="hang|error|garbage|split|unplug|urc|late|drop" arg="".
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// One JSON line per SMS taken.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Each line of the dialogue.
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
    /// The emulated SIM asks for this PIN.
    #[arg(long, value_name = "PIN")]
    sim_pin: Option<String>,
    /// Attempts that the emulated SIM has left.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "sim_pin")]
    sim_attempts: u8,
    /// From an SMS to its status report, such as 2s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    report_delay: Option<Duration>,
}

#[derive(Args)]
pub(super) struct PortArgs {
    /// The modem's AT port.
    #[arg(value_name = "PORT")]
    port: PathBuf,
    #[command(flatten)]
    sim: SimArgs,
}

#[derive(Args)]
struct SimArgs {
    /// A file with the SIM's PIN.
    #[arg(long, value_name = "FILE", requires = "sim_latch")]
    sim_pin_file: Option<PathBuf>,
    /// The file that stops a second try of a wrong PIN.
    #[arg(long, value_name = "FILE")]
    sim_latch: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct SendArgs {
    /// The modem's AT port.
    #[arg(long, value_name = "PORT")]
    port: PathBuf,
    #[command(flatten)]
    message: PduArgs,
    #[command(flatten)]
    sim: SimArgs,
    /// How long to wait for the modem's verdict on each part.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

pub(super) fn run(command: ModemCommand, json: bool) -> ExitCode {
    let code = match command {
        ModemCommand::Pdu(args) => encode(&args, json),
        ModemCommand::Decode(args) => decode(&args, json),
        ModemCommand::Emulate(args) => emulate(args),
        ModemCommand::Probe(args) => probe(args, json),
        ModemCommand::Profiles => profiles(json),
        ModemCommand::Send(args) => send(&args, json),
        ModemCommand::UdevRules => {
            if json {
                print_json(&serde_json::json!({ "rules": modem::udev::rules() }))
            } else {
                print!("{}", modem::udev::rules());
                DONE
            }
        }
    };
    ExitCode::from(code)
}

/// One line of `modem pdu --json`.
#[derive(Serialize)]
struct PduLine<'a> {
    tpdu: String,
    cmgs_len: usize,
    alphabet: pdu::Alphabet,
    part: u8,
    parts: u8,
    reference: Option<u16>,
    text: &'a str,
}

impl<'a> From<&'a Tpdu> for PduLine<'a> {
    fn from(tpdu: &'a Tpdu) -> Self {
        Self {
            tpdu: tpdu.hex(),
            cmgs_len: tpdu.cmgs_len(),
            alphabet: tpdu.alphabet,
            part: tpdu.part,
            parts: tpdu.parts,
            reference: tpdu.reference,
            text: &tpdu.text,
        }
    }
}

fn encode(args: &PduArgs, json: bool) -> u8 {
    match tpdus(args) {
        Ok(tpdus) if json => print_json(&tpdus.iter().map(PduLine::from).collect::<Vec<_>>()),
        Ok(tpdus) => {
            tpdus.iter().for_each(|tpdu| println!("{}", tpdu.hex()));
            DONE
        }
        Err(error) => refuse_text(&error),
    }
}

fn tpdus(args: &PduArgs) -> Result<Vec<Tpdu>, PduError> {
    let options = SubmitOptions {
        class0: args.flash,
        validity: args.validity,
        report: args.report,
        alphabet: match args.alphabet {
            AlphabetArg::Auto => AlphabetChoice::Auto,
            AlphabetArg::Gsm7 => AlphabetChoice::Gsm7,
            AlphabetArg::Ucs2 => AlphabetChoice::Ucs2,
        },
        reference: reference(),
    };
    pdu::submit(&args.to, &args.text, &options)
}

fn refuse_text(error: &PduError) -> u8 {
    eprintln!("failed to encode the text: {error}");
    eprintln!("Shorten it, or let --alphabet be auto or ucs2.");
    REFUSED
}

/// A concatenation reference that differs from call to call; only phones look at it.
fn reference() -> u8 {
    let [low, ..] = std::process::id().to_le_bytes();
    low
}

fn decode(args: &DecodeArgs, json: bool) -> u8 {
    match pdu::decode_hex(&args.hex, !args.no_smsc) {
        Ok(message) if json => print_json(&message),
        Ok(message) => {
            print_fields(&message);
            DONE
        }
        Err(error) => {
            eprintln!("failed to decode the PDU: {error}");
            if args.no_smsc {
                eprintln!("If it begins with a service centre address, leave out --no-smsc.");
            } else {
                eprintln!("If it has no service centre address before the TPDU, add --no-smsc.");
            }
            REFUSED
        }
    }
}

fn print_fields(value: &impl Serialize) {
    let fields = serde_json::to_value(value).expect("the command line's types have string keys only");
    for (name, value) in fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        match value.as_str() {
            Some(text) => println!("{name}: {text}"),
            None => println!("{name}: {value}"),
        }
    }
}

fn print_json<T: Serialize>(value: &T) -> u8 {
    println!("{}", serde_json::to_string(value).expect("the command line's types have string keys only"));
    DONE
}

fn profiles(json: bool) -> u8 {
    let names: Vec<&str> = Family::ALL.into_iter().map(Family::name).collect();
    if json {
        return print_json(&names);
    }
    names.iter().for_each(|name| println!("{name}"));
    DONE
}

fn probe(args: PortArgs, json: bool) -> u8 {
    let mut modem = match open(&args.port, &args.sim) {
        Ok(modem) => modem,
        Err(code) => return code,
    };
    if let Err(error) = modem.probe_prompt() {
        eprintln!("failed to probe the modem: {error}");
        return UNAVAILABLE;
    }
    if json {
        return print_json(modem.info());
    }
    print_fields(modem.info());
    DONE
}

/// One line of `modem send --json`.
#[derive(Serialize)]
struct SentLine {
    part: u8,
    parts: u8,
    reference: u8,
}

fn send(args: &SendArgs, json: bool) -> u8 {
    let tpdus = match tpdus(&args.message) {
        Ok(tpdus) => tpdus,
        Err(error) => return refuse_text(&error),
    };
    let mut modem = match open(&args.port, &args.sim) {
        Ok(modem) => modem,
        Err(code) => return code,
    };
    let mut sent = Vec::with_capacity(tpdus.len());
    for tpdu in &tpdus {
        match modem.send(tpdu, Instant::now() + args.timeout) {
            Ok(reference) => sent.push(SentLine { part: tpdu.part, parts: tpdu.parts, reference }),
            Err(error) => return explain(&error, tpdu),
        }
    }
    if json {
        return print_json(&sent);
    }
    for line in &sent {
        println!("part {} of {} sent, message reference {}", line.part, line.parts, line.reference);
    }
    DONE
}

fn explain(error: &SendError, tpdu: &Tpdu) -> u8 {
    eprintln!("failed to send part {} of {}: {error}", tpdu.part, tpdu.parts);
    let (code, advice) = match error {
        SendError::NotSent { class, .. } => match class {
            Class::Permanent => (REFUSED, "Check the number and the text."),
            Class::Temporary => (UNAVAILABLE, "The network did not take it; try again later."),
            Class::Sim => (UNAVAILABLE, "Check the SIM card."),
            Class::Modem => (UNAVAILABLE, "Check the modem with `countersign modem probe`."),
            Class::Memory => (UNAVAILABLE, "Delete messages stored on the SIM or in the modem."),
        },
        SendError::Unknown { .. } | SendError::Unplugged { pdu_started: true } => {
            (UNAVAILABLE, "It may have been sent: ask the recipient before you send it again.")
        }
        SendError::Unplugged { pdu_started: false } => (UNAVAILABLE, "It was not sent. Plug the modem in."),
    };
    eprintln!("{advice}");
    code
}

fn open(port: &Path, sim: &SimArgs) -> Result<Modem, u8> {
    let sim_pin = match &sim.sim_pin_file {
        Some(file) => Some(read_pin(file)?),
        None => None,
    };
    let settings = ModemSettings {
        port: port.to_owned(),
        sim_pin,
        smsc: None,
        sim_latch: sim.sim_latch.clone().unwrap_or_default(),
    };
    Modem::open(&settings).map_err(|error| {
        eprintln!("failed to open the modem: {error}");
        UNAVAILABLE
    })
}

fn read_pin(file: &Path) -> Result<Zeroizing<String>, u8> {
    let text = fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
        eprintln!("failed to read the SIM PIN from {}: {error}", file.display());
        USAGE
    })?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn emulate(args: EmulateArgs) -> u8 {
    let script = match args.script.as_deref().map(read_script).transpose() {
        Ok(script) => script.unwrap_or_default(),
        Err(code) => return code,
    };
    let settings = EmulatorSettings {
        link: args.link,
        profile: args.profile,
        script,
        journal: args.journal,
        transcript: args.transcript,
        sim: args.sim_pin.map_or_else(Sim::default, |pin| Sim::with_pin(pin, args.sim_attempts)),
        report_delay: args.report_delay.unwrap_or(modem::emulator::REPORT_DELAY),
        now: now_rfc3339,
    };
    let stop = match stop_on_signal() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("failed to listen for signals: {error}");
            return FAULT;
        }
    };
    let ended = Emulator::open(settings).and_then(|mut emulator| emulator.run(&stop));
    match ended {
        Ok(()) => DONE,
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("failed to run the {error}{cause}");
            FAULT
        }
    }
}

fn read_script(file: &Path) -> Result<Script, u8> {
    let text = fs::read_to_string(file).map_err(|error| {
        eprintln!("failed to read {}: {error}", file.display());
        USAGE
    })?;
    Script::parse(&text).map_err(|error| {
        eprintln!("failed to read {}: {error}", file.display());
        USAGE
    })
}

/// A flag that SIGINT and SIGTERM set; both are caught when this returns.
fn stop_on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let streams = signal(SignalKind::interrupt())
                .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
            let (mut interrupt, mut terminate) = match streams {
                Ok(streams) => streams,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(())));
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            set.store(true, Ordering::Relaxed);
        });
    });
    is_ready.recv().unwrap_or_else(|_| Err(std::io::Error::other("the signal thread ended")))?;
    Ok(stop)
}

fn now_rfc3339() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let nanoseconds = i32::try_from(now.tv_nsec).unwrap_or_default();
    jiff::Timestamp::new(now.tv_sec, nanoseconds).map_or_else(|_| String::new(), |at| at.to_string())
}

fn family(name: &str) -> Result<Family, String> {
    Family::named(name).ok_or_else(|| {
        let names: Vec<&str> = Family::ALL.into_iter().map(Family::name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// A number and s, m, h or d.
fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().unwrap_or(' ');
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err("write a number and s, m, h or d, such as 10m".to_owned()),
    };
    let count: u32 = text
        .trim_end_matches(unit)
        .parse()
        .map_err(|_| "write a number and s, m, h or d, such as 10m".to_owned())?;
    Ok(Duration::from_secs(u64::from(count) * seconds))
}
