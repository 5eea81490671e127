//! How the pages look and who can use them: WCAG 2.1 A and AA by axe-core, narrow and wide, light and dark, by keyboard.
//!
//! A picture is left in `pages/` of the target directory of each page that something is wrong with; of every page where
//! the environment says `COUNTERSIGN_PICTURES`.

use serde_json::Value;
use tests::browser::{Browser, BrowserOptions, NARROW, WIDE};
use tests::{Appliance, appliance};

use super::base;

mod beginners;
mod changes;
mod desk;
mod languages;
mod logins;
mod own;
mod phones;
mod theme;

/// Asks for a picture of every page: they take as long as the rest of a look.
const PICTURES: &str = "COUNTERSIGN_PICTURES";
/// Walks through a page with Tab, before it counts as wrong.
const ROUNDS: usize = 3;
/// WebDriver's Tab.
const TAB: &str = "\u{E004}";
/// What a keyboard must reach.
const REACHABLE: &str = "a[href], button:not([hidden]), input:not([type=hidden]), textarea";

/// Further stops of Tab within a field for a day or a time.
const DATE_STOPS: usize = 4;

/// Looks at each page from all sides and keeps what it finds.
struct Judge<'b> {
    browser: &'b Browser,
    findings: Vec<String>,
    seen: usize,
}

impl Judge<'_> {
    fn new(browser: &Browser) -> Judge<'_> {
        Judge { browser, findings: Vec::new(), seen: 0 }
    }

    /// Ends the test.
    fn rule(self, least: usize) {
        assert!(self.findings.is_empty(), "{}", self.findings.join("\n"));
        assert!(self.seen >= least, "only {} pages were looked at", self.seen);
    }

    fn look(&mut self, name: &str) {
        // From each side to the next one thing changes.
        for (width, scheme) in [(NARROW, "light"), (NARROW, "dark"), (WIDE, "dark"), (WIDE, "light")] {
            // What does not hang on the colours is the same in both schemes.
            let judge = if scheme == "light" { Browser::axe } else { Browser::axe_of_colours };
            self.findings.extend(seen_from(self.browser, name, (width, scheme), judge));
        }
        self.announces(name);
        self.by_keyboard(name);
        self.seen += 1;
    }

    /// An error stands in the title, in a live region, and at the fields that it is about (WCAG 3.3.1).
    fn announces(&mut self, name: &str) {
        let lang = self.browser.attribute("html", "lang").unwrap_or_default();
        let mut complain = |text: String| self.findings.push(format!("{name}: {text}"));
        if lang != "en" {
            complain(format!("its language is {lang:?}"));
        }
        let (title, error) = (self.browser.title(), self.browser.error());
        if error.is_some() != title.starts_with("Error: ") {
            complain(format!("its title is {title:?} with the error {error:?}"));
        }
        if error.is_some() && self.browser.attribute("[data-error]", "role").as_deref() != Some("alert") {
            complain("the error is not announced".to_owned());
        }
        let (fields, wrong) =
            ("input:not([type=hidden])", "[aria-describedby~=error-text][aria-invalid=true]");
        if error.is_some() && self.browser.has(fields) && !self.browser.has(wrong) {
            complain("no field names the error".to_owned());
        }
    }

    /// Tab reaches everything that can be used, in the order of the page (WCAG 2.1.1, 2.4.3).
    fn by_keyboard(&mut self, name: &str) {
        for round in 1..=ROUNDS {
            let (reached, all) = self.tabbed();
            if reached == (0..).take(all).collect::<Vec<i64>>() {
                return;
            }
            // What follows its message may have changed while the keys were pressed.
            if round == ROUNDS {
                self.findings.push(format!("{name}: Tab goes {reached:?} of {all}"));
            }
        }
    }

    /// Where Tab goes, as places in the order of the page, and how many there are.
    fn tabbed(&self) -> (Vec<i64>, usize) {
        // Of circles that belong together Tab reaches the chosen one, else the first; the arrows reach the others.
        let follow = format!(
            "document.removeEventListener('focusin', window.followed); window.reached = []; \
             const first = one => one.type !== 'radio' || one.checked || \
             document.querySelector(`input[name=${{one.name}}]:checked`) === null && \
             document.querySelector(`input[name=${{one.name}}]`) === one; \
             const all = [...document.querySelectorAll('{REACHABLE}')].filter(first); \
             window.followed = event => reached.push(all.indexOf(event.target)); \
             document.addEventListener('focusin', window.followed); \
             return all.length"
        );
        let all = self.browser.run(&follow, Vec::new()).as_u64().expect("a count");
        let all = usize::try_from(all).expect("a few");
        let parts = self.browser.count("input[type=date], input[type=time]") * DATE_STOPS;
        // From wherever the focus is to the end, around, and through all.
        self.browser.keys(&TAB.repeat((all + parts) * 2 + 2));
        let reached = self.browser.run("return reached", Vec::new());
        let reached: Vec<i64> = serde_json::from_value(reached).expect("a list of places");
        (reached.into_iter().skip_while(|at| *at != 0).take(all).collect(), all)
    }
}

/// What is wrong with a page in a window of this width and a scheme.
fn seen_from(
    browser: &Browser,
    name: &str,
    (width, scheme): (u32, &str),
    judge: impl Fn(&Browser) -> Vec<String>,
) -> Vec<String> {
    browser.width(width);
    browser.scheme(scheme);
    let at = format!("{name} {width} {scheme}");
    let sideways = "const root = document.documentElement; return root.scrollWidth > root.clientWidth";
    let scrolls = browser.run(sideways, Vec::new()) != Value::Bool(false);
    let mut found: Vec<String> = scrolls.then(|| format!("{at}: scrolls sideways")).into_iter().collect();
    found.extend(judge(browser).into_iter().map(|found| format!("{at}: {found}")));
    if !found.is_empty() || std::env::var_os(PICTURES).is_some() {
        let directory = appliance::target_dir().join("pages");
        std::fs::create_dir_all(&directory).expect("the target directory");
        browser.picture(&directory.join(format!("{name}-{width}-{scheme}.png")));
    }
    found
}

fn with_script(rig: &Appliance) -> Browser {
    Browser::with(&base(rig), BrowserOptions { script: true, ..BrowserOptions::default() })
}
