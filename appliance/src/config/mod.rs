//! The configuration file: read once, checked once, then only types.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use domain::approval::Kind;
use domain::challenge::Terms;
use domain::limit::Limits;
use domain::names::ApplicationName;
use domain::verify::Window;

use crate::texts::Catalog;

mod check;
mod check_authenticators;
mod check_flows;
mod check_people;
pub mod enrol;
pub mod enrolment;
mod file;
pub mod logo;
mod messages;
pub mod people;
mod people_file;
pub mod push;
pub mod push_delivery;
pub mod push_notice;

/// Where the configuration stands unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/countersign/countersign.toml";
/// Where the API listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/countersign/api.sock";
/// Largest configuration file, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Database, latch, lock.
    pub state_dir: PathBuf,
    /// Issuer in URIs.
    pub issuer: String,
    /// How to reach the HSM.
    pub hsm: HsmSection,
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Modems.
    pub modems: Vec<ModemSection>,
    /// Limits on wrong codes.
    pub limits: Limits,
    /// Windows of OATH codes.
    pub window: Window,
    /// Terms of sent codes.
    pub terms: Terms,
    /// Terms of questions that a token answers.
    pub questions: Terms,
    /// Text of an SMS; `%s` stands for the code.
    pub sms_message: String,
    /// Whether privacyIDEA's own texts are given for refusals.
    pub privacyidea_verbose: bool,
    /// Which hardware tokens may be provisioned.
    pub provisioning: Provisioning,
    /// Which acts need two persons.
    pub two_person: TwoPerson,
    /// What people meet: authenticators, flows, letters, pages.
    pub people: people::People,
    /// Enrolments: methods of vetting, codes, who is eligible.
    pub enrol: enrolment::Enrolments,
    /// What phones are registered with and asked; none without `[push]`.
    pub push: Option<push::Push>,
    /// By which ways pushes reach phones.
    pub delivery: push_delivery::Delivery,
    /// The operator's own texts, as files.
    pub messages: Messages,
    /// Texts for people, the operator's own before the built-in ones.
    pub texts: Catalog,
    /// Keys that are understood and have no effect in this version.
    pub idle_keys: Vec<&'static str>,
}

/// The operator's own texts, as files (SMS-19).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// The directory with a file `LANGUAGE.ftl` for each language.
    pub dir: Option<PathBuf>,
    /// SHA-256 over names and contents of the files, in hex, once they are read.
    pub sha256: Option<String>,
}

/// How to reach the HSM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HsmSection {
    /// The vendor's library.
    pub module: PathBuf,
    /// Label of the token.
    pub token_label: String,
    /// Where the PIN comes from.
    pub pin: hsm::PinSource,
    /// Environment of the child process, nothing else.
    pub env: BTreeMap<String, String>,
    /// Longest wait for an answer, in milliseconds.
    pub deadline_ms: u64,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Kind and address.
    pub address: Address,
    /// The application that speaks there without a key.
    pub application: Option<ApplicationName>,
    /// Whether it serves phones alone: nothing but the places where they answer.
    pub phones_only: bool,
}

/// A kind of listener with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// HTTP on a loopback address.
    Http(SocketAddr),
}

/// Which hardware tokens may be provisioned.
#[derive(Clone, Debug, Default)]
pub struct Provisioning {
    /// Public keys of makers whose word counts: P-256, SEC 1 uncompressed.
    pub maker_keys: Vec<[u8; 65]>,
    /// Serials whose attestation counts no more.
    pub revoked_serials: Vec<String>,
}

/// Which acts need two persons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoPerson {
    /// The acts.
    pub acts: Vec<Kind>,
    /// How long an act waits for the second person, and stands open after a yes, in milliseconds.
    pub life_ms: i64,
}

impl Default for TwoPerson {
    /// Who is an operator, and who sees a user's secret, is never one person's word.
    fn default() -> Self {
        let acts = vec![Kind::AddOperator, Kind::RevokeOperator, Kind::ChangeRoles, Kind::ViewSecret];
        TwoPerson { acts, life_ms: 24 * 60 * 60 * 1000 }
    }
}

/// A modem on a serial port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModemSection {
    /// Its name in metrics and events.
    pub id: String,
    /// The port.
    pub port: PathBuf,
    /// File with the SIM's PIN.
    pub sim_pin_file: Option<PathBuf>,
    /// SMS centre, where the SIM's own is not to be used.
    pub smsc: Option<String>,
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Another file than the configuration itself.
    pub file: Option<PathBuf>,
    /// Line, from 1.
    pub line: usize,
    /// Dotted key, or the id of a message.
    pub key: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Read(PathBuf, std::io::Error),
    /// It holds mistakes.
    Findings(PathBuf, Vec<Finding>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Read(path, error) => write!(f, "{}: cannot be read: {error}", path.display()),
            ConfigError::Findings(path, findings) => {
                for (n, finding) in findings.iter().enumerate() {
                    let end = if n + 1 < findings.len() { "\n" } else { "" };
                    let Finding { file, line, key, text } = finding;
                    let path = file.as_ref().unwrap_or(path);
                    write!(f, "{}:{line}: {key}: {text}{end}", path.display())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks a file, and the operator's own texts that it names.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong, not only the first thing.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    load_text(path).map(|(config, _)| config)
}

/// As [`load`], with the file's text.
///
/// # Errors
/// As [`load`].
pub fn load_text(path: &Path) -> Result<(Config, String), ConfigError> {
    let read = |error| ConfigError::Read(path.to_owned(), error);
    let size = std::fs::metadata(path).map_err(read)?.len();
    if size > FILE_MAX {
        return Err(read(std::io::Error::other(format!("it is larger than {FILE_MAX} bytes"))));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    let found = |findings| ConfigError::Findings(path.to_owned(), findings);
    let mut config = parse(&text).map_err(found)?;
    let line = text.lines().position(|line| line.trim_start().starts_with("[messages]")).unwrap_or(0) + 1;
    messages::load(&mut config, line).map_err(found)?;
    let names_policy = |line: &str| line.trim_start().strip_prefix("policy").is_some();
    let line = text.lines().position(names_policy).map_or(1, |above| above + 1);
    enrolment::load(&mut config, line).map_err(found)?;
    if let Some(file) = &config.delivery.ca_file
        && let Err(wrong) = push_delivery::authorities(Some(file))
    {
        let named = |line: &str| line.trim_start().strip_prefix("ca_file").is_some();
        let line = text.lines().position(named).map_or(1, |above| above + 1);
        let key = "push.delivery.ca_file".to_owned();
        return Err(found(vec![Finding { file: None, line, key, text: wrong.to_string() }]));
    }
    if let Some(picture) = &config.people.pages.logo
        && let Err(wrong) = logo::read(picture)
    {
        let named = |line: &str| line.trim_start().strip_prefix("logo").is_some();
        let line = text.lines().position(named).map_or(1, |above| above + 1);
        let text = format!("{} {wrong}", picture.display());
        return Err(found(vec![Finding { file: None, line, key: "pages.logo".to_owned(), text }]));
    }
    Ok((config, text))
}

/// Checks a configuration text alone; other files that it names are not looked at.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(text: &str) -> Result<Config, Vec<Finding>> {
    let file = file::parse(text).map_err(|finding| vec![finding])?;
    check::check(text, file)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod people_tests;
