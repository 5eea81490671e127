//! Where the steps play: the running parts, the keys, alice; and the two ways to act, command line and API.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::authenticator::Authenticator;
use super::command::{self, Done};
use super::http::{self, Answer};
use super::record::{Environment, Hsm, Record, User, Users, child_of};
use super::screen::Screen;
use super::service::Service;
use super::site::{Site, TOKEN_LABEL, random_hex};
use super::steps::desk::Applicant;
use super::steps::phone::Dora;
use super::stop::Stop;

/// Her phone: nobody's, since no message leaves the emulator.
pub(super) const PHONE: &str = "+41790000101";

/// Bob's, as it is spelled everywhere.
pub(super) const BOBS_PHONE: &str = "+41790000102";

/// Bytes of her password before they are written in hex.
const PASSWORD_LEN: usize = 6;

/// The two keys of the demo's applications.
pub(super) struct Keys {
    pub(super) admin: String,
    pub(super) app: String,
}

/// The user, with what her authenticator app holds.
pub(super) struct Alice {
    pub(super) totp: Authenticator,
    pub(super) totp_serial: String,
    pub(super) hotp: Authenticator,
    pub(super) hotp_serial: String,
}

/// A text message that was ordered and arrived.
pub(super) struct Arrived {
    pub(super) challenge: String,
    pub(super) code: String,
}

/// Everything that the steps share. What a step needs and an earlier one has not brought is an error.
pub(super) struct Stage<'a> {
    pub(super) site: &'a Site,
    pub(super) stop: &'a Stop,
    pub(super) screen: &'a mut Screen,
    pub(super) modem: Option<Service>,
    pub(super) daemon: Option<Service>,
    pub(super) port: u16,
    /// Alice's, for the pages.
    pub(super) password: String,
    pub(super) keys: Option<Keys>,
    pub(super) alice: Option<Alice>,
    pub(super) used_totp: Option<String>,
    pub(super) rejection: Option<String>,
    pub(super) arrived: Option<Arrived>,
    /// Whether bob has registered his phone with a letter.
    pub(super) lettered: bool,
    pub(super) dora: Option<Dora>,
    pub(super) applicant: Option<Applicant>,
    /// Whether emma has her token.
    pub(super) enrolled: bool,
}

impl<'a> Stage<'a> {
    pub(super) fn new(site: &'a Site, stop: &'a Stop, screen: &'a mut Screen) -> Self {
        Stage {
            site,
            stop,
            screen,
            modem: None,
            daemon: None,
            port: 0,
            password: random_hex(PASSWORD_LEN),
            keys: None,
            alice: None,
            used_totp: None,
            rejection: None,
            arrived: None,
            lettered: false,
            dora: None,
            applicant: None,
            enrolled: false,
        }
    }

    /// The base of the API's addresses.
    pub(super) fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The user, once she is enrolled.
    pub(super) fn alice(&mut self) -> anyhow::Result<&mut Alice> {
        self.alice.as_mut().context("alice is not enrolled")
    }

    /// Fails when a child has ended by itself.
    pub(super) fn look_after(&mut self) -> anyhow::Result<()> {
        self.daemon.iter_mut().chain(&mut self.modem).try_for_each(Service::check)
    }

    /// Waits for something while looking after the children.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let (stop, daemon, modem) = (self.stop, &mut self.daemon, &mut self.modem);
        stop.wait(what, deadline, || {
            daemon.iter_mut().chain(&mut *modem).try_for_each(Service::check)?;
            look()
        })
    }

    /// Shows and runs a command of this binary.
    pub(super) fn cli(&mut self, args: &[&str]) -> anyhow::Result<Done> {
        self.screen.command(&shown("countersign", args))?;
        self.run(args)
    }

    /// Shows a command and runs it for its JSON document.
    pub(super) fn cli_json(&mut self, args: &[&str]) -> anyhow::Result<Value> {
        self.screen.command(&shown("countersign", args))?;
        self.run_json(args)
    }

    /// Runs a command that was shown already, for its JSON document.
    pub(super) fn run_json(&mut self, args: &[&str]) -> anyhow::Result<Value> {
        let text = self.run(&[&["--json"], args].concat())?.success()?;
        serde_json::from_str(&text).context("what it printed is no JSON")
    }

    fn run(&mut self, args: &[&str]) -> anyhow::Result<Done> {
        self.stop.pause(Duration::ZERO)?;
        self.look_after()?;
        command::run(self.site, self.stop, args)
    }

    /// Shows and posts a request of the application; `path` is shown as `shown_path`.
    pub(super) fn post(&mut self, path: &str, shown_path: &str, body: &str) -> anyhow::Result<Answer> {
        let auth = "-H \"Authorization: Bearer $APP_KEY\"";
        self.screen.command(&format!("curl -s {auth} $API{shown_path} \\\n-d '{body}'"))?;
        self.stop.pause(Duration::ZERO)?;
        self.look_after()?;
        let key = self.keys.as_ref().context("there is no application key")?.app.clone();
        let answer = http::request(self.port, path, Some(&key), Some(body))?;
        self.screen.answer(&format!("{} {}", answer.status, answer.text))?;
        Ok(answer)
    }

    /// Shows and posts a request of the administrator; a password in it is not shown.
    pub(super) fn administer(&mut self, path: &str, body: &Value, shown: &Value) -> anyhow::Result<Answer> {
        let auth = "-H \"Authorization: Bearer $ADMIN_KEY\"";
        self.screen.command(&format!("curl -s {auth} $API{path} \\\n-d '{shown}'"))?;
        self.stop.pause(Duration::ZERO)?;
        self.look_after()?;
        let key = self.keys.as_ref().context("there is no administrator's key")?.admin.clone();
        http::request(self.port, path, Some(&key), Some(&body.to_string()))
    }

    /// Has the application verify a code of alice's.
    pub(super) fn verify(&mut self, code: &str) -> anyhow::Result<Answer> {
        let body = format!(r#"{{"user":"alice","otp":"{code}"}}"#);
        self.post("/v1/verify", "/v1/verify", &body)
    }

    /// What a program needs, once everything is there.
    pub(super) fn record(&self) -> Option<Record> {
        let (keys, alice, daemon) = (self.keys.as_ref()?, self.alice.as_ref()?, self.daemon.as_ref()?);
        Some(Record {
            api: self.api(),
            ui: self.api(),
            socket: self.site.socket(),
            admin_key: keys.admin.clone(),
            app_key: keys.app.clone(),
            modem: self.site.modem(),
            modem_journal: self.site.journal(),
            users: Users {
                alice: User {
                    totp_secret: alice.totp.secret().to_owned(),
                    totp_serial: alice.totp_serial.clone(),
                    hotp_secret: alice.hotp.secret().to_owned(),
                    hotp_serial: alice.hotp_serial.clone(),
                    phone: PHONE,
                    password: self.password.clone(),
                },
            },
            config: self.site.config(),
            state: self.site.dir().to_owned(),
            pid: daemon.pid(),
            hsm_pid: child_of(daemon.pid()),
            hsm: Hsm {
                module: self.site.module(),
                token_label: TOKEN_LABEL,
                pin_file: self.site.pin_file(),
                env: Environment { softhsm2_conf: self.site.softhsm_conf() },
            },
        })
    }

    /// Ends the daemon, then the modem.
    ///
    /// # Errors
    /// When one of them did not end in order; neither runs any more.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let daemon = self.daemon.take().map_or(Ok(()), Service::end);
        let modem = self.modem.take().map_or(Ok(()), Service::end);
        self.site.remove_socket()?;
        daemon.and(modem)
    }
}

/// A command line as one would type it.
pub(super) fn shown(program: &str, args: &[&str]) -> String {
    args.iter().fold(program.to_owned(), |line, arg| match arg.contains(' ') {
        true => format!("{line} '{arg}'"),
        false => format!("{line} {arg}"),
    })
}

/// Fails unless a verification answered as it should.
///
/// # Errors
/// What it answered instead.
pub(super) fn expect_verdict(answer: &Answer, verdict: &str) -> anyhow::Result<()> {
    if answer.status == 200 && answer.body["verdict"] == verdict {
        return Ok(());
    }
    bail!("expected the verdict {verdict}, got {} {}", answer.status, answer.text)
}

/// A field that must be a text.
///
/// # Errors
/// When it is none.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> anyhow::Result<&'v str> {
    value[field].as_str().with_context(|| format!("the answer has no {field}"))
}
