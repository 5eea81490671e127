//! What there is not: no command and no request gives a stored secret to another system.

use std::process::Command;

use serde_json::Value;
use tests::appliance::{binary, workspace};

/// Words of verbs that would carry secrets away, or keys in from elsewhere.
const CARRYING: [&str; 6] = ["export", "dump", "extract", "unwrap", "migrate", "import"];
/// What comes in by design: users without secrets (MOB-02), and a token's secret, once, into the HSM (D-23).
const HARMLESS: [&str; 2] = ["countersign user import", "countersign token import"];
/// Deepest command.
const DEPTH_MAX: usize = 4;

/// The commands below one, as its help lists them.
fn commands(path: &mut Vec<String>, found: &mut Vec<String>) {
    assert!(path.len() < DEPTH_MAX, "{path:?}");
    let said = Command::new(binary()).args(path.iter()).arg("--help").output().expect("the binary");
    let help = String::from_utf8(said.stdout).expect("UTF-8");
    assert!(said.status.success(), "{path:?}");
    let Some((_, list)) = help.split_once("Commands:\n") else { return };
    let names = list.lines().take_while(|line| !line.is_empty());
    // A line that goes on is indented further than a name.
    for line in names.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().expect("a name").to_owned();
        if name == "help" {
            continue;
        }
        found.push(format!(
            "countersign {}{name}",
            path.iter().map(|part| format!("{part} ")).collect::<String>()
        ));
        path.push(name);
        commands(path, found);
        path.pop();
    }
}

fn carries(name: &str) -> bool {
    CARRYING.iter().any(|word| name.to_ascii_lowercase().contains(word))
}

/// OATH-14, D-23. Red when a command or a request gets a name that moves secrets.
#[test]
fn no_command_and_no_request_moves_secrets() {
    let mut found = Vec::new();
    commands(&mut Vec::new(), &mut found);
    for known in ["countersign oath show", "countersign hsm init", "countersign technician provision"] {
        assert!(found.iter().any(|command| command == known), "{known} in {found:?}");
    }
    let moving: Vec<&String> = found.iter().filter(|command| carries(command)).collect();
    assert_eq!(moving, HARMLESS.iter().collect::<Vec<_>>());

    let text = std::fs::read_to_string(workspace().join("docs/openapi.json")).expect("the API's description");
    let api: Value = serde_json::from_str(&text).expect("JSON");
    let paths = api["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, methods)| {
        let names = methods.as_object().expect("methods").values();
        names
            .map(move |operation| format!("{path} {}", operation["operationId"].as_str().unwrap_or_default()))
    });
    let operations: Vec<String> = operations.collect();
    assert!(operations.len() > 50, "{operations:?}");
    let moving: Vec<&String> = operations.iter().filter(|operation| carries(operation)).collect();
    assert!(moving.is_empty(), "{moving:?}");
}

/// OATH-12: who answers for the apps of others is told where operators read.
#[test]
fn the_manual_says_whose_the_apps_are() {
    let manual = std::fs::read_to_string(workspace().join("docs/operating.md")).expect("the manual");
    let words = manual.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("how they keep a secret is their makers' matter"));
    assert!(words.contains("which apps were tried on phones, and when, is for the operator to note"));
}
