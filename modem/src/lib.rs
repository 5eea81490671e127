//! SMS through GSM modems: knows SMS, not one-time passwords.
//!
//! `pdu` codes messages, pure; `at`, `urc`, `init` and `dialogue` are the AT dialogue without I/O; `port` is
//! the only I/O towards a modem. `emulator` is a modem on a pty; `udev` names the ports of real ones.

pub mod at;
pub mod dialogue;
pub mod emulator;
mod info;
mod init;
pub mod pdu;
mod port;
mod sim_latch;
pub mod udev;
mod urc;

pub use at::Class;
pub use info::{Family, Info, Registration};
pub use init::{Config, InitError, PIN_ATTEMPTS_MIN};
pub use port::{Modem, ModemError, ModemSettings, PortError, SendError};
pub use sim_latch::SimLatch;
pub use urc::{Domain, Urc, may_send};
