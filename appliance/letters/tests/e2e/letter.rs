//! Letters as other programs read them: every field in every language, the codes read back from a picture, and what
//! is refused.

use serde_json::{Value, json};

use crate::label::HOSTILE;
use crate::rig;

const KINDS: [&str; 2] = ["sms-iak", "oath"];
const LANGUAGES: [&str; 4] = ["de", "en", "fr", "it"];

/// The text without anything that depends on where lines break.
fn flat(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn text(pdf: &[u8]) -> String {
    rig::ask("pdftotext", &["-layout", "-", "-"], pdf)
}

/// What a page of this letter must say, in this language.
fn expected(kind: &str, language: &str) -> Vec<&'static str> {
    let mut expected = vec![
        "Frau",
        "Dr. Zoë Größl",
        "Abteilung Netze",
        "Lange Straße 12a",
        "Postfach",
        "3001 Bern",
        "2026-000123",
        "zoe.mueller",
        "https://login.example.org/",
        "Stadtwerke Beispielhausen AG · Postfach 12 · 3000 Bern",
        "Informatik, Zugangsverwaltung",
        "Service Desk +41 31 000 00 01, 7–18 h",
        "servicedesk@example.org",
        "CHE-000.000.000",
    ];
    expected.push(if kind == "oath" { "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP" } else { "ABCD-EFGH-2345" });
    expected.extend(match language {
        "de" => [
            "21. November 2026",
            "12. Dezember 2026",
            "Gültig bis",
            "Guten Tag Zoë Größl,",
            "Freundliche Grüße",
        ],
        "en" => ["21 November 2026", "12 December 2026", "Valid until", "Dear Zoë Größl,", "Yours sincerely"],
        "fr" => [
            "21 novembre 2026",
            "12 décembre 2026",
            "Valable jusqu’au",
            "Bonjour Zoë Größl,",
            "meilleures salutations",
        ],
        _ => ["21 novembre 2026", "12 dicembre 2026", "Scadenza", "Buongiorno Zoë Größl,", "Cordiali saluti"],
    });
    expected.extend(match (kind, language) {
        ("oath", "de") => ["Ihr QR-Code", "vernichten Sie ihn nach Gebrauch", "Vertraulich"],
        ("oath", "en") => ["Your QR code", "destroy it after use", "Confidential"],
        ("oath", "fr") => ["Votre code QR", "détruisez-la après utilisation", "Confidentiel"],
        ("oath", _) => ["Il suo codice QR", "la distrugga dopo l’uso", "Riservato"],
        (_, "de") => {
            ["Ihr Aktivierungscode", "Geben Sie ihn niemandem weiter", "den Einmalcode aus der SMS und"]
        }
        (_, "en") => ["Your activation code", "Do not give it to anyone", "from the text message and"],
        (_, "fr") => ["Votre code d’activation", "Ne le communiquez à personne", "reçu par SMS et"],
        _ => ["Il suo codice di attivazione", "Non lo comunichi a nessuno", "ricevuto tramite SMS e"],
    });
    expected
}

/// MOB-02, MOB-25, OATH-28, OATH-47: what a letter must say, in every language, on one page.
#[test]
fn a_letter_says_everything_in_every_language() {
    for window in ["left", "right"] {
        for kind in KINDS {
            let letters = LANGUAGES.map(|language| rig::letter(kind, language));
            for (pdf, language) in rig::pdfs(&rig::letters(window, &letters)).iter().zip(LANGUAGES) {
                let page = flat(&text(pdf));
                for wanted in expected(kind, language) {
                    assert!(page.contains(&flat(wanted)), "{kind} {language}: {wanted:?} is not in {page}");
                }
                rig::has_info(pdf, "Pages", "1");
                assert!(!page.contains("1/1"));
            }
        }
    }
}

/// Swiss German has no ß; what the data say stays as it is.
#[test]
fn a_country_has_its_own_spelling() {
    for kind in KINDS {
        let pdf = rig::pdfs(&rig::letters("right", &[rig::letter(kind, "de-CH")])).remove(0);
        let page = text(&pdf);
        assert!(page.contains("Freundliche Grüsse") && page.contains("Guten Tag Zoë Größl\n"), "{page}");
        assert!(page.contains("Lange Straße 12a") && page.contains("12. Dezember 2026"), "{page}");
        assert_eq!(flat(&page).replace("Größl", "").replace("Straße", "").matches('ß').count(), 0, "{page}");
    }
}

/// MOB-25: a language without a template gets the default one.
#[test]
fn an_unknown_language_gets_the_default() {
    let (code, lines) = rig::lines(&rig::letters("left", &[rig::letter("sms-iak", "rm")]), &[]);
    assert_eq!(code, Some(0));
    let said =
        ["template", "language", "origin", "kind", "id"].map(|key| lines[0][key].as_str().expect("a text"));
    assert_eq!(said, ["sms-iak_en.typ", "en", "shipped", "sms-iak", "sms-iak_rm"]);
    assert_eq!(lines[0]["pages"], 1);
}

#[test]
fn the_file_is_sound_tagged_and_for_the_archive() {
    for (kind, title) in [("sms-iak", "Votre code d’activation"), ("oath", "Votre code QR")] {
        let pdf = rig::pdfs(&rig::letters("left", &[rig::letter(kind, "fr")])).remove(0);
        rig::qpdf_accepts(&pdf, &format!("letter-{kind}.pdf"));
        rig::has_info(&pdf, "Page size", "595.276 x 841.89 pts (A4)");
        rig::has_info(&pdf, "Title", title);
        rig::has_info(&pdf, "Tagged", "yes");
        let metadata = rig::ask("pdfinfo", &["-meta", "-"], &pdf);
        for claim in [
            "<pdfaid:part>2</pdfaid:part>",
            "<pdfaid:conformance>B</pdfaid:conformance>",
            "2026-11-21T21:19:40",
        ] {
            assert!(metadata.contains(claim), "{claim} is not in\n{metadata}");
        }
        let file = rig::scratch(&format!("letter-{kind}.pdf"));
        let objects = rig::ask("qpdf", &["--json", file.to_str().expect("a path in UTF-8")], b"");
        assert!(objects.contains(r#""/Lang": "u:fr""#), "the document has a language");
        let structure = rig::ask("pdfinfo", &["-struct-text", "-"], &pdf);
        assert!(structure.contains("H1") && structure.contains(title), "{structure}");
        let fonts = rig::ask("pdffonts", &["-"], &pdf);
        assert!(fonts.lines().count() > 3);
        for font in fonts.lines().skip(2) {
            let flags: Vec<_> = font.split_whitespace().rev().skip(2).take(3).collect();
            assert_eq!(flags, ["yes", "yes", "yes"], "embedded, subset and with Unicode: {font}");
        }
    }
}

/// The same job makes the same bytes, and nothing but the job goes into them.
#[test]
fn the_same_job_makes_the_same_letters() {
    let job = rig::letters("left", &[rig::letter("oath", "de"), rig::letter("sms-iak", "it")]);
    assert_eq!(rig::pdfs(&job), rig::pdfs(&job));
    let alone = rig::letters("left", &[rig::letter("sms-iak", "it")]);
    assert_eq!(rig::pdfs(&job)[1], rig::pdfs(&alone)[0], "a letter does not depend on the one before");
}

fn codes(pdf: &[u8], name: &str) -> Vec<String> {
    let stem = rig::scratch(name);
    let stem = stem.to_str().expect("a path in UTF-8");
    rig::ask("pdftoppm", &["-r", "300", "-gray", "-singlefile", "-", stem], pdf);
    let picture = format!("{stem}.pgm");
    let read = rig::ask("zbarimg", &["-q", "--raw", "-Sdisable", "-Sqrcode.enable", &picture], b"");
    read.lines().map(str::to_owned).collect()
}

/// OATH-26, OATH-28, OATH-49: the picture holds the URI as it was given, up to the longest.
#[test]
fn the_code_is_read_back_from_the_picture() {
    let longest = format!("{}{}", rig::OTPAUTH, "W".repeat(512 - rig::OTPAUTH.len()));
    for (index, uri) in [rig::OTPAUTH, longest.as_str()].into_iter().enumerate() {
        let mut letter = rig::letter("oath", "de");
        letter["qr"] = json!(uri);
        let pdf = rig::pdfs(&rig::letters("left", &[letter])).remove(0);
        assert_eq!(codes(&pdf, &format!("letter-code-{index}")), [uri]);
    }
    let mut letter = rig::letter("sms-iak", "de");
    letter["qr"] = json!("https://login.example.org/ui/number");
    let pdf = rig::pdfs(&rig::letters("right", &[letter])).remove(0);
    assert_eq!(codes(&pdf, "letter-code-sms"), ["https://login.example.org/ui/number"]);
    rig::has_info(&pdf, "Pages", "1");
}

/// The words of the job go before those of the template.
#[test]
fn the_operators_words_are_printed() {
    let mut letter = rig::letter("sms-iak", "en");
    letter["salutation"] = json!("Dear colleague,");
    letter["steps"] = json!(["Ask at the desk.", "Show this letter."]);
    letter["risk_note"] = json!("Eat this letter after reading.");
    letter["paragraphs"] = json!(["The desk is closed on Mondays."]);
    let page = text(&rig::pdfs(&rig::letters("left", &[letter]))[0]);
    for wanted in [
        "Dear colleague,",
        "1. Ask at the desk.",
        "2. Show this letter.",
        "Eat this letter",
        "closed on Mondays",
        "https://login.example.org/",
    ] {
        assert!(flat(&page).contains(&flat(wanted)), "{wanted} is not in {page}");
    }
    for gone in ["Dear Zoë", "Sign in with your user name", "we will never ask"] {
        assert!(!flat(&page).contains(&flat(gone)), "{gone} is in {page}");
    }
}

/// No text becomes markup, wherever it stands.
#[test]
fn a_hostile_text_is_printed_as_it_is() {
    for hostile in HOSTILE.iter().copied().chain(["#panic", "*bold*", "$math$", "@ref", r"a\b \\ \"]) {
        let mut letter = rig::letter("sms-iak", "en");
        for field in ["name", "user", "salutation", "reference", "url", "risk_note"] {
            letter[field] = json!(hostile);
        }
        for field in ["recipient", "steps", "paragraphs"] {
            letter[field] = json!([hostile, hostile]);
        }
        let mut job = rig::letters("left", &[letter]);
        for field in ["organisation", "return_line"] {
            job["sender"][field] = json!(hostile);
        }
        for field in ["contact", "help", "footer"] {
            job["sender"][field] = json!([hostile]);
        }
        let pdf = rig::pdfs(&job).remove(0);
        let page = flat(&rig::ask("pdftotext", &["-raw", "-", "-"], &pdf));
        // Salutation, reference, address, user, page, steps, risk note, paragraphs and five times the sender.
        let count = page.matches(&flat(hostile)).count();
        assert!(count >= 14, "{hostile:?} stands there {count} times: {page}");
    }
}

/// One that cannot be printed does not keep back the others; values are not quoted.
#[test]
fn a_bad_letter_is_refused_alone() {
    let cases = [
        ("code", json!("ABCD-EFGH-SECRET"), "code: is not 12 characters of 23456789ABCDEFGHJKLMNPQRSTVWXYZ"),
        ("code", Value::Null, "code: is missing"),
        ("valid_until", Value::Null, "valid_until: is missing"),
        ("url", Value::Null, "url: is missing"),
        ("qr", json!("otpauth://totp/a?secret=SECRET"), "qr: does not begin with https://"),
        ("recipient", json!([]), "recipient: must have 1 to 6 items"),
        ("recipient", json!(vec!["A"; 7]), "recipient: must have 1 to 6 items"),
        ("recipient", json!(["A", "SECRET\n"]), "recipient[1]: holds a character that cannot be printed"),
        ("recipient", json!(["x".repeat(61)]), "recipient[0]: is longer than 60 characters"),
        ("name", json!("\u{202e}SECRET"), "name: holds a character that cannot be printed"),
        ("name", json!("漢字"), "name: holds a character that cannot be printed"),
        ("user", json!(""), "user: is empty"),
        ("date", json!("21.11.2026"), "date: is not a date of the form 2026-12-31 from 1970 on"),
        ("language", json!("../de"), "language: is not a language of the form de or de-CH"),
        ("steps", json!([]), "steps: must have 1 to 12 items"),
        ("paragraphs", json!(vec!["A"; 21]), "paragraphs: must have 0 to 20 items"),
        ("risk_note", json!("x".repeat(801)), "risk_note: is longer than 800 characters"),
        ("risk_note", json!(""), "risk_note: is empty"),
    ];
    let mut letters = vec![rig::letter("sms-iak", "de")];
    for (index, (field, value, _)) in cases.iter().enumerate() {
        let mut letter = rig::letter("sms-iak", "de");
        letter["id"] = json!(format!("bad-{index}"));
        letter[field] = value.clone();
        letters.push(letter);
    }
    letters.push(rig::letter("oath", "de"));
    let (code, lines) = rig::lines(&rig::letters("left", &letters), &[]);
    assert_eq!(code, Some(1));
    assert_eq!(lines.len(), cases.len() + 2);
    for line in [&lines[0], &lines[cases.len() + 1]] {
        assert!(rig::pdf_of(line).starts_with(b"%PDF-"));
    }
    for (index, (_, _, why)) in cases.iter().enumerate() {
        assert_eq!(lines[index + 1], json!({"id": format!("bad-{index}"), "refused": why}));
    }
    let mut letter = rig::letter("oath", "de");
    letter["qr"] = Value::Null;
    assert_eq!(rig::lines(&rig::letters("left", &[letter]), &[]).1[0]["refused"], "qr: is missing");
}

/// A job that its caller has wrong makes no letter at all.
#[test]
fn a_bad_job_makes_no_letter() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut job = rig::letters("left", &[rig::letter("sms-iak", "de")]);
        change(&mut job);
        let output = rig::finish(rig::start(), job.to_string().as_bytes());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{job}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let twice = json!([rig::letter("oath", "de"), rig::letter("oath", "de")]);
    let many: Vec<Value> = vec![rig::letter("oath", "de"); 101];
    for (said, wanted) in [
        (with(&|job| job["letters"][0]["iban"] = json!("SECRET")), "unknown field `iban`"),
        (with(&|job| job["sender"]["iban"] = json!("SECRET")), "unknown field `iban`"),
        (with(&|job| job["letters"][0]["kind"] = json!("SECRET")), "a value has the wrong type"),
        (with(&|job| job["letters"][0]["id"] = json!("../SECRET")), "letters[0].id: is not an identifier"),
        (with(&|job| job["letters"] = twice.clone()), "letters[1].id: is used twice"),
        (with(&|job| job["letters"] = json!([])), "letters: must have 1 to 100 items"),
        (with(&|job| job["letters"] = json!(many)), "letters: must have 1 to 100 items"),
        (with(&|job| job["window"] = json!("middle")), "a value has the wrong type"),
        (with(&|job| job["default_language"] = json!("german")), "default_language: is not a language"),
        (with(&|job| job["sender"]["help"] = json!([])), "sender.help: must have 1 to 4 items"),
        (with(&|job| job["sender"]["colour"] = json!("red")), "sender.colour: is not a colour"),
        (with(&|job| job["sender"]["logo"]["data"] = json!("#")), "sender.logo: is not Base64"),
        (with(&|job| job["sender"]["logo"]["data"] = json!("AAAA")), "sender.logo: is not a picture"),
    ] {
        assert!(said.contains(wanted) && !said.contains("SECRET") && said.lines().count() == 1, "{said}");
    }
}
