//! The serial line: a pty under a stable symlink.
//!
//! A pty keeps the exclusive mode of a client that left, so each client gets a fresh one. The side of the client
//! is never opened here: its first close would look like a client that left.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

const READ_MAX: usize = 512;

/// The line.
pub(crate) struct Pty {
    symlink: PathBuf,
    controller: OwnedFd,
}

impl Pty {
    /// Opens the line; replaces an earlier symlink, nothing else.
    pub(crate) fn open(symlink: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(symlink).is_ok_and(|found| !found.is_symlink()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists and is no symlink"));
        }
        Ok(Self { symlink: symlink.to_owned(), controller: fresh(symlink)? })
    }

    /// Waits for bytes for at most `timeout_ms`; empty if none came.
    pub(crate) fn read(&mut self, timeout_ms: u32) -> io::Result<Vec<u8>> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(timeout_ms) * 1_000_000 };
        let mut polled = [PollFd::new(&self.controller, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let found = polled[0].revents();
        if found.contains(PollFlags::IN) {
            let mut bytes = vec![0; READ_MAX];
            if let Ok(count) = rustix::io::read(&self.controller, &mut bytes) {
                bytes.truncate(count);
                return Ok(bytes);
            }
        }
        if found.contains(PollFlags::HUP) {
            self.controller = fresh(&self.symlink)?;
        }
        Ok(Vec::new())
    }

    /// Sends; what nobody reads is lost, as on a wire.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.controller, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::IO) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Somebody else may have removed it, which is as good.
        drop(fs::remove_file(&self.symlink));
    }
}

fn fresh(symlink: &Path) -> io::Result<OwnedFd> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let mut attributes = tcgetattr(&controller)?;
    attributes.make_raw();
    tcsetattr(&controller, OptionalActions::Now, &attributes)?;
    fcntl_setfl(&controller, OFlags::NONBLOCK)?;
    let name = ptsname(&controller, Vec::new())?;
    // By rename, so that the symlink never dangles.
    let mut staged = symlink.as_os_str().to_owned();
    staged.push(format!(".{}", std::process::id()));
    drop(fs::remove_file(&staged));
    std::os::unix::fs::symlink(name.to_string_lossy().as_ref(), &staged)?;
    fs::rename(&staged, symlink)?;
    Ok(controller)
}
