//! The policy of enrolments (B.7): shipped with the appliance; an operator's file may ask for more, never for less.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use domain::enrol::policy::{Activator, Column, Demand, Loosened, Policy};
use domain::enrol::{Activity, Factor, Level, Method};
use serde::Deserialize;
use toml::Spanned;

use super::Finding;
use super::file::{line_of, parse};

/// The shipped policy.
pub const SHIPPED: &str = include_str!("../../policy/enrol-default.toml");
/// Longest name of a version, in bytes.
const VERSION_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    version: Spanned<String>,
    #[serde(default)]
    column: Vec<ColumnTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnTable {
    method: Spanned<String>,
    level: Spanned<f64>,
    activate_by: Spanned<String>,
    second_person: bool,
    source_required: bool,
    factors: Vec<Spanned<String>>,
    activities: BTreeMap<String, Spanned<String>>,
}

/// The policy that is shipped, as it is in effect without a file of the operator's.
///
/// # Panics
/// Never: a test reads the shipped file.
pub fn shipped() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| read(SHIPPED).expect("the shipped policy is tested"))
}

/// Reads an operator's policy: its columns take the place of the shipped ones.
///
/// # Errors
/// Findings with line and key: what cannot be read, and `CFG-ENROL-1` for what asks for less than the shipped policy.
pub fn tightened(text: &str) -> Result<Policy, Vec<Finding>> {
    let own = read(text)?;
    let loosened = own.loosened(shipped());
    if !loosened.is_empty() {
        return Err(loosened.iter().map(|one| found(text, one)).collect());
    }
    let replaced = |column: &&Column| own.column(column.method, column.level).is_none();
    let kept = shipped().columns.iter().filter(replaced).cloned();
    Ok(Policy { version: own.version.clone(), columns: own.columns.iter().cloned().chain(kept).collect() })
}

fn found(text: &str, loosened: &Loosened) -> Finding {
    let (method, level, what) = match loosened {
        Loosened::Unknown(method, level) => (method, level, "there is no such column".to_owned()),
        Loosened::Demand(method, level, one) => {
            (method, level, format!("{} may not be asked for less", one.name()))
        }
        Loosened::Factor(method, level, factor) => {
            (method, level, format!("`{}` is no factor of this column", factor.name()))
        }
        Loosened::SecondPerson(method, level) => {
            (method, level, "the second person may not be left out".to_owned())
        }
        Loosened::Source(method, level) => (method, level, "the source may not be left out".to_owned()),
        Loosened::Activator(method, level) => {
            (method, level, "the appliance may not activate by itself".to_owned())
        }
    };
    let line = place_of(text, *method, *level);
    let key = format!("column {} {}", method.name(), level.name());
    Finding { file: None, line, key, text: format!("CFG-ENROL-1: {what}; the shipped policy is the least") }
}

/// The line on which a column begins: that of its method.
fn place_of(text: &str, method: Method, level: Level) -> usize {
    let Ok(file) = parse::<PolicyFile>(text) else { return 1 };
    let is_it = |table: &&ColumnTable| {
        Method::from_name(table.method.get_ref()) == Some(method)
            && Level::from_value(*table.level.get_ref()) == Some(level)
    };
    file.column.iter().find(is_it).map_or(1, |table| line_of(text, table.method.span().start))
}

fn read(text: &str) -> Result<Policy, Vec<Finding>> {
    let file: PolicyFile = parse(text).map_err(|finding| vec![finding])?;
    let mut reader = Reader { text, findings: Vec::new() };
    let version = file.version.get_ref().clone();
    if version.is_empty() || version.len() > VERSION_MAX {
        reader.find(&file.version, "version", format!("has 1 to {VERSION_MAX} bytes"));
    }
    let mut columns: Vec<Column> = Vec::new();
    for table in file.column {
        let at = table.method.clone();
        let Some(column) = reader.column(table) else { continue };
        if columns.iter().any(|other| other.method == column.method && other.level == column.level) {
            reader.find(&at, "method", "there are two columns for this method and level");
        }
        columns.push(column);
    }
    if reader.findings.is_empty() { Ok(Policy { version, columns }) } else { Err(reader.findings) }
}

struct Reader<'t> {
    text: &'t str,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn find<T>(&mut self, at: &Spanned<T>, key: &str, text: impl Into<String>) {
        let line = line_of(self.text, at.span().start);
        self.findings.push(Finding { file: None, line, key: key.to_owned(), text: text.into() });
    }

    /// A word out of a list, or a finding that names the list.
    fn word<T: Copy>(
        &mut self,
        at: &Spanned<String>,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<T> {
        let found = all.iter().copied().find(|one| name(*one) == at.get_ref());
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            self.find(at, key, format!("`{}` is none of {}", at.get_ref(), names.join(", ")));
        }
        found
    }

    fn column(&mut self, table: ColumnTable) -> Option<Column> {
        let method = self.word(&table.method, "method", Method::ALL, Method::name);
        let level = Level::from_value(*table.level.get_ref());
        if level.is_none() {
            self.find(&table.level, "level", "is 1.5, 2 or 3");
        }
        let activate_by = self.word(&table.activate_by, "activate_by", Activator::ALL, Activator::name);
        let mut factors = Vec::new();
        for factor in &table.factors {
            factors.extend(self.word(factor, "factors", Factor::ALL, Factor::name));
        }
        let demands = self.demands(&table)?;
        Some(Column {
            method: method?,
            level: level?,
            demands,
            activate_by: activate_by?,
            second_person: table.second_person,
            source_required: table.source_required,
            factors,
        })
    }

    /// What is asked of each activity. Every one is named, so that none is forgotten.
    fn demands(&mut self, table: &ColumnTable) -> Option<Vec<Demand>> {
        for (name, at) in &table.activities {
            if Activity::from_name(name).is_none() {
                self.find(at, name, "there is no such activity: see `countersign enrol catalogue`");
            }
        }
        let mut demands = Vec::with_capacity(Activity::ALL.len());
        for activity in Activity::ALL {
            match table.activities.get(activity.name()) {
                Some(at) => demands.extend(self.word(at, activity.name(), Demand::ALL, Demand::name)),
                None => self.find(&table.method, activity.name(), "is missing in this column"),
            }
        }
        (demands.len() == Activity::ALL.len()).then_some(demands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &str, line: usize, key: &str, words: &str) {
        let findings = tightened(text).expect_err("it is refused");
        let told: Vec<String> = findings.iter().map(|f| format!("{} {} {}", f.line, f.key, f.text)).collect();
        assert!(
            findings.iter().any(|f| f.line == line && f.key == key && f.text.contains(words)),
            "no line {line}, {key}, {words:?} in {told:?}"
        );
    }

    /// The shipped column of a desk and level 3, alone, with something changed.
    fn desk(from: &str, to: &str) -> String {
        let begin =
            SHIPPED.find("[[column]]\nmethod = \"on_premise\"\nlevel = 3").expect("the desk's column");
        let end = SHIPPED[begin..].find("\n\n#").expect("another column follows");
        let column = &SHIPPED[begin..begin + end];
        assert!(column.contains(from), "{from} is not in the column");
        format!("version = \"mine\"\n{}\n", column.replacen(from, to, 1))
    }

    /// B.7, BIND-30, BIND-33: the shipped policy names every activity in every column, and what it asks for can lead to
    /// the level of its column.
    #[test]
    fn the_shipped_policy_is_whole() {
        let policy = shipped();
        for method in Method::ALL {
            assert!(policy.columns.iter().any(|column| column.method == *method), "{}", method.name());
        }
        for column in &policy.columns {
            let needs_ra = column.activate_by == Activator::Ra;
            assert_eq!(
                column.method.needs_person(),
                needs_ra,
                "{}: a person activates",
                column.method.name()
            );
            assert!(
                column.level < Level::Three || column.factors == [Factor::Hardware],
                "B.6: hardware alone is 3"
            );
            let proof = column.demand(Activity::VetProof);
            assert_eq!(proof == Demand::Mandatory, column.level >= Level::Two, "BIND-15, BIND-40");
        }
    }

    /// B.7: an operator's column takes the place of the shipped one, the others stay.
    #[test]
    fn a_policy_may_ask_for_more() {
        let own = tightened(&desk("I_VET_SOURCE = \"optional\"", "I_VET_SOURCE = \"mandatory\""))
            .expect("stricter");
        assert_eq!((own.version.as_str(), own.columns.len()), ("mine", shipped().columns.len()));
        let column = own.column(Method::OnPremise, Level::Three).expect("the column");
        assert_eq!(column.demand(Activity::VetSource), Demand::Mandatory);
        assert_eq!(tightened("version = \"2\"\n").expect("nothing else").columns, shipped().columns);
    }

    /// B.7, BIND-30: less than the shipped policy asks for is refused, and so is what cannot be read; line and key are
    /// named.
    #[test]
    fn a_policy_may_not_ask_for_less() {
        let key = "column on_premise 3";
        let less = desk("F_AUTHENTICATION_BIND = \"mandatory\"", "F_AUTHENTICATION_BIND = \"optional\"");
        finds(&less, 3, key, "CFG-ENROL-1: F_AUTHENTICATION_BIND");
        finds(&desk("factors = [\"hardware\"]", "factors = [\"sms\"]"), 3, key, "`sms` is no factor");
        finds(&desk("activate_by = \"ra\"", "activate_by = \"system\""), 3, key, "activate by itself");
        finds(&desk("source_required = true", "source_required = false"), 3, key, "source");
        finds(&desk("level = 3", "level = 1.5"), 3, "column on_premise 1.5", "no such column");
        finds(&desk("level = 3", "level = 2.5"), 4, "level", "1.5, 2 or 3");
        finds(&desk("I_VET_RECORD = \"mandatory\"\n", ""), 3, "I_VET_RECORD", "is missing");
        finds(&desk("I_VET = \"mandatory\"", "I_VET = \"sometimes\""), 18, "I_VET", "is none of");
        finds(&desk("I_VET = ", "I_WET = "), 18, "I_WET", "no such activity");
        finds(&desk("second_person = false", "second_person = 1"), 6, "1", "expected a boolean");
    }
}
