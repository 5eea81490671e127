//! A bar on stderr for whoever watches a command that takes its time.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use super::output::Failure;

/// How often the sign turns while nothing else happens.
const TURN: Duration = Duration::from_millis(100);

/// A bar that is seen at once, before it is known how much there is to do; hidden where nobody watches.
///
/// # Errors
/// None in practice: the template is built in.
pub(super) fn bar(global: &Global, label: &'static str) -> Result<ProgressBar, Failure> {
    if global.json || global.quiet || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style =
        ProgressStyle::with_template("{spinner} {msg:8} [{wide_bar}] {pos}/{len}").map_err(Failure::fault)?;
    let bar = ProgressBar::no_length().with_style(style.progress_chars("=> ")).with_message(label);
    bar.enable_steady_tick(TURN);
    Ok(bar)
}
