//! Letters as paper: what stands in the window of the envelope, where to fold, and how a long letter goes on.

use serde_json::json;

use crate::rig;

const MM_PER_POINT: f64 = 25.4 / 72.0;

/// A word and its box, in millimetres from the left and the top edge.
#[derive(Debug)]
struct Word {
    text: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

/// Part of a page, in millimetres.
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn holds(&self, word: &Word) -> bool {
        word.left >= self.left
            && word.right <= self.right
            && word.top >= self.top
            && word.bottom <= self.bottom
    }

    fn touches(&self, word: &Word) -> bool {
        word.right > self.left && word.left < self.right && word.bottom > self.top && word.top < self.bottom
    }
}

/// The words of each page.
fn words(pdf: &[u8]) -> Vec<Vec<Word>> {
    let boxes = rig::ask("pdftotext", &["-bbox", "-", "-"], pdf);
    let word = |line: &str| {
        let side = |name: &str| {
            let rest = line.split_once(&format!("{name}=\""))?.1;
            rest.split_once('"')?.0.parse::<f64>().ok().map(|points| points * MM_PER_POINT)
        };
        let text = line.split_once('>')?.1.strip_suffix("</word>")?.to_owned();
        Some(Word {
            text,
            left: side("xMin")?,
            top: side("yMin")?,
            right: side("xMax")?,
            bottom: side("yMax")?,
        })
    };
    let pages = boxes.split("<page ").skip(1);
    pages.map(|page| page.lines().filter_map(|line| word(line.trim())).collect()).collect()
}

/// What is sure to be seen, wherever the letter lies in the envelope, and what may be seen: DIN 680 (90 x 45 mm, 20 mm
/// from the left, 15 mm from the bottom of a C6/5) and SN 010130 (100 x 45 mm, 21 mm from the bottom of a C6/5, at
/// the left or 12 mm from the right).
fn window(side: &str) -> (Area, Area) {
    if side == "left" {
        (
            Area { left: 20.0, top: 48.0, right: 105.0, bottom: 84.5 },
            Area { left: 0.0, top: 39.0, right: 120.0, bottom: 98.0 },
        )
    } else {
        (
            Area { left: 117.0, top: 48.0, right: 198.0, bottom: 84.5 },
            Area { left: 98.0, top: 39.0, right: 210.0, bottom: 93.0 },
        )
    }
}

/// MOB-27: the whole address is in the window, with the sender's, and nothing else is.
#[test]
fn the_window_shows_the_address_and_nothing_else() {
    let wide: Vec<String> = (1..=6).map(|line| format!("{line}{}", "W".repeat(59))).collect();
    for side in ["left", "right"] {
        let mut longest = rig::letter("sms-iak", "de");
        longest["id"] = json!("longest");
        longest["recipient"] = json!(wide);
        let (sure, visible) = window(side);
        for pdf in rig::pdfs(&rig::letters(side, &[rig::letter("oath", "fr"), longest])) {
            let page = words(&pdf).remove(0);
            let (inside, outside): (Vec<_>, Vec<_>) = page.iter().partition(|word| sure.holds(word));
            let said: Vec<_> = inside.iter().map(|word| word.text.as_str()).collect();
            let sender = ["Stadtwerke", "Beispielhausen", "AG", "·", "Postfach", "12", "·", "3000", "Bern"];
            assert_eq!(said[..9], sender);
            if said[9] == "Frau" {
                assert_eq!(
                    said[9..].join(" "),
                    "Frau Dr. Zoë Größl Abteilung Netze Lange Straße 12a Postfach 3001 Bern"
                );
            } else {
                assert_eq!(said[9..], wide);
            }
            for word in outside {
                assert!(!visible.touches(word), "{side}: {word:?} can be seen through the window");
            }
        }
    }
}

/// Ten dots to the millimetre.
const DPI: &str = "254";

/// The marks at the left edge of a page: their middle and their length, in millimetres.
fn marks(pdf: &[u8], page: &str, name: &str) -> Vec<(f64, f64)> {
    let stem = rig::scratch(name);
    let stem = stem.to_str().expect("a path in UTF-8");
    // The outermost 12 mm: everything else keeps away from there.
    let part = ["-x", "0", "-y", "0", "-W", "120", "-H", "2970"];
    let arguments =
        [&["-r", DPI, "-gray", "-singlefile", "-f", page, "-l", page][..], &part, &["-", stem]].concat();
    rig::ask("pdftoppm", &arguments, pdf);
    let picture = std::fs::read(format!("{stem}.pgm")).expect("the picture was made");
    let pixels = &picture[picture.len() - 120 * 2970..];
    let rows: Vec<usize> =
        pixels.chunks(120).map(|row| row.iter().filter(|dot| **dot < 200).count()).collect();
    let dark: Vec<usize> = (0..rows.len()).filter(|y| rows[*y] > 0).collect();
    let runs = dark.chunk_by(|a, b| b - a == 1);
    runs.map(|run| ((run[0] + run[run.len() - 1] + 1) as f64 / 20.0, rows[run[run.len() / 2]] as f64 / 10.0))
        .collect()
}

/// DIN 5008 form B: folds at 105 and 210 mm, the hole mark in the middle.
#[test]
fn the_first_page_shows_where_to_fold() {
    let mut long = rig::letter("sms-iak", "de");
    long["paragraphs"] = json!(vec!["Ein Absatz. ".repeat(40).trim_end(); 6]);
    for side in ["left", "right"] {
        let pdf = rig::pdfs(&rig::letters(side, std::slice::from_ref(&long))).remove(0);
        let found = marks(&pdf, "1", &format!("marks-{side}"));
        let wanted = [(105.0, 4.0), (148.5, 6.0), (210.0, 4.0)];
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for ((y, length), (wanted_y, wanted_length)) in found.iter().zip(wanted) {
            assert!((y - wanted_y).abs() < 0.3 && (length - wanted_length).abs() < 0.3, "{found:?}");
        }
        assert_eq!(marks(&pdf, "2", &format!("marks-{side}-2")), []);
    }
}

/// A long letter goes on, says so, and leaves no heading behind; a code is never parted.
#[test]
fn a_long_letter_goes_on_to_a_second_page() {
    for count in 1..=5 {
        let mut letter = rig::letter("sms-iak", "de");
        letter["paragraphs"] =
            json!(vec!["Bitte beachten Sie auch diesen Absatz. ".repeat(20).trim_end(); count]);
        let pdf = rig::pdfs(&rig::letters("left", &[letter])).remove(0);
        rig::has_info(&pdf, "Pages", "2");
        let text = rig::ask("pdftotext", &["-layout", "-", "-"], &pdf);
        let pages: Vec<&str> = text.split_terminator('\x0c').collect();
        for (index, page) in pages.iter().enumerate() {
            assert!(page.contains(&format!("{}/2", index + 1)), "{page}");
            let body: Vec<&str> = page.lines().filter(|line| !line.trim().is_empty()).collect();
            let foot =
                body.iter().position(|line| line.contains("Sitz Bern")).expect("every page has its foot");
            for heading in ["Haben Sie Fragen?", "Wichtig für Ihre Sicherheit", "So registrieren Sie"] {
                assert!(
                    !body[foot - 1].contains(heading),
                    "{count}: {heading} stands alone at the end of {page}"
                );
            }
        }
        assert!(pages[0].contains("ABCD-EFGH-2345") && pages[1].contains("2026-000123"), "{text}");
        assert!(pages[1].contains("Freundliche Grüße"), "{text}");
    }
}
