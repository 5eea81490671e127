//! A real Chromium that visits the pages, headless, driven over WebDriver (W3C) through chromedriver.
//!
//! It blocks like the rest of the rig. Without script, as the pages must work; with script, so that axe-core can be
//! asked. It knows forms, buttons and errors of the pages, not what they mean.

use std::cell::Cell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::error::{WebDriverError, WebDriverErrorInner, WebDriverResult};
use thirtyfour::session::http::{Body, HttpClient};
use thirtyfour::{By, Capabilities, Cookie, WebDriver, WebElement};
use tokio::runtime::Runtime;

use crate::http::{Client, Endpoint};
use crate::process::Owned;
use crate::time::{PATIENCE, wait_until};
use crate::{appliance, scratch};

/// A wide window, in CSS pixels.
pub const WIDE: u32 = 1280;
/// The narrowest that WCAG asks for (1.4.10).
pub const NARROW: u32 = 320;
const HEIGHT: u32 = 900;
/// What chromedriver says once it listens.
const LISTENS: &str = "started successfully on port ";
/// What it says when the port is somebody else's.
const PORT_TAKEN: &str = "Address already in use";
/// How often it is started for a free port.
const DRIVER_STARTS: u32 = 5;
/// Longest life of chromedriver after it was asked to end.
const END: Duration = Duration::from_secs(20);

/// Asks axe-core, which every page is given.
const RUN_AXE: &str = "const done = arguments[1]; \
    axe.run(document, {...arguments[0], resultTypes: ['violations']}) \
    .then(({violations}) => done({violations}), error => done({error: String(error)}));";
/// WCAG 2.1 A and AA.
const WCAG: [&str; 3] = ["wcag2a", "wcag2aa", "wcag21aa"];
/// The rule about colours, which takes most of axe-core's time.
const CONTRAST: &str = "color-contrast";

/// Goes to a field and marks what stands there; whether that could be done.
const ENTER_FIELD: &str = "const field = document.querySelector(arguments[0]); \
    if (field === null || field.readOnly || !field.checkVisibility({visibilityProperty: true})) return false; \
    field.focus(); field.select(); return document.activeElement === field;";

/// WebDriver's Shift.
const SHIFT: char = '\u{E008}';

/// What kind of browser.
#[derive(Clone, Copy, Debug)]
pub struct BrowserOptions<'o> {
    /// Whether pages may run scripts.
    pub script: bool,
    /// Whether the network is logged, for [`Browser::hosts`]: it slows everything down.
    pub log: bool,
    /// Whether an act waits until the page that it leads to is there. Not where a page is held: nothing could be done
    /// meanwhile.
    pub settles: bool,
    /// Languages, as `Accept-Language` has them.
    pub lang: &'o str,
}

impl Default for BrowserOptions<'_> {
    fn default() -> Self {
        BrowserOptions { script: false, log: false, settles: true, lang: "en" }
    }
}

/// A browser with a profile of its own; all its processes end when dropped.
pub struct Browser {
    runtime: Runtime,
    driver: Option<WebDriver>,
    process: Owned,
    base: String,
    /// Whether pages are given axe-core.
    equipped: Cell<bool>,
    _profile: TempDir,
}

/// The rig's client as thirtyfour wants one; its connection stays open.
struct Wire {
    address: SocketAddr,
    client: Mutex<Client>,
}

impl Wire {
    fn to(address: SocketAddr) -> Wire {
        Wire { address, client: Mutex::new(Client::new(Endpoint::Tcp(address), None)) }
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: Request<Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        let body = match request.body() {
            Body::Empty => None,
            Body::Json(value) => Some(value.to_string().into_bytes()),
        };
        let failed = |error: &dyn std::fmt::Display| WebDriverError::HttpError(error.to_string());
        let mut client = self.client.lock().expect("one request at a time");
        let sent = client.send(request.method().as_str(), request.uri().path(), body.as_deref());
        let answer = sent.map_err(|error| failed(&error))?;
        Response::builder().status(answer.status).body(answer.body.into()).map_err(|error| failed(&error))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Wire::to(self.address))
    }
}

/// Starts chromedriver, and gives the port that it listens at.
///
/// It takes a free port of IPv6 and then wants the same one of IPv4, which somebody else may hold by then: it says
/// so and ends, and is started again.
///
/// # Panics
/// When it does not start.
fn start_driver(home: &Path) -> (Owned, u16) {
    for attempt in 1..=DRIVER_STARTS {
        let log = home.join(format!("chromedriver-{attempt}.log"));
        let mut command = Command::new("chromedriver");
        // A group of its own: whatever Chromium starts ends with it.
        command.arg("--port=0").process_group(0).env("HOME", home);
        let mut process = Owned::start(&mut command, &log);
        let port = wait_until(PATIENCE, "chromedriver listens", || {
            let ended = process.ended().is_some();
            let text = fs::read_to_string(&log).unwrap_or_default();
            if ended {
                assert!(text.contains(PORT_TAKEN), "chromedriver ended: {text}");
                return Some(None);
            }
            let (_, rest) = text.split_once(LISTENS)?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok().map(Some)
        });
        if let Some(port) = port {
            return (process, port);
        }
    }
    panic!("chromedriver found no free port in {DRIVER_STARTS} attempts");
}

impl Browser {
    /// A browser without script for an appliance's pages.
    pub fn open(base: &str) -> Browser {
        Browser::with(base, BrowserOptions::default())
    }

    /// A browser for the pages at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Panics
    /// When Chromium or chromedriver does not start.
    pub fn with(base: &str, options: BrowserOptions<'_>) -> Browser {
        let profile = scratch::directory();
        let (process, port) = start_driver(profile.path());
        let capabilities = capabilities(options, profile.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let builder = WebDriver::builder(format!("http://{address}"), capabilities).client(Wire::to(address));
        let driver = runtime.block_on(builder.connect()).expect("a session of chromedriver");
        let base = base.to_owned();
        let equipped = Cell::new(false);
        let browser = Browser { runtime, driver: Some(driver), process, base, equipped, _profile: profile };
        if !options.script {
            browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true}));
        }
        browser
    }

    fn driver(&self) -> &WebDriver {
        self.driver.as_ref().expect("open until dropped")
    }

    fn wait<T>(&self, what: &str, act: impl Future<Output = WebDriverResult<T>>) -> T {
        self.runtime.block_on(act).unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.page()))
    }

    /// Goes to a path of the pages, or to a whole address.
    #[track_caller]
    pub fn go(&self, path: &str) {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        self.wait(path, self.driver().goto(url));
    }

    /// The address shown.
    pub fn url(&self) -> String {
        self.wait("the address", self.driver().current_url()).to_string()
    }

    /// The path of the address shown.
    pub fn path(&self) -> String {
        self.wait("the address", self.driver().current_url()).path().to_owned()
    }

    /// The page's title.
    pub fn title(&self) -> String {
        self.wait("the title", self.driver().title())
    }

    /// The page as the browser has it, for messages.
    pub fn page(&self) -> String {
        self.runtime.block_on(self.driver().source()).unwrap_or_default()
    }

    /// Waits until this path is shown.
    ///
    /// # Panics
    /// When another one stays.
    #[track_caller]
    pub fn await_path(&self, path: &str) {
        wait_until(PATIENCE, &format!("{path} is shown"), || (self.path() == path).then_some(()));
    }

    /// Waits for an element.
    pub fn await_element(&self, css: &str) {
        wait_until(PATIENCE, &format!("{css} is there"), || self.has(css).then_some(()));
    }

    /// The path is this one.
    ///
    /// # Panics
    /// When it is another, with the page.
    #[track_caller]
    pub fn at(&self, path: &str) {
        let now = self.path();
        assert!(now == path, "{now} in place of {path}:\n{}", self.page());
    }

    fn find(&self, css: &str) -> WebElement {
        self.wait(css, self.driver().find(By::Css(css)))
    }

    /// How many elements fit a CSS selector.
    pub fn count(&self, css: &str) -> usize {
        self.wait(css, self.driver().find_all(By::Css(css))).len()
    }

    /// Whether there is an element.
    pub fn has(&self, css: &str) -> bool {
        self.count(css) > 0
    }

    /// The text of the first element.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let element = self.find(css);
        self.wait(css, element.text())
    }

    /// An attribute of the first element.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let element = self.find(css);
        self.wait(css, element.attr(name))
    }

    /// The key of the error that the page shows.
    pub fn error(&self) -> Option<String> {
        self.has("[data-error]").then(|| self.attribute("[data-error]", "data-error").unwrap_or_default())
    }

    /// Waits until the page shows this error.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn await_error(&self, key: &str) {
        wait_until(PATIENCE, &format!("the error {key}"), || {
            // The page may be replaced between two looks.
            let shown = self.driver().find(By::Css("[data-error]"));
            let found = self.runtime.block_on(async { shown.await?.attr("data-error").await });
            (found.ok().flatten().as_deref() == Some(key)).then_some(())
        });
    }

    /// Waits until the page shows no error.
    ///
    /// # Panics
    /// When one stays.
    #[track_caller]
    pub fn await_no_error(&self) {
        wait_until(PATIENCE, "no error", || (!self.has("[data-error]")).then_some(()));
    }

    /// Puts text into a field, in place of what is there. In one piece, as by pasting: three events for each key would
    /// take most of the time of a form.
    ///
    /// # Panics
    /// When there is no such field, or one that nobody could type into.
    #[track_caller]
    pub fn fill(&self, name: &str, text: &str) {
        let css = format!("[name=\"{name}\"]");
        let entered = self.run(ENTER_FIELD, vec![json!(css)]) == Value::Bool(true);
        assert!(entered, "{css} takes no text:\n{}", self.page());
        if text.is_empty() {
            self.wait(&css, self.find(&css).clear());
        } else {
            self.devtools("Input.insertText", json!({"text": text}));
        }
    }

    /// Chooses one of several, or ticks a box; the page stays.
    #[track_caller]
    pub fn pick(&self, name: &str, value: &str) {
        let css = format!("input[name=\"{name}\"][value=\"{value}\"]");
        let box_or_circle = self.find(&css);
        self.wait(&css, box_or_circle.click());
    }

    /// Clicks on what leads to another page, and waits for that one.
    ///
    /// A page that waits loads itself anew, perhaps between the look and the click: then nothing was clicked on.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let page = wait_until(PATIENCE, css, || {
            let (page, element) = (self.find("html"), self.find(css));
            match self.runtime.block_on(element.click()) {
                Err(error) if matches!(error.as_inner(), WebDriverErrorInner::StaleElementReference(_)) => {
                    None
                }
                clicked => {
                    self.wait(css, async { clicked });
                    Some(page)
                }
            }
        });
        wait_until(PATIENCE, &format!("the page after {css}"), || {
            self.runtime.block_on(page.tag_name()).is_err().then_some(())
        });
    }

    /// Fills a form and sends it by its own button.
    #[track_caller]
    pub fn submit(&self, fields: &[(&str, &str)]) {
        for (name, text) in fields {
            self.fill(name, text);
        }
        self.click("button.primary");
    }

    /// Presses the button of an action, such as `resend`.
    #[track_caller]
    pub fn press(&self, action: &str) {
        self.click(&format!("button[name=action][value=\"{action}\"]"));
    }

    /// Presses keys wherever the focus is.
    pub fn keys(&self, keys: &str) {
        let chain = self.driver().action_chain().send_keys(keys);
        self.wait("keys", chain.perform());
    }

    /// Presses keys while Shift is held.
    pub fn shifted(&self, keys: &str) {
        let chain = self.driver().action_chain().key_down(SHIFT).send_keys(keys).key_up(SHIFT);
        self.wait("keys", chain.perform());
    }

    /// Marks the document, so that it is known again.
    pub fn mark(&self) {
        self.run("window.marked = true", Vec::new());
    }

    /// Whether the document is still the one that was marked.
    pub fn is_marked(&self) -> bool {
        self.run("return window.marked === true", Vec::new()) == Value::Bool(true)
    }

    /// What has the focus: tag, name and value.
    pub fn focused(&self) -> String {
        let element = self.wait("the focus", self.driver().active_element());
        let of = |name: &'static str| self.wait(name, element.attr(name)).unwrap_or_default();
        let tag = self.wait("the tag", element.tag_name());
        [tag, of("name"), of("value"), of("href")].join(" ").trim_end().to_owned()
    }

    /// One page back in the history.
    pub fn back(&self) {
        self.wait("back", self.driver().back());
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.wait("reload", self.driver().refresh());
    }

    /// The cookie of a name.
    pub fn cookie(&self, name: &str) -> Option<Cookie> {
        let all = self.wait("cookies", self.driver().get_all_cookies());
        all.into_iter().find(|cookie| cookie.name == name)
    }

    /// Runs a script; a browser without script runs those of the driver all the same.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let done = self.wait("a script", self.driver().execute(script, arguments));
        done.json().clone()
    }

    fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.wait(method, self.driver().cdp().send_raw(method, parameters))
    }

    /// Shows the page in a window of this width.
    pub fn width(&self, width: u32) {
        let metrics = json!({"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// What the user prefers: `light` or `dark`.
    pub fn scheme(&self, scheme: &str) {
        self.prefer("prefers-color-scheme", scheme);
    }

    /// What the user prefers, by the name of a media feature.
    pub fn prefer(&self, feature: &str, value: &str) {
        let features = json!([{"name": feature, "value": value}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Writes a picture of the whole page.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn picture(&self, path: &Path) {
        let options = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.devtools("Page.captureScreenshot", options);
        let text = shot["data"].as_str().expect("a picture");
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).expect("Base64");
        fs::write(path, bytes).expect("the target directory");
    }

    /// What axe-core finds against WCAG 2.1 A and AA: rule and elements, one line each. Needs a browser with script.
    ///
    /// # Panics
    /// When axe-core is not there.
    pub fn axe(&self) -> Vec<String> {
        self.judged(json!({"runOnly": {"type": "tag", "values": WCAG}}))
    }

    /// The same without what depends on colours.
    ///
    /// # Panics
    /// When axe-core is not there.
    pub fn axe_but_colours(&self) -> Vec<String> {
        let off = json!({CONTRAST: {"enabled": false}});
        self.judged(json!({"runOnly": {"type": "tag", "values": WCAG}, "rules": off}))
    }

    /// The same for what depends on colours alone.
    ///
    /// # Panics
    /// When axe-core is not there.
    pub fn axe_of_colours(&self) -> Vec<String> {
        self.judged(json!({"runOnly": {"type": "rule", "values": [CONTRAST]}}))
    }

    /// Gives axe-core to this page and all that follow. It is sent once: half a megabyte for every page takes as long
    /// as the judgement.
    fn equip(&self) {
        if self.equipped.replace(true) {
            return;
        }
        let path = appliance::target_dir().join("axe/axe.min.js");
        let axe = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; run scripts/axe.sh target", path.display()));
        let parameters = json!({"source": axe, "runImmediately": true});
        self.devtools("Page.addScriptToEvaluateOnNewDocument", parameters);
    }

    fn judged(&self, options: Value) -> Vec<String> {
        self.equip();
        // A page may be replaced meanwhile: then the next one is judged.
        let found = wait_until(PATIENCE, "axe-core's judgement", || {
            let run = self.driver().execute_async(RUN_AXE, vec![options.clone()]);
            self.runtime.block_on(run).ok().map(|done| done.json().clone())
        });
        let violations = found["violations"].as_array().unwrap_or_else(|| panic!("axe-core says {found}"));
        let of = |violation: &Value| {
            let nodes = violation["nodes"].as_array().cloned().unwrap_or_default();
            let nodes: Vec<String> = nodes.iter().map(|node| node["failureSummary"].to_string()).collect();
            format!("{}: {}", violation["id"], nodes.join("; "))
        };
        violations.iter().map(of).collect()
    }

    /// The hosts that pages have asked for anything so far, with port: by Chromium's own log of the network.
    pub fn hosts(&self) -> Vec<String> {
        let entries = self.wait("the log", self.driver().get_log("performance"));
        let urls = entries.iter().filter_map(|entry| {
            let said: Value = serde_json::from_str(&entry.message).ok()?;
            let (method, parameters) = (&said["message"]["method"], &said["message"]["params"]);
            let url = match method.as_str()? {
                "Network.requestWillBeSent" => &parameters["request"]["url"],
                "Network.webSocketCreated" => &parameters["url"],
                _ => return None,
            };
            url.as_str().filter(|url| url.starts_with("http") || url.starts_with("ws")).map(str::to_owned)
        });
        let mut hosts: Vec<String> =
            urls.filter_map(|url| url.split('/').nth(2).map(str::to_owned)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    fn quit(&mut self) {
        if let Some(driver) = self.driver.take() {
            // Whatever is left is killed below.
            drop(self.runtime.block_on(driver.quit()));
        }
        self.process.terminate(END);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        if self.process.ended().is_none() {
            self.quit();
        }
        // Nobody is left in the group when all went well.
        kill_process_group(group, Signal::KILL).ok();
    }
}

fn capabilities(options: BrowserOptions<'_>, home: &Path) -> Capabilities {
    let arguments = json!([
        "--headless",
        // The tests run as root, for which Chromium has no sandbox.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        // As on phones, where they take no room.
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        format!("--lang={}", options.lang.split(',').next().unwrap_or("en")),
        format!("--accept-lang={}", options.lang),
        format!("--user-data-dir={}", home.join("profile").display()),
    ]);
    let preferences = json!({
        "credentials_enable_service": false,
        "safebrowsing.enabled": false,
        "search.suggest_enabled": false,
    });
    let mut capabilities = Capabilities::new();
    let mut set = |key: &str, value: Value| capabilities.set(key, value).expect("JSON");
    set("browserName", json!("chrome"));
    if !options.settles {
        set("pageLoadStrategy", json!("none"));
    }
    if options.log {
        set("goog:loggingPrefs", json!({"performance": "ALL"}));
    }
    let binary = on_a_page(&chromium(), home);
    set("goog:chromeOptions", json!({"binary": binary, "args": arguments, "prefs": preferences}));
    capabilities
}

/// A program that starts Chromium with a page: without one the shell opens none, and chromedriver, which waits for it,
/// has no word for it.
fn on_a_page(chromium: &Path, home: &Path) -> PathBuf {
    let starter = home.join("chromium");
    let text = format!("#!/bin/sh\nexec '{}' \"$@\" about:blank\n", chromium.display());
    fs::write(&starter, text).expect("own scratch directory");
    fs::set_permissions(&starter, fs::Permissions::from_mode(0o700)).expect("own file");
    starter
}

/// Debian's Chromium, or another one in PATH. The shell is the same engine without the windows around it, which take
/// half the time of each page though nobody sees them.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    ["chromium-headless-shell", "chromium", "google-chrome"]
        .into_iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|file| file.is_file())
        .expect("Chromium is missing: apt-get install chromium-headless-shell chromium-driver")
}
