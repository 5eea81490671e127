//! A child that dies or hangs costs the calls under way, and nothing else.

use std::time::{Duration, Instant};

use hsm::{Hash, Hsm, HsmError, Matched, Status};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Rig, hotp, import, until};

const FAST: Duration = Duration::from_secs(1);

fn send(hsm: &Hsm, signal: Signal) -> u32 {
    let pid = hsm.child_pid().expect("up");
    kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), signal).expect("own child");
    pid
}

fn recovered(hsm: &Hsm, dead: u32) {
    until("another child", || hsm.child_pid().is_some_and(|pid| pid != dead));
    assert!(matches!(hsm.status(), Status::Up { .. }));
}

#[test]
fn a_killed_child_is_replaced_and_calls_fail_at_once_meanwhile() {
    let rig = Rig::new();
    let hsm = rig.open();
    let enrolled = import(&hsm, b"12345678901234567890", Hash::Sha1);
    let dead = send(&hsm, Signal::KILL);
    until("noticed", || hsm.child_pid() != Some(dead));
    let begun = Instant::now();
    let outcome = hsm.random(1);
    assert!(begun.elapsed() < FAST);
    assert!(matches!(outcome, Err(HsmError::Unavailable { .. })), "{outcome:?}");
    recovered(&hsm, dead);
    let verdicts = hsm.match_codes(vec![hotp(&enrolled, b"755224", 1)]).expect("up");
    assert!(matches!(verdicts[..], [Matched::Hit { .. }]), "records outlive the child");
}

/// Red when only the caller's own wait ends and the stuck child stays.
#[test]
fn a_child_that_hangs_is_given_up_at_the_deadline() {
    let mut rig = Rig::new();
    rig.settings.deadline = Duration::from_secs(3);
    let hsm = rig.open();
    let stuck = send(&hsm, Signal::STOP);
    until("every thread stopped", || {
        let tasks = std::fs::read_dir(format!("/proc/{stuck}/task")).expect("alive");
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    });
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| hsm.random(1))).collect();
        for caller in callers {
            assert_eq!(caller.join().expect("no panic"), Err(HsmError::Deadline));
        }
    });
    assert!(begun.elapsed() < rig.settings.deadline + FAST, "{:?}", begun.elapsed());
    recovered(&hsm, stuck);
    assert!(hsm.random(1).is_ok());
}

#[test]
fn dropping_the_last_handle_ends_the_child() {
    let rig = Rig::new();
    let hsm = rig.open();
    let pid = Pid::from_raw(hsm.child_pid().expect("up").cast_signed()).expect("a pid");
    let other = hsm.clone();
    drop(hsm);
    assert!(other.random(1).is_ok());
    drop(other);
    until("child gone", || rustix::process::test_kill_process(pid).is_err());
}

/// The child's environment is what the settings say, and its memory is closed to other processes.
#[test]
fn the_child_inherits_nothing_and_dumps_no_core() {
    let rig = Rig::new();
    let hsm = rig.open();
    let of = |name: &str| {
        std::fs::read(format!("/proc/{}/{name}", hsm.child_pid().expect("up"))).expect("as root or owner")
    };
    let environment = String::from_utf8(of("environ")).expect("ours");
    assert_eq!(environment.trim_end_matches('\0').split('\0').count(), rig.settings.env.len());
    let limits = String::from_utf8(of("limits")).expect("text");
    let core: Vec<&str> = limits.lines().filter(|line| line.starts_with("Max core")).collect();
    assert!(matches!(core[..], [line] if line.split_whitespace().nth(4) == Some("0")), "{core:?}");
}

/// Red when the canary is a copy in memory.
#[test]
fn a_token_that_is_gone_is_noticed_and_found_again() {
    let rig = Rig::new();
    let hsm = rig.open();
    let (tokens, aside) = (rig.path("tokens"), rig.path("aside"));
    std::fs::rename(&tokens, &aside).expect("scratch");
    std::fs::create_dir(&tokens).expect("scratch");
    let dead = hsm.child_pid().expect("up");
    let seen = hsm.info();
    assert!(matches!(seen, Err(HsmError::Unavailable { .. })), "{seen:?}");
    until("noticed", || hsm.child_pid() != Some(dead));
    std::fs::remove_dir(&tokens).expect("empty");
    std::fs::rename(&aside, &tokens).expect("scratch");
    recovered(&hsm, dead);
    assert!(hsm.info().is_ok());
}
