//! A technician's bench: an appliance that trusts a maker, tokens of that maker, and what appliance and token each
//! know of a provisioning, read past both.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use ::token::link::{Info, Life, SlotState};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;

use crate::appliance::{Appliance, RigOptions, told};
use crate::cable::Cable;
use crate::token::{EmulatedToken, Turn, make_maker};
use crate::wire;

/// Presses its button as soon as it may, and its second is a fifth of ours.
pub const HURRIED: [&str; 3] = ["--auto-press", "--speed", "5"];
/// The same, where the two minutes of an exchange have to outlast a station's repeats.
pub const BRISK: [&str; 3] = ["--auto-press", "--speed", "3"];

/// The bench.
pub struct Bench {
    /// The appliance.
    pub rig: Appliance,
    /// The maker's key file.
    pub maker: PathBuf,
    /// What [`Bench::trust`] wrote.
    key: String,
}

impl Bench {
    /// An appliance that trusts one maker.
    ///
    /// # Panics
    /// When something does not start.
    pub fn start() -> Bench {
        Bench::start_with(RigOptions::default(), "")
    }

    /// The same with more lines in `[provisioning]`.
    ///
    /// # Panics
    /// When something does not start.
    pub fn start_with(options: RigOptions, provisioning: &str) -> Bench {
        let rig = Appliance::prepare(options);
        let maker = rig.path("maker.key");
        let key = make_maker(&maker);
        let mut bench = Bench { rig, maker, key };
        bench.trust(provisioning);
        bench.rig.serve();
        bench.rig.await_ready();
        bench
    }

    /// Another appliance that trusts the same maker.
    ///
    /// # Panics
    /// When something does not start.
    pub fn beside(&self) -> Bench {
        let rig = Appliance::prepare(RigOptions::default());
        let mut bench = Bench { rig, maker: self.maker.clone(), key: self.key.clone() };
        bench.trust("");
        bench.rig.serve();
        bench.rig.await_ready();
        bench
    }

    /// Writes the configuration with these lines in `[provisioning]`, beside the maker's key.
    pub fn trust(&mut self, provisioning: &str) {
        self.rig.options_mut().config =
            format!("[provisioning]\nmaker_keys = [\"{}\"]\n{provisioning}\n", self.key);
        self.rig.write_config();
    }

    /// The maker's public key, a P-256 point.
    ///
    /// # Panics
    /// Never: it came as hex.
    pub fn maker_key(&self) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(self.key.as_bytes()).expect("hex")
    }

    /// A new token that is quick.
    ///
    /// # Panics
    /// When it does not start.
    pub fn token(&self, serial: &str) -> EmulatedToken {
        self.token_with(serial, serial, &HURRIED)
    }

    /// A token in a flash of this name.
    ///
    /// # Panics
    /// When it does not start.
    pub fn token_with(&self, name: &str, serial: &str, more: &[&str]) -> EmulatedToken {
        EmulatedToken::start_with(&self.rig.path(""), name, serial, &self.maker, more)
    }

    /// `countersign --json technician ...` at a port.
    pub fn command(&self, act: &str, port: &Path, more: &[&str]) -> Command {
        at_port(self.rig.command(&["--json", "technician", act, "--port"]), port, more)
    }

    /// The same with the daemon's socket elsewhere.
    pub fn command_over(&self, socket: &Path, act: &str, port: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(&self.rig.binary);
        command.env_clear().arg("--config").arg(&self.rig.config).arg("--socket").arg(socket);
        command.args(["--json", "technician", act, "--port"]);
        at_port(command, port, more)
    }

    /// Runs a technician's command to its end.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn run(&self, act: &str, port: &Path, more: &[&str]) -> Said {
        Said::at(port, self.command(act, port, more))
    }

    /// Starts provisioning of an HOTP token.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn begin(&self, port: &Path) -> Child {
        self.command("provision", port, &["--type", "hotp"]).spawn().expect("the binary starts")
    }

    /// Provisions an HOTP token at its own line.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn provision(&self, port: &Path) -> Said {
        self.run("provision", port, &["--type", "hotp"])
    }

    /// The same over a cable.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn provision_over(&self, cable: &Cable) -> Said {
        Said::wait(self.begin(&cable.port))
    }

    /// What the appliance's store knows of a serial.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub fn known(&self, serial: &str) -> Option<Known> {
        let file = self.rig.state.join("countersign.db");
        let store = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
        let sql =
            "SELECT device.counter, device.held_tag IS NOT NULL, device.attestation_key, token.lifecycle,
                       token.record
                   FROM device LEFT JOIN token ON token.id = device.token_id AND token.serial = device.serial
                   WHERE device.serial = ?1";
        let row = store.query_row(sql, [serial], |row| {
            Ok(Known {
                counter: row.get(0)?,
                held: row.get(1)?,
                attestation_key: row.get(2)?,
                lifecycle: row.get(3)?,
                record: row.get(4)?,
            })
        });
        row.optional().expect("the store's tables")
    }

    /// Whether token and appliance agree on what the token holds; what is wrong if not.
    ///
    /// # Errors
    /// What they disagree about.
    pub fn agree(&self, token: &EmulatedToken, serial: &str) -> Result<Holds, String> {
        judge(&wire::info(&token.port), self.known(serial).as_ref())
    }

    /// Assigns the token to a user of its own, reads its display and logs that user in.
    ///
    /// # Errors
    /// What the appliance said instead.
    pub fn prove(&self, token: &mut EmulatedToken, serial: &str) -> Result<(), String> {
        let user = format!("user-{}", serial.to_ascii_lowercase());
        self.rig.user(&user);
        let assigned = self.rig.cli(&["--json", "token", "assign", serial, "--user", &user]);
        if !assigned.status.success() {
            return Err(format!("assign: {}", told(&assigned)));
        }
        let answer = self.rig.admin().verify(&user, &token.code(6));
        if answer.accepted() { Ok(()) } else { Err(format!("its code: {}", answer.text())) }
    }

    /// The reasons of refused devices so far.
    pub fn refusals(&self) -> Vec<String> {
        let events = self.rig.events("type=device.refused");
        events.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn at_port(mut command: Command, port: &Path, more: &[&str]) -> Command {
    command.arg(port).args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the appliance's store knows of a device.
#[derive(Clone, Debug)]
pub struct Known {
    /// Of the last exchange that was confirmed.
    pub counter: u32,
    /// Whether the commit is not known to have arrived.
    pub held: bool,
    /// Its attestation key.
    pub attestation_key: Vec<u8>,
    /// Of its token; none when the row is missing.
    pub lifecycle: Option<String>,
    /// The wrapped secret.
    pub record: Option<Vec<u8>>,
}

/// What a token holds, by its own word and the appliance's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What it held before the exchange; it may have a pending secret that nobody knows.
    AsBefore,
    /// A pending secret that the appliance has released.
    Released,
    /// A secret of which the appliance knows that it is active.
    Active,
}

/// "A token is as before, or provisioned and known to the appliance" (docs/provisioning.md).
///
/// # Errors
/// What is neither.
pub fn judge(info: &Info, known: Option<&Known>) -> Result<Holds, String> {
    let told = || format!("{info:?} and {known:?}");
    let empty = info.slots.iter().all(|slot| *slot == SlotState::Empty);
    let Some(known) = known else {
        let before = info.life == Life::Attested && info.owner.is_none() && empty;
        return if before { Ok(Holds::AsBefore) } else { Err(format!("a secret nobody knows: {}", told())) };
    };
    if known.lifecycle.is_none() || known.record.is_none() {
        return Err(format!("a device without its token: {}", told()));
    }
    if info.counter < known.counter {
        return Err(format!("the appliance is ahead of the token: {}", told()));
    }
    let pending = info.pending.map(|pending| pending.counter);
    if pending.is_some_and(|pending| pending != info.counter) {
        return Err(format!("an older secret is pending: {}", told()));
    }
    let of_this = info.counter == known.counter;
    match (known.held, pending) {
        (true, Some(_)) if of_this => Ok(Holds::Released),
        // Committed, and only the note of it is missing.
        (true, None) if of_this && info.life == Life::Provisioned => Ok(Holds::Active),
        (false, None) if of_this && info.life == Life::Provisioned && !empty => Ok(Holds::Active),
        // A later exchange was cut before its confirmation.
        (false, _) if !of_this && info.life == Life::Provisioned && !empty => Ok(Holds::AsBefore),
        _ => Err(format!("neither before nor after: {}", told())),
    }
}

/// What a technician's command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; none when it was killed.
    pub exit: Option<i32>,
    /// Its standard output.
    pub json: Value,
    /// All of it, for people.
    pub told: String,
}

impl Said {
    /// Of a command that has ended.
    pub fn of(output: Output) -> Said {
        Said {
            exit: output.status.code(),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            told: told(&output),
        }
    }

    /// Of a command that has a token's line to itself.
    ///
    /// # Panics
    /// When the binary does not start.
    pub fn at(port: &Path, mut command: Command) -> Said {
        let turn = Turn::begin(port);
        let said = Said::of(command.output().expect("the binary starts"));
        turn.end();
        said
    }

    /// Of a command that runs.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn wait(child: Child) -> Said {
        Said::of(child.wait_with_output().expect("own child"))
    }

    /// Whether the token is provisioned and nothing was wrong.
    pub fn provisioned(&self) -> bool {
        self.exit == Some(0) && self.json["state"] == "provisioned" && self.json["error"].is_null()
    }

    /// What was wrong with the token, by the outcome or the failure.
    pub fn error(&self) -> &str {
        self.json["error"].as_str().or(self.json["error"]["detail"].as_str()).unwrap_or_default()
    }
}
