//! The emulated modem's device: a pty under a stable symlink, which clients open and close at will.
//!
//! A pty whose client left keeps that client's TIOCEXCL. So each session gets a fresh one; the former stays
//! for a moment, for a client that had already resolved the symlink.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

const FORMER_STAYS: Duration = Duration::from_secs(1);
/// How soon a client on the former pty is noticed.
const FORMER_POLL: Duration = Duration::from_millis(10);
const READ_OCTETS: usize = 512;

struct Pty {
    controller: OwnedFd,
    name: PathBuf,
    /// Has a client spoken here? Before, there is nobody to talk to.
    used: bool,
}

impl Pty {
    fn new() -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        // The controller's attributes are those of the client's side; nothing opens that side here, because
        // its first close would look like a client that left.
        let mut attributes = tcgetattr(&controller)?;
        attributes.make_raw();
        tcsetattr(&controller, OptionalActions::Now, &attributes)?;
        fcntl_setfl(&controller, OFlags::NONBLOCK)?;
        let name = ptsname(&controller, Vec::new())?;
        Ok(Self { controller, name: PathBuf::from(name.to_string_lossy().into_owned()), used: false })
    }

    /// Did its last client leave?
    fn is_left(&self) -> io::Result<bool> {
        Ok(wait(&[self], Duration::ZERO)?.first().is_some_and(|flags| flags.contains(PollFlags::HUP)))
    }
}

/// The device.
pub(super) struct Device {
    link: PathBuf,
    current: Option<Pty>,
    former: Option<(Pty, Instant)>,
}

impl Device {
    /// Creates the device and its symlink; replaces an earlier symlink, nothing else.
    pub(super) fn plug(link: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists and is no symlink"));
        }
        let mut this = Self { link: link.to_owned(), current: None, former: None };
        this.renew()?;
        Ok(this)
    }

    /// The device goes away: clients see a hang-up.
    pub(super) fn unplug(&mut self) {
        // Somebody else may have removed it, which is as good. It goes first: who sees the hang-up finds no device.
        drop(fs::remove_file(&self.link));
        self.current = None;
        self.former = None;
    }

    /// The device comes back, as another pty under the same symlink.
    pub(super) fn replug(&mut self) -> io::Result<()> {
        self.renew()
    }

    /// Waits for octets, up to `at_most`.
    pub(super) fn read(&mut self, now: Instant, at_most: Duration) -> io::Result<Vec<u8>> {
        self.settle_former(now)?;
        let at_most = if self.former.is_some() { at_most.min(FORMER_POLL) } else { at_most };
        let Some(current) = &mut self.current else { return Ok(Vec::new()) };
        let flags = wait(&[current], at_most)?.first().copied().unwrap_or(PollFlags::empty());
        if flags.contains(PollFlags::IN) {
            let mut octets = [0; READ_OCTETS];
            if let Ok(count @ 1..) = rustix::io::read(&current.controller, &mut octets) {
                current.used = true;
                return Ok(octets[..count].to_vec());
            }
        }
        if flags.contains(PollFlags::HUP) {
            self.former = self.current.take().map(|former| (former, now + FORMER_STAYS));
            self.renew()?;
        }
        Ok(Vec::new())
    }

    /// Says something to the client; octets that nobody reads are lost, as on a wire.
    pub(super) fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        let Some(current) = self.current.as_ref().filter(|current| current.used) else { return Ok(()) };
        while !octets.is_empty() {
            match rustix::io::write(&current.controller, octets) {
                Ok(count) => octets = octets.get(count..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::IO) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A client on the former pty makes that one the device again.
    fn settle_former(&mut self, now: Instant) -> io::Result<()> {
        let Some((former, until)) = self.former.take() else { return Ok(()) };
        if !former.is_left()? {
            self.link_to(&former.name)?;
            self.current = Some(former);
        } else if now < until {
            self.former = Some((former, until));
        }
        Ok(())
    }

    fn renew(&mut self) -> io::Result<()> {
        let pty = Pty::new()?;
        self.link_to(&pty.name)?;
        self.current = Some(pty);
        Ok(())
    }

    /// By rename, so that the link never dangles between sessions.
    fn link_to(&self, target: &Path) -> io::Result<()> {
        let mut staged = self.link.clone().into_os_string();
        staged.push(format!(".{}", std::process::id()));
        drop(fs::remove_file(&staged));
        std::os::unix::fs::symlink(target, &staged)?;
        fs::rename(&staged, &self.link)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.unplug();
    }
}

fn wait(ptys: &[&Pty], at_most: Duration) -> io::Result<Vec<PollFlags>> {
    let mut polled: Vec<PollFd<'_>> =
        ptys.iter().map(|pty| PollFd::new(&pty.controller, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => Ok(polled.iter().map(PollFd::revents).collect()),
        Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
