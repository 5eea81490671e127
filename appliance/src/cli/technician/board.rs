//! What a station shows: its ports, its progress, what failed, and which code is asked for next. Screen and lines
//! are made from it alike.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use super::seat::News;

/// Failures and notices that are kept for the screen.
const KEPT: usize = 8;

/// A port as it is shown.
pub(super) struct Shown {
    /// Its name.
    pub(super) name: String,
    /// The token that is, or was last, in it.
    pub(super) serial: Option<String>,
    /// What is going on there.
    pub(super) text: String,
    open: bool,
}

/// A port that waits for a code.
struct Ask {
    seat: usize,
    serial: String,
    code: Sender<String>,
}

/// All that is shown.
pub(super) struct Board {
    /// The batch.
    pub(super) batch: String,
    /// Ports, in the order of the command line.
    pub(super) ports: Vec<Shown>,
    /// Tokens done, in the batch.
    pub(super) done: usize,
    /// Tokens failed, at this station.
    pub(super) failed: usize,
    /// Tokens to work, if that is known.
    pub(super) total: Option<usize>,
    /// The last failures.
    pub(super) failures: VecDeque<String>,
    asks: VecDeque<Ask>,
}

/// A line about a port, for who follows without a screen.
pub(super) struct Line {
    /// The port's name.
    pub(super) port: String,
    /// The token.
    pub(super) serial: Option<String>,
    /// What is said.
    pub(super) text: String,
}

impl Board {
    /// Nothing has happened yet.
    pub(super) fn new(batch: &str, ports: Vec<String>, total: Option<usize>) -> Self {
        let shown = |name| Shown { name, serial: None, text: "plug in a token".to_owned(), open: true };
        Board {
            batch: if batch.is_empty() { "no name".to_owned() } else { batch.to_owned() },
            ports: ports.into_iter().map(shown).collect(),
            done: 0,
            failed: 0,
            total,
            failures: VecDeque::new(),
            asks: VecDeque::new(),
        }
    }

    /// Takes news in. A line comes out where something is new.
    pub(super) fn handle_news(&mut self, news: News) -> Option<Line> {
        match news {
            News::Says { seat, serial, text } => self.say(seat, serial, text),
            News::Wants { seat, serial, again, code } => {
                let text = if again {
                    "that was not its code: type the next one"
                } else {
                    "type the code on its display"
                };
                let said = self.say(seat, Some(serial.clone()), text.to_owned());
                self.asks.push_back(Ask { seat, serial, code });
                said
            }
            News::Settled { seat, serial, error } => {
                let text = match error {
                    None => "done; take it out, plug in the next".to_owned(),
                    Some(error) => {
                        self.failures.push_front(format!("{serial}: {error}"));
                        self.failures.truncate(KEPT);
                        format!("failed: {error}; take it out, plug in the next")
                    }
                };
                self.say(seat, Some(serial), text)
            }
            News::Closed { seat } => {
                if let Some(port) = self.ports.get_mut(seat) {
                    port.open = false;
                }
                None
            }
        }
    }

    fn say(&mut self, seat: usize, serial: Option<String>, text: String) -> Option<Line> {
        let port = self.ports.get_mut(seat)?;
        if port.text == text && port.serial == serial {
            return None;
        }
        port.serial.clone_from(&serial);
        port.text.clone_from(&text);
        Some(Line { port: port.name.clone(), serial, text })
    }

    /// Whether any port still works.
    pub(super) fn is_open(&self) -> bool {
        self.ports.iter().any(|port| port.open)
    }

    /// Which token's code is asked for: its port's number as a person counts, and its serial.
    pub(super) fn asked(&self) -> Option<(usize, &str)> {
        self.asks.front().map(|ask| (ask.seat + 1, ask.serial.as_str()))
    }

    /// Asks for another port's code first.
    pub(super) fn ask_next(&mut self) {
        if !self.asks.is_empty() {
            self.asks.rotate_left(1);
        }
    }

    /// Gives a typed line to the port that is asked for: a code, or a port's number and its code.
    pub(super) fn handle_typed(&mut self, line: &str) {
        let (seat, code) = match line.trim().split_once(' ') {
            Some((number, code)) => {
                (number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)), code.trim())
            }
            None => (self.asks.front().map(|ask| ask.seat), line.trim()),
        };
        let place = self.asks.iter().position(|ask| Some(ask.seat) == seat);
        let ask = place.filter(|_| !code.is_empty()).and_then(|place| self.asks.remove(place));
        if let Some(ask) = ask {
            // A port that has given up needs no code.
            drop(ask.code.send(code.to_owned()));
        }
    }

    /// Nobody types any more.
    pub(super) fn handle_silence(&mut self) {
        self.asks.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_code_goes_to_the_port_that_is_asked_for() {
        let mut board = Board::new("b", vec!["p1".to_owned(), "p2".to_owned()], None);
        let ask = |seat: usize| {
            let (code, typed) = mpsc::channel();
            (News::Wants { seat, serial: format!("S{seat}"), again: false, code }, typed)
        };
        let ((first, one), (second, two)) = (ask(0), ask(1));
        board.handle_news(first);
        board.handle_news(second);
        assert_eq!(board.asked(), Some((1, "S0")));
        board.handle_typed("2 111111");
        board.handle_typed("");
        board.handle_typed("7 333333");
        board.handle_typed("222222");
        assert_eq!((one.recv().as_deref(), two.recv().as_deref()), (Ok("222222"), Ok("111111")));
        assert_eq!(board.asked(), None);
    }

    #[test]
    fn nothing_is_said_twice() {
        let mut board = Board::new("b", vec!["p1".to_owned()], None);
        let says = || News::Says { seat: 0, serial: None, text: "there is no such port".to_owned() };
        assert!(board.handle_news(says()).is_some());
        assert!(board.handle_news(says()).is_none());
    }
}
