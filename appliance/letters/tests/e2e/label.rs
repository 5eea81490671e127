//! Labels as other programs see them: text, size, structure, and the codes read back from a picture.

use serde_json::{Value, json};

use crate::rig;

fn token(serial: &str) -> Value {
    json!({"serial": serial, "kind": "TOTP, 6 digits, 30 s", "batch": "2026-07-A", "date": "2026-11-21"})
}

/// The lines of each page.
fn text(pdf: &[u8]) -> Vec<Vec<String>> {
    let text = rig::ask("pdftotext", &["-raw", "-", "-"], pdf);
    text.split_terminator('\x0c').map(|page| page.lines().map(str::to_owned).collect()).collect()
}

/// The dots per inch of a common label printer, 8 to the millimetre.
const DPI: f64 = 203.0;

/// The codes on the first page, as a label printer would print it.
fn codes(pdf: &[u8], name: &str) -> Vec<String> {
    codes_within(pdf, name, &[])
}

/// The codes in a part of the first page.
fn codes_within(pdf: &[u8], name: &str, part: &[&str]) -> Vec<String> {
    let stem = rig::scratch(name);
    let stem = stem.to_str().expect("a path in UTF-8");
    let dpi = DPI.to_string();
    let arguments = [&["-r", &dpi, "-mono", "-singlefile"], part, &["-", stem]].concat();
    rig::ask("pdftoppm", &arguments, pdf);
    let picture = format!("{stem}.pbm");
    let read = rig::ask("zbarimg", &["-q", "--raw", "-Sdisable", "-Sqrcode.enable", &picture], b"");
    read.lines().map(str::to_owned).collect()
}

#[test]
fn a_label_says_what_the_job_says() {
    let job = rig::labels("single", &[token("CSH7K4QXTA2"), json!({"serial": "B-2", "kind": "HOTP"})]);
    let pdf = rig::pdf(&job);
    assert_eq!(
        text(&pdf),
        [
            vec!["Countersign", "TOTP, 6 digits, 30 s", "SN", "CSH7K4QXTA2", "LOT 2026-07-A", "2026-11-21"],
            vec!["Countersign", "HOTP", "SN", "B-2"],
        ]
    );
    assert_eq!(codes(&pdf, "label"), ["CSH7K4QXTA2"]);
    assert_eq!(pdf, rig::pdf(&job), "the same job makes the same bytes");
}

#[test]
fn the_file_is_sound_and_for_the_archive() {
    let pdf = rig::pdf(&rig::labels("single", &[token("CSH7K4QXTA2"), token("CSH7K4QXTA3")]));
    rig::qpdf_accepts(&pdf, "sound.pdf");
    rig::has_info(&pdf, "Pages", "2");
    // 54 x 25 mm.
    rig::has_info(&pdf, "Page size", "153.071 x 70.8661 pts");
    rig::has_info(&pdf, "Title", "Countersign labels");
    let metadata = rig::ask("pdfinfo", &["-meta", "-"], &pdf);
    for claim in
        ["<pdfaid:part>2</pdfaid:part>", "<pdfaid:conformance>B</pdfaid:conformance>", "2026-11-21T21:19:40"]
    {
        assert!(metadata.contains(claim), "{claim} is not in\n{metadata}");
    }
    let fonts = rig::ask("pdffonts", &["-"], &pdf);
    for font in fonts.lines().skip(2) {
        let flags: Vec<_> = font.split_whitespace().rev().skip(2).take(3).collect();
        assert_eq!(flags, ["yes", "yes", "yes"], "embedded, subset and with Unicode: {font}");
    }
}

#[test]
fn a_sheet_holds_twenty_four() {
    let tokens: Vec<Value> = (0..25).map(|index| token(&format!("CSH7K4QX{index:03}"))).collect();
    let pdf = rig::pdf(&rig::labels("a4-24", &tokens));
    rig::qpdf_accepts(&pdf, "sheet.pdf");
    rig::has_info(&pdf, "Pages", "2");
    rig::has_info(&pdf, "Page size", "595.276 x 841.89 pts (A4)");
    let wanted: Vec<String> = (0..24).map(|index| format!("CSH7K4QX{index:03}")).collect();
    for (index, serial) in wanted.iter().enumerate() {
        // Where a die-cut sheet has its label: 70 x 37 mm, three to a row, half a millimetre from the top.
        let dots = |mm: f64| (mm * DPI / 25.4).round().to_string();
        let (row, column) = ((index / 3) as f64, (index % 3) as f64);
        let part =
            ["-x", &dots(70.0 * column), "-y", &dots(0.5 + 37.0 * row), "-W", &dots(70.0), "-H", &dots(37.0)];
        assert_eq!(codes_within(&pdf, "sheet", &part), [serial.as_str()]);
    }
    let serials =
        |page: &[String]| page.iter().filter(|line| line.starts_with("CSH7")).cloned().collect::<Vec<_>>();
    let pages = text(&pdf);
    assert_eq!(serials(&pages[0]), wanted);
    assert_eq!(serials(&pages[1]), ["CSH7K4QX024"]);
}

#[test]
fn a_long_serial_stands_on_two_lines_and_a_long_code_is_read() {
    let serial = "CSH-0123456789-ABCDEFGHIJ-KLMNOPQRSTUVWX";
    let code = "https://otp.example.org/t/CSH-0123456789-ABCDEFGHIJ-KLMNOPQR";
    assert_eq!((serial.len(), code.len()), (40, 60));
    for (sheet, name) in [("single", "long-single"), ("a4-24", "long-a4")] {
        let pdf = rig::pdf(&rig::labels(sheet, &[json!({"serial": serial, "kind": "HOTP", "qr": code})]));
        assert_eq!(text(&pdf)[0][3..].concat(), serial);
        assert_eq!(codes(&pdf, name), [code]);
    }
}

/// Texts that mean something to a typesetter, a shell or a file system.
pub(crate) const HOSTILE: &[&str] = &[
    r#"#read("/etc/passwd")"#,
    "#panic()",
    "#sys.inputs",
    "#include \"/etc/passwd\"",
    "*strong* _emph_",
    "[content]",
    "] #let x = 1 [",
    r"\u{41}\ \# \n",
    r#"say "quoted" 'text'"#,
    "`raw` ```raw```",
    "$x^2$ $ y $",
    "<label> @ref",
    "a -- b --- c ... ~ -?",
    "= heading",
    "- item",
    "+ item",
    "1. item",
    "/ term: text",
    "// comment",
    "/* comment */",
    "https://example.org/x",
    "file:///etc/passwd",
    "${HOME} $(id) `id` {{x}}",
    "%PDF-1.7 (a) <</S/URI>>",
    "</svg><script>&amp;",
    "fi ffl office 0O1Il",
    "Überprüfung €5 Ωμέγα Ёж",
];

#[test]
fn no_text_becomes_markup() {
    for (index, hostile) in HOSTILE.iter().enumerate() {
        let label = json!({"serial": hostile, "kind": hostile, "batch": hostile, "qr": "plain"});
        let mut job = rig::labels("single", &[label]);
        job["product"] = json!(hostile);
        let pdf = rig::pdf(&job);
        // The serial may be broken over two lines.
        let page: String = text(&pdf)[0].concat().replace(' ', "");
        let line = hostile.replace(' ', "");
        assert_eq!(page, format!("{line}{line}SN{line}LOT{line}"), "{hostile}");
        rig::has_info(&pdf, "Title", &format!("{hostile} labels"));
        rig::has_info(&pdf, "Pages", "1");
        if hostile.is_ascii() {
            let pdf = rig::pdf(&rig::labels("single", &[json!({"serial": hostile, "kind": "K"})]));
            assert_eq!(codes(&pdf, &format!("hostile-{index}")), [*hostile]);
        }
    }
}
