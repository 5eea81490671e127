//! What is measured, at which load, and with what.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::disk::{Blocks, RawStore};
use super::provision::Bench;
use super::readings::Readings;
use super::stage::{PHONES, Stage, USERS, token_directory};
use super::worker::Worker;
use super::{board, http, million, raw, sms};

/// How often each measure is taken; the median is reported.
pub(super) const ROUNDS: usize = 5;
/// Clients at which most measures are taken.
pub(super) const CLIENTS: [usize; 3] = [1, 8, 64];
/// At which of them the headline rates are reported: the appliance is busy and its commits are grouped.
pub(super) const BUSY: usize = 64;
/// At which of them the headline latencies are reported: at the busy load they tell the queue's length.
pub(super) const CALM: usize = 8;
/// One sample after the other.
const ALONE: usize = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fsync,
    RawHmac,
    RawCycle,
    ChildMatch,
    ChildCycle,
    Store,
    Null,
    Verify,
    Refuse,
    Sms,
    Provision,
    Board,
    Modems,
    Million,
}

/// A kind of measure, at each of these loads, for so long.
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) clients: &'static [usize],
    /// Not bound to what else is measured in the same seconds: these are taken once, with rounds of their own.
    pub(super) once: bool,
    ms: u64,
}

const fn round(kind: Kind, clients: &'static [usize], ms: u64) -> Step {
    Step { kind, clients, once: false, ms }
}

const fn once(kind: Kind) -> Step {
    Step { kind, clients: &[ALONE], once: true, ms: 0 }
}

pub(super) const STEPS: [Step; 14] = [
    round(Kind::Fsync, &[ALONE], 300),
    round(Kind::RawHmac, &[ALONE], 500),
    round(Kind::ChildMatch, &CLIENTS, 700),
    round(Kind::RawCycle, &[ALONE], 500),
    round(Kind::ChildCycle, &[BUSY], 700),
    round(Kind::Store, &CLIENTS, 1000),
    round(Kind::Null, &CLIENTS, 700),
    round(Kind::Verify, &CLIENTS, 1500),
    round(Kind::Refuse, &CLIENTS, 1000),
    round(Kind::Sms, &[ALONE], 0),
    once(Kind::Provision),
    once(Kind::Board),
    once(Kind::Modems),
    once(Kind::Million),
];

impl Step {
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Fsync => "fsync",
            Kind::RawHmac | Kind::RawCycle => "SoftHSM alone",
            Kind::ChildMatch | Kind::ChildCycle => "HSM child",
            Kind::Store => "SQLite alone",
            Kind::Null => "null handler",
            Kind::Verify => "verify",
            Kind::Refuse => "refuse",
            Kind::Sms => "SMS",
            Kind::Provision => "provisioning",
            Kind::Board => "codes on the board",
            Kind::Modems => "modems side by side",
            Kind::Million => "a million tokens",
        }
    }
}

/// A figure of the report.
pub(super) struct Measure {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// At which load the key itself is reported.
    pub(super) headline: usize,
    /// What was done.
    what: &'static str,
}

pub(super) const MEASURES: [Measure; 29] = [
    Measure {
        key: "hsm_raw_hmac_per_s",
        kind: Kind::RawHmac,
        headline: ALONE,
        what: "C_Sign (HMAC-SHA-1) with one session key, SoftHSM in the measuring process",
    },
    Measure {
        key: "hsm_raw_cycle_per_s",
        kind: Kind::RawCycle,
        headline: ALONE,
        what: "C_UnwrapKey (RFC 3394), C_Sign, C_DestroyObject, SoftHSM in the measuring process",
    },
    Measure {
        key: "hsm_child_match_per_s",
        kind: Kind::ChildMatch,
        headline: BUSY,
        what: "one code against 3 factors through the HSM child, its key unwrapped already, two MACs over states",
    },
    Measure {
        key: "hsm_child_cycle_per_s",
        kind: Kind::ChildCycle,
        headline: BUSY,
        what: "the same over 5120 records in turn, more than the child keeps: each is unwrapped anew",
    },
    Measure {
        key: "fsync_per_s",
        kind: Kind::Fsync,
        headline: ALONE,
        what: "4 KiB overwritten and fdatasync, one after the other",
    },
    Measure {
        key: "store_updates_per_s",
        kind: Kind::Store,
        headline: BUSY,
        what: "SQLite alone (WAL, synchronous=FULL): one conditional UPDATE and one event INSERT each, \
               on disk before the answer, committed in groups by one thread",
    },
    Measure {
        key: "null_handler_per_s",
        kind: Kind::Null,
        headline: BUSY,
        what: "GET /healthz of the daemon, keep-alive over loopback",
    },
    Measure {
        key: "verify_http_durable_per_s",
        kind: Kind::Verify,
        headline: BUSY,
        what: "POST /v1/verify, keep-alive over loopback: accepted HOTP codes of 1024 users, 11 or 12 factors, \
               each consumed on disk before the answer",
    },
    Measure {
        key: "verify_refused_per_s",
        kind: Kind::Refuse,
        headline: BUSY,
        what: "POST /v1/verify, keep-alive over loopback: codes consumed before, each refusal an event on disk",
    },
    Measure {
        key: "verify_p50_ms",
        kind: Kind::Verify,
        headline: CALM,
        what: "as verify_http_durable_per_s: request sent to answer read, 50th percentile of a round",
    },
    Measure {
        key: "verify_p99_ms",
        kind: Kind::Verify,
        headline: CALM,
        what: "as verify_http_durable_per_s: request sent to answer read, 99th percentile of a round",
    },
    Measure {
        key: "sms_enqueue_to_pdu_p50_ms",
        kind: Kind::Sms,
        headline: ALONE,
        what: "POST /v1/challenges sent to the PDU in the emulated modem's journal, modem idle, 50th percentile",
    },
    Measure {
        key: "sms_enqueue_to_pdu_p99_ms",
        kind: Kind::Sms,
        headline: ALONE,
        what: "the same, 99th percentile",
    },
    Measure {
        key: "provision_s",
        kind: Kind::Provision,
        headline: ALONE,
        what: "countersign technician station at one emulated token after the other on a pty, each of 8: from its maker's word to the code that proves it, the emulated person's 1.3 s before the button included",
    },
    Measure {
        key: "provision_attest_s",
        kind: Kind::Provision,
        headline: ALONE,
        what: "of it: who the token is, and the maker's word checked in the HSM; the batch file is not kept",
    },
    Measure {
        key: "provision_challenge_s",
        kind: Kind::Provision,
        headline: ALONE,
        what: "of it: who the token is, the host key, and the token asks for its button",
    },
    Measure {
        key: "provision_press_s",
        kind: Kind::Provision,
        headline: ALONE,
        what: "of it: the emulated person presses, the token signs, the HSM makes and wraps the secret",
    },
    Measure {
        key: "provision_install_s",
        kind: Kind::Provision,
        headline: ALONE,
        what: "of it: the token unwraps, proves and commits, shows a code, and the appliance consumes it",
    },
    Measure {
        key: "tokens_per_min_1_port",
        kind: Kind::Provision,
        headline: ALONE,
        what: "the same station at one port, 8 tokens, once",
    },
    Measure {
        key: "tokens_per_min_4_ports",
        kind: Kind::Provision,
        headline: ALONE,
        what: "the same at four ports, 32 tokens, once",
    },
    Measure {
        key: "hotp_instructions",
        kind: Kind::Board,
        headline: ALONE,
        what: "instructions of the emulated Cortex-M0 for one HOTP-SHA-1 code of 6 digits (RFC 4226), counted by QEMU; a real core needs more cycles than that",
    },
    Measure {
        key: "hotp_sha256_instructions",
        kind: Kind::Board,
        headline: ALONE,
        what: "the same with SHA-256",
    },
    Measure {
        key: "totp_instructions",
        kind: Kind::Board,
        headline: ALONE,
        what: "the same for one TOTP-SHA-1 code (RFC 6238)",
    },
    Measure {
        key: "sms_per_cycle_1",
        kind: Kind::Modems,
        headline: ALONE,
        what: "messages that leave while a modem sends one, its network taking 2 s to acknowledge: 6 messages, one emulated modem, once",
    },
    Measure {
        key: "sms_per_cycle_2",
        kind: Kind::Modems,
        headline: ALONE,
        what: "the same with two modems and 12 messages",
    },
    Measure {
        key: "sms_per_cycle_4",
        kind: Kind::Modems,
        headline: ALONE,
        what: "the same with four modems and 24 messages",
    },
    Measure {
        key: "throughput_1m_over_1k",
        kind: Kind::Million,
        headline: ALONE,
        what: "verify_http_durable_per_s at 64 connections with a million users and tokens over the same with 1024, 5 pairs of 1.5 s; the same 1024 are verified",
    },
    Measure {
        key: "start_1m_s",
        kind: Kind::Million,
        headline: ALONE,
        what: "a million users and tokens: from the start of the daemon to /readyz, 5 starts",
    },
    Measure {
        key: "rss_1m_mib",
        kind: Kind::Million,
        headline: ALONE,
        what: "a million users and tokens: VmRSS of the daemon after each load, without its HSM child",
    },
];

impl Measure {
    /// The load at so many clients, as the report says it.
    pub(super) fn load(&self, clients: usize) -> String {
        let who = match self.kind {
            Kind::Sms => return format!("one at a time, {PHONES} in {ROUNDS} rounds: {}", self.what),
            Kind::Provision | Kind::Board | Kind::Modems | Kind::Million => return self.what.to_owned(),
            Kind::Null | Kind::Verify | Kind::Refuse => "connection",
            _ => "thread",
        };
        let plural = if clients == 1 { "" } else { "s" };
        format!("{clients} {who}{plural}, {ROUNDS} rounds of {} s: {}", self.seconds(), self.what)
    }

    fn seconds(&self) -> f64 {
        self.step().ms as f64 / 1e3
    }

    fn step(&self) -> &'static Step {
        const { &STEPS }.iter().find(|step| step.kind == self.kind).expect("each kind has its step")
    }

    /// Every load at which it was taken.
    pub(super) fn clients(&self) -> &'static [usize] {
        self.step().clients
    }

    /// What its figures are followed by.
    pub(super) fn unit(&self) -> &'static str {
        const UNITS: [(&str, &str); 5] =
            [("_per_s", " /s"), ("_ms", " ms"), ("_s", " s"), ("_mib", " MiB"), ("_over_1k", "")];
        let found = UNITS.iter().find(|(ending, _)| self.key.ends_with(ending));
        found.map_or_else(
            || if self.key.starts_with("tokens_per_min") { " /min" } else { "" },
            |(_, unit)| unit,
        )
    }

    /// Which percentile of its readings is reported. SMS are single readings; elsewhere a reading is a round.
    pub(super) fn percentile(&self) -> usize {
        if self.key == "sms_enqueue_to_pdu_p99_ms" { 99 } else { 50 }
    }
}

/// Everything that is measured, started.
pub(super) struct Subjects {
    raw: Worker,
    child: Worker,
    blocks: Blocks,
    store: RawStore,
    stage: Stage,
    state: PathBuf,
    sms_taken: usize,
    _tokens: [TempDir; 2],
}

impl Subjects {
    /// `state` is an empty directory on a disk.
    pub(super) fn start(state: &Path) -> Subjects {
        let tokens = [token_directory(), token_directory()];
        let raw = raw::start(tokens[0].path());
        let child = Worker::start(Command::new(rates_program()).arg(tokens[1].path()));
        let mut stage = Stage::start(state);
        http::warm(&mut stage);
        let (blocks, store) = (Blocks::create(state), RawStore::create(state));
        let state = state.to_owned();
        Subjects { raw, child, blocks, store, stage, state, sms_taken: 0, _tokens: tokens }
    }

    /// Takes one measure once.
    pub(super) fn take(&mut self, step: &Step, clients: usize, readings: &mut Readings) {
        let length = Duration::from_millis(step.ms);
        let stage = &mut self.stage;
        let (key, rate) = match step.kind {
            Kind::Fsync => ("fsync_per_s", self.blocks.rate(length)),
            Kind::RawHmac => ("hsm_raw_hmac_per_s", self.raw.rate("hmac", clients, length)),
            Kind::RawCycle => ("hsm_raw_cycle_per_s", self.raw.rate("cycle", clients, length)),
            Kind::ChildMatch => ("hsm_child_match_per_s", self.child.rate("match", clients, length)),
            Kind::ChildCycle => ("hsm_child_cycle_per_s", self.child.rate("cycle", clients, length)),
            Kind::Store => ("store_updates_per_s", self.store.rate(clients, length)),
            Kind::Null => ("null_handler_per_s", http::null(stage, clients, length).rate),
            Kind::Refuse => ("verify_refused_per_s", http::refuse(stage, clients, length).rate),
            Kind::Verify => {
                let taken = http::verify(stage, clients, length);
                readings.push("verify_p50_ms", clients, taken.latencies.percentile(50));
                readings.push("verify_p99_ms", clients, taken.latencies.percentile(99));
                ("verify_http_durable_per_s", taken.rate)
            }
            Kind::Sms => {
                let count = PHONES / ROUNDS;
                for ms in sms::samples(stage, self.sms_taken, count) {
                    readings.push("sms_enqueue_to_pdu_p50_ms", clients, ms);
                    readings.push("sms_enqueue_to_pdu_p99_ms", clients, ms);
                }
                self.sms_taken += count;
                return;
            }
            Kind::Provision => return Bench::start().take(readings),
            Kind::Board => return board::take(readings),
            Kind::Modems => return sms::side_by_side(readings),
            Kind::Million => return million::take(&self.state, stage, readings),
        };
        readings.push(key, clients, rate);
    }
}

/// The example of the HSM library that measures its child, built beside this program.
fn rates_program() -> PathBuf {
    let own = std::env::current_exe().expect("/proc is mounted");
    let path = own.with_file_name("examples").join("rates");
    assert!(path.exists(), "{} is missing: cargo build --release -p hsm --example rates", path.display());
    path
}

const _: () = assert!(PHONES.is_multiple_of(ROUNDS) && USERS >= BUSY && USERS >= PHONES);
