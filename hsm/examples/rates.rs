//! Calls per second through [`Hsm`] and its child, on a SoftHSM token of its own: for `make bench`.
//!
//! `rates DIR` takes the token's `softhsm2.conf`, `pin` and `so-pin` from a directory and makes the keys. It
//! then says `ready`, and for each line `MEASURE CALLERS SECONDS` on its input answers one line: the rate.

use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hsm::{
    CODE_MAX, Enrol, Enrolled, Factor, Hash, Hsm, HsmError, HsmSettings, InitSpec, Launcher, Match, MatchKey,
    Matched, PinSource, SecretSource, Status,
};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const LABEL: &str = "countersign rates";
/// Long enough for a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// First argument with which this program is the HSM child.
const CHILD: &str = "child";
/// Records that stay unwrapped in the child: one per caller.
const HOT: usize = 64;
/// More than the child keeps, so that in rotation each has to be unwrapped anew.
const COLD: usize = 5120;
const FACTORS: u64 = 3;
const DIGITS: usize = 6;

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        Some(argument) if argument == CHILD => hsm::child::run(render),
        Some(directory) => match measure(Path::new(&directory)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("rates: {error}");
                ExitCode::FAILURE
            }
        },
        None => {
            eprintln!("usage: rates DIR");
            ExitCode::from(2)
        }
    }
}

/// Six digits by RFC 4226 section 5.3.
fn render(_format: &[u8], mac: &[u8], out: &mut [u8; CODE_MAX]) -> Option<usize> {
    let offset = usize::from(mac.last()? & 0xf);
    let word: [u8; 4] = mac.get(offset..offset + 4)?.try_into().ok()?;
    let mut number = u32::from_be_bytes(word) & 0x7fff_ffff;
    for digit in out[..DIGITS].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
    Some(DIGITS)
}

fn measure(directory: &Path) -> Result<(), Box<dyn Error>> {
    let hsm = open(directory)?;
    let questions =
        |count: usize| (0..count).map(|n| question(&hsm, n)).collect::<Result<Vec<_>, HsmError>>();
    let (hot, cold) = (questions(HOT)?, questions(COLD)?);
    println!("ready");
    let turn = AtomicUsize::new(0);
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let (Some(what), Some(callers), Some(seconds)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("{line:?} is not MEASURE CALLERS SECONDS").into());
        };
        let (callers, length) = (callers.parse()?, Duration::from_secs_f64(seconds.parse()?));
        let rate = match what {
            "match" => rate(callers, length, |caller| judge(&hsm, &hot[caller % HOT]))?,
            "cycle" => {
                rate(callers, length, |_| judge(&hsm, &cold[turn.fetch_add(1, Ordering::Relaxed) % COLD]))?
            }
            _ => return Err(format!("{what:?} is no measure").into()),
        };
        println!("{rate}");
    }
    Ok(())
}

fn open(directory: &Path) -> Result<Hsm, Box<dyn Error>> {
    let launcher = Launcher { program: std::env::current_exe()?, args: vec![CHILD.into()] };
    let env = vec![("SOFTHSM2_CONF".to_owned(), directory.join("softhsm2.conf").display().to_string())];
    let spec = InitSpec {
        module: MODULE.into(),
        env: env.clone(),
        slot: None,
        token_label: LABEL.to_owned(),
        so_pin_file: directory.join("so-pin"),
        pin_file: directory.join("pin"),
    };
    hsm::initialise(launcher.clone(), spec, DEADLINE)?;
    let settings = HsmSettings {
        module: MODULE.into(),
        token_label: LABEL.to_owned(),
        pin: PinSource::File(directory.join("pin")),
        env,
        latch: directory.join("latch"),
        deadline: DEADLINE,
    };
    let hsm = Hsm::start(launcher, settings);
    match hsm.status() {
        Status::Up { .. } => Ok(hsm),
        Status::Down { error } => Err(error.into()),
    }
}

/// A wrong code against three factors of a new record.
fn question(hsm: &Hsm, nth: usize) -> Result<Match, HsmError> {
    let (binding, state) = (format!("row {nth}").into_bytes(), format!("state {nth}").into_bytes());
    let enrol = Enrol {
        source: SecretSource::Generate { len: 32 },
        hash: Hash::Sha1,
        binding: binding.clone(),
        state: state.clone(),
        reveal: false,
    };
    let Enrolled { record, record_mac, state_mac, .. } = hsm.enrol(enrol)?;
    let factor =
        |n: u64| Factor { messages: vec![n.to_be_bytes().to_vec()], next_state: format!("next {n}").into() };
    Ok(Match {
        key: MatchKey::Record { record, binding, record_mac },
        state,
        state_mac,
        format: vec![6],
        candidate: b"------".to_vec(),
        factors: (0..FACTORS).map(factor).collect(),
        refusal: b"refused".to_vec(),
    })
}

fn judge(hsm: &Hsm, question: &Match) -> Result<(), HsmError> {
    match hsm.match_codes(vec![question.clone()])?.first() {
        Some(Matched::Miss { .. }) => Ok(()),
        other => Err(HsmError::Refused { reason: format!("a wrong code gave {other:?}") }),
    }
}

/// Calls per second of so many callers together; `call` is told which of them it is.
fn rate(
    callers: usize,
    length: Duration,
    call: impl Fn(usize) -> Result<(), HsmError> + Sync,
) -> Result<f64, HsmError> {
    let begun = Instant::now();
    let done: Result<Vec<u32>, HsmError> = thread::scope(|scope| {
        let call = &call;
        let calling = |caller| {
            scope.spawn(move || {
                let mut calls = 0;
                while begun.elapsed() < length {
                    call(caller)?;
                    calls += 1;
                }
                Ok(calls)
            })
        };
        let threads: Vec<_> = (0..callers).map(calling).collect();
        threads.into_iter().map(|thread| thread.join().expect("a caller does not panic")).collect()
    });
    Ok(f64::from(done?.iter().sum::<u32>()) / begun.elapsed().as_secs_f64())
}
