//! The open line to a serving child. Callers write their requests one after the other; one reader hands
//! the replies back in the same order.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::HsmError;
use crate::wire::{self, Reply};

/// The most requests under way at one time; further ones are refused at once.
pub(crate) const QUEUE_MAX: usize = 1024;

/// A child that has answered nobody for this part of a deadline hangs; otherwise the line is only busy.
const HUNG_DIVISOR: u32 = 2;

pub(crate) struct Link {
    socket: UnixStream,
    pid: u32,
    /// Held while a request is queued and written, so that both orders are the same.
    turn: Mutex<()>,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    queue: VecDeque<SyncSender<Reply>>,
    /// Since when the first in the queue is being served.
    head_since: Instant,
    /// Why the line is to end or has ended.
    fault: Option<HsmError>,
}

impl Link {
    /// `deadline` also bounds the writing of one request.
    pub(crate) fn new(socket: &UnixStream, pid: u32, deadline: Duration) -> io::Result<Link> {
        let socket = socket.try_clone()?;
        socket.set_write_timeout(Some(deadline))?;
        Ok(Link {
            socket,
            pid,
            turn: Mutex::new(()),
            waiting: Mutex::new(Waiting { queue: VecDeque::new(), head_since: Instant::now(), fault: None }),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// One request, as a whole frame, and its reply.
    pub(crate) fn call(&self, frame: &[u8], deadline: Duration) -> Reply {
        let until = Instant::now() + deadline;
        let reply = {
            let Some(_turn) = self.turn.try_lock_until(until) else { return Err(HsmError::Deadline) };
            let reply = self.enqueue()?;
            if let Err(error) = (&self.socket).write_all(frame) {
                self.condemn(match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HsmError::Deadline,
                    _ => HsmError::unavailable("the HSM child has ended"),
                });
            }
            reply
        };
        match reply.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Disconnected) => Err(HsmError::unavailable("the HSM child has ended")),
            Err(RecvTimeoutError::Timeout) => {
                if self.waiting.lock().head_since.elapsed() >= deadline / HUNG_DIVISOR {
                    self.condemn(HsmError::Deadline);
                }
                Err(HsmError::Deadline)
            }
        }
    }

    fn enqueue(&self) -> Result<Receiver<Reply>, HsmError> {
        let mut waiting = self.waiting.lock();
        if let Some(fault) = &waiting.fault {
            return Err(fault.clone());
        }
        if waiting.queue.len() >= QUEUE_MAX {
            return Err(HsmError::unavailable(format!("{QUEUE_MAX} requests are waiting")));
        }
        if waiting.queue.is_empty() {
            waiting.head_since = Instant::now();
        }
        let (answer, reply) = sync_channel(1);
        waiting.queue.push_back(answer);
        Ok(reply)
    }

    /// Ends the line: the reader wakes up and everyone waiting gets `fault`.
    pub(crate) fn condemn(&self, fault: HsmError) {
        self.waiting.lock().fault.get_or_insert(fault);
        // Not connected any more is what it is to become.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Takes no more requests; the child answers those under way and ends.
    pub(crate) fn finish(&self) {
        self.waiting.lock().fault.get_or_insert(HsmError::unavailable("stopped"));
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Hands replies back until the line ends, and says why it did. For one thread only.
    pub(crate) fn drive(&self) -> HsmError {
        loop {
            let reply = match wire::read::<Reply>(&self.socket) {
                Ok(Some(reply)) => reply,
                Ok(None) => return self.fault(HsmError::unavailable("the HSM child has ended")),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return self.fault(HsmError::Protocol);
                }
                Err(error) => return self.fault(HsmError::unavailable(format!("HSM child: {error}"))),
            };
            let mut waiting = self.waiting.lock();
            waiting.head_since = Instant::now();
            let Some(answer) = waiting.queue.pop_front() else {
                drop(waiting);
                return self.fault(HsmError::Protocol);
            };
            drop(waiting);
            // A caller whose deadline has passed is gone.
            let _ = answer.send(reply);
        }
    }

    fn fault(&self, seen: HsmError) -> HsmError {
        self.waiting.lock().fault.get_or_insert(seen).clone()
    }

    /// Answers everyone still waiting with the fault that [`Link::drive`] returned.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        let fault = waiting.fault.get_or_insert(HsmError::unavailable("the HSM child has ended")).clone();
        for answer in waiting.queue.drain(..) {
            let _ = answer.send(Err(fault.clone()));
        }
    }
}
