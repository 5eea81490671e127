//! The command line. Nothing secret ever stands on it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::check::{Form, Scope};
use crate::templates::{Kind, Templates, parse_name};

const USAGE: &str = "countersign-letters [--templates DIR] < JOB | --check DIR [--json] | --template FILE [--json] | --show NAME";

/// The command line does not say what to do.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    #[error("usage: {USAGE}")]
    Usage,
    #[error("{name} is no shipped template; there are {known}")]
    Unknown { name: String, known: String },
    #[error("{path} is not named <kind>_<language>.typ with a kind of {kinds}, as in oath_de.typ", path = path.display())]
    Name { path: PathBuf, kinds: String },
    #[error("there is no file {0}")]
    Absent(String),
}

/// What to do.
pub(crate) enum Action {
    /// Typeset the job on stdin.
    Job { templates: Option<PathBuf> },
    /// Check templates.
    Check { directory: PathBuf, scope: Scope, form: Form },
    /// Print a shipped template.
    Show(&'static str),
}

impl Action {
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut arguments: Vec<OsString> = arguments.collect();
        let form = match arguments.iter().position(|argument| argument == "--json") {
            Some(at) => {
                arguments.remove(at);
                Form::Json
            }
            None => Form::Lines,
        };
        match (arguments.as_slice(), form) {
            ([], Form::Lines) => Ok(Action::Job { templates: None }),
            ([flag, value], form) => Self::parse_flag(flag.to_str().unwrap_or_default(), value, form),
            _ => Err(UsageError::Usage),
        }
    }

    fn parse_flag(flag: &str, value: &OsString, form: Form) -> Result<Self, UsageError> {
        match (flag, form) {
            ("--templates", Form::Lines) => Ok(Action::Job { templates: Some(value.into()) }),
            ("--check", form) => Ok(Action::Check { directory: value.into(), scope: Scope::All, form }),
            ("--template", form) => Self::one_file(Path::new(value), form),
            ("--show", Form::Lines) => {
                let name = value.to_string_lossy();
                Templates::text(&name).map(Action::Show).ok_or_else(|| UsageError::Unknown {
                    known: Templates::names().collect::<Vec<_>>().join(", "),
                    name: name.into_owned(),
                })
            }
            _ => Err(UsageError::Usage),
        }
    }

    fn one_file(path: &Path, form: Form) -> Result<Self, UsageError> {
        let kinds = || Kind::ALL.map(Kind::name).join(", ");
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| parse_name(name).is_some());
        let name = name.ok_or_else(|| UsageError::Name { path: path.to_owned(), kinds: kinds() })?;
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Action::Check { directory: directory.to_owned(), scope: Scope::Only(name.to_owned()), form })
    }

    /// The operator's directory.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Action::Job { templates } => templates.as_deref(),
            Action::Check { directory, .. } => Some(directory),
            Action::Show(_) => None,
        }
    }
}
