//! Self-test: the vectors of RFC 4226, RFC 6238 and RFC 6287 computed on the board, one line each over the UART.
//!
//! The last line is `vectors: N passed, M failed`; then the board resets. A control per algorithm expects a
//! wrong code and passes when the comparison says so. Before it stand the stack's peak and how long codes take, in
//! ticks of 16 MHz: on the part these are its cycles, in an emulator they mean what its clock means.

#![no_std]
#![no_main]

#[path = "../../../../oath/tests/vectors/mod.rs"]
mod vectors;

use core::fmt::Write as _;
use core::hint::black_box;

use board::{stack, stopwatch::Stopwatch, system, uart::Uart};
use cortex_m_rt::entry;
use hmac::{Hmac, KeyInit, Mac};
use oath::ocra::{Question, Suite};
use oath::{Algorithm, Code, CodeFormat, Digits, Period, TotpClock, Truncation, moving_factor};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

const CLOCK: TotpClock = TotpClock { t0: 0, period: Period::THIRTY };
const SIX: CodeFormat = CodeFormat { digits: Digits::SIX, checksum: false, truncation: Truncation::Dynamic };
const EIGHT: CodeFormat = CodeFormat {
    digits: match Digits::new(8) {
        Ok(digits) => digits,
        Err(_) => panic!("8 is between 6 and 10"),
    },
    ..SIX
};

/// How many codes are timed together.
const TIMED: u64 = 16;

#[entry]
fn main() -> ! {
    let mut report = Report { uart: Uart::start(), passed: 0, failed: 0 };
    for (counter, expected) in (0..).zip(vectors::HOTP) {
        let got = code(SIX, Algorithm::Sha1, counter);
        report.line(format_args!("HOTP SHA1 counter {counter}"), is(&got, expected));
    }
    for (time, expected) in vectors::TOTP {
        let step = CLOCK.step(time).expect("the RFC's times lie after 1970");
        for (algorithm, expected) in Algorithm::ALL.into_iter().zip(expected) {
            let got = code(EIGHT, algorithm, step);
            report.line(format_args!("TOTP {} time {time}", algorithm.name()), is(&got, expected));
        }
    }
    for (text, moving, responses) in vectors::OCRA {
        let suite = Suite::parse(text).expect("the suites of the table are supported");
        for (n, expected) in (0u64..).zip(responses) {
            let question = Question::new(n * 11_111_111, suite.question).expect("eight digits");
            let input = suite.input(&question, moving.unwrap_or(n));
            let got = code_of(suite.format(), suite.algorithm, &input.parts());
            report.line(format_args!("{text} {question}"), is(&got, expected));
        }
    }
    for algorithm in Algorithm::ALL {
        let got = code(SIX, algorithm, 0);
        let wrong = code(SIX, algorithm, 1);
        report.line(format_args!("control {} refused", algorithm.name()), !is(&got, wrong.as_str()));
    }
    report.time("hotp-sha1", |n| code(SIX, Algorithm::Sha1, n));
    report.time("hotp-sha256", |n| code(SIX, Algorithm::Sha256, n));
    report.time("totp-sha1", |n| {
        let step = CLOCK.step(vectors::TOTP[0].0 + n as i64).expect("after 1970");
        code(SIX, Algorithm::Sha1, step)
    });
    report.end()
}

/// The code of moving factor `n` under the RFC's key for `algorithm`.
fn code(format: CodeFormat, algorithm: Algorithm, n: u64) -> Code {
    code_of(format, algorithm, &[&moving_factor(n)])
}

fn code_of(format: CodeFormat, algorithm: Algorithm, parts: &[&[u8]]) -> Code {
    match algorithm {
        Algorithm::Sha1 => format.code(&hmac::<Hmac<Sha1>>(algorithm, parts)),
        Algorithm::Sha256 => format.code(&hmac::<Hmac<Sha256>>(algorithm, parts)),
        Algorithm::Sha512 => format.code(&hmac::<Hmac<Sha512>>(algorithm, parts)),
    }
}

#[inline(never)]
fn hmac<M: Mac + KeyInit>(algorithm: Algorithm, parts: &[&[u8]]) -> impl core::ops::Deref<Target = [u8]> {
    let mut mac =
        <M as KeyInit>::new_from_slice(vectors::key(algorithm)).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut uart = Uart::start();
    let _ = writeln!(uart, "!PANIC {info}");
    system::reset()
}

fn is(got: &Code, expected: &str) -> bool {
    Code::parse(expected).is_ok_and(|expected| got.ct_eq(&expected))
}

struct Report {
    uart: Uart,
    passed: u32,
    failed: u32,
}

impl Report {
    fn line(&mut self, name: core::fmt::Arguments<'_>, passed: bool) {
        let count = if passed { &mut self.passed } else { &mut self.failed };
        *count += 1;
        let verdict = if passed { "ok" } else { "FAILED" };
        let _ = writeln!(self.uart, "{name}: {verdict}");
    }

    fn time(&mut self, name: &str, code: impl Fn(u64) -> Code) {
        let stopwatch = Stopwatch::start();
        for n in 0..TIMED {
            black_box(code(black_box(n)));
        }
        let each = u64::from(stopwatch.ticks()) / TIMED;
        let _ = writeln!(self.uart, "{name}: {each} ticks");
    }

    fn end(mut self) -> ! {
        let _ = writeln!(self.uart, "stack: {} bytes", stack::peak());
        let _ = writeln!(self.uart, "vectors: {} passed, {} failed", self.passed, self.failed);
        system::reset()
    }
}
