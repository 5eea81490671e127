//! An appliance of one's own: SoftHSM token, configuration, emulated modems, and the daemon as a child.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::http::{Client, Endpoint};
use crate::modem::EmulatedModem;
use crate::process::Owned;
use crate::scratch;
use crate::time::{PATIENCE, wait_until};

/// The software HSM.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// Label of the rig's token.
pub const TOKEN_LABEL: &str = "countersign-rig";
/// The token's PIN.
pub const PIN: &str = "71902846";
/// The security officer's PIN.
pub const SO_PIN: &str = "30517264";
/// Limits on messages that no test reaches by working fast.
pub const MANY_MESSAGES: &str =
    "[sms.limits]\nuser_hour = 10000\nuser_day = 10000\nnumber_hour = 10000\napplication_hour = 10000\n";
/// Longest wait for the daemon's end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);

/// A modem of the appliance.
#[derive(Clone, Debug)]
pub struct ModemOptions {
    /// Its name in the configuration.
    pub id: String,
    /// Whose quirks an emulated one has.
    pub profile: String,
    /// Its faults, as a script in TOML; empty for none.
    pub faults: String,
    /// A port that is there already, in place of an emulated modem.
    pub port: Option<PathBuf>,
}

impl ModemOptions {
    /// An emulated modem without faults.
    pub fn emulated(id: &str) -> ModemOptions {
        ModemOptions { id: id.to_owned(), profile: "generic".to_owned(), faults: String::new(), port: None }
    }

    /// A port that is not the rig's.
    pub fn at(id: &str, port: &Path) -> ModemOptions {
        ModemOptions { port: Some(port.to_owned()), ..ModemOptions::emulated(id) }
    }
}

/// What kind of appliance.
#[derive(Clone, Debug)]
pub struct RigOptions {
    /// Its modems.
    pub modems: Vec<ModemOptions>,
    /// The PKCS#11 module that the configuration names.
    pub module: PathBuf,
    /// The token that the configuration names.
    pub token_label: String,
    /// More environment for the HSM child.
    pub hsm_env: Vec<(String, String)>,
    /// Appended to the configuration: tables such as `[limits]`, `[oath]`, `[sms]`.
    pub config: String,
    /// Whether links in messages lead to this appliance's pages (`public_url`).
    pub pages: bool,
    /// The daemon's `RUST_LOG`.
    pub log: String,
    /// Where phones and browsers are told to reach the pages.
    pub public_url: Option<String>,
    /// A state directory elsewhere than in the scratch directory.
    pub state_dir: Option<PathBuf>,
}

impl Default for RigOptions {
    fn default() -> Self {
        RigOptions {
            modems: Vec::new(),
            module: SOFTHSM.into(),
            token_label: TOKEN_LABEL.to_owned(),
            hsm_env: Vec::new(),
            config: String::new(),
            pages: false,
            log: "info".to_owned(),
            public_url: None,
            state_dir: None,
        }
    }
}

impl RigOptions {
    /// With one emulated modem, `m1`.
    pub fn with_modem() -> RigOptions {
        RigOptions { modems: vec![ModemOptions::emulated("m1")], ..RigOptions::default() }
    }

    /// With these tables at the end of the configuration.
    pub fn config(self, tables: &str) -> RigOptions {
        RigOptions { config: tables.to_owned(), ..self }
    }
}

/// An appliance in a directory of its own.
pub struct Appliance {
    /// The binary under test.
    pub binary: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// The API's Unix socket.
    pub socket: PathBuf,
    /// The API on loopback.
    pub address: SocketAddr,
    /// Database, latch, lock.
    pub state: PathBuf,
    /// Emulated modems, in the order of the options.
    pub modems: Vec<EmulatedModem>,
    /// Both outputs of every daemon started here.
    pub log: PathBuf,
    options: RigOptions,
    serving: Option<Owned>,
    scratch: TempDir,
}

impl Appliance {
    /// A new appliance that is ready.
    ///
    /// # Panics
    /// When something does not start.
    pub fn start(options: RigOptions) -> Appliance {
        let mut appliance = Appliance::prepare(options);
        appliance.serve();
        appliance.await_ready();
        appliance
    }

    /// A new appliance whose daemon does not run yet: token, configuration and modems are there.
    ///
    /// # Panics
    /// When something does not start.
    pub fn prepare(options: RigOptions) -> Appliance {
        let scratch = scratch::directory();
        let dir = scratch.path();
        let binary = binary();
        let state = options.state_dir.clone().unwrap_or_else(|| dir.join("state"));
        fs::create_dir_all(&state).expect("own scratch directory");
        fs::create_dir(dir.join("tokens")).expect("own scratch directory");
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            dir.join("tokens").display()
        );
        fs::write(dir.join("softhsm2.conf"), conf).expect("own scratch directory");
        scratch::secret_file(&dir.join("pin"), PIN);
        scratch::secret_file(&dir.join("so-pin"), SO_PIN);
        let modems = options
            .modems
            .iter()
            .filter(|modem| modem.port.is_none())
            .map(|modem| {
                let mut emulated =
                    EmulatedModem::start(&binary, dir, &modem.id, &modem.profile, &modem.faults);
                // What a faulty line says may never be heard.
                emulated.store = modem.faults.is_empty().then(|| state.join("countersign.db"));
                emulated
            })
            .collect();
        let mut appliance = Appliance {
            binary,
            config: dir.join("countersign.toml"),
            socket: dir.join("api.sock"),
            address: free_address(),
            state,
            modems,
            log: dir.join("serve.log"),
            options,
            serving: None,
            scratch,
        };
        appliance.initialise_token();
        appliance.write_config();
        appliance
    }

    /// `countersign hsm init` on SoftHSM itself, whatever module the daemon will use.
    fn initialise_token(&mut self) {
        let (module, label) = (self.options.module.clone(), self.options.token_label.clone());
        self.options.module = SOFTHSM.into();
        self.options.token_label = TOKEN_LABEL.to_owned();
        self.write_config();
        let (pin, so_pin) = (self.path("pin"), self.path("so-pin"));
        let initialised = self
            .command(&["hsm", "init", "--module", SOFTHSM, "--token-label", TOKEN_LABEL])
            .arg("--so-pin-file")
            .arg(so_pin)
            .arg("--pin-file")
            .arg(pin)
            .output()
            .expect("the binary starts");
        assert!(initialised.status.success(), "hsm init: {}", told(&initialised));
        self.options.module = module;
        self.options.token_label = label;
    }

    /// A path in the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Writes the configuration file from the options.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self) {
        let mut text = String::new();
        let put = |text: &mut String, key: &str, value: &str| {
            writeln!(text, "{key} = {}", serde_json::Value::from(value)).expect("a string takes all");
        };
        put(&mut text, "state_dir", &self.state.display().to_string());
        let own = self.options.pages.then(|| format!("http://{}", self.address));
        if let Some(url) = self.options.public_url.clone().or(own) {
            put(&mut text, "public_url", &url);
        }
        text.push_str("\n[hsm]\n");
        put(&mut text, "module", &self.options.module.display().to_string());
        put(&mut text, "token_label", &self.options.token_label);
        put(&mut text, "pin_file", &self.path("pin").display().to_string());
        // Long enough for two cores that build something else meanwhile.
        put(&mut text, "deadline", "20s");
        text.push_str("\n[hsm.env]\n");
        put(&mut text, "SOFTHSM2_CONF", &self.path("softhsm2.conf").display().to_string());
        for (name, value) in &self.options.hsm_env {
            put(&mut text, name, value);
        }
        for (kind, address) in
            [("unix", self.socket.display().to_string()), ("http", self.address.to_string())]
        {
            text.push_str("\n[[listen]]\n");
            put(&mut text, "kind", kind);
            put(&mut text, "address", &address);
        }
        for modem in &self.options.modems {
            let port = modem.port.clone().unwrap_or_else(|| self.path(&format!("{}.tty", modem.id)));
            text.push_str("\n[[modem]]\n");
            put(&mut text, "id", &modem.id);
            put(&mut text, "port", &port.display().to_string());
        }
        text.push('\n');
        text.push_str(&self.options.config);
        fs::write(&self.config, text).expect("own scratch directory");
    }

    /// The options, to be changed before the next [`Appliance::write_config`].
    pub fn options_mut(&mut self) -> &mut RigOptions {
        &mut self.options
    }

    /// A command of the binary with this appliance's configuration and socket.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command.arg("--config").arg(&self.config).arg("--socket").arg(&self.socket);
        command.args(arguments);
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it does not start.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with_input(arguments, "")
    }

    /// Runs a command that reads `input`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe was asked for");
        // A command that reads nothing may have ended already.
        drop(std::io::Write::write_all(&mut stdin, input.as_bytes()));
        drop(stdin);
        child.wait_with_output().expect("own child")
    }

    /// Runs a command with `--json` and reads what it prints.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    #[track_caller]
    pub fn cli_json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.cli(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", told(&output)))
    }

    /// Starts the daemon; it need not become ready.
    ///
    /// # Panics
    /// When it runs already.
    pub fn serve(&mut self) {
        assert!(self.serving.is_none(), "the daemon runs already");
        let mut command = self.command(&["serve"]);
        command.env_remove("SOFTHSM2_CONF").env("RUST_LOG", &self.options.log);
        self.serving = Some(Owned::start(&mut command, &self.log));
    }

    /// Waits until the daemon answers `/readyz` with 200.
    ///
    /// # Panics
    /// When it ends, or does not become ready in time.
    pub fn await_ready(&mut self) {
        self.await_status("/readyz");
    }

    /// Waits until the daemon answers at all.
    ///
    /// # Panics
    /// When it ends, or does not answer in time.
    pub fn await_listening(&mut self) {
        self.await_status("/healthz");
    }

    fn await_status(&mut self, path: &str) {
        let mut clients = [self.admin(), self.loopback(None)];
        wait_until(PATIENCE, path, || {
            let ended = self.serving.as_mut().expect("the daemon was started").ended();
            assert!(ended.is_none(), "the daemon ended with {ended:?}:\n{}", self.log_text());
            let up = |client: &mut Client| client.send("GET", path, None).is_ok_and(|a| a.status == 200);
            clients.iter_mut().all(up).then_some(())
        });
    }

    /// What every daemon here has said so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The daemon's pid.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.serving.as_ref().expect("the daemon runs").pid()
    }

    /// The daemon's end, if it has ended on its own.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.serving.as_mut().and_then(Owned::ended)
    }

    /// Waits until the daemon has ended on its own.
    ///
    /// # Panics
    /// When it does not run, or does not end in time.
    pub fn await_end(&mut self) -> ExitStatus {
        let status = wait_until(PATIENCE, "the daemon ends", || self.ended());
        self.serving = None;
        status
    }

    /// Kills the daemon as a crash would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill9(&mut self) {
        self.serving.take().expect("the daemon runs").kill9();
    }

    /// Ends the daemon in order.
    ///
    /// # Panics
    /// When it does not run, or does not end in time.
    pub fn stop(&mut self) -> ExitStatus {
        self.serving.take().expect("the daemon runs").terminate(DRAIN)
    }

    /// Starts the daemon again, after ending it in order if it runs, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn restart(&mut self) {
        if self.serving.is_some() {
            self.stop();
        }
        self.serve();
        self.await_ready();
    }

    /// Over the Unix socket, as the uid of the test.
    pub fn admin(&self) -> Client {
        Client::new(Endpoint::Unix(self.socket.clone()), None)
    }

    /// Over the Unix socket with a key.
    pub fn local(&self, key: &str) -> Client {
        Client::new(Endpoint::Unix(self.socket.clone()), Some(key))
    }

    /// Over loopback, with a key or without.
    pub fn loopback(&self, key: Option<&str>) -> Client {
        Client::new(Endpoint::Tcp(self.address), key)
    }

    /// The emulated modem, where there is one.
    ///
    /// # Panics
    /// When there is none.
    pub fn modem(&self) -> &EmulatedModem {
        self.modems.first().expect("the options name an emulated modem")
    }
}

/// What a command said, for a test's own message.
pub fn told(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}

/// The binary under test.
///
/// # Panics
/// When it has not been built.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("COUNTERSIGN_BIN") {
        return path.into();
    }
    let path = target_dir().join("release/countersign");
    assert!(path.exists(), "{} is missing: cargo build --release --bin countersign", path.display());
    path
}

/// Where cargo builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The root of the sources.
///
/// # Panics
/// Never: this package lies in it.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// A port that is free now and stays so: below the range from which the kernel serves outgoing connections, so
/// that none of those takes it while a killed daemon is away.
fn free_address() -> SocketAddr {
    const FIRST: u16 = 10_000;
    const PER_PROCESS: u16 = 20;
    const SHARES: u16 = 1_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let share = u16::try_from(std::process::id() % u32::from(SHARES)).expect("below SHARES");
    (0..PER_PROCESS * SHARES)
        .map(|_| {
            let nth = share * PER_PROCESS + NEXT.fetch_add(1, Ordering::Relaxed);
            SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + nth % (PER_PROCESS * SHARES)))
        })
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port on loopback")
}
