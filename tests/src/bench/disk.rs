//! The disk and SQLite alone: what the appliance's store could do if it had nothing else to do.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};
use tests::time::unix_ms;

/// One page of a write-ahead log.
const BLOCK: [u8; 4096] = [7; 4096];
/// Blocks that are overwritten in turn.
const BLOCKS: u64 = 256;
/// Updates committed together at the most, and waiting at the most: as in the appliance.
const GROUP_MAX: usize = 256;
const QUEUE_MAX: usize = 4096;
/// Rows that are updated.
const ROWS: i64 = 1024;

const SCHEMA: &str = "
    CREATE TABLE token (id INTEGER PRIMARY KEY, last INTEGER NOT NULL, state_mac BLOB NOT NULL) STRICT;
    CREATE TABLE event (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, subject TEXT NOT NULL,
        prev_hash BLOB NOT NULL, hash BLOB NOT NULL) STRICT;";
const SUBJECT: &str = r#"{"token":"OATH00000000","user_ref":"00000000000000000000000000000000"}"#;

/// A file of which blocks are overwritten and forced to the disk.
pub(super) struct Blocks(File);

impl Blocks {
    pub(super) fn create(directory: &Path) -> Blocks {
        let path = directory.join("blocks");
        let file = OpenOptions::new().create_new(true).write(true).open(path).expect("an empty directory");
        for block in 0..BLOCKS {
            file.write_all_at(&BLOCK, block * BLOCK.len() as u64).expect("room for a megabyte");
        }
        Blocks(file)
    }

    /// Blocks per second that are on disk, one after the other.
    pub(super) fn rate(&self, length: Duration) -> f64 {
        let begun = Instant::now();
        let mut synced = 0u32;
        while begun.elapsed() < length {
            let place = u64::from(synced) % BLOCKS * BLOCK.len() as u64;
            self.0.write_all_at(&BLOCK, place).expect("room that was taken already");
            self.0.sync_data().expect("a sound disk");
            synced += 1;
        }
        f64::from(synced) / begun.elapsed().as_secs_f64()
    }
}

/// The appliance's writer without the appliance: one thread, one file, updates committed in groups.
pub(super) struct RawStore {
    updates: SyncSender<Update>,
    rows: Vec<Row>,
}

/// A row with the value it has now.
#[derive(Clone, Copy)]
struct Row {
    id: i64,
    last: i64,
}

/// Moves a row to the next value, if it still has this one.
struct Update {
    row: Row,
    done: SyncSender<bool>,
}

impl RawStore {
    pub(super) fn create(directory: &Path) -> RawStore {
        let connection = prepare(&directory.join("raw.db")).expect("an empty directory");
        let (updates, waiting) = sync_channel(QUEUE_MAX);
        thread::spawn(move || write(connection, &waiting));
        RawStore { updates, rows: (0..ROWS).map(|id| Row { id, last: 0 }).collect() }
    }

    /// Updates per second that are on disk, of so many clients, each waiting for its own.
    pub(super) fn rate(&mut self, clients: usize, length: Duration) -> f64 {
        let begun = Instant::now();
        let share = self.rows.len().div_ceil(clients);
        let updated: u32 = thread::scope(|scope| {
            let updates = &self.updates;
            let shares = self.rows.chunks_mut(share);
            let threads: Vec<_> =
                shares.map(|rows| scope.spawn(move || update(updates, rows, begun, length))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a client does not panic")).sum()
        });
        f64::from(updated) / begun.elapsed().as_secs_f64()
    }
}

fn prepare(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(SCHEMA)?;
    let filling = connection.transaction()?;
    for id in 0..ROWS {
        filling.execute("INSERT INTO token VALUES (?1, 0, ?2)", params![id, [0u8; 32]])?;
    }
    filling.commit()?;
    Ok(connection)
}

fn update(updates: &SyncSender<Update>, rows: &mut [Row], begun: Instant, length: Duration) -> u32 {
    let (done, answer) = sync_channel(1);
    let mut updated = 0;
    for nth in (0..rows.len()).cycle() {
        if begun.elapsed() >= length {
            break;
        }
        let update = Update { row: rows[nth], done: done.clone() };
        updates.send(update).expect("the writer lives as long as the store");
        assert!(answer.recv().expect("an answer to each update"), "nobody else moves this row");
        rows[nth].last += 1;
        updated += 1;
    }
    updated
}

fn write(mut connection: Connection, waiting: &Receiver<Update>) {
    while let Ok(first) = waiting.recv() {
        let group: Vec<Update> =
            std::iter::once(first).chain(waiting.try_iter().take(GROUP_MAX - 1)).collect();
        let changed = commit(&mut connection, &group).expect("the bench's own store");
        for (update, changed) in group.iter().zip(changed) {
            update.done.send(changed).expect("the client waits");
        }
    }
}

fn commit(connection: &mut Connection, group: &[Update]) -> rusqlite::Result<Vec<bool>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let changed = group.iter().map(|update| apply(&transaction, update)).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(changed)
}

fn apply(connection: &Connection, update: &Update) -> rusqlite::Result<bool> {
    let mut moved = connection
        .prepare_cached("UPDATE token SET last = ?2 + 1, state_mac = ?3 WHERE id = ?1 AND last = ?2")?;
    let changed = moved.execute(params![update.row.id, update.row.last, [1u8; 32]])? == 1;
    let mut told = connection
        .prepare_cached("INSERT INTO event (at, subject, prev_hash, hash) VALUES (?1, ?2, ?3, ?4)")?;
    let at = i64::try_from(unix_ms()).expect("this age");
    told.execute(params![at, SUBJECT, [2u8; 32], [3u8; 32]])?;
    Ok(changed)
}
