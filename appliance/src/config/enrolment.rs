//! `[enrol]`: which methods of vetting there are, the registration code, who is eligible, whose registration authority
//! somebody is (BIND-12, BIND-33, BIND-34, BIND-37).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use domain::enrol::Method;
use domain::enrol::policy::Policy;
use domain::flow::{Definition, Purpose};
use domain::names::UserName;
use serde::Deserialize;
use toml::Spanned;

use super::check::Checker;
use super::{Config, Finding, enrol};

/// Days on which a registration code is valid (BIND-34).
const VALID_DAYS: RangeInclusive<u32> = 1..=30;
const VALID_DAYS_DEFAULT: u32 = 14;
/// Time after which the applicant is reminded of the code.
const REMIND_MS: RangeInclusive<u64> = 1_000..=30 * 24 * 3_600_000;
const REMIND_DEFAULT_MS: u64 = 7 * 24 * 3_600_000;
/// Enrolments of one user under way at once.
const OPEN_MAX: RangeInclusive<u32> = 1..=20;
const OPEN_MAX_DEFAULT: u32 = 3;
/// Enrolments that are asked for in one user's name in a day.
const DAY_MAX: RangeInclusive<u32> = 1..=1_000;
const DAY_MAX_DEFAULT: u32 = 10;
/// How old an assertion may be that vouches for somebody.
const ASSERTION_AGE_MS: RangeInclusive<u64> = 10_000..=24 * 3_600_000;
const ASSERTION_AGE_DEFAULT_MS: u64 = 10 * 60_000;
/// Days for which the record of an identity outlives its binding (D-48).
const RETENTION_DAYS: RangeInclusive<u32> = 0..=3_650;
const RETENTION_DAYS_DEFAULT: u32 = 365;
/// Days for which the record of a process without a binding is kept (B.5.6).
const UNUSED_DAYS: RangeInclusive<u32> = 0..=365;
const UNUSED_DAYS_DEFAULT: u32 = 30;
/// Longest name of an organisation, in characters.
pub(crate) const ORGANISATION_MAX: usize = 64;
/// Largest policy file, in bytes.
const FILE_MAX: u64 = 256 * 1024;
const KEY: &str = "enrol.policy";
const DESK_KEY: &str = "enrol.desk.login_flow";
/// What is said of a login that opens no desk.
const NO_SECOND: &str =
    "does not ask everybody for a second factor: nobody without one gets to the desk (BIND-35)";

/// Enrolments.
#[derive(Clone, Debug)]
pub struct Enrolments {
    /// The policy in effect.
    pub policy: Policy,
    /// The file that it is in, where it is not the shipped one.
    pub policy_file: Option<PathBuf>,
    /// Methods that may be asked for.
    pub methods: Vec<Method>,
    /// Days on which a registration code is valid, each to its end.
    pub code_valid_days: u32,
    /// Time after which the applicant is reminded of it, in milliseconds.
    pub remind_after_ms: u64,
    /// Organisations whose members are eligible; empty for all.
    pub organisations: Vec<String>,
    /// Enrolments of one user under way at once.
    pub open_max: u32,
    /// Enrolments that are asked for in one user's name in a day, but for those of a desk or an operator.
    pub day_max: u32,
    /// How old an assertion may be that vouches for somebody, in milliseconds.
    pub assertion_max_age_ms: u64,
    /// The login of registration authorities; that of the pages where it is not named.
    pub desk_login_flow: Option<String>,
    /// Organisations that a registration authority works for; who is not named works for all.
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Days for which the record of an identity outlives its binding.
    pub retention_days: u32,
    /// Days for which the record of a process without a binding is kept.
    pub unused_days: u32,
}

impl Default for Enrolments {
    /// Desk and letter, by the shipped policy (BIND-33).
    fn default() -> Self {
        Enrolments {
            policy: enrol::shipped().clone(),
            policy_file: None,
            methods: vec![Method::OnPremise, Method::Letter],
            code_valid_days: VALID_DAYS_DEFAULT,
            remind_after_ms: REMIND_DEFAULT_MS,
            organisations: Vec::new(),
            open_max: OPEN_MAX_DEFAULT,
            day_max: DAY_MAX_DEFAULT,
            assertion_max_age_ms: ASSERTION_AGE_DEFAULT_MS,
            desk_login_flow: None,
            scopes: BTreeMap::new(),
            retention_days: RETENTION_DAYS_DEFAULT,
            unused_days: UNUSED_DAYS_DEFAULT,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrolTable {
    policy: Option<Spanned<PathBuf>>,
    retention_days: Option<Spanned<u32>>,
    unused_days: Option<Spanned<u32>>,
    #[serde(default)]
    methods: BTreeMap<String, Spanned<MethodTable>>,
    #[serde(default)]
    code: CodeTable,
    #[serde(default)]
    eligibility: EligibilityTable,
    #[serde(default)]
    assertion: AssertionTable,
    #[serde(default)]
    desk: DeskTable,
    #[serde(default)]
    scopes: BTreeMap<String, Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodTable {
    enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeTable {
    valid_days: Option<Spanned<u32>>,
    remind_after: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EligibilityTable {
    organisations: Option<Spanned<Vec<String>>>,
    open_max: Option<Spanned<u32>>,
    day_max: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssertionTable {
    max_age: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeskTable {
    login_flow: Option<Spanned<String>>,
}

/// Whether a text can name an organisation.
pub(crate) fn is_organisation(text: &str) -> bool {
    let length = text.chars().count();
    (1..=ORGANISATION_MAX).contains(&length) && !text.chars().any(char::is_control) && text.trim() == text
}

/// The login of registration authorities. One that can never let anybody in is a mistake (BIND-35).
fn desk(c: &mut Checker<'_>, named: Option<Spanned<String>>, flows: &[Definition]) -> Option<String> {
    let named = named?;
    let flow = flows.iter().find(|flow| flow.id == *named.get_ref() && flow.purpose == Purpose::Login);
    match flow {
        None => c.find(&named, DESK_KEY, "there is no login flow of this id"),
        Some(flow) if !flow.asks_second_factor() => c.find(&named, DESK_KEY, NO_SECOND),
        Some(_) => {}
    }
    Some(named.into_inner())
}

impl Config {
    /// The login of registration authorities; none where there is no login at all.
    pub fn desk_login(&self) -> Option<&str> {
        self.enrol.desk_login_flow.as_deref().or(self.people.pages.login_flow.as_deref())
    }

    /// What is wrong with the desk's login where the configuration does not name one for it: key and text.
    pub fn desk_warning(&self) -> Option<(&'static str, String)> {
        let vets = self.enrol.methods.iter().any(|method| method.needs_person());
        let login = self.desk_login().filter(|_| vets && self.people.pages.public_url.is_some())?;
        let flow = self.people.flows.iter().find(|flow| flow.id == login)?;
        let text = format!("the desk's login is `{login}`, which {NO_SECOND}");
        (!flow.asks_second_factor()).then_some((DESK_KEY, text))
    }
}

pub(super) fn check(c: &mut Checker<'_>, table: EnrolTable, flows: &[Definition]) -> Enrolments {
    if let Some(policy) = &table.policy {
        c.absolute(policy, KEY);
    }
    let organisations = table.eligibility.organisations;
    if let Some(names) = &organisations
        && !names.get_ref().iter().all(|name| is_organisation(name))
    {
        let text = format!("a name has 1 to {ORGANISATION_MAX} characters");
        c.find(names, "enrol.eligibility.organisations", text);
    }
    Enrolments {
        policy: enrol::shipped().clone(),
        policy_file: table.policy.map(Spanned::into_inner),
        methods: methods(c, &table.methods),
        code_valid_days: c.number(
            table.code.valid_days,
            "enrol.code.valid_days",
            VALID_DAYS,
            VALID_DAYS_DEFAULT,
        ),
        remind_after_ms: c.milliseconds(
            table.code.remind_after,
            "enrol.code.remind_after",
            REMIND_MS,
            REMIND_DEFAULT_MS,
        ),
        organisations: organisations.map(Spanned::into_inner).unwrap_or_default(),
        open_max: c.number(
            table.eligibility.open_max,
            "enrol.eligibility.open_max",
            OPEN_MAX,
            OPEN_MAX_DEFAULT,
        ),
        day_max: c.number(table.eligibility.day_max, "enrol.eligibility.day_max", DAY_MAX, DAY_MAX_DEFAULT),
        assertion_max_age_ms: c.milliseconds(
            table.assertion.max_age,
            "enrol.assertion.max_age",
            ASSERTION_AGE_MS,
            ASSERTION_AGE_DEFAULT_MS,
        ),
        desk_login_flow: desk(c, table.desk.login_flow, flows),
        scopes: scopes(c, table.scopes),
        retention_days: c.number(
            table.retention_days,
            "enrol.retention_days",
            RETENTION_DAYS,
            RETENTION_DAYS_DEFAULT,
        ),
        unused_days: c.number(table.unused_days, "enrol.unused_days", UNUSED_DAYS, UNUSED_DAYS_DEFAULT),
    }
}

fn methods(c: &mut Checker<'_>, tables: &BTreeMap<String, Spanned<MethodTable>>) -> Vec<Method> {
    let mut methods = Enrolments::default().methods;
    for (name, table) in tables {
        let Some(method) = Method::from_name(name) else {
            let known: Vec<&str> = Method::ALL.iter().map(|one| one.name()).collect();
            let text = format!("there is no such method; there are {}", known.join(", "));
            c.find(table, &format!("enrol.methods.{name}"), text);
            continue;
        };
        methods.retain(|one| *one != method);
        if table.get_ref().enabled {
            methods.push(method);
        }
    }
    methods.sort_unstable();
    methods
}

fn scopes(
    c: &mut Checker<'_>,
    tables: BTreeMap<String, Spanned<Vec<String>>>,
) -> BTreeMap<String, Vec<String>> {
    let mut scopes = BTreeMap::new();
    for (name, organisations) in tables {
        let key = format!("enrol.scopes.{name}");
        let Ok(operator) = UserName::parse(&name) else {
            c.find(&organisations, &key, "is no name of an operator");
            continue;
        };
        if organisations.get_ref().is_empty()
            || !organisations.get_ref().iter().all(|one| is_organisation(one))
        {
            let text = format!("names at least one organisation, of 1 to {ORGANISATION_MAX} characters");
            c.find(&organisations, &key, text);
        }
        scopes.insert(operator.to_string(), organisations.into_inner());
    }
    scopes
}

/// Reads the operator's policy, if the configuration names one. `line` is where it does.
///
/// # Errors
/// Everything that is wrong; then the configuration is as before.
pub(super) fn load(config: &mut Config, line: usize) -> Result<(), Vec<Finding>> {
    let Some(path) = &config.enrol.policy_file else { return Ok(()) };
    let text = read(path).map_err(|error| {
        let text = format!("{} cannot be read: {error}", path.display());
        vec![Finding { file: None, line, key: KEY.to_owned(), text }]
    })?;
    let policy = enrol::tightened(&text).map_err(|findings| {
        let placed = |finding: Finding| Finding { file: Some(path.clone()), ..finding };
        findings.into_iter().map(placed).collect::<Vec<_>>()
    })?;
    config.enrol.policy = policy;
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe would be waited for.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    let read = fs::File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const HEAD: &str = "state_dir = \"/s\"\n[hsm]\nmodule = \"/m\"\ntoken_label = \"t\"\npin_file = \"/p\"\n\
                        [[listen]]\nkind = \"unix\"\naddress = \"/a\"\n";

    fn finds(tables: &str, line: usize, key: &str) {
        let findings = parse(&format!("{HEAD}{tables}")).expect_err("it is refused");
        let line = HEAD.lines().count() + line;
        let told: Vec<String> = findings.iter().map(|f| format!("{} {}", f.line, f.key)).collect();
        assert!(findings.iter().any(|f| f.line == line && f.key == key), "no {line} {key} in {told:?}");
    }

    /// BIND-33, BIND-34: desk and letter are on, the others off; a code lives for 14 days, a reminder comes after 7.
    #[test]
    fn defaults_are_those_of_the_requirements() {
        let config = parse(HEAD).expect("a configuration");
        assert_eq!(config.enrol.methods, [Method::OnPremise, Method::Letter]);
        assert_eq!((config.enrol.code_valid_days, config.enrol.remind_after_ms), (14, 7 * 24 * 3_600_000));
        let more = "[enrol.methods]\nvideo.enabled = true\nletter.enabled = false\n";
        let config = parse(&format!("{HEAD}{more}")).expect("a configuration");
        assert_eq!(config.enrol.methods, [Method::OnPremise, Method::Video]);
    }

    /// BIND-35: a login that lets nobody to the desk is refused where it is named for it, and told where it is the one of
    /// the pages.
    #[test]
    fn the_desks_login_asks_for_a_second_factor() {
        let flows = "[[flow]]\nid = \"plain\"\nsteps = [\"password\"]\n\
                     [[flow]]\nid = \"two\"\nsteps = [\"password\", \"oath\"]\n";
        let with =
            |tables: &str| parse(&format!("public_url = \"http://127.0.0.1:1\"\n{HEAD}{tables}{flows}"));
        let plain = with("").expect("a configuration");
        assert_eq!(plain.desk_login(), Some("plain"));
        let (key, text) = plain.desk_warning().expect("a warning");
        assert!(key == DESK_KEY && text.contains("`plain`"), "{key}: {text}");
        let own = with("[enrol.desk]\nlogin_flow = \"two\"\n").expect("a configuration");
        assert_eq!((own.desk_login(), own.desk_warning()), (Some("two"), None));
        assert_eq!(own.people.pages.login_flow.as_deref(), Some("plain"));
        let findings = with("[enrol.desk]\nlogin_flow = \"plain\"\n").expect_err("it is refused");
        assert!(findings.iter().any(|f| f.key == DESK_KEY && f.text == NO_SECOND), "{findings:?}");
        let nobody = with("[enrol.methods]\non_premise.enabled = false\n").expect("a configuration");
        assert_eq!(nobody.desk_warning(), None, "there is no desk");
    }

    /// BIND-33, BIND-34, BIND-37: what is wrong is named with its line and key.
    #[test]
    fn what_is_wrong_is_named() {
        finds("[enrol]\npolicy = \"enrol.toml\"\n", 2, KEY);
        finds("[enrol.code]\nvalid_days = 31\n", 2, "enrol.code.valid_days");
        finds("[enrol.code]\nremind_after = \"soon\"\n", 2, "enrol.code.remind_after");
        finds("[enrol.methods]\npost.enabled = true\n", 2, "enrol.methods.post");
        finds("[enrol.eligibility]\nopen_max = 0\n", 2, "enrol.eligibility.open_max");
        finds("[enrol.eligibility]\nday_max = 0\n", 2, "enrol.eligibility.day_max");
        finds("[enrol.assertion]\nmax_age = \"1s\"\n", 2, "enrol.assertion.max_age");
        finds("[enrol.desk]\nlogin_flow = \"none\"\n", 2, "enrol.desk.login_flow");
        finds("[enrol.eligibility]\norganisations = [\"\"]\n", 2, "enrol.eligibility.organisations");
        finds("[enrol.scopes]\nann = []\n", 2, "enrol.scopes.ann");
        finds("[enrol]\nretention_days = 9999\n", 2, "enrol.retention_days");
        finds("[enrol]\nwho = 1\n", 2, "who");
    }
}
