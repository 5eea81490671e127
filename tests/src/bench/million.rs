//! An appliance with a million tokens beside one with a thousand.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::http;
use super::measures::BUSY;
use super::readings::Readings;
use super::stage::{Stage, USERS};

/// Users and tokens besides those that are verified.
const FILLERS: i64 = 1_000_000 - USERS as i64;
/// Starts, and pairs of loads.
const ROUNDS: usize = 5;
/// Length of a load.
const LENGTH: Duration = Duration::from_millis(1500);

/// Takes every figure; `small` is the other appliance.
pub(super) fn take(state: &Path, small: &mut Stage, readings: &mut Readings) {
    let directory = state.join("million");
    fs::create_dir(&directory).expect("the bench's own directory");
    let mut large = Stage::start(&directory);
    http::warm(&mut large);
    large.appliance.stop();
    fill(&large.appliance.state.join("countersign.db")).expect("the bench's own store");
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        large.appliance.serve();
        large.appliance.await_ready();
        readings.push("start_1m_s", 1, begun.elapsed().as_secs_f64());
        large.appliance.stop();
    }
    large.appliance.serve();
    large.appliance.await_ready();
    // Unwraps each secret, as the warm-up of the other one did.
    http::warm(&mut large);
    for _ in 0..ROUNDS {
        let [of_small, of_large] =
            [&mut *small, &mut large].map(|stage| http::verify(stage, BUSY, LENGTH).rate);
        readings.push("throughput_1m_over_1k", 1, of_large / of_small);
        readings.push("rss_1m_mib", 1, resident_mib(large.appliance.pid()));
    }
}

/// Copies a user and a token many times; what must be unique is, and nobody knows their secrets.
fn fill(database: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(database)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    // Ids of rows ascend with time, as theirs do.
    let id = "unhex('0190' || printf('%028x', n))";
    let users = [("id", id), ("name", "printf('filler-%d', n)"), ("user_ref", "printf('%032x', n)")];
    let tokens = [
        ("id", id),
        ("serial", "printf('FILL%08d', n)"),
        ("user_id", id),
        ("record", "randomblob(length(record))"),
        ("fingerprint", "randomblob(32)"),
    ];
    copy(&connection, "user", "name = 'user-0'", &users)?;
    copy(&connection, "token", "user_id = (SELECT id FROM user WHERE name = 'user-0')", &tokens)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn copy(connection: &Connection, table: &str, which: &str, other: &[(&str, &str)]) -> rusqlite::Result<()> {
    let mut named = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> = named.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let values: Vec<&str> = columns
        .iter()
        .map(|column| {
            other.iter().find(|(name, _)| name == column).map_or(column.as_str(), |(_, value)| value)
        })
        .collect();
    connection.execute_batch(&format!(
        "INSERT INTO {table} ({}) WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < {FILLERS})
         SELECT {} FROM many, (SELECT * FROM {table} WHERE {which} LIMIT 1)",
        columns.join(", "),
        values.join(", ")
    ))
}

/// What a process holds in memory now (`VmRSS`, proc(5)), in MiB.
fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("proc(5)");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kib / 1024.0
}
