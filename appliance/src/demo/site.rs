//! What is set up before anything runs: the software HSM's own token directory, PINs, the configuration.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::config::people::Letters;

/// Label of the demo's token in the software HSM.
pub(super) const TOKEN_LABEL: &str = "countersign-demo";
/// Variable in which SoftHSM 2 finds its configuration.
pub(super) const SOFTHSM_CONF: &str = "SOFTHSM2_CONF";
/// Where distributions put SoftHSM 2.
const MODULES: [&str; 7] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/softhsm/lib/softhsm/libsofthsm2.so",
];
/// Longest path of a Unix socket (`sun_path` without its end, unix(7)).
const SOCKET_PATH_MAX: usize = 107;
/// Bytes of a PIN before they are written in hex.
const PIN_LEN: usize = 8;

/// What people meet on the pages.
const PEOPLE: &str = include_str!("people.toml");

/// Why nothing can be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// There is no software HSM.
    #[error(
        "the demo needs SoftHSM 2, which is not installed; on Debian and Ubuntu: apt-get install softhsm2"
    )]
    NoSoftHsm,
    /// The daemon could not bind its socket.
    #[error(
        "{} is longer than the {SOCKET_PATH_MAX} bytes that a socket's path may have; name a shorter directory with --state",
        .0.display()
    )]
    SocketPath(PathBuf),
    /// A file cannot be written.
    #[error("{} cannot be written", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// The demo's files.
pub(super) struct Site {
    dir: PathBuf,
    module: &'static str,
    typesetter: Option<PathBuf>,
}

impl Site {
    /// Writes what the software HSM needs.
    ///
    /// # Errors
    /// [`SiteError`].
    pub(super) fn prepare(dir: &Path) -> Result<Self, SiteError> {
        let module =
            MODULES.into_iter().find(|path| Path::new(path).is_file()).ok_or(SiteError::NoSoftHsm)?;
        let typesetter = crate::flows::letters::program(&Letters::default());
        let typesetter = Some(typesetter).filter(|path| path.is_file());
        let site = Site { dir: dir.to_owned(), module, typesetter };
        if site.socket().as_os_str().as_bytes().len() > SOCKET_PATH_MAX {
            return Err(SiteError::SocketPath(site.socket()));
        }
        let tokens = dir.join("tokens");
        DirBuilder::new()
            .mode(0o700)
            .create(&tokens)
            .map_err(|error| SiteError::Io(tokens.clone(), error))?;
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        site.write("softhsm2.conf", &conf)?;
        site.write("pin", &random_hex(PIN_LEN))?;
        site.write("so-pin", &random_hex(PIN_LEN))?;
        Ok(site)
    }

    /// Writes the daemon's configuration for a TCP port that was free a moment ago; gives the port.
    ///
    /// # Errors
    /// [`SiteError::Io`].
    pub(super) fn configure(&self) -> Result<u16, SiteError> {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| SiteError::Io(self.config(), error))?.port();
        let text = |path: PathBuf| toml::Value::String(path.to_string_lossy().into_owned());
        let config = format!(
            r#"state_dir = {state}
public_url = "http://127.0.0.1:{port}"
issuer = "Countersign demo"

[hsm]
module = "{module}"
token_label = "{TOKEN_LABEL}"
pin_file = {pin}
env = {{ {SOFTHSM_CONF} = {conf} }}

[[listen]]
kind = "unix"
address = {socket}

[[listen]]
kind = "http"
address = "127.0.0.1:{port}"

[[modem]]
id = "emulated"
port = {modem}
{PEOPLE}{letters}{provisioning}"#,
            state = text(self.dir.clone()),
            module = self.module,
            pin = text(self.pin_file()),
            conf = text(self.softhsm_conf()),
            socket = text(self.socket()),
            modem = text(self.modem()),
            letters = self.letters(),
            provisioning = self.maker()?,
        );
        self.write("countersign.toml", &config)?;
        Ok(port)
    }

    /// Who writes letters; empty where no typesetter is installed.
    fn letters(&self) -> String {
        let Some(helper) = &self.typesetter else { return String::new() };
        let helper = toml::Value::String(helper.to_string_lossy().into_owned());
        format!(
            "\n[letters]\nhelper = {helper}\nsender = \"Countersign demo\"\ncontact = \"Nobody: this is a demo\"\n"
        )
    }

    /// Makes a maker of emulated tokens and gives the configuration that trusts it; empty where no emulated token is
    /// installed. The station finds its key beside the socket.
    fn maker(&self) -> Result<String, SiteError> {
        let key = self.maker_key();
        let Some(program) = crate::cli::technician::emulator::program() else { return Ok(String::new()) };
        if key.exists() {
            // A second configuration, since the port was taken: the key of the first one is of no use to anybody.
            fs::remove_file(&key).map_err(|error| SiteError::Io(key.clone(), error))?;
        }
        let made = Command::new(program).args(["make-maker", "--out"]).arg(&key).output();
        match made {
            Ok(made) if made.status.success() => {
                let public = String::from_utf8_lossy(&made.stdout).trim().to_owned();
                Ok(format!("\n[provisioning]\nmaker_keys = [\"{public}\"]\n"))
            }
            Ok(made) => {
                let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
                Err(SiteError::Io(key, io::Error::other(said)))
            }
            Err(error) => Err(SiteError::Io(key, error)),
        }
    }

    /// Whether another process has taken the port meanwhile.
    pub(super) fn is_taken(port: u16) -> bool {
        TcpListener::bind(("127.0.0.1", port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), SiteError> {
        let path = self.dir.join(name);
        write_private(&path, text).map_err(|error| SiteError::Io(path, error))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether letters can be typeset.
    pub(super) fn has_typesetter(&self) -> bool {
        self.typesetter.is_some()
    }

    pub(super) fn module(&self) -> &'static str {
        self.module
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("countersign.toml")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("api.sock")
    }

    pub(super) fn pin_file(&self) -> PathBuf {
        self.dir.join("pin")
    }

    pub(super) fn softhsm_conf(&self) -> PathBuf {
        self.dir.join("softhsm2.conf")
    }

    pub(super) fn modem(&self) -> PathBuf {
        self.dir.join("modem")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("modem.jsonl")
    }

    pub(super) fn transcript(&self) -> PathBuf {
        self.dir.join("modem.transcript")
    }

    /// The maker of emulated tokens.
    pub(super) fn maker_key(&self) -> PathBuf {
        self.dir.join("maker.key")
    }

    /// Where emulated tokens are; a name to begin with.
    pub(super) fn bench(&self) -> PathBuf {
        self.dir.join("bench")
    }

    /// Removes a socket whose daemon has ended.
    pub(super) fn remove_socket(&self) -> io::Result<()> {
        match fs::remove_file(self.socket()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// The system's.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_added_extension("new");
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(fresh, path)
}

/// Random bytes of the kernel, in hex.
pub(super) fn random_hex(len: usize) -> String {
    let mut bytes = vec![0; len];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("the kernel gives up to 256 bytes at once (getrandom(2))");
    data_encoding::HEXLOWER.encode(&bytes)
}
