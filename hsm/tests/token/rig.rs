//! A SoftHSM token in a scratch directory, and what tests ask of it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hsm::{
    Enrol, Enrolled, Factor, Hash, Hsm, HsmError, HsmSettings, Info, InitSpec, Launcher, Match, MatchKey,
    PinSource, SecretSource, Status,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

pub(crate) const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
pub(crate) const LABEL: &str = "countersign test";
pub(crate) const PIN: &str = "483920";
/// Long enough for a loaded machine; no test waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);
pub(crate) const BINDING: &[u8] = b"token 1, user 1";

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) settings: HsmSettings,
}

impl Rig {
    /// No token yet.
    pub(crate) fn blank() -> Rig {
        let dir = tempfile::tempdir().expect("scratch");
        let tokens = dir.path().join("tokens");
        fs::create_dir(&tokens).expect("scratch");
        let conf = dir.path().join("softhsm2.conf");
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        fs::write(&conf, text).expect("scratch");
        put_pin(&dir.path().join("pin"), PIN);
        put_pin(&dir.path().join("so-pin"), "73918264");
        let settings = HsmSettings {
            module: SOFTHSM.into(),
            token_label: LABEL.into(),
            pin: PinSource::File(dir.path().join("pin")),
            env: vec![("SOFTHSM2_CONF".into(), conf.display().to_string())],
            latch: dir.path().join("latch"),
            deadline: PATIENCE,
        };
        Rig { dir, settings }
    }

    /// A token with all its keys.
    pub(crate) fn new() -> Rig {
        let rig = Rig::blank();
        rig.initialise().expect("a blank token");
        rig
    }

    /// A rig whose module writes down every call, and how often a function was among them.
    pub(crate) fn spied() -> (Rig, impl Fn(&str) -> usize) {
        let mut rig = Rig::new();
        let log = rig.path("spy.log");
        rig.settings.module = SPY.into();
        rig.settings.env.push(("PKCS11SPY".into(), SOFTHSM.into()));
        rig.settings.env.push(("PKCS11SPY_OUTPUT".into(), log.display().to_string()));
        (rig, move |function| {
            let calls = fs::read(&log).unwrap_or_default();
            String::from_utf8_lossy(&calls).matches(&format!(": {function}\n")).count()
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn initialise(&self) -> Result<Info, HsmError> {
        let spec = InitSpec {
            module: SOFTHSM.into(),
            env: self.settings.env.clone(),
            slot: None,
            token_label: self.settings.token_label.clone(),
            so_pin_file: self.path("so-pin"),
            pin_file: self.path("pin"),
        };
        hsm::initialise(launcher(), spec, PATIENCE)
    }

    /// Whatever comes of it.
    pub(crate) fn start(&self) -> Hsm {
        Hsm::start(launcher(), self.settings.clone())
    }

    /// Open.
    pub(crate) fn open(&self) -> Hsm {
        let hsm = self.start();
        assert!(matches!(hsm.status(), Status::Up { .. }), "{:?}", hsm.status());
        hsm
    }

    /// What pkcs11-tool, logged in as the user, does with these arguments: whether it succeeded, and what it
    /// printed.
    pub(crate) fn tool(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new("/usr/bin/pkcs11-tool")
            .args(["--module", SOFTHSM, "--token-label", LABEL, "--login", "--pin", PIN])
            .args(args)
            .env_clear()
            .envs(self.settings.env.clone())
            .output()
            .expect("installed");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Takes a half of a pair off the token.
    pub(crate) fn delete(&self, class: &str, label: &str) {
        let (deleted, _) = self.tool(&["--delete-object", "--type", class, "--label", label]);
        assert!(deleted, "{class} {label}");
    }

    /// Why it does not open.
    pub(crate) fn refusal(&self) -> HsmError {
        match self.start().status() {
            Status::Down { error } => error,
            Status::Up { .. } => panic!("it opened"),
        }
    }
}

/// This test program itself, told to run nothing but [`child`]: never an older build than the tests.
pub(crate) fn launcher() -> Launcher {
    let args = ["--exact", "rig::child", AS_CHILD, "--nocapture"];
    Launcher { program: std::env::current_exe().expect("/proc"), args: args.map(OsString::from).into() }
}

/// A second filter that matches no test; its presence turns [`child`] into the HSM child.
const AS_CHILD: &str = "as-hsm-child";

#[test]
fn child() {
    if std::env::args().any(|arg| arg == AS_CHILD) {
        hsm::child::run(render);
    }
}

/// Decimal codes by RFC 4226 section 5.3. The format is one byte, the number of digits; a second byte makes
/// it reject every MAC whose first bit is set.
fn render(format: &[u8], mac: &[u8], out: &mut [u8; hsm::CODE_MAX]) -> Option<usize> {
    let (digits, picky) = match *format {
        [digits] => (usize::from(digits), false),
        [digits, _] => (usize::from(digits), true),
        _ => return None,
    };
    if digits > 10 || picky && mac[0] & 0x80 != 0 {
        return None;
    }
    let offset = usize::from(mac.last()? & 0xf);
    let word: [u8; 4] = mac.get(offset..offset + 4)?.try_into().ok()?;
    let number = u32::from_be_bytes(word) & 0x7fff_ffff;
    let text = format!("{number:010}");
    out[..digits].copy_from_slice(&text.as_bytes()[10 - digits..]);
    Some(digits)
}

pub(crate) fn put_pin(path: &Path, pin: &str) {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("scratch");
    writeln!(file, "{pin}").expect("scratch");
}

/// Waits for a condition, at most [`PATIENCE`].
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "still not: {what}");
        std::thread::park_timeout(POLL);
    }
}

/// An import with state `s0`.
pub(crate) fn import(hsm: &Hsm, secret: &[u8], hash: Hash) -> Enrolled {
    let source = SecretSource::Import(Zeroizing::new(secret.to_vec()));
    hsm.enrol(Enrol { source, hash, binding: BINDING.into(), state: b"s0".into(), reveal: false })
        .expect("a good secret")
}

/// A candidate against the counters `0..window` in state `s0`; the next state of counter n is `s` n+1.
pub(crate) fn hotp(enrolled: &Enrolled, candidate: &[u8], window: u64) -> Match {
    let factor = |counter: u64| Factor {
        messages: vec![counter.to_be_bytes().to_vec()],
        next_state: format!("s{}", counter + 1).into(),
    };
    Match {
        key: MatchKey::Record {
            record: enrolled.record.clone(),
            binding: BINDING.into(),
            record_mac: enrolled.record_mac,
        },
        state: b"s0".into(),
        state_mac: enrolled.state_mac,
        format: vec![u8::try_from(candidate.len()).expect("a code")],
        candidate: candidate.into(),
        factors: (0..window).map(factor).collect(),
        refusal: b"refused".into(),
    }
}
