//! An operator's templates: what they can change, what they cannot reach, and what the check finds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::rig;

/// An empty directory of this test.
fn directory(name: &str) -> PathBuf {
    let path = rig::scratch(name);
    // It may be there from the last run.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).expect("the scratch directory is writable");
    path
}

fn with_file(name: &str, file: &str, content: &str) -> PathBuf {
    let path = directory(name);
    fs::write(path.join(file), content).expect("the directory is writable");
    path
}

fn run(arguments: &[&str]) -> Output {
    rig::finish(rig::start_with(arguments), b"")
}

fn shown(name: &str) -> String {
    let output = run(&["--show", name]);
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What the check says of a directory: the exit code and the lines.
fn check(path: &Path) -> (Option<i32>, String) {
    let output = run(&["--check", path.to_str().expect("a path in UTF-8")]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

/// What the check says of one file.
fn check_one(path: &Path, file: &str) -> (Option<i32>, String) {
    let output = run(&["--template", path.join(file).to_str().expect("a path in UTF-8")]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The line for a letter that is made with a directory.
fn line(path: &Path, kind: &str, language: &str) -> Value {
    let job = rig::letters("left", &[rig::letter(kind, language)]);
    rig::lines(&job, &["--templates", path.to_str().expect("a path in UTF-8")]).1.remove(0)
}

/// MOB-25: a directory of the operator goes before what is shipped, file by file, and adds languages.
#[test]
fn a_directory_goes_before_what_is_shipped() {
    let spanish = shown("sms-iak_en.typ").replace("Your activation code", "Su código de activación");
    let path = with_file("own", "sms-iak_es.typ", &spanish);
    fs::write(
        path.join("oath_de.typ"),
        shown("oath_de.typ").replace("Freundliche Grüße", "Herzlich #box(image(\"a.svg\"))"),
    )
    .expect("writable");
    let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>"#;
    fs::write(path.join("a.svg"), svg).expect("writable");
    fs::write(path.join("README"), [0xff]).expect("writable");
    assert_eq!(check(&path), (Some(0), String::new()));

    let mut letter = rig::letter("sms-iak", "es");
    letter["risk_note"] = json!("No comparta este código.");
    let job = rig::letters("left", &[letter, rig::letter("oath", "de"), rig::letter("oath", "fr")]);
    let (code, lines) = rig::lines(&job, &["--templates", path.to_str().expect("a path in UTF-8")]);
    assert_eq!(code, Some(0), "{lines:?}");
    let origins: Vec<_> =
        lines.iter().map(|line| (line["template"].as_str(), line["origin"].as_str())).collect();
    let wanted = [("sms-iak_es.typ", "directory"), ("oath_de.typ", "directory"), ("oath_fr.typ", "shipped")];
    assert_eq!(origins, wanted.map(|(name, origin)| (Some(name), Some(origin))));
    let text = |index: usize| rig::ask("pdftotext", &["-", "-"], &rig::pdf_of(&lines[index]));
    assert!(text(0).contains("Su código de activación") && text(0).contains("2026-12-12"), "{}", text(0));
    assert!(text(1).contains("Herzlich"), "{}", text(1));

    // Without a text in that language there is no default for the note either.
    assert!(
        line(&path, "sms-iak", "es")["refused"].as_str().is_some_and(|why| why.starts_with("risk_note: "))
    );
}

/// OATH-47, AT-14: what a letter must say cannot be left out, neither in the check nor when a letter is due.
#[test]
fn a_template_that_leaves_something_out_is_refused() {
    for (file, cut, with, missing) in [
        ("oath_de.typ", "#risk-note[Wichtig für Ihre Sicherheit]", "", "risk-note"),
        ("sms-iak_en.typ", "job.valid-until", "none", "valid-until"),
        ("sms-iak_en.typ", "[User name], job.user", "[User name], none", "user"),
        ("oath_it.typ", "job.user", "none", "user"),
        ("sms-iak_fr.typ", "#strong(job.url)", "", "url"),
    ] {
        let path = with_file("left-out", file, &shown(file).replace(cut, with));
        let finding = format!("{file}: does not show: {missing}\n");
        assert_eq!(check_one(&path, file), (Some(1), finding));
        let (kind, language) = file.trim_end_matches(".typ").split_once('_').expect("a name");
        assert_eq!(line(&path, kind, language)["failed"], format!("{file} does not show: {missing}"));
    }
    let page = shown("letter.typ");
    let with_page = |cut: &str, with: &str| {
        assert!(page.contains(cut), "{cut}");
        let path = with_file("left-out-page", "letter.typ", &page.replace(cut, with));
        fs::write(path.join("oath_de.typ"), shown("oath_de.typ")).expect("writable");
        check_one(&path, "oath_de.typ")
    };
    let code_image = "image(job.qr, format: \"svg\", width: 38mm, alt: \"QR code\")";
    for (cut, with, finding) in [
        ("  address()\n", "", "does not show: recipient[0]"),
        (code_image, "", "does not show: qr"),
        ("job.code.split(\" \").map(box).join(\" \")", "", "does not show: code"),
        ("width: 38mm", "width: 30mm", "prints modules narrower than 0.35 mm: qr"),
        ("#let address-y = 58mm", "#let address-y = -5mm", "lets text run over the edge of page 1"),
    ] {
        let (code, said) = with_page(cut, with);
        assert_eq!(code, Some(1));
        assert!(said.contains(&format!("oath_de.typ: {finding}\n")), "{finding}: {said}");
    }
    assert_eq!(with_page("12pt", "11pt"), (Some(0), String::new()));
}

/// Nothing outside the directory can be reached, and nothing in it that is not a template or a picture.
#[test]
fn a_template_reaches_nothing_else() {
    for reach in [
        "#read(\"/etc/passwd\")",
        "#read(\"../../../../../../etc/passwd\")",
        "#read(\"notes.txt\")",
        "#read(\"oath_de.typ\")",
        "#include \"/etc/passwd\"",
        "#image(\"/etc/passwd\")",
        "#import \"@preview/cetz:0.3.0\": *",
        "#plugin(\"a.wasm\")",
        "#datetime.today()",
    ] {
        let path = with_file("reach", "oath_de.typ", &format!("\n{reach}"));
        for file in ["notes.txt", "a.wasm"] {
            fs::write(path.join(file), "secret").expect("writable");
        }
        let (code, said) = check_one(&path, "oath_de.typ");
        assert_eq!(code, Some(1));
        assert!(said.starts_with("oath_de.typ:2: ") && said.lines().count() == 1, "{reach}: {said}");
        assert_eq!(line(&path, "oath", "de")["failed"], "oath_de.typ line 2 fails", "{reach}");
    }
}

#[test]
fn a_directory_is_read_within_bounds() {
    let refused = |path: &Path, wanted: &str| {
        let output = run(&["--check", path.to_str().expect("a path in UTF-8")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    };
    refused(&rig::scratch("no-such-directory"), "No such file");
    let path = directory("link");
    std::os::unix::fs::symlink("/etc/passwd", path.join("a.svg")).expect("writable");
    refused(&path, "a.svg: is not a regular file");
    refused(&with_file("name", "o ath.typ", ""), "a name has at most 64 letters");
    refused(&with_file("long", "a.svg", &" ".repeat((1 << 20) + 1)), "a.svg: is longer than 1048576 bytes");
    let path = directory("bytes");
    fs::write(path.join("a.typ"), [0xff]).expect("writable");
    refused(&path, "a.typ: is not UTF-8");
    let path = directory("many");
    for index in 0..65 {
        fs::write(path.join(format!("{index}.svg")), "").expect("writable");
    }
    refused(&path, "holds more than 64 templates and pictures");
}

const ENDLESS: &str = "#for a in range(9999) { for b in range(9999) { for c in range(9999) { } } }";

/// A template that does not come to an end is stopped, and named; what was made before it is kept.
#[test]
fn an_endless_template_is_stopped() {
    let path = with_file("endless", "oath_de.typ", ENDLESS);
    let path = path.to_str().expect("a path in UTF-8");
    let (code, said) = check(path.as_ref());
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "oath_de.typ: takes longer than 10 s; nothing was checked after it\n")
    );

    let job = rig::letters(
        "left",
        &[rig::letter("sms-iak", "de"), rig::letter("oath", "de"), rig::letter("oath", "fr")],
    );
    let output = rig::finish(rig::start_with(&["--templates", path]), job.to_string().as_bytes());
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "countersign-letters: failed to typeset: letter oath_de takes longer than 10 s\n");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert!(rig::pdf_of(&lines[0]).starts_with(b"%PDF-"));
    assert_eq!(lines[1], json!({"id": "oath_de", "failed": "takes longer than 10 s"}));
}

/// A template that wants all the memory does not get it.
#[test]
fn a_greedy_template_is_stopped() {
    let path = with_file("greedy", "oath_de.typ", "#range(1000000000).len()");
    let output = run(&["--template", path.join("oath_de.typ").to_str().expect("a path in UTF-8")]);
    // A signal: what could not be had was memory.
    assert_eq!((output.status.code(), output.stdout.len()), (None, 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("memory"), "{output:?}");
}

#[test]
fn the_check_names_the_line() {
    let path = with_file("broken", "oath_de.typ", "#import \"letter.typ\": *\n\n#no-such-thing()\n");
    fs::write(path.join("iak_de.typ"), "").expect("writable");
    let (code, said) = check(&path);
    assert_eq!(code, Some(1));
    assert_eq!(
        said,
        "iak_de.typ: is not <kind>_<language>.typ with a kind of sms-iak, oath and a language like de or de-CH\n\
         oath_de.typ:3: unknown variable: no-such-thing\n"
    );
    let output = run(&["--json", "--check", path.to_str().expect("a path in UTF-8")]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        report["findings"][1],
        json!({"file": "oath_de.typ", "line": 3, "text": "unknown variable: no-such-thing"})
    );
    assert_eq!(report["checked"].as_array().map(Vec::len), Some(8));

    let file = path.join("oath_de.typ");
    let output = run(&["--template", file.to_str().expect("a path in UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "oath_de.typ:3: unknown variable: no-such-thing\n");
}

#[test]
fn a_wrong_command_line_is_explained() {
    for (arguments, wanted) in [
        (&["--help"][..], "usage: countersign-letters"),
        (&["--json"], "usage: countersign-letters"),
        (
            &["--show", "oath_es.typ"],
            "oath_es.typ is no shipped template; there are letter.typ, sms-iak_de.typ",
        ),
        (&["--template", "/tmp/x.typ"], "is not named <kind>_<language>.typ with a kind of sms-iak, oath"),
        (&["--template", "oath_de.typ"], "there is no file oath_de.typ"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.contains(wanted) && said.lines().count() == 1, "{said}");
    }
}
