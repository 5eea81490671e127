//! What a station meets at the bench that is not a token in order: each is named, ends with its exit code, changes
//! nothing, and does not stand in the way of the next try. docs/provisioning.md.

use std::fs;
use std::path::Path;
use std::thread;

use tests::cable::{At, Break, Cable, Fault, Side};
use tests::pretender::{Manner, Pretender};
use tests::technician::{BRISK, Bench, Holds, Said};
use tests::token::EmulatedToken;
use tests::wire::info;
use tests::{EmulatedModem, PATIENCE, RigOptions, wait_until};
use token::link::{Life, SlotState};

/// Refused by the appliance, with this in its reason and in an event; the token is as it was.
fn refused(bench: &Bench, token: &EmulatedToken, reason: &str) {
    let (before, noted) = (info(&token.port), bench.refusals().len());
    let said = bench.provision(&token.port);
    assert_eq!(said.exit, Some(1), "{}", said.told);
    assert!(said.error().contains(reason), "{reason}: {}", said.told);
    let after = info(&token.port);
    assert_eq!((after.life, after.counter, after.pending), (before.life, before.counter, None));
    let events = bench.refusals();
    assert_eq!(events.len(), noted + 1, "{events:?}");
    assert!(events.last().is_some_and(|event| event.contains(reason)), "{events:?}");
}

fn works(bench: &Bench, token: &EmulatedToken) {
    let said = bench.provision(&token.port);
    assert!(said.provisioned(), "{}", said.told);
}

/// A station at a port that is no token's. Red when one hangs, takes an echo for an answer, or says nothing useful.
#[test]
fn what_is_no_token_is_named() {
    let bench = Bench::start();
    let rig = &bench.rig;
    let modem = EmulatedModem::start(&rig.binary, &rig.path(""), "m1", "generic", "");
    let manners = [Manner::Echo, Manner::Silence, Manner::Noise];
    let pretenders =
        manners.map(|manner| (manner, Pretender::start(&rig.path(&format!("{manner:?}.port")), manner)));
    let file = rig.path("a file");
    fs::write(&file, "no port").expect("own scratch directory");
    let provision = |port: &Path| {
        let output = bench.command("provision", port, &[]).output().expect("the binary starts");
        Said::of(output)
    };
    thread::scope(|scope| {
        let provision = &provision;
        scope.spawn(|| {
            let said = provision(&modem.port);
            assert_eq!((said.exit, said.error().contains("answer")), (Some(1), true), "{}", said.told);
        });
        for (manner, pretender) in &pretenders {
            scope.spawn(move || {
                let said = provision(&pretender.port);
                let named = said.error().contains("answer");
                assert_eq!((said.exit, named), (Some(1), true), "{manner:?}: {}", said.told);
            });
        }
        for (port, text) in [(&file, "a file"), (&rig.path("absent"), "there is no such port")] {
            let said = provision(port);
            assert_eq!((said.exit, said.error().contains(text)), (Some(3), true), "{}", said.told);
        }
    });
    assert!(rig.events("type=device").is_empty(), "nothing was begun");
}

/// A maker's certificate of another day, and a serial on the list of those revoked. Red when days or list are not
/// looked at; a host whose clock is a year off sees the same.
#[test]
fn certificates_out_of_their_days_and_revoked_serials_are_refused() {
    let mut bench = Bench::start_with(RigOptions::default(), "revoked_serials = [\"CST-000009\"]");
    let days = |name: &str, ago: &str| {
        let more = [&BRISK[..], &["--issued-days-ago", ago, "--valid-days", "365"]].concat();
        bench.token_with(name, name, &more)
    };
    let expired = days("CST-000001", "400");
    refused(&bench, &expired, "not valid today");
    let early = days("CST-000002", "-365");
    refused(&bench, &early, "not valid today");
    let last_days = days("CST-000003", "364");
    works(&bench, &last_days);
    let revoked = bench.token_with("CST-000009", "CST-000009", &BRISK);
    refused(&bench, &revoked, "revoked");
    bench.trust("");
    bench.rig.restart();
    works(&bench, &revoked);
}

/// A token that another appliance owns. Red when a token changes its owner without a wipe.
#[test]
fn a_token_of_another_appliance_is_refused_until_it_is_wiped() {
    let bench = Bench::start();
    let other = bench.beside();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    works(&bench, &token);
    let said = other.provision(&token.port);
    assert_eq!((said.exit, said.error()), (Some(1), "another host owns the token"), "{}", said.told);
    let said = other.run("wipe", &token.port, &[]);
    assert_eq!(said.exit, Some(1), "only its owner wipes it: {}", said.told);
    assert_eq!(bench.agree(&token, "CST-000001"), Ok(Holds::Active));
    let said = bench.run("wipe", &token.port, &[]);
    assert_eq!((said.exit, said.error()), (Some(0), ""), "{}", said.told);
    works(&other, &token);
}

/// Slots: all can be filled, one that is not there is named. Red when a slot beyond the last is written.
#[test]
fn a_slot_that_is_not_there_is_named() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    for slot in ["4", "255"] {
        let said = bench.run("provision", &token.port, &["--type", "hotp", "--slot", slot]);
        assert_eq!((said.exit, said.error()), (Some(1), "the token has no such slot"), "{}", said.told);
    }
    for slot in ["0", "1", "2", "3"] {
        let said = bench.run("provision", &token.port, &["--type", "hotp", "--slot", slot]);
        assert!(said.provisioned(), "{}", said.told);
    }
    assert!(info(&token.port).slots.iter().all(|slot| *slot == SlotState::Hotp));
    works(&bench, &token);
}

/// Two stations at one port. Red when the second one's bytes come between the first one's.
#[test]
fn a_second_station_at_a_port_is_named() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &["--auto-press"]);
    let blank = token.shown();
    let first = bench.begin(&token.port);
    wait_until(PATIENCE, "the token asks", || (token.shown() != blank).then_some(()));
    let output = bench.command("provision", &token.port, &[]).output().expect("the binary starts");
    let second = Said::of(output);
    assert_eq!((second.exit, second.error().contains("in use")), (Some(3), true), "{}", second.told);
    let first = Said::wait(first);
    assert!(first.provisioned(), "the first is not disturbed: {}", first.told);
}

/// A second device under a known serial, by the same maker: refused, noted, and the first one serves on.
///
/// Red when a device row is replaced by whoever has a certificate for its serial.
#[test]
fn a_second_device_under_one_serial_is_refused() {
    let bench = Bench::start();
    let mut first = bench.token_with("first", "CST-000001", &BRISK);
    let copy = bench.token_with("copy", "CST-000001", &BRISK);
    works(&bench, &first);
    let known = bench.known("CST-000001").expect("a provisioned token");
    refused(&bench, &copy, "another device with the serial CST-000001");
    let said = bench.run("attest", &copy.port, &[]);
    assert!(said.exit == Some(1) && said.error().contains("another device"), "{}", said.told);
    let now = bench.known("CST-000001").expect("as before");
    assert_eq!((now.attestation_key, now.record), (known.attestation_key, known.record));
    assert_eq!(bench.rig.events("token=CST-000001&type=device.refused").len(), 1, "found by its serial");
    bench.prove(&mut first, "CST-000001").expect("its codes are accepted");
    bench.rig.check_chain();
}

/// Two devices under one new serial, at two stations at once: one becomes known, the other's proof is not taken.
///
/// Red when the serial is looked up before the grant only.
#[test]
fn of_two_devices_under_one_serial_the_first_to_prove_itself_is_known() {
    let bench = Bench::start();
    let slow = bench.token_with("slow", "CST-000001", &BRISK);
    let mut quick = bench.token_with("quick", "CST-000001", &BRISK);
    let with = Some(Break { side: Side::Host, at: At::Frame(2), fault: Fault::Hold });
    let cable = Cable::plug(&slow.port, &bench.rig.path("slow.cable"), with);
    let station = bench.begin(&cable.port);
    cable.await_hold();
    works(&bench, &quick);
    cable.release();
    let said = Said::wait(station);
    cable.unplug();
    assert_eq!(said.exit, Some(1), "{}", said.told);
    assert!(said.error().contains("another device with the serial CST-000001"), "{}", said.told);
    let left = info(&slow.port);
    assert_eq!((left.life, left.pending), (Life::Attested, None), "it holds no secret");
    assert_eq!(bench.refusals().len(), 1);
    bench.prove(&mut quick, "CST-000001").expect("its codes are accepted");
}

/// A device whose memory was put back to what it was, or a copy of it with all its keys: its counter tells.
///
/// Red when the counter of a device may go back.
#[test]
fn a_device_whose_memory_was_put_back_is_refused() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let older = token.flash();
    works(&bench, &token);
    drop(token);
    fs::remove_file(bench.rig.path("one.port")).expect("a killed token leaves its symlink");
    let flash = bench.rig.path("one.flash");
    let newer = fs::read(&flash).expect("the token's flash");
    fs::write(&flash, older).expect("the token's flash");
    let copy = bench.token_with("one", "CST-000001", &BRISK);
    refused(&bench, &copy, "counter of CST-000001 went back");
    drop(copy);
    fs::remove_file(bench.rig.path("one.port")).expect("a killed token leaves its symlink");
    fs::write(&flash, newer).expect("the token's flash");
    let mut token = bench.token_with("one", "CST-000001", &BRISK);
    bench.prove(&mut token, "CST-000001").expect("the true one's codes are accepted");
}

/// A token that is somebody's, at the bench and between grant and confirmation. Red when its secret is replaced.
#[test]
fn a_token_assigned_meanwhile_keeps_its_secret() {
    let bench = Bench::start();
    let mut token = bench.token_with("one", "CST-000001", &BRISK);
    works(&bench, &token);
    let with = Some(Break { side: Side::Host, at: At::Frame(2), fault: Fault::Hold });
    let cable = Cable::plug(&token.port, &bench.rig.path("one.cable"), with);
    let station = bench.begin(&cable.port);
    cable.await_hold();
    bench.rig.user("alice");
    bench.rig.cli_json(&["token", "assign", "CST-000001", "--user", "alice"]);
    cable.release();
    let said = Said::wait(station);
    cable.unplug();
    assert_eq!(said.exit, Some(1), "{}", said.told);
    assert!(said.error().contains("assigned to a user"), "{}", said.told);
    assert_eq!(info(&token.port).pending, None, "the new secret is forgotten");
    let code = token.code(6);
    assert!(bench.rig.admin().verify("alice", &code).accepted(), "the former one serves");
}
