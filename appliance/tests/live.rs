//! Another configuration takes effect (OATH-23): what its event says, seen from outside while it happens. The HSM is not
//! needed, and not there.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use appliance::live::{ActivateError, Live};
use appliance::{config, daemon};
use domain::event::Actor;
use rusqlite::Connection;

/// Activations in which somebody looks for the event as fast as can be.
const ROUNDS: i64 = 200;
/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(30);

fn write(directory: &Path, with_push: bool) {
    let (state, pin) = (directory.join("state"), directory.join("pin"));
    let text = format!(
        "state_dir = \"{}\"\npublic_url = \"http://127.0.0.1:9\"\n[[listen]]\nkind = \"unix\"\naddress = \"/tmp/x.sock\"\n[hsm]\nmodule = \"/usr/lib/softhsm/libsofthsm2.so\"\n\
         token_label = \"none\"\npin_file = \"{}\"\n{}",
        state.display(),
        pin.display(),
        if with_push { "[push]\n" } else { "" },
    );
    fs::write(directory.join("countersign.toml"), text).expect("own directory");
}

fn prepare(directory: &Path) -> std::sync::Arc<Live> {
    fs::create_dir(directory.join("state")).expect("own directory");
    let mut options = fs::OpenOptions::new();
    let mut pin =
        options.write(true).create_new(true).mode(0o600).open(directory.join("pin")).expect("a file");
    std::io::Write::write_all(&mut pin, b"71902846").expect("own file");
    write(directory, false);
    let file = directory.join("countersign.toml");
    let config = config::load(&file).expect("a configuration");
    Live::new(daemon::open(config).expect("a store"), &file)
}

fn store(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join("state/countersign.db")).expect("the store");
    connection.busy_timeout(PATIENCE).expect("a live connection");
    connection
}

/// OATH-23. Red when the event that another configuration is in effect can be seen while the former one still is.
#[test]
fn whoever_sees_the_event_finds_the_configuration_in_effect() {
    let directory = tempfile::tempdir().expect("a directory");
    let live = prepare(directory.path());
    let store = store(directory.path());
    let mut count =
        store.prepare("SELECT count(*) FROM event WHERE type = 'config.activated'").expect("a query");
    for round in 1..=ROUNDS {
        let with_push = round % 2 == 1;
        write(directory.path(), with_push);
        let begun = Instant::now();
        thread::scope(|scope| {
            let activating = scope.spawn(|| live.activate(&Actor::system("SIGHUP")));
            while count.query_row([], |row| row.get::<_, i64>(0)).expect("a count") < round {
                assert!(begun.elapsed() < PATIENCE, "no event");
            }
            assert_eq!(live.current().config.push.is_some(), with_push, "round {round}");
            activating.join().expect("a thread").expect("a good file");
        });
    }
}

/// OATH-23. Red when a configuration whose event cannot be written is in effect all the same.
#[test]
fn without_its_event_nothing_takes_effect() {
    let directory = tempfile::tempdir().expect("a directory");
    let live = prepare(directory.path());
    let store = store(directory.path());
    let full = "CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no room'); END";
    store.execute_batch(full).expect(full);
    write(directory.path(), true);
    let refused = live.activate(&Actor::system("SIGHUP"));
    assert!(matches!(refused, Err(ActivateError::Flow(_))), "{refused:?}");
    assert!(live.current().config.push.is_none());
    store.execute_batch("DROP TRIGGER full").expect("there");
    live.activate(&Actor::system("SIGHUP")).expect("a good file");
    assert!(live.current().config.push.is_some());
}
