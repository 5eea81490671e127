//! The built binary, judged from outside.

mod label;
mod process;
mod rig;
