//! A measuring process of its own: told on its input what to measure, it answers a rate.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What a worker says once it can measure.
pub(super) const READY: &str = "ready";

pub(super) struct Worker {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// # Panics
    /// When it does not become ready; it has said why on its error output.
    pub(super) fn start(command: &mut Command) -> Worker {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let questions = child.stdin.take().expect("a pipe was asked for");
        let answers = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let mut worker = Worker { child, questions, answers };
        assert_eq!(worker.answer(), READY, "{command:?}");
        worker
    }

    /// The rate of a measure.
    ///
    /// # Panics
    /// When it gives none.
    pub(super) fn rate(&mut self, what: &str, clients: usize, length: Duration) -> f64 {
        writeln!(self.questions, "{what} {clients} {}", length.as_secs_f64()).expect("the worker listens");
        self.answer().parse().expect("a rate")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the worker answers in UTF-8");
        line.trim_end().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended on its own; then both calls have nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
