//! A debugger at an emulated core: the few packets of the GDB remote serial protocol that stop it where wanted.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::time::PATIENCE;

/// Where GDB's list of ARM registers, in hex, has the stack pointer: it is the thirteenth of 32 bits.
const STACK_POINTER: std::ops::Range<usize> = 13 * 8..14 * 8;

/// A connection. The core stands while it is made, and until [`Debugger::go`].
pub struct Debugger(UnixStream);

impl Debugger {
    /// Stops the core.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn attach(socket: &Path) -> Debugger {
        let stream = UnixStream::connect(socket).expect("the emulator listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut debugger = Debugger(stream);
        // The emulator says that it has stopped before it answers this, unless the core stood anyway.
        debugger.send("qC");
        while !debugger.receive().starts_with("QC") {}
        debugger
    }

    /// Lets the core run, and waits until it is about to execute the instruction at `address`.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn run_to(&mut self, address: u32) {
        self.ask_ok(&format!("Z0,{address:x},2"));
        self.ask("c");
        self.ask_ok(&format!("z0,{address:x},2"));
    }

    /// The same for the `nth` time that it comes there.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn run_to_nth(&mut self, address: u32, nth: u32) {
        self.run_to(address);
        for _ in 1..nth {
            // A core that stands at a breakpoint would stop there at once.
            self.ask("s");
            self.run_to(address);
        }
    }

    /// Puts the stack elsewhere.
    ///
    /// # Panics
    /// When the emulator refuses.
    pub fn set_stack_pointer(&mut self, address: u32) {
        let mut registers = self.ask("g");
        registers.replace_range(STACK_POINTER, &format!("{:08x}", address.swap_bytes()));
        self.ask_ok(&format!("G{registers}"));
    }

    /// Lets the core run and leaves.
    ///
    /// # Panics
    /// When the emulator refuses.
    pub fn go(mut self) {
        self.ask_ok("D");
    }

    fn ask_ok(&mut self, packet: &str) {
        let answer = self.ask(packet);
        assert_eq!(answer, "OK", "{packet}");
    }

    /// The answer to a command that runs the core comes when it has stopped.
    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        self.receive()
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        write!(self.0, "${packet}#{sum:02x}").expect("the emulator listens");
    }

    fn receive(&mut self) -> String {
        while self.byte() != b'$' {}
        let body = std::iter::from_fn(|| Some(self.byte()).filter(|&byte| byte != b'#')).collect();
        let _sum = [self.byte(), self.byte()];
        self.0.write_all(b"+").expect("the emulator listens");
        String::from_utf8(body).expect("a packet in ASCII")
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).expect("the emulator answers");
        byte[0]
    }
}
