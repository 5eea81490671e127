//! The station on a terminal: batch and progress, a line for each port, what failed, the code being typed. Keyboard
//! only; nothing is told by colour alone, so that `NO_COLOR` takes nothing away.

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use ratatui::{DefaultTerminal, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::Global;
use super::super::output::Failure;
use super::board::{Board, Phase, Shown};

/// Longest line that is typed, in characters: a port's number, a space, and a code.
const TYPED_MAX: usize = 16;
/// Longest wait for a key: a tenth of a second.
const KEY_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Lines that failures keep when there are many ports.
const FAILURES_MIN: u16 = 4;
/// Widest column of serials: the longest that there is.
const SERIAL_MAX: usize = 40;
/// Narrowest columns of names and serials.
const COLUMN_MIN: usize = 6;
const KEYS: &str = "Enter check  Tab next port  r retry  s skip  q end";

/// What a person did.
pub(super) enum Did {
    /// Typed a line.
    Typed(String),
    /// Went to the next port, or to the one before.
    Selected { forward: bool },
    /// Wants the failed token of the selected port to be worked again.
    Retry,
    /// Gives up the token whose code is asked for.
    Skip,
    /// Wants to end; what is under way is finished.
    Quit,
}

/// What the keys mean now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Working,
    /// `q` was pressed: is it meant?
    Confirming,
    Ending,
}

/// The terminal, for as long as this lives.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    typed: String,
    mode: Mode,
}

impl Screen {
    /// Takes the terminal, where there is one and lines were not asked for.
    pub(super) fn open(global: &Global) -> Result<Option<Self>, Failure> {
        let wanted = !global.json && !global.quiet;
        if !wanted || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let terminal = ratatui::try_init().map_err(Failure::fault)?;
        Ok(Some(Screen { terminal, typed: String::new(), mode: Mode::Working }))
    }

    /// Draws everything anew.
    pub(super) fn draw(&mut self, board: &Board) -> Result<(), Failure> {
        let (typed, mode) = (self.typed.as_str(), self.mode);
        self.terminal.draw(|frame| draw(frame, board, typed, mode)).map(drop).map_err(Failure::fault)
    }

    /// Waits a moment for a key.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn poll_key(&mut self) -> Result<Option<Did>, Failure> {
        // A key may be left of what was read before; without one, something has to come.
        is_typed(&Timespec::default())?;
        let ready = || event::poll(Duration::ZERO).map_err(Failure::fault);
        let pressed = ready()? || (is_typed(&KEY_WAIT)? && ready()?);
        if !pressed {
            return Ok(None);
        }
        match event::read().map_err(Failure::fault)? {
            Event::Key(key) if key.kind == KeyEventKind::Press => Ok(self.handle_key(key)),
            _ => Ok(None),
        }
    }

    fn handle_key(&mut self, key: KeyEvent) -> Option<Did> {
        let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if self.mode == Mode::Confirming {
            let meant = key.code == KeyCode::Char('y') || interrupt;
            self.mode = if meant { Mode::Ending } else { Mode::Working };
            return meant.then_some(Did::Quit);
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc if self.mode == Mode::Working => self.confirm(),
            _ if interrupt && self.mode == Mode::Working => self.confirm(),
            KeyCode::Tab | KeyCode::Down => self.select(true),
            KeyCode::BackTab | KeyCode::Up => self.select(false),
            KeyCode::Char('r') => Some(Did::Retry),
            KeyCode::Char('s') => Some(Did::Skip),
            KeyCode::Enter => Some(Did::Typed(std::mem::take(&mut self.typed))),
            KeyCode::Backspace => {
                self.typed.pop();
                None
            }
            KeyCode::Char(c) if (c.is_ascii_digit() || c == ' ') && self.typed.len() < TYPED_MAX => {
                self.typed.push(c);
                None
            }
            _ => None,
        }
    }

    fn confirm(&mut self) -> Option<Did> {
        self.mode = Mode::Confirming;
        None
    }

    /// Half a code of one token is of no use to another.
    fn select(&mut self, forward: bool) -> Option<Did> {
        self.typed.clear();
        Some(Did::Selected { forward })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Waits for input, at most so long. A terminal that is gone is noticed here: the reader of events would read its end
/// for ever.
fn is_typed(longest: &Timespec) -> Result<bool, Failure> {
    let stdin = rustix::stdio::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut polled, Some(longest)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(Failure::fault(error)),
    }
    let found = polled[0].revents();
    if found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(Failure::unavailable("the terminal is gone; the batch goes on from its --state file"));
    }
    Ok(found.contains(PollFlags::IN))
}

fn draw(frame: &mut Frame<'_>, board: &Board, typed: &str, mode: Mode) {
    let area = frame.area();
    let fixed = [Constraint::Length(2), Constraint::Length(1), Constraint::Min(0), Constraint::Length(3)];
    let [head, _, middle, foot] = Layout::vertical(fixed).areas(area);
    draw_head(frame, head, board);
    let wanted = u16::try_from(board.ports.len()).unwrap_or(u16::MAX).saturating_add(2);
    let kept = if board.failures.is_empty() { 0 } else { FAILURES_MIN };
    let ports = wanted.min(middle.height.saturating_sub(kept));
    let [ports, failures] = Layout::vertical([Constraint::Length(ports), Constraint::Min(0)]).areas(middle);
    draw_ports(frame, ports, board);
    if !board.failures.is_empty() {
        draw_failures(frame, failures, board);
    }
    draw_foot(frame, foot, board, typed, mode);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let mut told = match board.total {
        Some(total) => format!(" {} of {total} done", board.done),
        None => format!(" {} done", board.done),
    };
    if board.failed > 0 {
        told += &format!(", {} failed", board.failed);
    }
    if board.in_work() > 0 {
        told += &format!(", {} in work", board.in_work());
    }
    let title =
        Line::from(vec!["Countersign station".bold(), "  batch ".into(), board.batch.as_str().bold()]);
    let mut lines = vec![title];
    match board.total.filter(|total| *total > 0) {
        None => lines.push(Line::from(told.trim_start().to_owned())),
        Some(total) => {
            let room = usize::from(area.width).saturating_sub(told.chars().count());
            let filled = (room * board.done.min(total)) / total;
            lines.push(Line::from(vec![
                Span::styled("━".repeat(filled), Style::new().fg(Color::Green).bold()),
                Span::styled("─".repeat(room - filled), Style::new().dim()),
                told.into(),
            ]));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// A sign and a style for each phase; the sign alone tells it, too.
fn sign(phase: Phase) -> (&'static str, Style) {
    match phase {
        Phase::Idle => ("·", Style::new().dim()),
        Phase::Working => ("~", Style::new()),
        Phase::Asking => ("?", Style::new().fg(Color::Yellow).bold()),
        Phase::Done => ("+", Style::new().fg(Color::Green)),
        Phase::Failed => ("!", Style::new().fg(Color::Red)),
    }
}

fn draw_ports(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let width = usize::from(area.width);
    let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0).max(COLUMN_MIN);
    let name = longest(&mut board.ports.iter().map(|port| port.name.chars().count()))
        .min((width / 5).max(COLUMN_MIN));
    let serial =
        longest(&mut board.ports.iter().filter_map(|port| Some(port.serial.as_ref()?.chars().count())))
            .min((width * 3 / 10).clamp(COLUMN_MIN, SERIAL_MAX));
    let heading = format!("  {:>2}   {:name$}  {:serial$}  Now", "#", "Port", "Serial");
    let mut lines = vec![Line::from(heading).dim()];
    let room = usize::from(area.height).saturating_sub(2);
    // The selected port stays in view.
    let first = (board.selected + 1).saturating_sub(room);
    for (index, port) in board.ports.iter().enumerate().skip(first).take(room) {
        lines.push(port_line(index, port, index == board.selected, [name, serial, width]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn port_line(index: usize, port: &Shown, selected: bool, widths: [usize; 3]) -> Line<'static> {
    let [name, serial, width] = widths;
    let (sign, style) = sign(port.phase);
    let room = width.saturating_sub(11 + name + serial);
    let serial_shown = elided(port.serial.as_deref().unwrap_or_default(), serial);
    let mark = if selected { ">" } else { " " };
    let text = format!(
        "{mark} {:>2} {sign} {:name$}  {serial_shown:serial$}  {}",
        index + 1,
        elided(&port.name, name),
        cut(&port.text, room)
    );
    Line::styled(text, style)
}

fn draw_failures(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let mut lines = vec![Line::from(format!("Failed ({})", board.failures.len())).bold()];
    for failed in &board.failures {
        lines.push(Line::from(vec![
            Span::styled(format!("! {}", failed.serial), Style::new().fg(Color::Red)),
            format!("  {}", failed.text).into(),
        ]));
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), area);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, board: &Board, typed: &str, mode: Mode) {
    let width = usize::from(area.width);
    let (question, cursor) = match (mode, board.asked()) {
        (Mode::Confirming, _) => ("End the station?  y: yes   any other key: no".to_owned(), false),
        (Mode::Ending, _) => ("Ending once the tokens in work are through.".to_owned(), false),
        (Mode::Working, Some(serial)) => {
            let (before, after) =
                ("Code on the display of ", format!(" (port {}): {typed}", board.selected + 1));
            let room = width.saturating_sub(before.len() + after.len() + 1);
            (format!("{before}{}{after}", elided(serial, room.max(COLUMN_MIN))), true)
        }
        (Mode::Working, None) if board.failed_here().is_some() => {
            (format!("Port {} failed.  r: try again, or take the token out", board.selected + 1), false)
        }
        (Mode::Working, None) => ("No code is asked for.".to_owned(), false),
    };
    let at = u16::try_from(question.chars().count()).unwrap_or(u16::MAX);
    let rule = Line::from("─".repeat(width)).dim();
    let question = Line::from(question).bold();
    frame.render_widget(Paragraph::new(vec![rule, question, Line::from(KEYS).dim()]), area);
    if cursor {
        let x = area.x.saturating_add(at).min(area.right().saturating_sub(1));
        frame.set_cursor_position((x, area.y + 1));
    }
}

/// A text that ends early where there is no room.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// A name without its middle where there is no room: serials and ports differ at their ends.
fn elided(name: &str, room: usize) -> String {
    let count = name.chars().count();
    if count <= room {
        return name.to_owned();
    }
    let kept = room.saturating_sub(1);
    let (front, back) = (kept / 3, kept - kept / 3);
    name.chars().take(front).chain(['…']).chain(name.chars().skip(count - back)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_cut_where_it_matters_least() {
        assert_eq!((cut("abcdef", 6).as_str(), cut("abcdef", 4).as_str()), ("abcdef", "abc…"));
        assert_eq!(elided("CST-0000000017", 8), "CS…00017");
        assert_eq!(elided("CST-17", 8), "CST-17");
        assert_eq!((cut("abc", 0).as_str(), elided("abc", 1).as_str()), ("…", "…"));
    }
}
