//! Starts the binary, and the judges that are not ours: Poppler, qpdf, ZBar.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// The binary, waiting for its job.
pub(crate) fn start() -> Child {
    Command::new(env!("CARGO_BIN_EXE_countersign-letters"))
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
    String::from_utf8(output.stdout).expect("the tool prints UTF-8")
}
