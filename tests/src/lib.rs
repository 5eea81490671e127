//! The rig: a real appliance on SoftHSM with emulated modems, its HTTP client, and judges of its own.
//!
//! What runs is the built binary (`COUNTERSIGN_BIN`, else `target/release/countersign`) in a private directory.
//! Nothing here knows the appliance's crates: codes are computed by [`judge`], the store is read as a file.

pub mod appliance;
pub mod board;
pub mod browser;
pub mod cable;
pub mod debugger;
pub mod desk;
pub mod display;
pub mod enrolling;
pub mod flow;
pub mod forms;
pub mod handset;
pub mod http;
pub mod image;
pub mod judge;
pub mod kill;
pub mod ledger;
pub mod letter;
pub mod line;
pub mod mailsink;
pub mod memory;
pub mod modem;
pub mod monitor;
pub mod people;
pub mod phones;
pub mod pretender;
pub mod process;
pub mod proxy;
pub mod pull;
pub mod race;
pub mod scratch;
pub mod steady;
pub mod tap;
pub mod technician;
pub mod terminal;
pub mod time;
pub mod token;
pub mod vault;
pub mod wire;

pub use ::device;
pub use appliance::{Appliance, ModemOptions, RigOptions};
pub use http::{Answer, Client};
pub use judge::{Algorithm, Secret};
pub use modem::{EmulatedModem, Message};
pub use time::{PATIENCE, wait_until};
