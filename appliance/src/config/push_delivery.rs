//! `[push.delivery]`: by which ways pushes reach phones, and which hosts may be sent to (C.11, COMB-07, D-39).

use std::path::{Path, PathBuf};
use std::time::Duration;

use push::address::{AllowList, RULES_MAX, Url};
use push::vapid::Contact;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::check::Checker;

/// The authorities that the system knows, as Debian keeps them.
pub const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Largest file of authorities, in bytes.
const CA_FILE_MAX: u64 = 4 * 1024 * 1024;
const DEADLINE_MS: u64 = 10_000;
const DEADLINE_RANGE_MS: std::ops::RangeInclusive<u64> = 1_000..=60_000;

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    plain_loopback: Option<bool>,
    ntfy: Option<Spanned<String>>,
    ca_file: Option<Spanned<PathBuf>>,
    contact: Option<Spanned<String>>,
    deadline: Option<Spanned<String>>,
    fcm_relay: Option<Spanned<String>>,
    apns_relay: Option<Spanned<String>>,
}

/// By which ways pushes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The only hosts that are ever connected to.
    pub allow: AllowList,
    /// Whether the list holds any host: UnifiedPush and Web Push go there.
    pub web_push: bool,
    /// The ntfy server on the premises; the only one that gets messages unencrypted.
    pub ntfy: Option<Url>,
    /// Authorities in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whom push services may turn to; without one they are not told who sends.
    pub contact: Option<Contact>,
    /// Longest wait for one delivery.
    pub deadline: Duration,
    /// A relay to Google's service.
    pub fcm_relay: Option<Url>,
    /// A relay to Apple's service.
    pub apns_relay: Option<Url>,
}

impl Default for Delivery {
    /// No way at all.
    fn default() -> Self {
        Delivery {
            allow: AllowList::default(),
            web_push: false,
            ntfy: None,
            ca_file: None,
            contact: None,
            deadline: Duration::from_millis(DEADLINE_MS),
            fcm_relay: None,
            apns_relay: None,
        }
    }
}

impl Delivery {
    /// How many ways are switched on, beside the one that phones fetch: a combined registration needs one (COMB-07).
    pub fn transports(&self) -> usize {
        let ways = [self.web_push, self.ntfy.is_some(), self.fcm_relay.is_some(), self.apns_relay.is_some()];
        ways.into_iter().filter(|on| *on).count()
    }

    /// Ways that hold only with the internet: key and what to know of it.
    pub fn outward(&self) -> Vec<(&'static str, &'static str)> {
        let google =
            "needs the internet: its relay passes pushes to Google, which learns when somebody is asked";
        let apple =
            "needs the internet: its relay passes pushes to Apple, which learns when somebody is asked";
        let relays = [
            ("push.delivery.fcm_relay", google, self.fcm_relay.is_some()),
            ("push.delivery.apns_relay", apple, self.apns_relay.is_some()),
        ];
        relays.into_iter().filter(|(_, _, on)| *on).map(|(key, text, _)| (key, text)).collect()
    }
}

/// Checks the section.
pub(super) fn check(c: &mut Checker<'_>, table: Table) -> Delivery {
    let plain_loopback = table.plain_loopback.unwrap_or(false);
    for rule in &table.allow {
        if AllowList::parse(&[rule.get_ref().as_str()], false).is_err() {
            let text = "is no host: write push.example.org, .example.org for every host below it, or a numeric \
                address, either with :PORT where it is not the usual one";
            c.find(rule, "push.delivery.allow", format!("`{}` {text}", rule.get_ref()));
        }
    }
    if let Some(surplus) = table.allow.get(RULES_MAX) {
        c.find(surplus, "push.delivery.allow", format!("there are more than {RULES_MAX} hosts"));
    }
    let rules: Vec<&str> = table.allow.iter().map(|rule| rule.get_ref().as_str()).collect();
    let allow = AllowList::parse(&rules, plain_loopback).unwrap_or_default();
    if let Some(file) = &table.ca_file {
        c.absolute(file, "push.delivery.ca_file");
    }
    let contact = table.contact.and_then(|text| match Contact::parse(text.get_ref()) {
        Ok(contact) => Some(contact),
        Err(error) => {
            c.find(&text, "push.delivery.contact", error.to_string());
            None
        }
    });
    let deadline_ms =
        c.milliseconds(table.deadline, "push.delivery.deadline", DEADLINE_RANGE_MS, DEADLINE_MS);
    let mut server = |at: Option<Spanned<String>>, key: &str| server(c, &allow, at, key);
    Delivery {
        web_push: !rules.is_empty(),
        ntfy: server(table.ntfy, "push.delivery.ntfy"),
        ca_file: table.ca_file.map(Spanned::into_inner),
        contact,
        deadline: Duration::from_millis(deadline_ms),
        fcm_relay: server(table.fcm_relay, "push.delivery.fcm_relay"),
        apns_relay: server(table.apns_relay, "push.delivery.apns_relay"),
        allow,
    }
}

/// The address of a server of the operator's. It is held to the same list as the addresses of phones.
fn server(c: &mut Checker<'_>, allow: &AllowList, at: Option<Spanned<String>>, key: &str) -> Option<Url> {
    let at = at?;
    let url = match Url::parse(at.get_ref()) {
        Ok(url) if !url.target().contains('?') => url,
        Ok(_) => {
            c.find(&at, key, "must have no query");
            return None;
        }
        Err(error) => {
            c.find(&at, key, format!("{error}; write it as https://push.example.org"));
            return None;
        }
    };
    if allow.check(&url).is_err() {
        let why = "its host must be in push.delivery.allow, with its port; http:// is for this machine alone, with \
            push.delivery.plain_loopback";
        c.find(&at, key, why);
        return None;
    }
    Some(url)
}

/// A file of authorities that cannot be used.
#[derive(Debug, Error)]
pub enum CaError {
    /// It cannot be read.
    #[error("{} cannot be read: {error}; install ca-certificates, or set push.delivery.ca_file", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not PEM, or holds no certificate.
    #[error("{} holds no certificates in PEM", .0.display())]
    Pem(PathBuf),
}

/// The certificates of a file in PEM (RFC 7468), or of the system's own.
///
/// # Errors
/// [`CaError`].
pub fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, CaError> {
    let path = file.unwrap_or(Path::new(SYSTEM_CA_FILE));
    let read = |error| CaError::Read { path: path.to_owned(), error };
    if std::fs::metadata(path).map_err(read)?.len() > CA_FILE_MAX {
        return Err(read(std::io::Error::other(format!("it is larger than {CA_FILE_MAX} bytes"))));
    }
    let pem = std::fs::read(path).map_err(read)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| CaError::Pem(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Finding, parse};

    const REST: &str = r#"
state_dir = "/var/lib/countersign"
public_url = "https://otp.example.org"
[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "countersign"
pin_file = "/etc/countersign/hsm-pin"
[[listen]]
kind = "unix"
address = "/run/countersign/api.sock"
"#;

    fn section(text: &str) -> Result<Delivery, Vec<(usize, String)>> {
        let first = REST.lines().count() + 1;
        let place = |finding: Finding| (finding.line - first, finding.key);
        parse(&format!("{REST}[push.delivery]\n{text}"))
            .map(|config| config.delivery)
            .map_err(|findings| findings.into_iter().map(place).collect())
    }

    /// COMB-07, D-39: no way is on that was not asked for.
    #[test]
    fn nothing_is_sent_unless_it_is_configured() {
        assert_eq!(parse(REST).unwrap().delivery, Delivery::default());
        assert_eq!(Delivery::default().transports(), 0);
        assert_eq!(section("").unwrap(), Delivery::default());
    }

    /// COMB-07, C.11.
    #[test]
    fn a_whole_section_is_read() {
        let read = section(
            "allow = [\"ntfy.example.org\", \".push.example.org:8443\", \"127.0.0.1:8080\"]\n\
             plain_loopback = true\nntfy = \"https://ntfy.example.org\"\nca_file = \"/etc/countersign/ca.pem\"\n\
             contact = \"mailto:otp@example.org\"\ndeadline = \"5s\"\nfcm_relay = \"http://127.0.0.1:8080/fcm\"\n\
             apns_relay = \"https://a.push.example.org:8443\"\n",
        )
        .unwrap();
        assert_eq!((read.transports(), read.deadline), (4, Duration::from_secs(5)));
        assert_eq!(read.fcm_relay.as_ref().unwrap().target(), "/fcm");
        let outward: Vec<_> = read.outward().into_iter().map(|(key, _)| key).collect();
        assert_eq!(outward, ["push.delivery.fcm_relay", "push.delivery.apns_relay"]);
    }

    /// C.11. Red when a fault passes, or is reported at another key or line.
    #[test]
    fn each_fault_is_found_at_its_place() {
        for (text, key) in [
            ("allow = [\"https://push.example.org\"]", "push.delivery.allow"),
            ("allow = [\"*.example.org\"]", "push.delivery.allow"),
            ("allow = [\".org\"]", "push.delivery.allow"),
            ("allow = [\"0x7f.1\"]", "push.delivery.allow"),
            ("ntfy = \"https://ntfy.example.org\"", "push.delivery.ntfy"),
            ("allow = [\"a.example.org\"]\nntfy = \"https://a.example.org:8443\"", "push.delivery.ntfy"),
            ("allow = [\"127.0.0.1:80\"]\nntfy = \"http://127.0.0.1\"", "push.delivery.ntfy"),
            (
                "allow = [\"a.example.org\"]\nfcm_relay = \"https://a.example.org/?x\"",
                "push.delivery.fcm_relay",
            ),
            ("apns_relay = \"ftp://a.example.org\"", "push.delivery.apns_relay"),
            ("ca_file = \"ca.pem\"", "push.delivery.ca_file"),
            ("contact = \"otp@example.org\"", "push.delivery.contact"),
            ("deadline = \"500ms\"", "push.delivery.deadline"),
            ("deadline = \"2m\"", "push.delivery.deadline"),
        ] {
            let line = text.lines().count();
            assert_eq!(section(text), Err(vec![(line, key.to_owned())]), "{text}");
        }
        assert_eq!(section("proxy = \"x\""), Err(vec![(1, "proxy".to_owned())]));
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        assert!(authorities(Some(&file)).unwrap_err().to_string().contains("cannot be read"));
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).unwrap();
            assert!(matches!(authorities(Some(&file)), Err(CaError::Pem(_))), "{text}");
        }
    }
}
