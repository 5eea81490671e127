//! Lists of enrolments: filtered before they are cut, and gone on with after a cursor (BIND-37).

use domain::enrol::{Method, State};
use domain::token::Id;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::enrolment::{EnrolmentRow, many};
use super::error::StoreError;
use super::row::json_list;

/// States in which somebody has something to do, or will have, in that order; others come after them, as what is over.
pub const FIRST: [State; 10] = [
    State::Active,
    State::Bound,
    State::Vetted,
    State::Vetting,
    State::Scheduled,
    State::CodeIssued,
    State::PossessionProven,
    State::FactorSelected,
    State::Eligible,
    State::Requested,
];

/// How urgent a state is: 0 comes first.
fn rank(state: State) -> usize {
    FIRST.iter().position(|first| *first == state).unwrap_or(FIRST.len())
}

/// In which order, and after which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// As they were asked for.
    AsAsked(Option<Id>),
    /// What is to be done first, the newest first among equals; what is over comes last.
    OpenFirst(Option<Place>),
}

impl Default for Sequence {
    fn default() -> Self {
        Sequence::AsAsked(None)
    }
}

/// A place in the list of [`Sequence::OpenFirst`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    rank: usize,
    id: Id,
}

impl Place {
    /// Where an enrolment stands.
    pub fn of(row: &EnrolmentRow) -> Self {
        Place { rank: rank(row.progress.state), id: row.order.id }
    }

    /// As a text that [`Place::parse`] reads.
    pub fn text(&self) -> String {
        format!("{:02}{}", self.rank, data_encoding::HEXLOWER.encode(&self.id))
    }

    /// Reads a place; none for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (rank, id) = text.split_at_checked(2)?;
        let digits = rank.bytes().all(|byte| byte.is_ascii_digit());
        let rank = rank.parse().ok().filter(|rank| digits && *rank <= FIRST.len())?;
        let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok()?;
        Some(Place { rank, id: id.try_into().ok()? })
    }
}

/// Which enrolments to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this user.
    pub user: Option<Id>,
    /// Only in one of these states.
    pub states: Option<Vec<State>>,
    /// Only by one of these methods.
    pub methods: Option<Vec<Method>>,
    /// Only those of one of these organisations.
    pub organisations: Option<Vec<String>>,
    /// Only those that were asked for through this application.
    pub application: Option<Id>,
    /// In which order, and after which one.
    pub sequence: Sequence,
    /// As many at the most.
    pub limit: usize,
}

/// The conditions of a list, and their values.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// `?` stands for the value.
    fn add(&mut self, text: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.texts.push(text.to_owned());
            self.values.push(value);
        }
    }

    fn one_of<T: AsRef<str>>(&mut self, column: &str, names: Option<Vec<T>>) {
        let list = names.map(|names| Value::Text(json_list(&names)));
        self.add(&format!("{column} IN (SELECT value FROM json_each(?))"), list);
    }
}

/// Enrolments as the filter wants them.
///
/// # Errors
/// SQLite's, or a row that does not parse.
pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<EnrolmentRow>, StoreError> {
    let blob = |id: Id| Value::Blob(id.to_vec());
    let mut conditions = Conditions::default();
    conditions.add("user_id = ?", filter.user.map(blob));
    conditions.add("application_id = ?", filter.application.map(blob));
    let names = |states: &Vec<State>| states.iter().map(|state| state.name()).collect::<Vec<_>>();
    conditions.one_of("state", filter.states.as_ref().map(names));
    let names = |methods: &Vec<Method>| methods.iter().map(|method| method.name()).collect::<Vec<_>>();
    conditions.one_of("method", filter.methods.as_ref().map(names));
    conditions.one_of("organisation", filter.organisations.clone());
    let order = match filter.sequence {
        Sequence::AsAsked(after) => {
            conditions.add("id > ?", after.map(blob));
            "id".to_owned()
        }
        Sequence::OpenFirst(after) => {
            let whens = FIRST.iter().map(|state| format!(" WHEN '{}' THEN {}", state.name(), rank(*state)));
            let rank = format!("CASE state{} ELSE {} END", whens.collect::<String>(), FIRST.len());
            if let Some(Place { rank: reached, id }) = after {
                let text = format!("({rank} > {reached} OR ({rank} = {reached} AND id < ?))");
                conditions.add(&text, Some(blob(id)));
            }
            format!("{rank}, id DESC")
        }
    };
    let Conditions { texts, mut values } = conditions;
    let wanted = if texts.is_empty() { String::new() } else { format!(" WHERE {}", texts.join(" AND ")) };
    values.push(Value::Integer(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    let sql = format!("SELECT * FROM enrolment{wanted} ORDER BY {order} LIMIT ?");
    many(connection, &sql, rusqlite::params_from_iter(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place { rank: rank(State::Confirmed), id: [7; 16] };
        assert_eq!(Place::parse(&place.text()), Some(place));
        for text in ["", "0", "é", "+1", "99", &"07".repeat(16), &format!("11{}", "07".repeat(16))] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_over_comes_last() {
        for state in State::ALL {
            assert_eq!(
                rank(*state) < FIRST.len(),
                state.is_open() || *state == State::Active,
                "{}",
                state.name()
            );
        }
    }
}
