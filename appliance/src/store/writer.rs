//! The one thread that writes: it takes what is waiting, runs each act in a savepoint, commits them
//! together, and answers only after the commit is on disk.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;
use super::event::ChainHead;

/// Acts committed together at the most.
const GROUP_MAX: usize = 256;
/// Acts waiting at the most; beyond it a caller waits.
const QUEUE_MAX: usize = 4096;
/// Longest wait for a commit. What is committed later than that stays committed, and nobody was told `accept`.
const COMMIT_DEADLINE: Duration = Duration::from_secs(15);
/// Commits between two checkpoints of the write-ahead log.
const CHECKPOINT_EVERY: u32 = 256;

/// An act under way: the open transaction and the head of the chain of events.
pub struct Writing<'a> {
    pub(super) tx: &'a Connection,
    pub(super) head: &'a mut ChainHead,
}

type Answer = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;
type Act = Box<dyn FnOnce(&mut Writing<'_>) -> Done + Send>;

/// An act that has run: whom to tell, and whether its savepoint must be undone.
struct Done {
    answer: Answer,
    undo: Option<Undo>,
}

struct Undo {
    text: String,
    lost_sync: bool,
}

/// Where acts are handed in.
pub(super) struct Writer {
    acts: SyncSender<Act>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread that owns the connection.
    pub(super) fn start(connection: Connection, head: ChainHead) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(connection, head, &receiver))?;
        Ok(Writer { acts: sender, thread })
    }

    /// Ends the thread once everything handed in is done.
    pub(super) fn finish(self) {
        drop(self.acts);
        if self.thread.join().is_err() {
            tracing::error!("the writer had ended early");
        }
    }

    /// Runs an act and returns once it is on disk, or undone.
    pub(super) fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel::<Result<T, StoreError>>(1);
        // The caller waits for the answer; if its thread died there is nobody to tell, hence `drop(send)`.
        let job: Act = Box::new(move |writing| match act(writing) {
            Ok(value) => Done {
                answer: Box::new(move |committed| {
                    drop(reply.send(committed.map(|()| value).map_err(StoreError::shared)));
                }),
                undo: None,
            },
            Err(error) => {
                let undo = Undo { text: error.to_string(), lost_sync: error.is_lost_sync() };
                Done { answer: Box::new(move |_| drop(reply.send(Err(error)))), undo: Some(undo) }
            }
        });
        let gone = || StoreError::Unavailable("nothing was written".to_owned());
        self.acts.send(job).map_err(|_| gone())?;
        answer.recv_timeout(COMMIT_DEADLINE).map_err(|_| gone())?
    }
}

fn run(mut connection: Connection, mut head: ChainHead, acts: &Receiver<Act>) {
    let _whole = EndWithThread;
    let mut commits = 0;
    while let Ok(first) = acts.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            match acts.try_recv() {
                Ok(act) => group.push(act),
                Err(_) => break,
            }
        }
        commit_group(&mut connection, &mut head, group);
        commits += 1;
        if commits >= CHECKPOINT_EVERY {
            commits = 0;
            checkpoint(&connection);
        }
    }
}

/// Moves the log into the database. SQLite's own checkpoints would swallow a failed fsync; this one does not.
fn checkpoint(connection: &Connection) {
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = moved {
        let error = StoreError::from(error);
        tracing::error!(%error, "a checkpoint failed");
        if error.is_lost_sync() {
            leave();
        }
    }
}

/// A writer that panicked has left its chain of events in an unknown state: the process ends with it.
struct EndWithThread;

impl Drop for EndWithThread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            leave();
        }
    }
}

fn commit_group(connection: &mut Connection, head: &mut ChainHead, group: Vec<Act>) {
    let before = head.clone();
    let mut answers = Vec::with_capacity(group.len());
    let outcome = run_group(connection, head, group, &mut answers);
    if let Err(error) = &outcome {
        *head = before;
        tracing::error!(%error, "a commit failed; nothing of it was answered");
        if error.is_lost_sync() {
            leave();
        }
    }
    for answer in answers {
        answer(outcome.as_ref().copied());
    }
}

fn run_group(
    connection: &mut Connection,
    head: &mut ChainHead,
    group: Vec<Act>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    let mut tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for act in group {
        let savepoint_head = head.clone();
        let savepoint = tx.savepoint()?;
        let done = act(&mut Writing { tx: &savepoint, head });
        answers.push(done.answer);
        match done.undo {
            None => savepoint.commit()?,
            Some(undo) => {
                *head = savepoint_head;
                if undo.lost_sync {
                    leave();
                }
                if savepoint.is_autocommit() {
                    // SQLite undid the whole transaction (full disk, I/O error), not just this act.
                    return Err(StoreError::Unavailable(undo.text));
                }
                savepoint.finish()?;
            }
        }
    }
    tx.commit()?;
    Ok(())
}

/// Ends the process: what reached the disk is unknown, and a second fsync would lie. A fresh start recovers.
fn leave() -> ! {
    tracing::error!("leaving, so that the next start recovers from what is on disk");
    std::process::exit(4);
}
