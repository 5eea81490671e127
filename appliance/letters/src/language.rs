//! Languages of letters: their tags, their dates, and the risk notes that every letter carries. Knows nothing of
//! pages.

use jiff::civil::Date;

use crate::job::FieldError;
use crate::templates::Kind;

/// A language, perhaps as one country writes it: `de`, `de-CH`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Language(String);

impl Language {
    pub(crate) fn parse(tag: &str) -> Result<Self, FieldError> {
        let (base, region) = tag.split_once('-').map_or((tag, None), |(base, region)| (base, Some(region)));
        let is_base = (2..=3).contains(&base.len()) && base.bytes().all(|c| c.is_ascii_lowercase());
        let is_region =
            region.is_none_or(|region| region.len() == 2 && region.bytes().all(|c| c.is_ascii_uppercase()));
        if is_base && is_region { Ok(Language(tag.to_owned())) } else { Err(FieldError::Language) }
    }

    /// The whole tag.
    pub(crate) fn tag(&self) -> &str {
        &self.0
    }

    /// The language without the country.
    pub(crate) fn base(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// The country.
    pub(crate) fn region(&self) -> Option<&str> {
        self.0.split_once('-').map(|(_, region)| region)
    }

    /// The language for any country.
    pub(crate) fn general(&self) -> Self {
        Language(self.base().to_owned())
    }

    /// A date as it is written in a letter; in a language that is not shipped, as ISO 8601 has it.
    pub(crate) fn date(&self, date: Date) -> String {
        let Some(months) = months(self.base()) else {
            return date.to_string();
        };
        let month = months[usize::from(date.month().unsigned_abs()) - 1];
        let (day, year) = (date.day(), date.year());
        match (self.base(), day) {
            ("de", _) => format!("{day}. {month} {year}"),
            ("fr", 1) => format!("1er {month} {year}"),
            ("it", 1) => format!("1° {month} {year}"),
            _ => format!("{day} {month} {year}"),
        }
    }

    /// What the reader must know before anything else, in a language that is shipped (OATH-47).
    pub(crate) fn risk_note(&self, kind: Kind) -> Option<&'static str> {
        let note = match (kind, self.base()) {
            (Kind::SmsIak, "de") => {
                "Dieser Code ist nur für Sie bestimmt. Wer ihn und Ihr Passwort kennt, kann ein fremdes Telefon für Ihr \
                 Konto registrieren. Geben Sie ihn niemandem weiter: Wir fragen weder am Telefon noch per E-Mail oder \
                 SMS danach. Bewahren Sie den Brief sicher auf und vernichten Sie ihn nach der Registrierung. War der \
                 Umschlag bei der Ankunft geöffnet, melden Sie es uns bitte sofort."
            }
            (Kind::Oath, "de") => {
                "Der QR-Code ist vertraulich. Wer ihn sieht oder fotografiert, kann Ihr Konto auf dem eigenen Telefon \
                 einrichten und damit gültige Einmalcodes erzeugen. Geben Sie ihn niemandem weiter. Bewahren Sie den Brief sicher auf oder vernichten Sie ihn nach Gebrauch. War der Umschlag bei der \
                 Ankunft geöffnet, melden Sie es uns bitte sofort."
            }
            (Kind::SmsIak, "en") => {
                "This code is for you alone. Anybody who has it and knows your password can register another phone for \
                 your account. Do not give it to anyone: we will never ask for it by phone, e-mail or text message. \
                 Keep this letter in a safe place and destroy it once your phone is registered. If the envelope was \
                 open when it arrived, please tell us at once."
            }
            (Kind::Oath, "en") => {
                "The QR code is confidential. Anybody who sees or photographs it can set up your account on their own \
                 phone and produce valid one-time codes. Do not give it to anyone. Keep this letter in a safe place, or \
                 destroy it after use. If the envelope was open when it arrived, please tell us at once."
            }
            (Kind::SmsIak, "fr") => {
                "Ce code vous est strictement personnel. Toute personne qui le possède et connaît votre mot de passe \
                 peut enregistrer un autre téléphone pour votre compte. Ne le communiquez à personne\u{a0}: nous ne vous le \
                 demanderons jamais par téléphone, par e-mail ou par SMS. Conservez cette lettre en lieu sûr et \
                 détruisez-la une fois l’enregistrement terminé. Si l’enveloppe était ouverte à son arrivée, \
                 signalez-le-nous immédiatement."
            }
            (Kind::Oath, "fr") => {
                "Le code QR est confidentiel. Toute personne qui le voit ou le photographie peut configurer votre compte \
                 sur son propre téléphone et générer des codes à usage unique valables. Ne le communiquez à personne. \
                 Conservez cette lettre en lieu sûr ou détruisez-la après utilisation. Si l’enveloppe était ouverte à son \
                 arrivée, signalez-le-nous immédiatement."
            }
            (Kind::SmsIak, "it") => {
                "Questo codice è strettamente personale. Chiunque ne sia in possesso e conosca la sua password può \
                 registrare un altro telefono per il suo account. Non lo comunichi a nessuno: non glielo chiederemo mai \
                 per telefono, e-mail o SMS. Conservi questa lettera in un luogo sicuro e la distrugga al termine della \
                 registrazione. Se all’arrivo la busta era aperta, ce lo segnali immediatamente."
            }
            (Kind::Oath, "it") => {
                "Il codice QR è riservato. Chiunque lo veda o lo fotografi può configurare il suo account sul proprio \
                 telefono e generare codici monouso validi. Non lo comunichi a nessuno. Conservi questa lettera in un luogo sicuro oppure la \
                 distrugga dopo l’uso. Se all’arrivo la busta era aperta, ce lo segnali immediatamente."
            }
            _ => return None,
        };
        Some(note)
    }
}

fn months(base: &str) -> Option<[&'static str; 12]> {
    Some(match base {
        "de" => [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        "en" => [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        "fr" => [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        "it" => [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fonts::Fonts;

    #[test]
    fn a_tag_has_one_form() {
        let language = Language::parse("de-CH").unwrap();
        assert_eq!((language.base(), language.region()), ("de", Some("CH")));
        for tag in ["", "d", "DE", "de_CH", "de-ch", "de-", "deut", "../a", "de-CH-x"] {
            assert_eq!(Language::parse(tag), Err(FieldError::Language), "{tag}");
        }
    }

    #[test]
    fn dates_are_written_as_people_write_them() {
        let date = |tag: &str, text: &str| Language::parse(tag).unwrap().date(text.parse().unwrap());
        assert_eq!(date("de", "2026-03-09"), "9. März 2026");
        assert_eq!(date("de-CH", "2026-12-31"), "31. Dezember 2026");
        assert_eq!(date("en", "2026-01-02"), "2 January 2026");
        assert_eq!(date("fr", "2026-08-01"), "1er août 2026");
        assert_eq!(date("it", "2026-05-01"), "1° maggio 2026");
        assert_eq!(date("es", "2026-05-01"), "2026-05-01");
    }

    #[test]
    fn every_shipped_language_warns_and_the_fonts_can_print_it() {
        let fonts = Fonts::embedded();
        for tag in ["de", "en", "fr", "it"] {
            for kind in Kind::ALL {
                let note = Language::parse(tag).unwrap().risk_note(kind).unwrap();
                assert!(note.chars().all(|c| fonts.draw(c)) && !note.contains("  "), "{note}");
                // The German note serves Switzerland, too.
                assert!(!note.contains('ß'), "{note}");
            }
        }
        assert_eq!(Language::parse("es").unwrap().risk_note(Kind::Oath), None);
    }

    /// OATH-47. Red when a note warns of something that its letter does not show.
    #[test]
    fn a_note_speaks_of_what_its_letter_shows() {
        let key = ["Schlüssel", "key", "clé", "chiave"];
        for tag in ["de", "en", "fr", "it"] {
            let language = Language::parse(tag).unwrap();
            let note = language.risk_note(Kind::Oath).unwrap();
            assert!(note.contains("QR") && !key.iter().any(|word| note.contains(word)), "{note}");
            assert!(!language.risk_note(Kind::SmsIak).unwrap().contains("QR"), "{tag}");
        }
    }
}
