//! Reading a PIN file, in the child only. The rules are those of a private key file: regular, not a link,
//! owned by this user or root, closed to everyone else.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::HsmError;
use crate::latch::PinIdentity;
use crate::wire::PinPath;

/// The longest PIN, in bytes.
pub(crate) const PIN_MAX: usize = 64;

/// Permission bits of others that a PIN file must not have.
const OPEN_TO_OTHERS: u32 = 0o077;
/// For a systemd credential: its group bits are the mask of the access list that lets the service read it.
const OPEN_TO_OTHERS_CREDENTIAL: u32 = 0o037;

/// A PIN and the identity of the file that held it.
pub(crate) struct Pin {
    pub(crate) text: Zeroizing<String>,
    pub(crate) file: PinIdentity,
}

/// Reads a PIN: at most [`PIN_MAX`] bytes of UTF-8, one newline at the end left out.
pub(crate) fn read(source: &PinPath) -> Result<Pin, HsmError> {
    let path = source.path.display();
    let refused = |why: String| HsmError::PinFile(why);
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let mut file =
        OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(&source.path).map_err(
            |error| match error.raw_os_error() {
                Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
                    refused(format!("{path} is a symbolic link: name the file itself"))
                }
                _ => refused(format!("{path}: {error}")),
            },
        )?;
    let meta = file.metadata().map_err(|error| refused(format!("{path}: {error}")))?;
    if !meta.is_file() {
        return Err(refused(format!("{path} is not a regular file")));
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own && meta.uid() != 0 {
        return Err(refused(format!("{path} belongs to uid {}: run `chown {own} {path}`", meta.uid())));
    }
    let forbidden = if source.credential { OPEN_TO_OTHERS_CREDENTIAL } else { OPEN_TO_OTHERS };
    if meta.mode() & forbidden != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(refused(format!("{path} has mode {mode:04o}: run `chmod 0600 {path}`")));
    }
    let mut bytes = Zeroizing::new(vec![0; PIN_MAX + 2]);
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]).map_err(|error| refused(format!("{path}: {error}")))? {
            0 => break,
            got => len += got,
        }
    }
    let line = bytes[..len].strip_suffix(b"\n").unwrap_or(&bytes[..len]);
    if line.is_empty() || line.len() > PIN_MAX {
        return Err(refused(format!("{path} must hold a PIN of 1 to {PIN_MAX} bytes on one line")));
    }
    let text = str::from_utf8(line).map_err(|_| refused(format!("{path} is not UTF-8")))?;
    let file = PinIdentity {
        device: meta.dev(),
        inode: meta.ino(),
        modified_s: meta.mtime(),
        modified_ns: meta.mtime_nsec(),
    };
    Ok(Pin { text: Zeroizing::new(text.to_owned()), file })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn read_at(path: &Path) -> Result<String, HsmError> {
        read(&PinPath { path: path.to_owned(), credential: false }).map(|pin| pin.text.to_string())
    }

    #[test]
    fn a_pin_file_is_judged_like_a_private_key() {
        let dir = tempfile::tempdir().expect("scratch");
        let path = dir.path().join("pin");
        let put = |content: &[u8], mode| {
            fs::write(&path, content).expect("writable");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("own file");
        };
        put(b"1234\n", 0o600);
        assert_eq!(read_at(&path), Ok("1234".into()));
        put(b"12 34\n\n", 0o400);
        assert_eq!(read_at(&path), Ok("12 34\n".into()), "one newline only");
        for mode in [0o640, 0o604, 0o610] {
            put(b"1234", mode);
            let Err(HsmError::PinFile(why)) = read_at(&path) else { panic!("mode {mode:o} taken") };
            assert!(why.contains(&format!("chmod 0600 {}", path.display())), "{why}");
        }
        for content in [b"".as_slice(), b"\n", &[b'1'; PIN_MAX + 1], &[0xff; 4]] {
            put(content, 0o600);
            assert!(matches!(read_at(&path), Err(HsmError::PinFile(_))));
        }
        put(b"1234", 0o600);
        let link = dir.path().join("link");
        symlink(&path, &link).expect("scratch");
        for not_a_file in [link.as_path(), dir.path(), Path::new("/nonexistent"), Path::new("/dev/null")] {
            assert!(matches!(read_at(not_a_file), Err(HsmError::PinFile(_))), "{}", not_a_file.display());
        }
    }
}
