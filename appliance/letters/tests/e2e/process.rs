//! The process as its caller sees it: exit codes, one line of error, limits, what a batch costs.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::rig;

/// For a child to reach a state that it reaches in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

fn refused(input: &[u8], wanted: &str) {
    let Output { status, stdout, stderr } = rig::finish(rig::start(), input);
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(stdout.is_empty());
    assert_eq!(said, format!("countersign-letters: the job is refused: {wanted}\n"));
}

#[test]
fn a_bad_job_is_refused_in_one_line() {
    refused(b"", "this is not JSON at line 1, column 0");
    refused(b"\xff", "this is not JSON at line 1, column 1");
    refused(b"{\"document\":\"label\"}", "missing field `created` at line 1, column 20");
    refused(&vec![b' '; (4 << 20) + 1], "it is longer than 4194304 bytes");
    let token = json!({"serial": "A", "kind": "HOTP"});
    refused(
        rig::labels("single", &vec![token; 1001]).to_string().as_bytes(),
        "labels: must have 1 to 1000 items",
    );
    let path = json!({"serial": "A", "kind": "HOTP", "image": "/etc/passwd"});
    let job = rig::labels("single", &[path]).to_string();
    let Output { status, stderr, .. } = rig::finish(rig::start(), job.as_bytes());
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("unknown field `image`") && !said.contains("passwd"), "{said}");
}

#[test]
fn a_reader_that_went_away_is_a_fault() {
    let mut child = rig::start();
    drop(child.stdout.take());
    let token = json!({"serial": "A", "kind": "HOTP"});
    let output = rig::finish(child, rig::labels("single", &[token]).to_string().as_bytes());
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
}

/// With three descriptors allowed and three open, no file and no socket can be opened.
#[test]
fn it_works_where_nothing_can_be_opened() {
    let child = rig::start();
    let limits = format!("/proc/{}/limits", child.id());
    let begin = Instant::now();
    let confined = |limits: &str| {
        let has = |name: &str, most: &str| {
            limits.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.split_whitespace().take(2).eq([most, most]))
            })
        };
        has("Max open files", "3")
            && has("Max core file size", "0")
            && has("Max cpu time", "60")
            && has("Max address space", "1073741824")
    };
    loop {
        let text = std::fs::read_to_string(&limits).expect("the child waits for its job");
        if confined(&text) {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{text}");
        std::thread::yield_now();
    }
    let token = json!({"serial": "A", "kind": "HOTP"});
    let output = rig::finish(child, rig::labels("a4-24", &[token]).to_string().as_bytes());
    assert!(output.status.success() && output.stdout.starts_with(b"%PDF-"));
}

/// Runs a batch of labels; what it costs.
fn cost(sheet: &str, count: usize) -> (Duration, u64, u64, usize) {
    let tokens: Vec<_> = (0..count)
        .map(|index| json!({"serial": format!("CSH7K4QX{index:05}"), "kind": "TOTP, 6 digits, 30 s", "batch": "2026-07-A", "date": "2026-11-21"}))
        .collect();
    measure(&rig::labels(sheet, &tokens))
}

/// Runs a job; its wall time, and the most memory and address space that the kernel saw, in MiB.
fn measure(job: &serde_json::Value) -> (Duration, u64, u64, usize) {
    let job = job.to_string();
    let begin = Instant::now();
    let child = rig::start();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let (mut resident, mut space) = (0, 0);
        // A process that has ended has no memory lines any more.
        while let Some((rss, peak)) = std::fs::read_to_string(&status).ok().and_then(|text| memory(&text)) {
            (resident, space) = (rss, peak);
            std::thread::sleep(Duration::from_millis(2));
        }
        (resident, space)
    });
    let output = rig::finish(child, job.as_bytes());
    let wall = begin.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (resident, space) = watcher.join().expect("the watcher ends");
    (wall, resident / 1024, space / 1024, output.stdout.len())
}

fn memory(status: &str) -> Option<(u64, u64)> {
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((kib("VmHWM:")?, kib("VmPeak:")?))
}

/// The numbers are printed; the bounds are far above them, and below the limits of the process.
#[test]
fn a_batch_costs_little() {
    for (sheet, count) in [("single", 1), ("single", 100), ("a4-24", 100), ("single", 1000)] {
        let (wall, resident, space, bytes) = cost(sheet, count);
        println!(
            "{count} labels, {sheet}: {} ms, {resident} MiB resident, {space} MiB address space, PDF {} kB",
            wall.as_millis(),
            bytes / 1000
        );
        assert!(wall < PATIENCE && resident < 512 && space < 900, "{wall:?} {resident} {space}");
    }
    let letters: Vec<_> = (0..100)
        .map(|index| {
            let mut letter = rig::letter(if index % 2 == 0 { "oath" } else { "sms-iak" }, "de");
            letter["id"] = json!(format!("letter-{index}"));
            letter
        })
        .collect();
    let (wall, resident, space, bytes) = measure(&rig::letters("left", &letters));
    println!(
        "100 letters: {} ms, {resident} MiB resident, {space} MiB address space, {} kB",
        wall.as_millis(),
        bytes / 1000
    );
    assert!(wall < PATIENCE && resident < 512 && space < 900, "{wall:?} {resident} {space}");
}
