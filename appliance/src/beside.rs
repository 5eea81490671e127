//! Programs of ours that are installed beside this one: the typesetter, the emulated token.

use std::path::PathBuf;

/// Where `make install` puts them, from the directory of this program.
const LIBRARY: &str = "../lib/countersign";

/// A program named by a variable, or else beside this one, or in the installation's library directory.
pub(crate) fn find(name: &str, variable: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let own = std::env::current_exe().ok()?;
    let directory = own.parent()?;
    [directory.join(name), directory.join(LIBRARY).join(name)].into_iter().find(|path| path.is_file())
}
