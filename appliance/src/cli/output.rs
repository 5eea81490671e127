//! What commands print, and how they fail.

use std::fmt::Display;
use std::process::ExitCode;

use serde::Serialize;

use super::{EXIT_DONE, EXIT_FAULT, EXIT_REFUSED, EXIT_UNAVAILABLE, EXIT_USAGE, Global};
use crate::api::wire::{List, Waiting};

/// Why a command ends without having done its work: what happened, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    text: String,
    code: &'static str,
    waiting: Option<Box<Waiting>>,
}

impl Failure {
    fn new(exit: u8, code: &'static str, text: impl Display) -> Self {
        Failure { exit, code, text: text.to_string(), waiting: None }
    }

    /// The act waits for a second person: all that one person can do is done.
    pub(crate) fn waits(waiting: Waiting) -> Self {
        let id = &waiting.approval;
        let text =
            format!("waits for a second person until {}: countersign approve {id}", waiting.expires_at);
        Failure { waiting: Some(Box::new(waiting)), ..Self::new(EXIT_DONE, "waiting", text) }
    }

    /// Whether it is only a second person that is missing.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The appliance said no.
    pub(crate) fn refused(text: impl Display) -> Self {
        Self::new(EXIT_REFUSED, "refused", text)
    }

    /// The command line or the configuration is not usable.
    pub(crate) fn usage(text: impl Display) -> Self {
        Self::new(EXIT_USAGE, "usage", text)
    }

    /// Daemon, HSM, store or modem cannot answer.
    pub(crate) fn unavailable(text: impl Display) -> Self {
        Self::new(EXIT_UNAVAILABLE, "unavailable", text)
    }

    /// A fault of our own.
    pub(crate) fn fault(text: impl Display) -> Self {
        Self::new(EXIT_FAULT, "fault", text)
    }

    /// The text, if the appliance said no; the failure itself, if nobody could say anything.
    pub(crate) fn unless_unavailable<T>(self) -> Result<Result<T, String>, Failure> {
        if self.exit == EXIT_REFUSED || self.exit == EXIT_USAGE { Ok(Err(self.text)) } else { Err(self) }
    }

    /// Prints the failure and gives its exit code.
    pub(crate) fn report(&self, global: &Global) -> ExitCode {
        if let Some(waiting) = &self.waiting {
            return print(global, waiting, |_| self.text.clone())
                .unwrap_or_else(|failure| failure.report(global));
        }
        eprintln!("countersign: {}", self.text);
        if global.json {
            println!("{}", serde_json::json!({ "error": { "code": self.code, "detail": self.text } }));
        }
        ExitCode::from(self.exit)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Prints a value as JSON, or as the text that `human` makes of it.
pub(crate) fn print<T: Serialize>(
    global: &Global,
    value: &T,
    human: impl FnOnce(&T) -> String,
) -> Result<ExitCode, Failure> {
    if global.json {
        let text = serde_json::to_string_pretty(value).map_err(Failure::fault)?;
        println!("{text}");
    } else if !global.quiet {
        let text = human(value);
        if !text.is_empty() {
            println!("{}", text.trim_end());
        }
    }
    Ok(ExitCode::from(EXIT_DONE))
}

/// Prints a page of a list, and says how to see the next one.
pub(crate) fn print_page<T: Serialize>(
    global: &Global,
    list: &List<T>,
    human: impl FnOnce(&List<T>) -> String,
) -> Result<ExitCode, Failure> {
    let done = print(global, list, human)?;
    if let Some(next) = list.next.as_deref().filter(|_| !global.quiet && !global.json) {
        eprintln!("there are more: --after {next}");
    }
    Ok(done)
}

/// Rows as aligned columns under their headings.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body: String = rows.iter().map(|row| line(row.each_ref().map(String::as_str))).collect();
    line(headings) + &body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "bb".to_owned()], ["ccc".to_owned(), "ü".to_owned()]];
        assert_eq!(table(["x", "y"], &rows), "x    y\na    bb\nccc  ü\n");
    }
}
