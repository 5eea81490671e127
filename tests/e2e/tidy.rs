//! The shape of the sources: arrows, sizes, shipped configurations, generated files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;
use tests::appliance::{told, workspace};
use tests::{Appliance, RigOptions};

/// Which package may use which of ours. A package that is not here has no arrows yet, and fails.
const ARROWS: [(&str, &[&str]); 12] = [
    ("oath", &[]),
    ("common", &[]),
    ("link", &[]),
    ("hsm", &[]),
    ("modem", &[]),
    ("domain", &["oath"]),
    ("push", &["domain", "oath"]),
    ("device", &[]),
    ("token", &["oath", "link"]),
    ("sim", &["token"]),
    ("appliance", &["domain", "oath", "push", "device", "link", "hsm", "modem"]),
    ("tests", &["appliance", "device", "token", "sim", "push", "domain", "oath"]),
];
/// Which of ours a board may use. `oath` alone is for the vectors.
const BOARD_ARROWS: &[&str] = &["token", "oath", "common"];
/// Lines of a hand-written source file: look hard, and no more.
const LINES_LOOK: usize = 600;
const LINES_MAX: usize = 800;
/// Directories without sources of ours.
const NOT_OURS: [&str; 2] = ["target", ".git"];

/// Style, "Layout". Red when a dependency is added against the table, of any kind.
#[test]
fn the_arrows_between_packages_are_those_of_the_table() {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let arrows = allowed.get(name).unwrap_or_else(|| panic!("{name} is not in the table of arrows"));
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let to = dependency.name.as_str();
            assert!(arrows.contains(&to), "{name} -> {to} is against the table");
            assert!(ours.contains(to), "{name} -> {to} leaves the workspace");
        }
    }
    println!("tidy: {} packages", ours.len());
}

/// Style, "Layout". Red when a board is not in the boards' workspace, is in the appliance's, or uses more than it may.
#[test]
fn the_boards_have_a_workspace_of_their_own() {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace().join("firmware/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let mut boards: BTreeSet<PathBuf> = fs::read_dir(workspace().join("firmware/boards"))
        .expect("boards")
        .map(|board| board.expect("a directory").path().join("Cargo.toml"))
        .collect();
    // Pure and tested with the appliance.
    assert!(boards.remove(&workspace().join("firmware/boards/common/Cargo.toml")), "{boards:?}");
    let members = metadata.packages.iter().map(|package| package.manifest_path.clone().into_std_path_buf());
    assert_eq!(members.collect::<BTreeSet<_>>(), boards);
    for package in &metadata.packages {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            assert!(BOARD_ARROWS.contains(&to), "{from} -> {to} is against the table");
        }
    }
}

/// Style, "Layout": `domain`, `push`, `device`, `oath` and `common` have nothing to do I/O with.
#[test]
fn the_pure_packages_have_nothing_to_do_io_with() {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("metadata");
    let impure =
        ["tokio", "rusqlite", "axum", "hyper", "rustix", "cryptoki", "serialport", "tracing", "metrics"];
    for package in metadata
        .packages
        .iter()
        .filter(|p| ["oath", "domain", "push", "device", "common"].contains(&p.name.as_str()))
    {
        for dependency in &package.dependencies {
            assert!(!impure.contains(&dependency.name.as_str()), "{} -> {}", package.name, dependency.name);
        }
    }
}

/// What is switched on in each crate, with these kinds of dependencies.
fn features(kinds: &str) -> BTreeMap<String, BTreeSet<String>> {
    let listed = Command::new("cargo")
        .args(["tree", "--locked", "--offline", "--workspace", "--prefix", "none", "--format", "{p}|{f}"])
        .args(["--edges", kinds])
        .current_dir(workspace())
        .output()
        .expect("cargo");
    assert!(listed.status.success(), "{}", told(&listed));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&listed.stdout).lines().filter(|line| !line.is_empty()) {
        let line = line.trim_end_matches(" (*)");
        let (package, features) = line.split_once('|').expect("the format asked for");
        found.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    found
}

/// What the tests run is what is shipped, and `make test` builds it once. Red when a dependency of tests alone switches on
/// something in a crate of the product.
#[test]
fn the_tests_build_the_product_as_it_is() {
    let (product, tests) = (features("no-dev"), features("normal,build,dev"));
    assert!(product.len() > ARROWS.len(), "{product:?}");
    for (package, features) in &product {
        assert_eq!(
            tests.get(package),
            Some(features),
            "tests build {package} with other features than the product: name it in tests/Cargo.toml as proptest is"
        );
    }
}

fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![workspace()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a source directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !NOT_OURS.contains(&name.as_str()) {
                    open.push(path);
                }
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Style, "Layout": marks that smell.
#[test]
fn source_files_are_of_a_size_to_read() {
    let files = sources(&[".rs"]);
    for file in &files {
        let lines = fs::read_to_string(file).expect("a source file").lines().count();
        if lines > LINES_LOOK {
            println!("tidy: look hard at {} ({lines} lines)", file.display());
        }
        assert!(lines <= LINES_MAX, "{} has {lines} lines", file.display());
    }
    println!("tidy: {} source files", files.len());
}

/// Red when a test that begins first, since it is long, has another name by now: nextest says nothing then.
#[test]
fn what_begins_first_is_there() {
    let config =
        fs::read_to_string(workspace().join(".config/nextest.toml")).expect("nextest's configuration");
    let names: Vec<&str> =
        config.split("test(/\\b").skip(1).filter_map(|rest| rest.split('$').next()).collect();
    assert!(!names.is_empty(), "none is named");
    let tests: Vec<String> =
        sources(&[".rs"]).iter().map(|file| fs::read_to_string(file).expect("a source file")).collect();
    for name in names {
        let begin = format!("fn {name}(");
        assert!(tests.iter().any(|text| text.contains(&begin)), "no test is called {name}");
    }
}

/// Style, "What we do not write".
#[test]
fn nothing_is_left_for_later() {
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX:"), concat!("unimpl", "emented!")];
    for file in sources(&[".rs", ".sql", ".sh", ".toml", ".rules"]) {
        let text = fs::read_to_string(&file).expect("a source file");
        for (n, line) in text.lines().enumerate() {
            for word in words {
                assert!(!line.contains(word), "{}:{}: {line}", file.display(), n + 1);
            }
        }
    }
}

/// Every configuration that ships: packaging/, and what docs/examples may hold.
fn shipped() -> Vec<PathBuf> {
    let examples = fs::read_dir(workspace().join("docs/examples")).into_iter().flatten();
    let examples = examples.filter_map(|entry| Some(entry.ok()?.path()));
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    let mut all: Vec<_> = examples.filter(is_toml).collect();
    all.push(workspace().join("packaging/countersign.toml"));
    all
}

/// Style 20. Red when a key is renamed and an example is forgotten.
#[test]
fn every_shipped_configuration_loads() {
    let rig = Appliance::prepare(RigOptions::default());
    for file in shipped() {
        let checked = rig.cli(&["config", "check", file.to_str().expect("a path in UTF-8")]);
        assert!(checked.status.success(), "{}: {}", file.display(), told(&checked));
    }
}

/// Style 20, facts: the description that is read is the one that is served. Red when `docs/openapi.json` was not
/// made anew: `countersign openapi > docs/openapi.json`.
#[test]
fn the_description_in_docs_is_the_one_served() {
    let rig = Appliance::start(RigOptions::default());
    let served = rig.loopback(None).get("/openapi.json").expect(200);
    let path: &Path = &workspace().join("docs/openapi.json");
    let kept = fs::read(path).expect("docs/openapi.json");
    assert!(kept == served.body, "docs/openapi.json differs: countersign openapi > docs/openapi.json");
    assert_eq!(served.json()["openapi"].as_str().expect("a version").get(..3), Some("3.1"));
}
