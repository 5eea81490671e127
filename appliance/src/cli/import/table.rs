//! Users as a CSV file holds them: read whole, within limits, every fault with its line and column.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use domain::method::Method;
use domain::names::UserName;
use domain::phone::Msisdn;
use serde::Serialize;

use crate::api::wire;
use crate::flows::users::{check_email, check_lang, check_lines};

/// Largest file, in bytes.
const FILE_MAX: u64 = 8 * 1024 * 1024;
/// Users of a file at the most.
const USERS_MAX: usize = 20_000;
/// Faults that are told.
const FAULTS_MAX: usize = 100;
/// What some systems write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Lines of a postal address.
const LINES: [&str; 6] = ["line1", "line2", "line3", "line4", "line5", "line6"];
/// Every other column.
const COLUMNS: [&str; 6] = ["name", "lang", "email", "phone", "method", "org"];

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// Line of the file, from 1.
    pub(super) line: u64,
    /// Column, from 1; none for the whole line.
    pub(super) column: Option<usize>,
    /// Name of the column; empty for the whole line.
    pub(super) field: String,
    /// What is wrong; it repeats no number and no address.
    pub(super) text: String,
}

/// A user of the file.
pub(super) struct Entry {
    line: u64,
    column_of_name: usize,
    pub(super) user: wire::NewUser,
}

impl Entry {
    /// What the daemon said of the user.
    pub(super) fn fault(&self, text: String) -> Fault {
        Fault { line: self.line, column: Some(self.column_of_name), field: "name".to_owned(), text }
    }
}

/// A file that was read.
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<Fault>,
    pub(super) has_phones: bool,
}

/// Reads a file within [`FILE_MAX`].
///
/// # Errors
/// When it cannot be read or is too large.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB: split it", FILE_MAX >> 20)));
    }
    Ok(bytes)
}

/// Where the columns are, by name.
struct Header(BTreeMap<String, usize>);

impl Header {
    fn parse(record: &StringRecord, ignored: &[String]) -> Result<Self, String> {
        let mut columns = BTreeMap::new();
        for (at, name) in record.iter().enumerate() {
            let name = name.to_ascii_lowercase();
            if ignored.iter().any(|ignored| ignored.eq_ignore_ascii_case(&name)) {
                continue;
            }
            if !COLUMNS.contains(&name.as_str()) && !LINES.contains(&name.as_str()) {
                return Err(format!(
                    "line 1, column {}: {name:?} is no column that is known; there are {} and {}. \
                     --ignore leaves one out, --separator says what stands between them",
                    at + 1,
                    COLUMNS.join(", "),
                    LINES.join(", ")
                ));
            }
            if columns.insert(name, at).is_some() {
                return Err(format!("line 1, column {}: the column is there twice", at + 1));
            }
        }
        if !columns.contains_key("name") {
            return Err("line 1: there is no column name".to_owned());
        }
        Ok(Header(columns))
    }

    fn get<'r>(&self, record: &'r StringRecord, name: &str) -> Option<&'r str> {
        let cell = self.0.get(name).and_then(|at| record.get(*at));
        cell.filter(|text| !text.is_empty())
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.0.get(name).map(|at| at + 1)
    }
}

/// Reads the users of a file.
///
/// # Errors
/// When nothing can be made of its first line, or there are more than [`USERS_MAX`].
pub(super) fn parse(bytes: &[u8], separator: u8, ignored: &[String]) -> Result<Table, String> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let mut reader = ReaderBuilder::new().delimiter(separator).trim(Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| error.to_string())?;
    let header = Header::parse(header, ignored)?;
    let mut table = Table { entries: Vec::new(), faults: Vec::new(), has_phones: false };
    let mut seen = BTreeMap::new();
    for record in reader.records() {
        if table.faults.len() >= FAULTS_MAX {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                table.faults.push(unreadable(&error, &mut lines));
                continue;
            }
        };
        if table.entries.len() >= USERS_MAX {
            return Err(format!("it holds more than {USERS_MAX} users: split it"));
        }
        let line = lines.of(record.position());
        let mut row = Row { header: &header, record: &record, line, faults: &mut table.faults };
        let user = row.user();
        table.has_phones |= user.phone.is_some();
        if !user.name.is_empty()
            && let Some(first) = seen.insert(user.name.clone(), line)
        {
            row.wrong("name", &format!("line {first} has the same name"));
        }
        let column_of_name = header.column("name").unwrap_or(1);
        table.entries.push(Entry { line, column_of_name, user });
    }
    Ok(table)
}

/// Counts the lines before each record. The reader's own count is one less where lines end with two characters: it
/// takes a record to begin between them.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a record, from 1. Records come in their order.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(self.at);
        while let Some(byte) = self.bytes.get(self.at) {
            if self.at >= begin && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

fn unreadable(error: &csv::Error, lines: &mut Lines<'_>) -> Fault {
    let line = lines.of(error.position());
    let (column, text) = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (None, format!("has {len} columns, and the first line has {expected_len}"))
        }
        ErrorKind::Utf8 { err, .. } => (Some(err.field() + 1), "is not UTF-8".to_owned()),
        _ => (None, "cannot be read as CSV".to_owned()),
    };
    Fault { line, column, field: String::new(), text }
}

/// A line with its faults.
struct Row<'r> {
    header: &'r Header,
    record: &'r StringRecord,
    line: u64,
    faults: &'r mut Vec<Fault>,
}

impl Row<'_> {
    fn wrong(&mut self, field: &str, text: &str) {
        let column = self.header.column(field);
        let (field, text) = (field.to_owned(), text.to_owned());
        self.faults.push(Fault { line: self.line, column, field, text });
    }

    /// The text of a cell that is not empty, if `check` finds nothing wrong with it.
    fn checked<E: ToString>(
        &mut self,
        field: &str,
        check: impl FnOnce(&str) -> Result<String, E>,
    ) -> Option<String> {
        let text = self.header.get(self.record, field)?;
        match check(text) {
            Ok(text) => Some(text),
            Err(error) => {
                self.wrong(field, &error.to_string());
                None
            }
        }
    }

    fn user(&mut self) -> wire::NewUser {
        let name = self.checked("name", |text| UserName::parse(text).map(|name| name.to_string()));
        if self.header.get(self.record, "name").is_none() {
            self.wrong("name", "is empty");
        }
        wire::NewUser {
            name: name.unwrap_or_default(),
            phone: self.checked("phone", |text| Msisdn::parse(text).map(|number| number.expose().to_owned())),
            lang: self.checked("lang", |text| check_lang(text).map(|()| text.to_owned())),
            email: self.checked("email", |text| check_email(text).map(|()| text.to_owned())),
            address: self.address(),
            password: None,
            active_method: self.checked("method", |text| {
                Method::from_name(text).map(|method| method.name().to_owned()).ok_or("is no method")
            }),
        }
    }

    /// The lines of the postal address, with the organisation after the first, as on an envelope.
    fn address(&mut self) -> Vec<String> {
        let mut lines: Vec<String> =
            LINES.iter().filter_map(|line| self.header.get(self.record, line)).map(str::to_owned).collect();
        if let Some(org) = self.header.get(self.record, "org") {
            if lines.is_empty() {
                self.wrong(
                    "org",
                    "is a line of the address, and there is no other; --ignore org leaves it out",
                );
            } else {
                lines.insert(1, org.to_owned());
            }
        }
        if let Err(error) = check_lines(&lines) {
            let first = LINES.iter().find(|line| self.header.column(line).is_some());
            self.wrong(first.copied().unwrap_or("org"), &error.to_string());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(u64, Option<usize>, String)> {
        let table = parse(text.as_bytes(), b',', &[]).unwrap_or_else(|error| panic!("{error}"));
        table.faults.into_iter().map(|fault| (fault.line, fault.column, fault.text)).collect()
    }

    #[track_caller]
    fn fault(text: &str, line: u64, column: Option<usize>, says: &str) {
        let found = faults(text);
        let fits = |(at, in_column, text): &(u64, Option<usize>, String)| {
            *at == line && *in_column == column && text.contains(says)
        };
        assert!(found.iter().any(fits), "{line}:{column:?} {says} is not among {found:?}");
    }

    /// D-01: what a directory exports becomes users; lines may be quoted, and end as Windows ends them.
    #[test]
    fn users_are_read() {
        let text = "\u{feff}Name, lang,line1,org,line2,line3,phone,email\r\n\
                    ann,de-CH,\"Ann, B.\",Example AG,Gasse 1,,+41 79 123 45 67,ann@example.org\r\n\
                    Bob,,,,,,,\r\n";
        let table = parse(text.as_bytes(), b',', &[]).unwrap();
        assert_eq!(table.faults, []);
        let [ann, bob] = &table.entries[..] else { panic!("two users") };
        assert_eq!(ann.user.address, ["Ann, B.", "Example AG", "Gasse 1"]);
        assert_eq!(ann.user.phone.as_deref(), Some("+41791234567"));
        assert_eq!((bob.user.name.as_str(), &bob.user.lang, bob.line), ("bob", &None, 3));
        assert!(table.has_phones);
        let semicolons = parse(b"name;uid\nann;7\n", b';', &["UID".to_owned()]).unwrap();
        assert_eq!((semicolons.entries.len(), semicolons.has_phones), (1, false));
    }

    /// Each fault has its line and its column, and repeats no address. Red when a line that is counted in records is off
    /// after a cell of two lines.
    #[test]
    fn each_fault_has_its_place() {
        let two_lines = "name,line1\nann,\"a\nb\"\nb b,x\n";
        fault(two_lines, 4, Some(1), "");
        fault("name,phone\nann,0791234567\n", 2, Some(2), "+");
        fault("name,phone\r\n\r\nann,+41791234567\r\nbob,079\r\n", 4, Some(2), "+");
        fault("name,phone\r\nann\r\n", 2, None, "columns");
        fault("name,lang,email\nann,de_CH!,x\n", 2, Some(2), "language");
        fault("name,lang,email\nann,de,x\n", 2, Some(3), "e-mail");
        fault("name,email\nann,a@example.org\nANN,b@example.org\n", 3, Some(1), "line 2");
        fault("name,email\n,a@example.org\n", 2, Some(1), "empty");
        fault("name,email\nann\n", 2, None, "1 columns");
        fault("name,method\nann,FAX\n", 2, Some(2), "method");
        fault("name,org\nann,Example AG\n", 2, Some(2), "address");
        fault(&format!("name,line1\nann,{}\n", "x".repeat(61)), 2, Some(2), "60");
        let table = parse(b"name,email\nann,\xff\xfe\n", b',', &[]).unwrap();
        assert_eq!((table.faults[0].line, table.faults[0].column), (2, Some(2)));
        assert!(faults("name,email\nann,secret\n").iter().all(|(_, _, text)| !text.contains("secret")));
        assert_eq!(faults(&format!("name\n{}", "!\n".repeat(1000))).len(), FAULTS_MAX);
    }

    #[test]
    fn the_first_line_names_known_columns() {
        for (text, says) in [
            ("", "no column name"),
            ("email\na@example.org\n", "no column name"),
            ("name,uid\nann,7\n", "\"uid\""),
            ("name;email\nann;a@example.org\n", "--separator"),
            ("name,Name\nann,ann\n", "twice"),
        ] {
            let error = parse(text.as_bytes(), b',', &[]).err().unwrap_or_default();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many = format!("name\n{}", (0..=USERS_MAX).map(|n| format!("u{n}\n")).collect::<String>());
        assert!(parse(many.as_bytes(), b',', &[]).err().is_some_and(|error| error.contains("20000")));
    }
}
