//! How the pages look and who can use them: WCAG 2.1 A and AA by axe-core, narrow and wide, light and dark, by keyboard.
//!
//! A picture of each page is left in `pages/` of the target directory.

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
        let directory = appliance::target_dir().join("pages");
        std::fs::create_dir_all(&directory).expect("the target directory");
        for (width, scheme) in [(NARROW, "light"), (WIDE, "light"), (NARROW, "dark"), (WIDE, "dark")] {
            self.browser.width(width);
            self.browser.scheme(scheme);
            let at = format!("{name} {width} {scheme}");
            let sideways =
                "const root = document.documentElement; return root.scrollWidth > root.clientWidth";
            if self.browser.run(sideways, Vec::new()) != Value::Bool(false) {
                self.findings.push(format!("{at}: scrolls sideways"));
            }
            // What does not hang on the colours is the same in both schemes.
            let found = if scheme == "light" { self.browser.axe() } else { self.browser.axe_of_colours() };
            self.findings.extend(found.into_iter().map(|found| format!("{at}: {found}")));
            self.browser.picture(&directory.join(format!("{name}-{width}-{scheme}.png")));
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

fn with_script(rig: &Appliance) -> Browser {
    Browser::with(&base(rig), BrowserOptions { script: true, ..BrowserOptions::default() })
}
