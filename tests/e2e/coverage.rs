//! `docs/coverage.md`: which test shows which requirement, as the tests' own comments say it.
//!
//! `UPDATE_COVERAGE=1` writes it anew. A requirement that no test cites must stand in [`OPEN`] with its reason, and
//! whoever shows it takes it out there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tests::appliance::workspace;

/// Families of requirements and how many each has.
const FAMILIES: [(&str, &str, u32); 5] = [
    ("MOB", "Mobile number registration with activation letters", 40),
    ("SMS", "SMS authenticator", 45),
    ("OATH", "OATH OTP with letters", 54),
    ("BIND", "Factor request, identity vetting and binding", 44),
    ("COMB", "Combined registration, push and OATH", 47),
];
/// The acceptance scenarios of these five.
const SCENARIOS: u32 = 24;

/// What no test can show, and why; or what is not shown yet.
const OPEN: &[(&str, &str)] =
    &[("OATH-15", "there is no app"), ("COMB-46", "a statement about another product's editions")];

/// Where tests stand.
const ROOTS: [&str; 5] = ["appliance", "firmware", "hsm", "modem", "tests"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The ids in a text; `MOB-01 to MOB-03` are three.
fn ids(text: &str) -> BTreeSet<(String, u32)> {
    let mut found = BTreeSet::new();
    let mut before: Option<(String, u32)> = None;
    let mut ranged = false;
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ':' | ';' | '(' | ')')) {
        let id = word.split_once('-').and_then(|(family, number)| {
            let known = FAMILIES.iter().any(|(name, ..)| *name == family) || family == "AT";
            (known && number.len() == 2).then(|| number.parse().ok().map(|n| (family.to_owned(), n)))?
        });
        match id {
            Some((family, number)) => {
                let first = match &before {
                    Some((former, from)) if ranged && *former == family => *from,
                    _ => number,
                };
                found.extend((first..=number).map(|n| (family.clone(), n)));
                before = Some((family, number));
                ranged = false;
            }
            None if word == "to" => ranged = before.is_some(),
            None if word.is_empty() => {}
            None => {
                before = None;
                ranged = false;
            }
        }
    }
    found
}

/// Every test with the ids in its comment, as `file::name`.
fn citations() -> BTreeMap<(String, u32), BTreeSet<String>> {
    let root = workspace();
    let mut files = Vec::new();
    for directory in ROOTS {
        sources(&root.join(directory), &mut files);
    }
    let mut cited: BTreeMap<(String, u32), BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let shown = file.strip_prefix(&root).expect("below the root").display().to_string();
        let (mut comment, mut is_test) = (String::new(), false);
        for line in text.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("///") {
                comment.push_str(words);
                comment.push(' ');
            } else if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]");
            } else {
                let name = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                if let (true, Some(name)) = (is_test, name) {
                    for id in ids(&comment) {
                        cited.entry(id).or_default().insert(format!("{shown}::{name}"));
                    }
                }
                comment.clear();
                is_test = false;
            }
        }
    }
    cited
}

fn row(text: &mut String, id: &str, tests: Option<&BTreeSet<String>>) {
    let open = OPEN.iter().find(|(open, _)| *open == id);
    let shown = match (tests, open) {
        (Some(tests), _) => {
            let links = tests.iter().map(|test| {
                let (file, name) = test.split_once("::").expect("file::name");
                format!("[`{name}`](../{file})")
            });
            links.collect::<Vec<_>>().join(", ")
        }
        (None, Some((_, reason))) => format!("not by a test: {reason}"),
        (None, None) => "**nothing**".to_owned(),
    };
    writeln!(text, "| {id} | {shown} |").expect("a string takes all");
}

fn page(cited: &BTreeMap<(String, u32), BTreeSet<String>>) -> String {
    let mut text = "# Which test shows which requirement\n\nMade from the comments of the tests; `tests/e2e/coverage.rs` \
                    compares it, and fails for a requirement without a test.\n"
        .to_owned();
    let scenarios = ("AT", "Scenarios from end to end", SCENARIOS);
    for (family, title, count) in FAMILIES.into_iter().chain([scenarios]) {
        writeln!(text, "\n## {title}\n\n| Requirement | Shown by |\n|---|---|").expect("a string takes all");
        for number in 1..=count {
            row(&mut text, &format!("{family}-{number:02}"), cited.get(&(family.to_owned(), number)));
        }
    }
    text
}

/// Each requirement is shown by a test that cites it, or says why not; the page says the same.
#[test]
fn every_requirement_has_its_test() {
    let cited = citations();
    let path = workspace().join("docs/coverage.md");
    let made = page(&cited);
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        fs::write(&path, &made).expect("docs can be written");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let missing: Vec<&str> = made.lines().filter(|line| line.ends_with("**nothing** |")).collect();
    assert!(missing.is_empty(), "no test cites:\n{}", missing.join("\n"));
    assert!(
        stored == made,
        "docs/coverage.md is out of date: UPDATE_COVERAGE=1 cargo nextest run -E 'binary(coverage)'"
    );
    for (open, _) in OPEN {
        let (family, number) = open.split_once('-').expect("an id");
        let id = (family.to_owned(), number.parse().expect("a number"));
        assert!(!cited.contains_key(&id), "{open} is shown now: take it out of the list");
    }
}

#[test]
fn ids_are_read_alone_and_in_ranges() {
    let read = |text: &str| -> Vec<String> {
        ids(text).into_iter().map(|(family, number)| format!("{family}-{number:02}")).collect()
    };
    assert_eq!(read("AT-06, SMS-10 to SMS-12, D-19: a number"), ["AT-06", "SMS-10", "SMS-11", "SMS-12"]);
    assert_eq!(read("MOB-07. From MOB-1 to nobody-02"), ["MOB-07"]);
    assert_eq!(read("MOB-01 leads to MOB-03"), ["MOB-01", "MOB-03"]);
}
