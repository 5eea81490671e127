//! People with roles on the local socket, as real uids; rows that say who may do what; acts of two persons. A24, T24.
//!
//! Only root can be somebody else: run by anybody else, these tests say so and try nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use tests::appliance::{binary, told};
use tests::token::{EmulatedToken, make_maker};
use tests::{Appliance, PATIENCE, RigOptions, wait_until};

/// Uids that nobody has on a fresh machine.
const ANN: u32 = 47_001;
const BOB: u32 = 47_002;
const CYD: u32 = 47_003;
const TIM: u32 = 47_004;
const TOM: u32 = 47_005;
const STRANGER: u32 = 47_099;
/// How long a change past the appliance waits for the daemon's own writes.
const BUSY: Duration = Duration::from_secs(10);
/// Rounds of two who approve at once.
const ROUNDS: usize = 25;
/// The copy of the binary that everybody can run.
const BINARY: &str = "countersign";

/// A rig whose socket others can reach; none where the test is not root.
fn rig(config: &str) -> Option<Appliance> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("roles: not root, nothing is tried");
        return None;
    }
    let rig = Appliance::start(RigOptions::default().config(config));
    fs::set_permissions(rig.path(""), fs::Permissions::from_mode(0o711)).expect("own scratch directory");
    // The built binary may lie where others cannot go.
    fs::copy(binary(), rig.path(BINARY)).expect("room for a copy");
    fs::set_permissions(rig.path(BINARY), fs::Permissions::from_mode(0o755)).expect("own copy");
    Some(rig)
}

fn spawn(rig: &Appliance, uid: u32, arguments: &[&str]) -> Child {
    if let Some(at) = arguments.iter().position(|argument| *argument == "--port") {
        open_to_all(Path::new(arguments[at + 1]));
    }
    let own = rig.command(&[&["--json"], arguments].concat());
    let mut command = Command::new(rig.path(BINARY));
    command.env_clear().args(own.get_args());
    command.envs(own.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.uid(uid).gid(uid).spawn().expect("the binary starts")
}

/// Lets everybody use the token's line. Each client finds a fresh one, which is root's: one that is open to all is
/// the former client's, and about to go.
fn open_to_all(port: &Path) {
    wait_until(PATIENCE, "a fresh line of the token", || {
        let mode = fs::metadata(port).ok()?.permissions().mode();
        (mode & 0o006 == 0).then_some(())
    });
    fs::set_permissions(port, fs::Permissions::from_mode(0o666)).expect("the token's line");
}

/// Runs a command as somebody.
fn as_uid(rig: &Appliance, uid: u32, arguments: &[&str]) -> Output {
    spawn(rig, uid, arguments).wait_with_output().expect("own child")
}

#[track_caller]
fn done(rig: &Appliance, uid: u32, arguments: &[&str]) -> Value {
    let output = as_uid(rig, uid, arguments);
    assert!(output.status.success(), "{uid} {arguments:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", told(&output)))
}

/// Runs a command that must end with exit 1 and say this.
#[track_caller]
fn refused(rig: &Appliance, uid: u32, arguments: &[&str], text: &str) {
    let output = as_uid(rig, uid, arguments);
    assert_eq!(output.status.code(), Some(1), "{uid} {arguments:?}: {}", told(&output));
    assert!(told(&output).contains(text), "{uid} {arguments:?}: {}", told(&output));
}

/// Asks for an act that must wait, and gives its handle.
#[track_caller]
fn waits(rig: &Appliance, uid: u32, arguments: &[&str]) -> String {
    let waiting = done(rig, uid, arguments);
    assert_eq!(waiting["state"], "waiting", "{arguments:?}: {waiting}");
    waiting["approval"].as_str().expect("a handle").to_owned()
}

fn operator(rig: &Appliance, name: &str, uid: u32, roles: &str) {
    let added = rig.cli_json(&["operator", "add", name, "--uid", &uid.to_string(), "--role", roles]);
    assert_eq!(added["uid"], uid, "{added}");
}

fn database(rig: &Appliance) -> Connection {
    let connection = Connection::open(rig.state.join("countersign.db")).expect("the store");
    connection.busy_timeout(BUSY).expect("a live connection");
    connection
}

#[track_caller]
fn change(store: &Connection, sql: &str) {
    assert_eq!(store.execute(sql, []).expect(sql), 1, "{sql}");
}

/// One command for each right, and which roles have it: admin, technician, helpdesk, auditor, ra, raa, sraa.
const MATRIX: [(&[&str], &str); 24] = [
    (&["user", "list"], "A-H-RRR"),
    (&["user", "add", "new"], "A------"),
    (&["user", "phone", "set", "alice", "+41791234567", "--verified-by", "x"], "A------"),
    (&["token", "resume", "CST-NONE"], "A------"),
    (&["token", "suspend", "CST-NONE"], "A-H----"),
    (&["token", "revoke", "CST-NONE"], "A---RRR"),
    (&["token", "assign", "CST-NONE", "--user", "alice"], "A------"),
    (&["app", "list"], "A------"),
    (&["operator", "list"], "A----RS"),
    (&["events"], "A--U--S"),
    (&["technician", "stock"], "-T-----"),
    (&["technician", "open-batch", "box"], "-T-----"),
    (&["verify", "--user", "alice", "000000"], "AT-----"),
    (&["sms", "token", "show", "alice"], "A-H-RRR"),
    (&["sms", "test", "alice"], "A-H----"),
    (&["user", "method", "next", "alice", "SMS"], "A------"),
    (&["user", "email", "alice", "alice@example.org"], "A------"),
    (&["oath", "add", "alice"], "A------"),
    (&["oath", "show-secret", "alice"], "-------"),
    (&["oath", "delete", "alice", "--yes"], "A------"),
    (&["enrol", "report"], "A--URRR"),
    (&["enrol", "vet", "begin", "--code", "AAAA-AAAA"], "----RRR"),
    (&["enrol", "identity", "00000000000000000000000000000000"], "-----RS"),
    (&["enrol", "times"], "A---RRR"),
];
const ROLES: [&str; 7] = ["admin", "technician", "helpdesk", "auditor", "ra", "raa", "sraa"];

/// T24, BIND-37: each role at each door, over the socket, as a uid of its own. Red when a role gains or loses a
/// right, or when a refusal is no event.
#[test]
fn each_role_opens_its_own_doors_only() {
    let Some(rig) = rig("") else { return };
    rig.hotp_user("alice");
    let mut denials = 0;
    for (n, role) in ROLES.iter().enumerate() {
        let uid = ANN + u32::try_from(n).expect("few roles");
        operator(&rig, role, uid, role);
        let me = done(&rig, uid, &["whoami"]);
        assert_eq!((me["name"].as_str(), me["roles"][0].as_str()), (Some(*role), Some(*role)), "{me}");
        assert_eq!(me["break_glass"], false);
        for (command, who) in MATRIX {
            let output = as_uid(&rig, uid, command);
            let forbidden = told(&output).contains("(forbidden)");
            let may = who.chars().nth(n) != Some('-');
            assert_eq!(!forbidden, may, "{role} {command:?}: {}", told(&output));
            if forbidden {
                assert_eq!(output.status.code(), Some(1), "{role} {command:?}");
                denials += 1;
            }
        }
    }
    let events = rig.events("type=api.forbidden");
    assert_eq!(events.len(), denials, "each denial is an event");
    assert!(events.iter().all(|event| event["outcome"] == "refused" && event["actor"]["kind"] == "operator"));
    refused(&rig, STRANGER, &["user", "list"], "unauthorised");
    rig.check_chain();
    println!("roles: {} doors, {denials} denials", MATRIX.len() * ROLES.len());
}

/// OATH-04, OATH-48, A24: an administrator sees a secret once the configuration names the role, and another one says
/// yes, each time anew. Red when one suffices, when a yes is used twice, or shows another user's secret.
#[test]
fn two_administrators_show_a_secret() {
    let config = "[oath.admin]\nsecret_formats = [\"hex\"]\nview_secret_roles = [\"admin\"]\n";
    let Some(rig) = rig(config) else { return };
    operator(&rig, "ann", ANN, "admin");
    operator(&rig, "bob", BOB, "admin");
    rig.user("alice");
    rig.user("carol");
    done(&rig, ANN, &["oath", "add", "alice"]);
    done(&rig, ANN, &["oath", "add", "carol"]);
    let show = ["oath", "show-secret", "alice", "--format", "hex"];
    refused(&rig, 0, &show, "oath:view_secret");
    refused(&rig, ANN, &show[..3], "not shown as qr");
    let id = waits(&rig, ANN, &show);
    refused(&rig, ANN, &["approve", &id], "a second person");
    refused(&rig, 0, &["approve", &id], "oath:view_secret");
    assert_eq!(waits(&rig, ANN, &show), id, "still one act");
    done(&rig, BOB, &["approve", &id]);
    let other = waits(&rig, ANN, &["oath", "show-secret", "carol", "--format", "hex"]);
    assert_ne!(other, id, "a yes for alice is none for carol");
    let secret = done(&rig, ANN, &show);
    assert_eq!(secret["secret"].as_str().map(str::len), Some(40), "160 bits");
    assert_ne!(waits(&rig, ANN, &show), id, "a yes is used once");
    let seen = rig.events("type=oath.secret_viewed_by_admin");
    let seen: Vec<_> = seen.iter().filter(|event| event["outcome"] == "ok").collect();
    assert_eq!((seen.len(), &seen[0]["subject"]["approval"]), (1, &json!(id)));
    rig.check_chain();
}

/// BIND-37: who appoints whom. Red when a registration authority's appointer gives more than that role.
#[test]
fn an_appointer_gives_only_what_the_role_gives() {
    let Some(rig) = rig("[two_person]\nacts = []\n") else { return };
    operator(&rig, "raa", ANN, "raa");
    operator(&rig, "sraa", BOB, "sraa");
    let add = |uid: u32, name: &str, role: &str| {
        as_uid(&rig, uid, &["operator", "add", name, "--uid", &(CYD + uid).to_string(), "--role", role])
    };
    assert!(add(ANN, "first", "ra").status.success());
    for role in ["raa", "sraa", "admin", "technician", "ra,admin"] {
        assert!(told(&add(ANN, "second", role)).contains("(forbidden)"), "{role}");
    }
    refused(&rig, ANN, &["operator", "role", "add", "raa", "admin"], "forbidden");
    refused(&rig, ANN, &["operator", "revoke", "sraa"], "forbidden");
    assert!(add(BOB, "third", "raa").status.success());
    assert!(told(&add(BOB, "fourth", "sraa")).contains("(forbidden)"));
    done(&rig, BOB, &["operator", "revoke", "first"]);
    refused(&rig, CYD + ANN, &["whoami"], "unauthorised");
}

/// A bench with a token.
fn token(rig: &mut Appliance, config: &str, serial: &str) -> EmulatedToken {
    let maker = rig.path("maker.key");
    let key = make_maker(&maker);
    rig.options_mut().config = format!("{config}\n[provisioning]\nmaker_keys = [\"{key}\"]\n");
    rig.write_config();
    rig.restart();
    EmulatedToken::start(&rig.path(""), "one", serial, &maker)
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The technician's role apart from administration: who makes a token does not say whose it is. Red when the
/// technician may assign, or the administrator may provision.
#[test]
fn a_technician_provisions_and_never_assigns() {
    let Some(mut rig) = rig("") else { return };
    let mut token = token(&mut rig, "", "CST-000001");
    let port = text(&token.port);
    operator(&rig, "ann", ANN, "admin");
    operator(&rig, "tim", TIM, "technician");
    rig.user("alice");
    let provision = ["technician", "provision", "--port", &port, "--type", "hotp"];
    refused(&rig, ANN, &provision, "forbidden");
    assert_eq!(done(&rig, TIM, &provision)["state"], "provisioned");
    done(&rig, TIM, &["technician", "set-clock", "--port", &port]);
    refused(&rig, TIM, &["token", "assign", "CST-000001", "--user", "alice"], "forbidden");
    assert_eq!(done(&rig, TIM, &["technician", "stock"])[0]["state"], "in_stock");
    done(&rig, ANN, &["token", "assign", "CST-000001", "--user", "alice"]);
    let code = token.code(6);
    done(&rig, TIM, &["technician", "verify", "CST-000001", &code]);
    let given = rig.events("type=token.assigned");
    assert_eq!((given[0]["actor"]["id"].as_str(), given.len()), (Some("ann"), 1));
    let made = &rig.events("type=device.provisioned")[0]["actor"];
    assert_eq!((made["id"].as_str(), made["role"].as_str()), (Some("tim"), Some("technician")));
}

/// A station as a robot: a key that provisions and does nothing else. Red when the scope holds more, or less.
#[test]
fn a_station_has_a_key_of_its_own() {
    let Some(mut rig) = rig("") else { return };
    let token = token(&mut rig, "", "CST-000001");
    let (port, file) = (text(&token.port), rig.path("station.key"));
    fs::write(&file, rig.app_key("station", &["provision"])).expect("own scratch directory");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("own file");
    let key = text(&file);
    let as_station =
        |arguments: &[&str]| as_uid(&rig, STRANGER, &[&["--key-file", &key], arguments].concat());
    let made = as_station(&["technician", "provision", "--port", &port]);
    assert!(made.status.success(), "{}", told(&made));
    for command in [&["token", "assign", "CST-000001", "--user", "alice"][..], &["user", "list"], &["events"]]
    {
        assert!(told(&as_station(command)).contains("(forbidden)"), "{command:?}");
    }
}

/// What a writer changes in the rows that say who may do what; after each, the way back.
const ROW_CHANGES: [(&str, &str, &str); 7] = [
    ("operator", "UPDATE operator SET roles = '[\"admin\"]'", "UPDATE operator SET roles = '[\"auditor\"]'"),
    (
        "operator",
        "UPDATE operator SET created_at = created_at + 1",
        "UPDATE operator SET created_at = created_at - 1",
    ),
    (
        "operator",
        "UPDATE operator SET scopes = '{\"ra\":[\"Physics\"]}'",
        "UPDATE operator SET scopes = '{}'",
    ),
    ("operator", "UPDATE operator SET mac = zeroblob(32)", ""),
    (
        "application",
        "UPDATE application SET scopes = '[\"admin\"]'",
        "UPDATE application SET scopes = '[\"verify\"]'",
    ),
    ("application", "UPDATE application SET mac = NULL", ""),
    ("application", "UPDATE application SET mac = zeroblob(32)", ""),
];

/// A22: rows of operators and applications stand under a MAC. Red when a column is left out of it, when a changed row
/// is taken, or when a row that was good once is not looked at again.
#[test]
fn an_edited_row_is_a_fault_that_names_it() {
    let Some(rig) = rig("") else { return };
    operator(&rig, "ann", ANN, "auditor");
    let key = rig.app_key("vpn", &["verify"]);
    let store = database(&rig);
    let mut app = rig.loopback(Some(&key));
    for (table, there, back) in ROW_CHANGES {
        let row = if table == "operator" { "ann" } else { "vpn" };
        let which = if table == "operator" { "1 = 1" } else { "name = 'vpn'" };
        let sql = format!("SELECT mac FROM {table} WHERE {which}");
        let mac: Vec<u8> = store.query_row(&sql, [], |row| row.get(0)).expect("the row");
        assert_eq!(as_uid(&rig, ANN, &["events"]).status.code(), Some(0), "before {there}");
        assert_eq!(app.get("/v1/whoami").status, 200, "before {there}");
        change(&store, &format!("{there} WHERE {which}"));
        let named = format!("the row in table {table} of {row} was changed outside the appliance");
        if table == "operator" {
            let output = as_uid(&rig, ANN, &["user", "list"]);
            assert_eq!(output.status.code(), Some(3), "{there}: {}", told(&output));
            assert!(told(&output).contains(&named), "{there}: {}", told(&output));
        } else {
            let answer = app.get("/v1/whoami");
            assert_eq!((answer.status, answer.code().as_str()), (503, "store-unavailable"), "{there}");
            assert!(answer.text().contains(&named), "{there}: {}", answer.text());
        }
        if !back.is_empty() {
            change(&store, &format!("{back} WHERE {which}"));
        }
        let restored = format!("UPDATE {table} SET mac = ?1 WHERE {which}");
        assert_eq!(store.execute(&restored, [&mac]).expect("the row"), 1);
    }
    let forged = "INSERT INTO operator (user_id, uid, roles, created_at, mac)
                  SELECT id, 47099, '[\"admin\"]', 0, zeroblob(32) FROM user WHERE name = 'mallory'";
    rig.user("mallory");
    change(&store, forged);
    let output = as_uid(&rig, STRANGER, &["user", "list"]);
    assert!(output.status.code() == Some(3) && told(&output).contains("of mallory"), "{}", told(&output));
    let noted = rig.events("type=store.tampered");
    assert_eq!(noted.len(), ROW_CHANGES.len() + 1, "each is an event");
    // The same uid under another name: the name in the events would be somebody else's.
    change(&store, "UPDATE user SET name = 'zoe' WHERE name = 'ann'");
    assert_eq!(as_uid(&rig, ANN, &["events"]).status.code(), Some(3));
}

/// A24: an act of two persons. Red when one suffices, when the same one does twice, when the arguments can be
/// changed between, or when an application counts as a person.
#[test]
fn an_act_of_two_persons_takes_two() {
    let Some(rig) = rig("") else { return };
    operator(&rig, "ann", ANN, "admin");
    assert_eq!(rig.events("type=operator.added")[0]["actor"]["role"], "break-glass");
    operator(&rig, "bob", BOB, "admin");
    let added = rig.events("type=operator.added");
    assert!(added.iter().all(|event| event["subject"]["bootstrap"].is_string()), "{added:?}");
    // From here on there are two who watch each other, and root is one of many.
    let id = waits(&rig, 0, &["operator", "add", "tim", "--uid", "47004", "--role", "technician"]);
    refused(&rig, 0, &["approve", &id], "forbidden");
    refused(&rig, TIM, &["approve", &id], "unauthorised");
    assert_eq!(done(&rig, ANN, &["approve", &id])["state"], "done");
    refused(&rig, BOB, &["approve", &id], "done already");
    assert_eq!(done(&rig, TIM, &["whoami"])["roles"][0], "technician");

    let give = ["operator", "role", "add", "tim", "admin"];
    refused(&rig, TIM, &give, "forbidden");
    let id = waits(&rig, ANN, &give);
    assert_eq!(waits(&rig, ANN, &give), id, "asked again it is the same");
    refused(&rig, ANN, &["approve", &id], "forbidden");
    refused(&rig, TIM, &["approve", &id], "forbidden");
    assert_eq!(done(&rig, TIM, &["whoami"])["roles"].as_array().map(Vec::len), Some(1));
    let store = database(&rig);
    for (there, back) in [
        (
            "arguments = replace(arguments, '\"admin\"', '\"ra\"')",
            "arguments = replace(arguments, '\"ra\"', '\"admin\"')",
        ),
        ("requested_by = 'uid 0'", "requested_by = 'ann'"),
        ("expires_at = expires_at + 1", "expires_at = expires_at - 1"),
    ] {
        change(&store, &format!("UPDATE approval SET {there} WHERE state = 'waiting'"));
        let output = as_uid(&rig, BOB, &["approve", &id]);
        assert_eq!(output.status.code(), Some(3), "{there}: {}", told(&output));
        assert!(told(&output).contains("the row in table approval"), "{there}: {}", told(&output));
        change(&store, &format!("UPDATE approval SET {back} WHERE state = 'waiting'"));
    }
    assert_eq!(done(&rig, BOB, &["approval", "list"])["items"][0]["arguments"]["role"], "admin");
    done(&rig, BOB, &["approval", "deny", &id]);
    refused(&rig, BOB, &["approve", &id], "denied already");

    let key = rig.app_key("portal", &["admin"]);
    let answer = rig.loopback(Some(&key)).delete("/v1/operators/ann");
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{}", answer.text());
    let id = waits(&rig, ANN, &["operator", "revoke", "tim"]);
    let answer = rig.loopback(Some(&key)).post(&format!("/v1/approvals/{id}/approve"), &json!({}));
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{}", answer.text());
    done(&rig, BOB, &["approve", &id]);
    refused(&rig, TIM, &["whoami"], "unauthorised");

    let revoked = &rig.events("type=operator.revoked")[0];
    assert_eq!(revoked["actor"]["id"], "bob");
    assert_eq!(
        (&revoked["subject"]["requested_by"], &revoked["subject"]["approval"]),
        (&json!("ann"), &json!(id))
    );
    for (kind, count) in [("requested", 3), ("granted", 4), ("denied", 1)] {
        let events = rig.events(&format!("type=approval.{kind}"));
        assert_eq!(events.len(), count, "{kind}: {events:?}");
    }
    rig.check_chain();
}

/// A yes to somebody who has lost the right meanwhile is worth nothing. Red when only the first look counts.
#[test]
fn who_asked_must_still_be_allowed() {
    let Some(rig) = rig("") else { return };
    operator(&rig, "ann", ANN, "admin");
    operator(&rig, "bob", BOB, "admin");
    let id = waits(&rig, ANN, &["operator", "add", "tim", "--uid", "47004", "--role", "admin"]);
    let gone = waits(&rig, BOB, &["operator", "revoke", "ann"]);
    done(&rig, 0, &["approve", &gone]);
    refused(&rig, BOB, &["approve", &id], "may not do this any more");
    refused(&rig, TIM, &["whoami"], "unauthorised");
}

/// A24, T1's way: two who approve at once, over connections that are open already, and as two real people. Red when
/// the yes and the act are not one write: the role is given twice, or two are told that they did it.
#[test]
fn two_who_approve_at_once_do_it_once() {
    let Some(rig) = rig("") else { return };
    operator(&rig, "tim", TIM, "technician");
    operator(&rig, "ann", ANN, "admin");
    operator(&rig, "bob", BOB, "admin");
    let added = waits(&rig, ANN, &["operator", "add", "cyd", "--uid", "47003", "--role", "admin"]);
    done(&rig, BOB, &["approve", &added]);
    for round in 0..ROUNDS {
        let verb = if round % 2 == 0 { "add" } else { "remove" };
        let id = waits(&rig, ANN, &["operator", "role", verb, "tim", "helpdesk"]);
        let accepted = if round % 5 == 0 {
            let approvers = [spawn(&rig, BOB, &["approve", &id]), spawn(&rig, CYD, &["approve", &id])];
            let ended = approvers.map(|child| child.wait_with_output().expect("own child"));
            ended.iter().filter(|output| output.status.success()).count()
        } else {
            let barrier = Barrier::new(4);
            let approve = || {
                let mut admin = rig.admin();
                admin.get("/healthz").expect(200);
                barrier.wait();
                let status = admin.post(&format!("/v1/approvals/{id}/approve"), &json!({})).status;
                assert!(status == 200 || status == 409, "{status}");
                usize::from(status == 200)
            };
            thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(approve)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
            })
        };
        assert_eq!(accepted, 1, "round {round}");
    }
    let acts = rig.events("type=operator.role_given").len() + rig.events("type=operator.role_taken").len();
    assert_eq!((acts, rig.events("type=approval.granted").len()), (ROUNDS, ROUNDS + 1));
    rig.check_chain();
}

/// What nobody approves in time is not done later. Red when the time is not looked at, or its end is no event.
#[test]
fn an_act_that_nobody_approves_in_time_is_over() {
    let Some(rig) = rig("[two_person]\nacts = [\"operator.roles\"]\nlife = \"1s\"\n") else { return };
    operator(&rig, "ann", ANN, "admin");
    operator(&rig, "bob", BOB, "admin");
    let id = waits(&rig, ANN, &["operator", "role", "add", "bob", "auditor"]);
    wait_until(PATIENCE, "the end of its time", || {
        (done(&rig, ANN, &["approval", "show", &id])["state"] == "expired").then_some(())
    });
    refused(&rig, BOB, &["approve", &id], "expired already");
    let expired = rig.events("type=approval.expired");
    assert_eq!((expired.len(), &expired[0]["subject"]["requested_by"]), (1, &json!("ann")));
    assert_eq!(done(&rig, BOB, &["whoami"])["roles"].as_array().map(Vec::len), Some(1));
}

const BENCH_ACTS: &str =
    "[two_person]\nacts = [\"token.assign\", \"device.wipe\", \"batch.open\", \"application.add\"]\n";

/// Two persons at the bench and over whose token it is. Red when a batch is worked before it is open, when a yes is
/// used twice, or when a yes to one is used by another.
#[test]
fn the_bench_under_two_persons() {
    let Some(mut rig) = rig("") else { return };
    let token = token(&mut rig, BENCH_ACTS, "CST-000001");
    let port = text(&token.port);
    for (name, uid, role) in
        [("ann", ANN, "admin"), ("bob", BOB, "admin"), ("tim", TIM, "technician"), ("tom", TOM, "technician")]
    {
        operator(&rig, name, uid, role);
    }
    rig.user("alice");
    let provision = ["technician", "provision", "--port", &port, "--type", "hotp", "--batch", "box"];
    refused(&rig, TIM, &provision, "batch box is not open");
    refused(&rig, TIM, &provision[..provision.len() - 2], "give the batch's name");
    let id = waits(&rig, TIM, &["technician", "open-batch", "box"]);
    refused(&rig, ANN, &["approve", &id], "forbidden");
    assert_eq!(done(&rig, TOM, &["approve", &id])["state"], "approved");
    assert_eq!(done(&rig, TOM, &["technician", "open-batch", "box"])["state"], "open");
    assert_eq!(done(&rig, TIM, &provision)["state"], "provisioned");

    let assign = ["token", "assign", "CST-000001", "--user", "alice"];
    let id = waits(&rig, ANN, &assign);
    assert_eq!(done(&rig, TIM, &["technician", "stock"])[0]["state"], "in_stock");
    refused(&rig, ANN, &["approve", &id], "forbidden");
    assert_eq!(done(&rig, BOB, &["approve", &id])["state"], "done");
    let assigned = &rig.events("type=token.assigned")[0];
    assert_eq!(
        (&assigned["actor"]["id"], &assigned["subject"]["requested_by"]),
        (&json!("bob"), &json!("ann"))
    );

    let wipe = ["technician", "wipe", "--port", &port];
    refused(&rig, TIM, &wipe, "assigned to a user");
    done(&rig, ANN, &["token", "revoke", "CST-000001"]);
    let id = waits(&rig, TIM, &wipe);
    assert_eq!(done(&rig, TOM, &["approve", &id])["state"], "approved");
    let others = waits(&rig, TOM, &wipe);
    assert_ne!(others, id, "a yes to tim is none to tom");
    assert_eq!(done(&rig, TIM, &wipe)["state"], "wiped");
    assert_eq!(done(&rig, TIM, &["approval", "show", &id])["state"], "done");
    assert_ne!(waits(&rig, TIM, &wipe), id, "a yes is used once");
    let wiped = rig.events("type=device.wiped");
    assert_eq!((wiped.len(), &wiped[0]["subject"]["approval"]), (1, &json!(id)));

    let add = ["app", "add", "vpn", "--scope", "verify"];
    let id = waits(&rig, ANN, &add);
    done(&rig, BOB, &["approve", &id]);
    assert!(done(&rig, ANN, &add)["key"].is_string(), "the key is for who asked");
    rig.check_chain();
}

/// BIND-37. Red when whoever gives a role to somebody who is no operator is not told what to do.
#[test]
fn a_role_for_who_is_no_operator_says_what_to_do() {
    let rig = Appliance::start(RigOptions::default());
    rig.user("ann");
    for name in ["ann", "nobody"] {
        let refused = rig.cli(&["role", "grant", name, "ra"]);
        let said = told(&refused);
        assert!(refused.status.code() == Some(1) && said.contains("countersign operator add"), "{said}");
    }
}
