//! Starting the child: own process group, empty environment but for what is configured, one end of a
//! socket pair as its standard input.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::HsmError;
use crate::types::Launcher;
use crate::wire::{self, Reply, Request, Response};

/// How long a child may take to end by itself once its socket is closed.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// A running child. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    socket: UnixStream,
}

impl Running {
    pub(crate) fn start(launcher: &Launcher, env: &[(String, String)]) -> Result<Running, HsmError> {
        let program = launcher.program.display();
        let failed = |error: io::Error| HsmError::unavailable(format!("cannot start {program}: {error}"));
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        // A process group of its own: a terminal's interrupt is for the daemon, which ends the child in order.
        let child = Command::new(&launcher.program)
            .args(&launcher.args)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Running { child, socket })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// One request and its reply, before the child serves others.
    pub(crate) fn exchange(&self, request: &Request, deadline: Duration) -> Result<Response, HsmError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HsmError::Deadline,
            io::ErrorKind::InvalidData => HsmError::Protocol,
            _ => HsmError::unavailable(format!("HSM child: {error}")),
        };
        self.socket.set_write_timeout(Some(deadline)).map_err(failed)?;
        self.socket.set_read_timeout(Some(deadline)).map_err(failed)?;
        wire::write(&self.socket, request).map_err(failed)?;
        let reply: Option<Reply> = wire::read(&self.socket).map_err(failed)?;
        self.socket.set_read_timeout(None).map_err(failed)?;
        reply.unwrap_or_else(|| Err(HsmError::unavailable("the HSM child ended while it opened the token")))
    }

    /// Lets the child end by itself, so that it closes its sessions; kills it after [`STOP_GRACE`].
    pub(crate) fn stop(self) {
        let closed = self.socket.shutdown(std::net::Shutdown::Write);
        if closed.and(self.socket.set_read_timeout(Some(STOP_GRACE))).is_ok() {
            while matches!(wire::read::<Reply>(&self.socket), Ok(Some(_))) {}
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Failing means that it has ended already; wait() then only collects it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
