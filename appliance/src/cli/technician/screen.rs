//! The station on a terminal: ports, progress, the last failures, and the code being typed. Keyboard only.

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Row, Table, Wrap};

use super::super::Global;
use super::super::output::Failure;
use super::board::Board;

/// Longest code that is typed, in characters; a port's number and a space before it.
const TYPED_MAX: usize = 16;
/// Longest wait for a key.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// What a person did.
pub(super) enum Did {
    /// Typed a line.
    Typed(String),
    /// Wants another port's code to be asked for.
    Next,
    /// Wants to end; what is under way is finished.
    Quit,
}

/// The terminal, for as long as this lives.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    typed: String,
    stopping: bool,
}

impl Screen {
    /// Takes the terminal, where there is one and lines were not asked for.
    pub(super) fn open(global: &Global) -> Result<Option<Self>, Failure> {
        let wanted = !global.json && !global.quiet;
        if !wanted || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let terminal = ratatui::try_init().map_err(Failure::fault)?;
        Ok(Some(Screen { terminal, typed: String::new(), stopping: false }))
    }

    /// Draws everything anew.
    pub(super) fn draw(&mut self, board: &Board) -> Result<(), Failure> {
        let (typed, stopping) = (self.typed.as_str(), self.stopping);
        self.terminal.draw(|frame| draw(frame, board, typed, stopping)).map(drop).map_err(Failure::fault)
    }

    /// Waits a moment for a key.
    pub(super) fn poll_key(&mut self) -> Result<Option<Did>, Failure> {
        if !event::poll(KEY_WAIT).map_err(Failure::fault)? {
            return Ok(None);
        }
        match event::read().map_err(Failure::fault)? {
            Event::Key(key) if key.kind == KeyEventKind::Press => Ok(self.handle_key(key)),
            _ => Ok(None),
        }
    }

    fn handle_key(&mut self, key: KeyEvent) -> Option<Did> {
        let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => self.quit(),
            _ if interrupt => self.quit(),
            KeyCode::Tab => Some(Did::Next),
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

    fn quit(&mut self) -> Option<Did> {
        self.stopping = true;
        Some(Did::Quit)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn draw(frame: &mut Frame<'_>, board: &Board, typed: &str, stopping: bool) {
    let ports = u16::try_from(board.ports.len()).unwrap_or(u16::MAX).saturating_add(3);
    let rows = [Constraint::Length(3), Constraint::Length(ports), Constraint::Min(3), Constraint::Length(4)];
    let [progress, table, failures, prompt] = Layout::vertical(rows).areas(frame.area());
    draw_progress(frame, progress, board);
    draw_ports(frame, table, board);
    let lines: Vec<Line<'_>> = board.failures.iter().map(|text| Line::from(text.as_str())).collect();
    let block = Block::bordered().title(" Last failures ");
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).block(block), failures);
    draw_prompt(frame, prompt, board, typed, stopping);
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let title = format!(" Batch {} ", board.batch);
    let failed = if board.failed > 0 { format!(", {} failed", board.failed) } else { String::new() };
    let (ratio, label) = match board.total {
        Some(total) if total > 0 => {
            let ratio = (board.done as f64 / total as f64).min(1.0);
            (ratio, format!("{} of {total} done{failed}", board.done))
        }
        _ => (0.0, format!("{} done{failed}", board.done)),
    };
    let gauge = Gauge::default().block(Block::bordered().title(title)).ratio(ratio).label(label);
    frame.render_widget(gauge, area);
}

fn draw_ports(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let rows = board.ports.iter().enumerate().map(|(index, port)| {
        let serial = port.serial.clone().unwrap_or_default();
        let row = Row::new([(index + 1).to_string(), port.name.clone(), serial, port.text.clone()]);
        let bold = board.asked().is_some_and(|(number, _)| number == index + 1);
        if bold { row.style(Style::new().bold()) } else { row }
    });
    let longest =
        |texts: Vec<usize>, least: usize| texts.into_iter().max().unwrap_or(0).max(least).min(24) as u16;
    let name = longest(board.ports.iter().map(|port| port.name.chars().count()).collect(), 4);
    let serial = longest(
        board.ports.iter().filter_map(|port| Some(port.serial.as_ref()?.chars().count())).collect(),
        6,
    );
    let widths =
        [Constraint::Length(2), Constraint::Length(name), Constraint::Length(serial), Constraint::Min(20)];
    let header = Row::new(["#", "Port", "Serial", "Now"]).style(Style::new().underlined());
    frame.render_widget(
        Table::new(rows, widths).header(header).block(Block::bordered().title(" Ports ")),
        area,
    );
}

fn draw_prompt(frame: &mut Frame<'_>, area: Rect, board: &Board, typed: &str, stopping: bool) {
    let question = match board.asked() {
        _ if stopping => "Ending once the tokens in work are through.".to_owned(),
        Some((number, serial)) => format!("Code on the display of {serial} (port {number}): {typed}"),
        None => "No code is asked for.".to_owned(),
    };
    let cursor = u16::try_from(question.chars().count()).unwrap_or(u16::MAX).saturating_add(1);
    let lines = vec![Line::from(question), Line::from("Enter: check   Tab: another port   q: end").dim()];
    frame.render_widget(Paragraph::new(lines).block(Block::bordered()), area);
    if board.asked().is_some() && !stopping {
        frame.set_cursor_position((
            area.x.saturating_add(cursor).min(area.right().saturating_sub(2)),
            area.y + 1,
        ));
    }
}
