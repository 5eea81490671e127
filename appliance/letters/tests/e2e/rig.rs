//! Starts the binary, and the judges that are not ours: Poppler, qpdf, ZBar.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The binary, waiting for its job.
pub(crate) fn start() -> Child {
    start_with(&[])
}

/// The binary with arguments.
pub(crate) fn start_with(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_countersign-letters"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// Gives the child its input and waits for it.
pub(crate) fn finish(mut child: Child, input: &[u8]) -> Output {
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A child that refuses early closes the pipe.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the child ends");
    writer.join().expect("the writer ends");
    output
}

/// The PDF of a job that must be taken.
pub(crate) fn pdf(job: &serde_json::Value) -> Vec<u8> {
    let output = finish(start(), job.to_string().as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    output.stdout
}

/// A job of labels.
pub(crate) fn labels(sheet: &str, labels: &[serde_json::Value]) -> serde_json::Value {
    serde_json::json!({"document": "label", "created": "2026-11-21T21:19:40Z", "sheet": sheet, "labels": labels})
}

/// A place for a file of this test.
pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// What a tool prints about the input; it must end well.
pub(crate) fn ask(program: &str, arguments: &[&str], input: &[u8]) -> String {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error} (scripts/setup.sh installs it)"));
    let output = finish(child, input);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    // An empty title in a structure tree is printed as a bare byte order mark.
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A job of letters, from a sender with everything that a sender can have.
pub(crate) fn letters(window: &str, letters: &[Value]) -> Value {
    let logo = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 20"><path fill="#1a4f8b" d="M0 0h90v20H0z"/></svg>"##;
    json!({
        "document": "letters",
        "created": "2026-11-21T21:19:40Z",
        "default_language": "en",
        "window": window,
        "sender": {
            "organisation": "Stadtwerke Beispielhausen AG",
            "return_line": "Stadtwerke Beispielhausen AG · Postfach 12 · 3000 Bern",
            "contact": ["Informatik, Zugangsverwaltung", "Hauptgasse 7, 3000 Bern", "+41 31 000 00 00"],
            "help": ["Service Desk +41 31 000 00 01, 7–18 h", "servicedesk@example.org"],
            "footer": ["Stadtwerke Beispielhausen AG · Sitz Bern", "CHE-000.000.000"],
            "colour": "#1a4f8b",
            "logo": {"format": "svg", "data": base64(logo.as_bytes())},
        },
        "letters": letters,
    })
}

/// The key in the letters of this rig.
pub(crate) const OTPAUTH: &str =
    "otpauth://totp/Example:zoe.mueller?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example";

/// A letter with every field that is printed as it is.
pub(crate) fn letter(kind: &str, language: &str) -> Value {
    let mut letter = json!({
        "id": format!("{kind}_{language}"),
        "kind": kind,
        "language": language,
        "recipient": ["Frau", "Dr. Zoë Größl", "Abteilung Netze", "Lange Straße 12a", "Postfach", "3001 Bern"],
        "date": "2026-11-21",
        "name": "Zoë Größl",
        "user": "zoe.mueller",
        "reference": "2026-000123",
        "url": "https://login.example.org/",
        "valid_until": "2026-12-12",
    });
    if kind == "oath" {
        letter["code"] = json!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP");
        letter["qr"] = json!(OTPAUTH);
    } else {
        letter["code"] = json!("ABCDEFGH2345");
    }
    letter
}

/// What comes of a job of letters: the exit code and the lines.
pub(crate) fn lines(job: &Value, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = finish(start_with(arguments), job.to_string().as_bytes());
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    (output.status.code(), lines)
}

/// The PDFs of a job all of whose letters must be made.
pub(crate) fn pdfs(job: &Value) -> Vec<Vec<u8>> {
    let (code, lines) = lines(job, &[]);
    assert_eq!(code, Some(0), "{lines:?}");
    lines.iter().map(pdf_of).collect()
}

/// The PDF in a line.
pub(crate) fn pdf_of(line: &Value) -> Vec<u8> {
    let pdf = line["pdf"].as_str().unwrap_or_else(|| panic!("no PDF: {line}"));
    STANDARD.decode(pdf).expect("Base64")
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// qpdf finds nothing wrong with the file.
pub(crate) fn qpdf_accepts(pdf: &[u8], name: &str) {
    let file = scratch(name);
    std::fs::write(&file, pdf).expect("the scratch directory is writable");
    let output = Command::new("qpdf").arg("--check").arg(&file).output().expect("qpdf starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("No syntax or stream encoding errors"), "{said}");
}

/// The line of `pdfinfo` with the key begins with the value.
pub(crate) fn has_info(pdf: &[u8], key: &str, value: &str) {
    let info = ask("pdfinfo", &["-"], pdf);
    let found = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    assert!(found.is_some_and(|found| found.trim().starts_with(value)), "{key} is not {value} in\n{info}");
}
