//! The templates of letters: those that come with the program, and an operator's directory that goes before them.
//! The directory is read once, whole and bounded; afterwards nothing is opened any more.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::language::Language;
use crate::world::Files;

/// Most files of a directory.
const FILES_MAX: usize = 64;
/// Most bytes of one of them.
const FILE_MAX: u64 = 1 << 20;
/// Longest file name.
const NAME_MAX: usize = 64;

/// The page that all shipped letters share.
const PAGE: (&str, &str) = ("letter.typ", include_str!("../templates/letter.typ"));
const SHIPPED: [(&str, &str); 9] = [
    PAGE,
    ("sms-iak_de.typ", include_str!("../templates/sms-iak_de.typ")),
    ("sms-iak_en.typ", include_str!("../templates/sms-iak_en.typ")),
    ("sms-iak_fr.typ", include_str!("../templates/sms-iak_fr.typ")),
    ("sms-iak_it.typ", include_str!("../templates/sms-iak_it.typ")),
    ("oath_de.typ", include_str!("../templates/oath_de.typ")),
    ("oath_en.typ", include_str!("../templates/oath_en.typ")),
    ("oath_fr.typ", include_str!("../templates/oath_fr.typ")),
    ("oath_it.typ", include_str!("../templates/oath_it.typ")),
];

/// What a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The initial activation key for the registration of a phone (MOB-02).
    SmsIak,
    /// The QR code for an authenticator app (OATH-28).
    Oath,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::SmsIak, Kind::Oath];

    /// As it stands in file names and jobs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::SmsIak => "sms-iak",
            Kind::Oath => "oath",
        }
    }
}

/// Why a directory was not taken.
#[derive(Debug, Error)]
pub(crate) enum DirectoryError {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: holds more than {FILES_MAX} templates and pictures", path = path.display())]
    TooMany { path: PathBuf },
    #[error("{path}: is longer than {FILE_MAX} bytes", path = path.display())]
    TooLong { path: PathBuf },
    #[error("{path}: is not a regular file; links out of the directory are not followed", path = path.display())]
    NotAFile { path: PathBuf },
    #[error("{path}: a name has at most {NAME_MAX} letters, digits, dots, - and _", path = path.display())]
    Name { path: PathBuf },
    #[error("{path}: is not UTF-8", path = path.display())]
    Utf8 { path: PathBuf },
}

/// Where a template comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    Shipped,
    Directory,
}

/// All templates at hand.
pub(crate) struct Templates {
    files: Arc<Files>,
    origins: BTreeMap<String, Origin>,
}

/// The template for a letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    /// The language of its words: the reader's, or the default where there is none in that.
    pub(crate) language: Language,
}

impl Templates {
    /// Those that come with the program.
    pub(crate) fn shipped() -> Self {
        let mut files = Files::default();
        for (name, text) in SHIPPED {
            files.put_template(name, text);
        }
        let origins = SHIPPED.iter().map(|(name, _)| ((*name).to_owned(), Origin::Shipped)).collect();
        Templates { files: Arc::new(files), origins }
    }

    /// The text of one that comes with the program.
    pub(crate) fn text(name: &str) -> Option<&'static str> {
        SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
    }

    /// The names of those that come with the program.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// Reads a directory: templates (`.typ`) and pictures (`.png`, `.jpg`, `.svg`). Other files do not matter.
    ///
    /// # Errors
    /// [`DirectoryError`] when it cannot be read or goes beyond a limit.
    pub(crate) fn read(directory: &Path) -> Result<Self, DirectoryError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::Read { path, source }
        };
        let Templates { files, mut origins } = Templates::shipped();
        let mut files = Arc::unwrap_or_clone(files);
        let mut count = 0;
        for entry in fs::read_dir(directory).map_err(fault(directory))? {
            let path = entry.map_err(fault(directory))?.path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if !matches!(ending, "typ" | "png" | "jpg" | "svg") {
                continue;
            }
            count += 1;
            if count > FILES_MAX {
                return Err(DirectoryError::TooMany { path: directory.to_owned() });
            }
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_plain(name))
            else {
                return Err(DirectoryError::Name { path });
            };
            let content = read_file(&path)?;
            if ending == "typ" {
                let Ok(text) = String::from_utf8(content) else {
                    return Err(DirectoryError::Utf8 { path });
                };
                files.put_template(name, &text);
                origins.insert(name.to_owned(), Origin::Directory);
            } else {
                files.put_picture(name, content);
            }
        }
        Ok(Templates { files: Arc::new(files), origins })
    }

    pub(crate) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// Every template of a letter, and of other files those from the directory.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (&str, Origin)> {
        self.origins.iter().map(|(name, origin)| (name.as_str(), *origin))
    }

    /// The template in the reader's language, as the reader's country writes it if there is one; else in the
    /// default language (MOB-25).
    pub(crate) fn choose(&self, kind: Kind, wanted: &Language, default: &Language) -> Option<Choice> {
        // The words of a general template still follow the country where they differ.
        let candidates = [
            (wanted, wanted.clone()),
            (wanted, wanted.general()),
            (default, default.clone()),
            (default, default.general()),
        ];
        candidates.into_iter().find_map(|(language, file)| {
            let name = file_name(kind, &file);
            let origin = *self.origins.get(&name)?;
            Some(Choice { name, origin, language: language.clone() })
        })
    }
}

/// The kind and the language that a file name stands for.
pub(crate) fn parse_name(name: &str) -> Option<(Kind, Language)> {
    let (kind, tag) = name.strip_suffix(".typ")?.split_once('_')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some((kind, Language::parse(tag).ok()?))
}

fn file_name(kind: Kind, language: &Language) -> String {
    format!("{}_{}.typ", kind.name(), language.tag())
}

fn is_plain(name: &str) -> bool {
    name.len() <= NAME_MAX
        && !name.starts_with('.')
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

fn read_file(path: &Path) -> Result<Vec<u8>, DirectoryError> {
    let fault = |source| DirectoryError::Read { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(fault)?.is_file() {
        return Err(DirectoryError::NotAFile { path: path.to_owned() });
    }
    let mut content = Vec::new();
    fs::File::open(path).map_err(fault)?.take(FILE_MAX + 1).read_to_end(&mut content).map_err(fault)?;
    if content.len() as u64 > FILE_MAX {
        return Err(DirectoryError::TooLong { path: path.to_owned() });
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MOB-25: by the reader's language, else by the default.
    #[test]
    fn the_readers_language_comes_first() {
        let language = |tag: &str| Language::parse(tag).unwrap();
        let templates = Templates::shipped();
        for (wanted, default, name, words) in [
            ("fr", "de", "sms-iak_fr.typ", "fr"),
            ("de-CH", "en", "sms-iak_de.typ", "de-CH"),
            ("es", "it", "sms-iak_it.typ", "it"),
            ("es", "de-CH", "sms-iak_de.typ", "de-CH"),
        ] {
            let choice = templates.choose(Kind::SmsIak, &language(wanted), &language(default)).unwrap();
            assert_eq!((choice.name.as_str(), choice.language.tag()), (name, words), "{wanted}");
        }
        assert_eq!(templates.choose(Kind::Oath, &language("es"), &language("rm")), None);
    }

    #[test]
    fn a_file_name_says_kind_and_language() {
        assert_eq!(parse_name("oath_de-CH.typ"), Some((Kind::Oath, Language::parse("de-CH").unwrap())));
        for name in ["letter.typ", "oath_DE.typ", "iak_de.typ", "oath_de.png"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
