//! Where tokens are plugged in: the names that udev gives them, and serial ports of boards that carry one.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::output::Failure;

/// Where `udev/71-countersign-token.rules` makes its symlinks.
const DEVICES: &str = "/dev/countersign";
/// How these symlinks begin; the serial number of the USB device follows.
const PREFIX: &str = "token-";

/// USB vendor and product of boards whose serial port leads to a token; the same as in the udev rules.
const BOARDS: [(u16, u16); 3] = [(0x0d28, 0x0204), (0x0483, 0x374e), (0x0483, 0x3754)];

/// Where to look for tokens.
#[derive(Args, Clone)]
pub(in super::super) struct Devices {
    /// Directory in which udev names the ports of tokens.
    #[arg(long, value_name = "DIR", env = "COUNTERSIGN_DEVICES", default_value = DEVICES)]
    pub(super) devices: PathBuf,
}

/// Where the token is plugged in.
#[derive(Args)]
pub(in super::super) struct Port {
    /// Serial port; without it, the only token that is plugged in.
    #[arg(long, value_name = "PATH")]
    port: Option<PathBuf>,
    #[command(flatten)]
    devices: Devices,
}

impl Port {
    /// The port that was named, or the only one there is.
    ///
    /// # Errors
    /// [`Failure`] when there is none, or one has to be chosen.
    pub(super) fn choose(&self) -> Result<PathBuf, Failure> {
        if let Some(port) = &self.port {
            return Ok(port.clone());
        }
        let mut found = self.devices.all();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(Failure::usage(
                "no token is plugged in, or udev does not know its board; name its serial port with --port",
            )),
            (Some(last), false) => {
                let mut names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
                names.push(last.display().to_string());
                let text =
                    format!("several tokens are plugged in; choose one with --port: {}", names.join(", "));
                Err(Failure::usage(text))
            }
        }
    }
}

impl Devices {
    /// The ports that udev has named now, by name.
    pub(super) fn named(&self) -> Vec<PathBuf> {
        // No directory: nothing has been plugged in since the machine started.
        let Ok(entries) = std::fs::read_dir(&self.devices) else { return Vec::new() };
        let is_token = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(PREFIX);
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .filter(|name| is_token(name))
            .map(|name| self.devices.join(name))
            .filter(|path| path.metadata().is_ok_and(|found| found.file_type().is_char_device()))
            .collect();
        found.sort();
        found
    }

    /// Those, and the ports of known boards that udev has not named: its rules may not be installed.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let mut found = self.named();
        let known: Vec<PathBuf> = found.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let ports = serialport::available_ports().unwrap_or_default();
        let boards = ports.into_iter().filter(|port| match &port.port_type {
            serialport::SerialPortType::UsbPort(usb) => BOARDS.contains(&(usb.vid, usb.pid)),
            _ => false,
        });
        let mut unnamed: Vec<PathBuf> =
            boards.map(|port| PathBuf::from(port.port_name)).filter(|path| !known.contains(path)).collect();
        unnamed.sort();
        found.extend(unnamed);
        found
    }
}

/// A port's name as a person calls it.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    name.strip_prefix(PREFIX).map_or(name.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../udev/71-countersign-token.rules"));

    /// What a rule compares one of the parents' attributes with.
    fn compared(rule: &str, attribute: &str) -> Option<u16> {
        let (_, rest) = rule.split_once(&format!("ATTRS{{{attribute}}}==\""))?;
        u16::from_str_radix(rest.split('"').next()?, 16).ok()
    }

    #[test]
    fn the_rules_know_the_boards_that_the_station_knows() {
        let of_rules: Vec<(u16, u16)> = RULES
            .lines()
            .filter_map(|line| Some((compared(line, "idVendor")?, compared(line, "idProduct")?)))
            .collect();
        assert_eq!(of_rules, BOARDS);
        assert!(RULES.contains(&format!("SYMLINK+=\"countersign/{PREFIX}$env")));
    }

    #[test]
    fn only_what_udev_named_is_found_by_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["token-2", "token-1", "modem-1"] {
            std::os::unix::fs::symlink("/dev/null", directory.path().join(name)).unwrap();
        }
        std::fs::write(directory.path().join("token-4"), "no device").unwrap();
        std::os::unix::fs::symlink("/nowhere", directory.path().join("token-0")).unwrap();
        let devices = Devices { devices: directory.path().to_owned() };
        let names: Vec<String> = devices.named().iter().map(|path| name_of(path)).collect();
        assert_eq!(names, ["1", "2"]);
        assert!(Devices { devices: "/nowhere".into() }.named().is_empty());
    }
}
