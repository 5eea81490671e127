//! Station, daemon and HSM killed while they provision a token; requests and answers between them lost; and a
//! stranger on the cable who clears what was released. A22.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use tests::cable::{At, Break, Cable, Fault, Side};
use tests::proxy::{self, Lost};
use tests::technician::{BRISK, Bench, Holds, Said};
use tests::token::EmulatedToken;
use tests::wire::Wire;
use tests::{PATIENCE, wait_until};
use token::link::{Abort, Refusal};

/// Requests of a station to the daemon in one provisioning: the device, the host key, begin, confirm, committed.
const REQUESTS: usize = 5;
const CONFIRM: usize = 3;
/// Frames of a station, from 0: who are you, start, install, commit.
const INSTALL: usize = 2;
const COMMIT: usize = 3;
/// Stations that are killed.
const KILLS: usize = 16;

fn hold(side: Side, at: At) -> Option<Break> {
    Some(Break { side, at, fault: Fault::Hold })
}

fn settle(bench: &Bench, token: &mut EmulatedToken, serial: &str) {
    let said = bench.provision(&token.port);
    assert!(said.provisioned(), "{serial}: the same command again: {}", said.told);
    assert_eq!(bench.agree(token, serial), Ok(Holds::Active), "{serial}");
    bench.prove(token, serial).unwrap_or_else(|error| panic!("{serial}: {error}"));
}

/// Every request and every answer between station and daemon is lost once.
///
/// Red when a station clears a secret on the token because it did not hear that the appliance knows it.
#[test]
fn a_lost_request_or_answer_leaves_a_token_as_before_or_known() {
    let bench = Bench::start();
    std::thread::scope(|scope| {
        for nth in 0..REQUESTS {
            for lost in [Lost::Request, Lost::Answer] {
                let bench = &bench;
                scope.spawn(move || {
                    let serial = format!("{lost:?}-{nth}").to_ascii_uppercase();
                    let mut token = bench.token(&serial);
                    let socket = bench.rig.path(&format!("{serial}.sock"));
                    proxy::stand_before(&bench.rig.socket, &socket, nth, lost);
                    let cut = bench.command_over(&socket, "provision", &token.port, &["--type", "hotp"]);
                    let cut = Said::at(&token.port, cut);
                    assert_eq!(cut.exit, Some(3), "{serial}: {}", cut.told);
                    assert!(cut.error().contains("went away"), "{serial}: {}", cut.told);
                    let expected = match (nth, lost) {
                        (CONFIRM, Lost::Answer) => Holds::Released,
                        (0..CONFIRM, _) | (CONFIRM, Lost::Request) => Holds::AsBefore,
                        _ => Holds::Active,
                    };
                    assert_eq!(bench.agree(&token, &serial), Ok(expected), "{serial}: {}", cut.told);
                    settle(bench, &mut token, &serial);
                });
            }
        }
    });
}

/// A station killed with kill -9 at places all over the dialogue. Red as in the cable's tests.
#[test]
fn a_killed_station_leaves_a_token_as_before_or_known() {
    let bench = Bench::start();
    let [host, token_side] = tests::pull::lengths(&bench);
    std::thread::scope(|scope| {
        for nth in 0..KILLS {
            let bench = &bench;
            scope.spawn(move || {
                // Evenly over both sides' bytes, off the frames' borders.
                let at = (2 * nth + 1) * (host + token_side) / (2 * KILLS);
                let (side, at) = if at < host { (Side::Host, at) } else { (Side::Token, at - host) };
                let serial = format!("KIL-{nth:06}");
                let mut token = bench.token(&serial);
                let port = bench.rig.path(&format!("{serial}.cable"));
                let cable = Cable::plug(&token.port, &port, hold(side, At::Octet(at)));
                let mut station = bench.begin(&cable.port);
                cable.await_hold();
                station.kill().and_then(|()| station.wait()).expect("own child");
                cable.unplug();
                let holds = bench.agree(&token, &serial);
                assert!(holds.is_ok(), "{serial}, killed at {side:?} {at}: {holds:?}");
                settle(bench, &mut token, &serial);
            });
        }
    });
}

/// A station that waits before it sends this frame.
fn held_at(bench: &Bench, token: &EmulatedToken, serial: &str, frame: usize) -> (Cable, Child) {
    let port = bench.rig.path(&format!("{serial}.cable"));
    let cable = Cable::plug(&token.port, &port, hold(Side::Host, At::Frame(frame)));
    let station = bench.begin(&cable.port);
    cable.await_hold();
    (cable, station)
}

/// The daemon killed between grant and confirmation: its exchange is gone, the secret is nobody's and cleared.
///
/// Red when an exchange that the daemon forgot is confirmed, or its secret stays pending.
#[test]
fn a_daemon_killed_before_the_confirmation_has_given_nothing() {
    let mut bench = Bench::start();
    let mut token = bench.token_with("one", "CST-000001", &BRISK);
    let (cable, station) = held_at(&bench, &token, "CST-000001", INSTALL);
    bench.rig.kill9();
    bench.rig.restart();
    cable.release();
    let said = Said::wait(station);
    cable.unplug();
    assert_eq!(said.exit, Some(1), "{}", said.told);
    assert!(said.error().contains("begin again"), "{}", said.told);
    assert_eq!(bench.agree(&token, "CST-000001"), Ok(Holds::AsBefore));
    assert!(tests::wire::info(&token.port).pending.is_none(), "the token has forgotten it");
    settle(&bench, &mut token, "CST-000001");
    bench.rig.check_chain();
}

/// The daemon killed between confirmation and commit: the token is known, and so is what releases its secret.
///
/// Red when `tag_S` leaves before it is on disk, or the row says committed before the token has.
#[test]
fn a_daemon_killed_before_the_commit_finishes_it_later() {
    let mut bench = Bench::start();
    let mut token = bench.token_with("one", "CST-000001", &BRISK);
    let (cable, station) = held_at(&bench, &token, "CST-000001", COMMIT);
    assert_eq!(bench.known("CST-000001").map(|known| known.held), Some(true), "on disk before it is sent");
    bench.rig.user("alice");
    let early = bench.rig.cli(&["--json", "token", "assign", "CST-000001", "--user", "alice"]);
    assert_eq!(early.status.code(), Some(1), "nobody's yet: {}", tests::appliance::told(&early));
    bench.rig.kill9();
    cable.release();
    let said = Said::wait(station);
    cable.unplug();
    assert_eq!(said.exit, Some(3), "{}", said.told);
    assert!(said.error().contains("no daemon answers"), "{}", said.told);
    bench.rig.restart();
    assert_eq!(bench.agree(&token, "CST-000001"), Ok(Holds::Active));
    settle(&bench, &mut token, "CST-000001");
    assert_eq!(bench.rig.events("type=device.provisioned").len(), 1, "finished, not begun anew");
    bench.rig.check_chain();
}

/// Kills the HSM child, and keeps the next one from finding its module's configuration.
fn take_hsm_away(bench: &Bench) {
    let conf = bench.rig.path("softhsm2.conf");
    fs::rename(&conf, conf.with_extension("away")).expect("own scratch directory");
    let daemon = bench.rig.pid();
    let children = fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{daemon}/task")).expect("own child").filter_map(Result::ok);
    let all = threads.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> = all
        .chain([children])
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    let child = pids.first().copied().and_then(Pid::from_raw).expect("the daemon has its HSM child");
    kill_process(child, Signal::KILL).expect("the HSM child");
    let mut admin = bench.rig.admin();
    wait_until(PATIENCE, "the HSM is away", || {
        admin.send("GET", "/readyz", None).is_ok_and(|answer| answer.status == 503).then_some(())
    });
}

fn bring_hsm_back(bench: &mut Bench) {
    let conf = bench.rig.path("softhsm2.conf");
    fs::rename(conf.with_extension("away"), &conf).expect("own scratch directory");
    bench.rig.await_ready();
}

/// A22: the HSM goes before the grant, and between grant and confirmation: named, nothing given, and it works again.
///
/// Red when a fault of the HSM is told as the token's, or changes what the token holds.
#[test]
fn an_hsm_that_goes_away_is_named_and_changes_nothing() {
    let mut bench = Bench::start();
    for (serial, frame) in [("CST-000001", 1), ("CST-000002", INSTALL)] {
        let mut token = bench.token_with(serial, serial, &BRISK);
        let (cable, station) = held_at(&bench, &token, serial, frame);
        take_hsm_away(&bench);
        cable.release();
        let said = Said::wait(station);
        cable.unplug();
        assert_eq!(said.exit, Some(3), "{serial}: {}", said.told);
        assert!(said.error().to_lowercase().contains("hsm"), "{serial}: {}", said.told);
        assert_eq!(bench.agree(&token, serial), Ok(Holds::AsBefore), "{serial}");
        bring_hsm_back(&mut bench);
        settle(&bench, &mut token, serial);
    }
    assert_eq!(bench.refusals(), [""; 0], "no device was accused");
}

/// `Abort` needs no key: somebody on the cable clears a secret that the appliance has released.
///
/// Red when the token then cannot be provisioned any more, or the lost secret can be assigned.
#[test]
fn an_abort_after_the_release_costs_one_more_try() {
    let bench = Bench::start();
    let mut token = bench.token_with("one", "CST-000001", &BRISK);
    let (cable, station) = held_at(&bench, &token, "CST-000001", COMMIT);
    let mut stranger = Wire::open(&token.port);
    assert_eq!(stranger.call(Abort { counter: 1 }), Ok(1));
    drop(stranger);
    cable.release();
    let said = Said::wait(station);
    cable.unplug();
    assert_eq!((said.exit, said.error()), (Some(1), Refusal::Counter.to_string().as_str()), "{}", said.told);
    bench.rig.user("alice");
    let early = bench.rig.cli(&["--json", "token", "assign", "CST-000001", "--user", "alice"]);
    assert_eq!(early.status.code(), Some(1), "{}", tests::appliance::told(&early));
    settle(&bench, &mut token, "CST-000001");
}
