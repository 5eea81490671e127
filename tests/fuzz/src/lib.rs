//! What the targets share: seeds, cuts, and the control.
//!
//! A target is a property of one edge, checked for every input that libFuzzer makes; `scripts/fuzz.sh` builds and
//! runs them. Nothing here may reach behind a crate's public items.

pub mod wire;

use std::path::Path;

/// Names the directory that a target fills with its seeds, instead of running.
const SEEDS: &str = "FUZZ_SEEDS";

/// Set for the control: the target then judges a subject with a planted fault, and must find it.
const CONTROL: &str = "FUZZ_CONTROL";

/// First thing in a target. Where seeds are asked for, writes them and ends.
///
/// # Panics
/// When the directory cannot be written.
pub fn begin(seeds: impl FnOnce() -> Vec<Vec<u8>>) {
    let Some(directory) = std::env::var_os(SEEDS) else { return };
    for (number, seed) in seeds().iter().enumerate() {
        let path = Path::new(&directory).join(format!("seed-{number:03}"));
        std::fs::write(path, seed).expect("the directory of seeds can be written");
    }
    std::process::exit(0);
}

/// Whether this is the control: the planted fault is in.
pub fn is_control() -> bool {
    static CONTROLS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *CONTROLS.get_or_init(|| std::env::var_os(CONTROL).is_some())
}

/// `bytes` in portions of 1 to 16 bytes; which, `seed` says.
pub fn portions(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) | 0x100;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (portion, after) = rest.split_at(((state >> 24) as usize % 16 + 1).min(rest.len()));
        rest = after;
        Some(portion)
    })
}

/// `text` with a first byte that a target reads as its options.
pub fn with_options(options: u8, text: &[u8]) -> Vec<u8> {
    [&[options], text].concat()
}

/// The bytes from which `arbitrary` makes variant `index` of an enum with `count` variants; its fields follow.
pub fn variant(index: u64, count: u64) -> [u8; 4] {
    u32::try_from((index << 32).div_ceil(count)).expect("an index below the count").to_le_bytes()
}
