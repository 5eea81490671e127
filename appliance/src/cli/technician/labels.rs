//! Labels for the tokens of a batch: a job for the typesetter, a PDF from it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use super::batch::{Batch, Progress};
use super::files;
use crate::clock::{rfc3339, wall_ms};

/// The typesetter.
const HELPER: &str = "countersign-letters";
/// Where it is, when it is nowhere near.
const HELPER_VARIABLE: &str = "COUNTERSIGN_LETTERS";
/// Most labels of one job of the typesetter.
const LABELS_MAX: usize = 1000;

#[derive(Serialize)]
struct Job<'a> {
    document: &'static str,
    created: String,
    sheet: &'static str,
    labels: Vec<Label<'a>>,
}

#[derive(Serialize)]
struct Label<'a> {
    serial: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a str>,
    qr: &'a str,
}

/// Writes the labels of all tokens that are done.
///
/// # Errors
/// Says what to do; the batch itself does not depend on it.
pub(super) fn write(batch: &Batch, kind: &str, path: &Path) -> Result<(), String> {
    let name = Some(batch.name()).filter(|name| !name.is_empty());
    let labels: Vec<Label<'_>> = batch
        .items()
        .iter()
        .filter(|item| item.state == Progress::Done)
        .map(|item| Label { serial: &item.serial, kind, batch: name, qr: &item.serial })
        .collect();
    if labels.is_empty() {
        return Err("no labels: no token is done".to_owned());
    }
    if labels.len() > LABELS_MAX {
        return Err(format!("no labels: {} are too many for one file of {LABELS_MAX}", labels.len()));
    }
    let job = Job { document: "label", created: rfc3339(wall_ms()), sheet: "a4-24", labels };
    let job = serde_json::to_vec(&job).map_err(|error| format!("no labels: {error}"))?;
    let pdf = typeset(&job)?;
    files::replace(path, &pdf).map_err(|error| format!("no labels: {}: {error}", path.display()))
}

fn typeset(job: &[u8]) -> Result<Vec<u8>, String> {
    let Some(program) = crate::beside::find(HELPER, HELPER_VARIABLE) else {
        return Err(format!(
            "no labels: {HELPER} is neither beside countersign nor in ../lib/countersign; install it, or name it \
             in {HELPER_VARIABLE}, and run the station again with the same --state"
        ));
    };
    let failed = |error: std::io::Error| format!("no labels: {}: {error}", program.display());
    let mut child = Command::new(&program)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // It reads the whole job before it writes; one that refuses early says why on its own.
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(job)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(failed(error));
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("no labels: {} ended with {}: {said}", program.display(), output.status))
}
