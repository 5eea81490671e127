//! The built binary, judged from outside.

mod label;
mod letter;
mod paper;
mod process;
mod rig;
mod templates;
