//! An appliance at work for hours: it stays as it was.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::appliance::{Appliance, RigOptions};
use crate::time::step_with_room;

/// Pause between two verifications.
const PACE: Duration = Duration::from_millis(20);
/// How often memory and descriptors are looked at.
const LOOK: Duration = Duration::from_secs(60);
/// Growth over the whole run that is still none.
const RSS_GROWTH_KIB: u64 = 64 * 1024;
const DESCRIPTOR_GROWTH: usize = 16;

/// What the hours came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Verifications.
    pub verifications: usize,
    /// Whatever was not as it should be.
    pub violations: Vec<String>,
}

/// Verifies right, repeated and wrong codes until the time is over.
///
/// # Panics
/// When the appliance does not start or answer.
pub fn run(time: Duration) -> Tally {
    let rig = Appliance::start(RigOptions::default());
    rig.user("steady");
    let token = rig.token("steady", &json!({"type": "hotp", "digits": 8}));
    let key = rig.app_key("steady", &["verify"]);
    let mut app = rig.loopback(Some(&key));
    let (begun, mut looked) = (Instant::now(), Instant::now());
    // The first minute's state is the measure: caches are full by then.
    let mut first = None;
    let mut tally = Tally::default();
    for counter in 0.. {
        if begun.elapsed() >= time {
            break;
        }
        let otp = token.secret.hotp(counter);
        for (asked, expected) in [(&otp, true), (&otp, false)] {
            let answer = app.verify("steady", asked);
            tally.verifications += 1;
            if answer.accepted() != expected || answer.rejected() == expected {
                tally.violations.push(format!("counter {counter}: {} {}", answer.status, answer.text()));
            }
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            let now = (resident_kib(rig.pid()), descriptors(rig.pid()));
            let measure = *first.get_or_insert(now);
            if now.0 > measure.0 + RSS_GROWTH_KIB || now.1 > measure.1 + DESCRIPTOR_GROWTH {
                tally.violations.push(format!("memory and descriptors grew from {measure:?} to {now:?}"));
            }
        }
        std::thread::park_timeout(PACE);
    }
    rig.check_chain();
    tally
}

/// The control: a process that keeps what it allocates is seen to grow.
///
/// # Panics
/// When `/proc` cannot be read.
pub fn growth_is_seen() -> usize {
    let own = std::process::id();
    let before = resident_kib(own);
    // Touched page by page, and kept until it has been looked at.
    let kept = vec![step_with_room(Duration::ZERO).to_le_bytes()[0] | 1; 96 << 20];
    let after = resident_kib(own);
    usize::from(after > before + RSS_GROWTH_KIB && kept.iter().all(|byte| *byte != 0))
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}
