//! What a station shows: its ports, its progress, what failed, and which code is asked for. Screen and lines are made
//! from it alike.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use super::seat::{News, Typed};

/// Failures that are kept for the screen.
const KEPT: usize = 16;

/// Where a port is with its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing to do.
    Idle,
    /// A token is being worked.
    Working,
    /// It waits for a code that a person types.
    Asking,
    /// Its token is done.
    Done,
    /// Its token has failed.
    Failed,
}

/// A port as it is shown.
pub(super) struct Shown {
    /// Its name.
    pub(super) name: String,
    /// The token that is, or was last, in it.
    pub(super) serial: Option<String>,
    /// What is going on there.
    pub(super) text: String,
    /// The same, for the eye.
    pub(super) phase: Phase,
    open: bool,
}

/// A token that failed, and why.
pub(super) struct Failed {
    /// Its serial.
    pub(super) serial: String,
    /// What was wrong.
    pub(super) text: String,
}

/// A port that waits for a code.
struct Ask {
    seat: usize,
    serial: String,
    answer: Sender<Typed>,
}

/// All that is shown.
pub(super) struct Board {
    /// The batch.
    pub(super) batch: String,
    /// Ports, in the order in which they came.
    pub(super) ports: Vec<Shown>,
    /// Tokens done, in the batch.
    pub(super) done: usize,
    /// Tokens failed, at this station.
    pub(super) failed: usize,
    /// Tokens to work, if that is known.
    pub(super) total: Option<usize>,
    /// The last failures, the latest first.
    pub(super) failures: VecDeque<Failed>,
    /// The port that keys act on.
    pub(super) selected: usize,
    asks: VecDeque<Ask>,
}

/// Something about a port, for who follows without a screen.
pub(super) struct Line {
    /// `step`, `code`, `done`, `failed` or `left`.
    pub(super) event: &'static str,
    /// The port's name.
    pub(super) port: String,
    /// The token.
    pub(super) serial: Option<String>,
    /// What is said.
    pub(super) text: String,
}

impl Board {
    /// Nothing has happened yet.
    pub(super) fn new(batch: &str, total: Option<usize>) -> Self {
        Board {
            batch: if batch.is_empty() { "without a name".to_owned() } else { batch.to_owned() },
            ports: Vec::new(),
            done: 0,
            failed: 0,
            total,
            failures: VecDeque::new(),
            selected: 0,
            asks: VecDeque::new(),
        }
    }

    /// Shows another port, in the place of one that is gone or below the others; gives its number, from 0.
    pub(super) fn add_port(&mut self, name: String) -> usize {
        let text = "plug in a token".to_owned();
        let shown = Shown { name, serial: None, text, phase: Phase::Idle, open: true };
        match self.ports.iter().position(|port| !port.open) {
            Some(place) => {
                self.ports[place] = shown;
                place
            }
            None => {
                self.ports.push(shown);
                self.ports.len() - 1
            }
        }
    }

    /// Takes news in. A line comes out where something is new.
    pub(super) fn handle_news(&mut self, news: News) -> Option<Line> {
        match news {
            News::Idle { seat, serial, text } => self.say("step", seat, Phase::Idle, serial, text),
            News::Says { seat, serial, text } => self.say("step", seat, Phase::Working, Some(serial), text),
            News::Wants { seat, serial, again, answer } => {
                let text =
                    if again { "wrong code; type the next one" } else { "type the code on its display" };
                let said = self.say("code", seat, Phase::Asking, Some(serial.clone()), text.to_owned());
                self.asks.push_back(Ask { seat, serial, answer });
                self.select_asking();
                said
            }
            News::Settled { seat, serial, error } => {
                self.asks.retain(|ask| ask.seat != seat);
                self.failures.retain(|failed| failed.serial != serial);
                match error {
                    None => self.say("done", seat, Phase::Done, Some(serial), "done; take it out".to_owned()),
                    Some(text) => {
                        self.failures.push_front(Failed { serial: serial.clone(), text: text.clone() });
                        self.failures.truncate(KEPT);
                        self.say("failed", seat, Phase::Failed, Some(serial), text)
                    }
                }
            }
            News::Left { seat, serial } => {
                self.asks.retain(|ask| ask.seat != seat);
                let text = "left; a station with the same --state goes on with it".to_owned();
                self.say("left", seat, Phase::Idle, Some(serial), text)
            }
            News::Closed { seat, .. } => {
                self.asks.retain(|ask| ask.seat != seat);
                if let Some(port) = self.ports.get_mut(seat) {
                    port.open = false;
                }
                None
            }
        }
    }

    /// The port is gone with its token.
    pub(super) fn take_out(&mut self, seat: usize) {
        if let Some(port) = self.ports.get_mut(seat) {
            port.phase = Phase::Idle;
            port.text = "taken out".to_owned();
        }
    }

    fn say(
        &mut self,
        event: &'static str,
        seat: usize,
        phase: Phase,
        serial: Option<String>,
        text: String,
    ) -> Option<Line> {
        let port = self.ports.get_mut(seat)?;
        if port.text == text && port.serial == serial && port.phase == phase && event == "step" {
            return None;
        }
        port.serial.clone_from(&serial);
        port.text.clone_from(&text);
        port.phase = phase;
        Some(Line { event, port: port.name.clone(), serial, text })
    }

    /// Whether any port still works.
    pub(super) fn is_open(&self) -> bool {
        self.ports.iter().any(|port| port.open)
    }

    /// Tokens being worked now.
    pub(super) fn in_work(&self) -> usize {
        self.ports.iter().filter(|port| matches!(port.phase, Phase::Working | Phase::Asking)).count()
    }

    /// The token whose code is asked for, if the selected port waits for one.
    pub(super) fn asked(&self) -> Option<&str> {
        self.asks.iter().find(|ask| ask.seat == self.selected).map(|ask| ask.serial.as_str())
    }

    /// The selected port, if its token has failed and is still there.
    pub(super) fn failed_here(&self) -> Option<usize> {
        let port = self.ports.get(self.selected)?;
        (port.open && port.phase == Phase::Failed).then_some(self.selected)
    }

    /// Selects the next port, or the one before.
    pub(super) fn select(&mut self, forward: bool) {
        let count = self.ports.len().max(1);
        self.selected = (self.selected + if forward { 1 } else { count - 1 }) % count;
    }

    /// A person who is typing a code is not moved elsewhere.
    fn select_asking(&mut self) {
        if self.asked().is_none()
            && let Some(ask) = self.asks.front()
        {
            self.selected = ask.seat;
        }
    }

    /// Gives a typed line to the selected port: a code; or a port's number and its code.
    pub(super) fn handle_typed(&mut self, line: &str) {
        let (seat, code) = match line.trim().split_once(' ') {
            Some((number, code)) => {
                (number.parse::<usize>().ok().and_then(|n| n.checked_sub(1)), code.trim())
            }
            None => (Some(self.selected), line.trim()),
        };
        if !code.is_empty() {
            self.answer(seat, Typed::Code(code.to_owned()));
        }
    }

    /// Gives up the token that waits for a code at the selected port.
    pub(super) fn handle_skip(&mut self) {
        self.answer(Some(self.selected), Typed::Skip);
    }

    fn answer(&mut self, seat: Option<usize>, typed: Typed) {
        let place = self.asks.iter().position(|ask| Some(ask.seat) == seat);
        if let Some(ask) = place.and_then(|place| self.asks.remove(place)) {
            // A port that has given up needs no code.
            drop(ask.answer.send(typed));
        }
        self.select_asking();
    }

    /// Nobody types any more.
    pub(super) fn handle_silence(&mut self) {
        self.asks.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    fn board(ports: usize) -> Board {
        let mut board = Board::new("b", None);
        (0..ports).for_each(|n| assert_eq!(board.add_port(format!("p{n}")), n));
        board
    }

    fn ask(board: &mut Board, seat: usize) -> Receiver<Typed> {
        let (answer, typed) = mpsc::channel();
        board.handle_news(News::Wants { seat, serial: format!("S{seat}"), again: false, answer });
        typed
    }

    fn code(typed: &Receiver<Typed>) -> Option<String> {
        match typed.try_recv() {
            Ok(Typed::Code(code)) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn a_code_goes_to_the_selected_port_or_to_the_one_it_names() {
        let mut board = board(3);
        let (second, third) = (ask(&mut board, 1), ask(&mut board, 2));
        assert_eq!(board.asked(), Some("S1"), "whoever asked first");
        board.handle_typed("3 111111");
        board.handle_typed("");
        board.handle_typed("7 333333");
        assert_eq!(board.asked(), Some("S1"), "whoever types is not moved");
        board.handle_typed("222222");
        assert_eq!((code(&second).as_deref(), code(&third).as_deref()), (Some("222222"), Some("111111")));
        assert_eq!(board.asked(), None);
    }

    #[test]
    fn the_next_port_that_waits_is_selected_after_a_code() {
        let mut board = board(3);
        let (first, third) = (ask(&mut board, 0), ask(&mut board, 2));
        board.handle_typed("1");
        assert_eq!(board.asked(), Some("S2"));
        board.handle_skip();
        assert!(matches!(third.try_recv(), Ok(Typed::Skip)));
        assert_eq!(code(&first).as_deref(), Some("1"));
        board.select(true);
        assert_eq!(board.selected, 0);
        board.select(false);
        assert_eq!(board.selected, 2);
    }

    #[test]
    fn a_failure_is_listed_until_its_token_is_done() {
        let mut board = board(1);
        let settled = |error: Option<&str>| News::Settled {
            seat: 0,
            serial: "S".to_owned(),
            error: error.map(str::to_owned),
        };
        board.handle_news(settled(Some("no")));
        board.handle_news(settled(Some("again no")));
        assert_eq!((board.failures.len(), board.failed_here()), (1, Some(0)));
        board.handle_news(settled(None));
        assert_eq!((board.failures.len(), board.failed_here()), (0, None));
    }

    #[test]
    fn nothing_is_said_twice_and_a_place_is_used_again() {
        let mut board = board(2);
        let says = || News::Idle { seat: 0, serial: None, text: "there is no such port".to_owned() };
        assert!(board.handle_news(says()).is_some());
        assert!(board.handle_news(says()).is_none());
        board.handle_news(News::Closed { seat: 0, faulty: false });
        assert!(board.is_open());
        assert_eq!(board.add_port("p9".to_owned()), 0);
    }
}
