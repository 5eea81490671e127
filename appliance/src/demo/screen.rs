//! What people see: steps with a heading, the commands, what came of them.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde::Serialize;

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";
/// Columns of an answer: what a terminal of a hundred leaves beside the margin.
const WIDTH: usize = 96;

/// Where the demo shows itself.
pub(crate) struct Screen {
    out: Box<dyn Write>,
    colours: bool,
    json: bool,
    quiet: bool,
}

impl Screen {
    /// The standard output; the standard error when the output is for one JSON document. Colours only on a
    /// terminal, and not against NO_COLOR.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let (out, terminal): (Box<dyn Write>, bool) = if json {
            (Box::new(io::stderr()), io::stderr().is_terminal())
        } else {
            (Box::new(io::stdout()), io::stdout().is_terminal())
        };
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { out, colours: terminal && wanted, json, quiet }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(self.out, "{}", text.trim_end())?;
        self.out.flush()
    }

    /// The first line: where the demo has its state.
    pub(super) fn state(&mut self, dir: &Path) -> io::Result<()> {
        self.line(&format!("state: {}", dir.display()))
    }

    /// A paragraph that belongs to no step.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.line(line))
    }

    pub(super) fn heading(&mut self, place: &str, title: &str) -> io::Result<()> {
        let heading = self.paint(BOLD, &format!("{place:<3}{title}"));
        self.line("")?;
        self.line(&heading)
    }

    /// A command as one would type it; a line that ends in a backslash goes on in the next.
    pub(super) fn command(&mut self, text: &str) -> io::Result<()> {
        for (n, line) in text.lines().enumerate() {
            let start = if n == 0 { "   $ " } else { "       " };
            let line = self.paint(CYAN, line.trim_start());
            self.line(&format!("{start}{line}"))?;
        }
        Ok(())
    }

    /// What a command answered; long lines are broken after a comma.
    pub(super) fn answer(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            let mut rest = line;
            while let Some((fits, more)) = broken(rest) {
                self.line(&format!("   {fits}"))?;
                rest = more;
            }
            self.line(&format!("   {rest}"))?;
        }
        Ok(())
    }

    /// A line to copy.
    pub(super) fn copyable(&mut self, text: &str) -> io::Result<()> {
        let line = self.paint(CYAN, text);
        self.line(&format!("   {line}"))
    }

    /// A remark.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            let line = self.paint(DIM, line);
            self.line(&format!("   {line}"))?;
        }
        Ok(())
    }

    pub(super) fn held(&mut self, text: &str) -> io::Result<()> {
        let line = self.paint(GREEN, &format!("✓ {text}"));
        self.line(&format!("   {line}"))
    }

    pub(super) fn failed(&mut self, text: &str) -> io::Result<()> {
        for (n, line) in text.lines().enumerate() {
            let mark = if n == 0 { "✗" } else { " " };
            let line = self.paint(RED, &format!("{mark} {line}"));
            self.line(&format!("   {line}"))?;
        }
        Ok(())
    }

    /// The JSON document, for whoever asked for one.
    pub(super) fn document(&mut self, document: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(document)?);
        }
        Ok(())
    }
}

/// A line that is too long, in two at its last comma that fits.
fn broken(line: &str) -> Option<(&str, &str)> {
    let (end, _) = line.char_indices().nth(WIDTH)?;
    let comma = line[..end].rfind(',')?;
    Some(line.split_at(comma + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_after_a_comma() {
        let line = format!("{},{}", "…".repeat(50), "x".repeat(60));
        assert_eq!(broken(&line), Some((&*format!("{},", "…".repeat(50)), &*"x".repeat(60))));
        assert_eq!(broken(&"█".repeat(WIDTH)), None);
        assert_eq!(broken(&"x".repeat(2 * WIDTH)), None);
    }
}
