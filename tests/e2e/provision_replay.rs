//! A recorded provisioning played again: to the same token, to another, to the token after its wipe; grants and
//! orders with something exchanged; and other versions and suites. Each is refused by name and changes nothing.
//! docs/provisioning.md, "Replay" and "Downgrade".

use std::path::Path;

use tests::cable::{Cable, Trace};
use tests::technician::{BRISK, Bench, Said};
use tests::token::EmulatedToken;
use tests::wire::{Recorded, Wire, answers, frame, info, message, requests};
use token::link::{
    Answer, Info, Install, Life, Octets, Order, PROTOCOL, Refusal, Request, Start, Suite, call,
};

/// Numbers of requests of ours, out of the way of those that were recorded.
const SEQUENCE: u32 = 0x00C0_FFEE;

/// Runs a technician's command over a cable and keeps what passed.
fn recorded(bench: &Bench, token: &EmulatedToken, act: &str, more: &[&str]) -> (Said, Trace) {
    let cable = Cable::plug(&token.port, &bench.rig.path("recorded.cable"), None);
    let mut command = bench.command(act, &cable.port, more);
    let said = Said::of(command.output().expect("the binary starts"));
    (said, cable.unplug())
}

fn provisioned(bench: &Bench, token: &EmulatedToken) -> Vec<Recorded> {
    let (said, trace) = recorded(bench, token, "provision", &["--type", "hotp"]);
    assert!(said.provisioned(), "{}", said.told);
    let requests = requests(&trace.host);
    assert!(requests.len() >= 5, "who, start, install, commit, who: {}", requests.len());
    requests
}

fn find(all: &[Recorded], wanted: impl Fn(&Request) -> bool) -> Recorded {
    all.iter().find(|recorded| wanted(&recorded.request)).expect("a whole dialogue was recorded").clone()
}

/// All but the clock, which goes on.
fn unchanged(before: &Info, after: &Info) {
    let still = |info: &Info| {
        (info.life, info.owner, info.counter, info.pending, info.slots.clone(), info.certificate.clone())
    };
    assert_eq!(still(before), still(after));
}

/// What a token answers to each of the recorded requests, in order.
fn play(port: &Path, all: &[Recorded]) -> Vec<(Request, Answer)> {
    let mut line = Wire::open(port);
    let answers = all
        .iter()
        .map(|recorded| (recorded.request.clone(), line.replay(&recorded.frame, recorded.sequence)))
        .collect();
    line.leave();
    answers
}

/// The station's half of a recorded provisioning, played to the same token: it takes part in a new exchange, whose
/// nonce and key the old grant does not fit; the old commit is answered as it was.
///
/// Red when a grant is not bound to the token's nonce, or a commit is carried out twice.
#[test]
fn a_recorded_provisioning_does_nothing_to_the_same_token() {
    let bench = Bench::start();
    let mut token = bench.token_with("one", "CST-000001", &BRISK);
    let all = provisioned(&bench, &token);
    let before = info(&token.port);
    for (request, answer) in play(&token.port, &all) {
        let fits = match (&request, &answer) {
            (Request::Info, Answer::Info(_)) => true,
            (Request::Start(_), Answer::Challenge(challenge)) => challenge.counter == 2,
            (Request::Install(_), Answer::Refused(Refusal::Signature)) => true,
            (Request::Commit(commit), Answer::Committed { counter }) => commit.counter == *counter,
            _ => false,
        };
        assert!(fits, "{request:?}: {answer:?}");
    }
    unchanged(&before, &info(&token.port));
    let install = find(&all, |request| matches!(request, Request::Install(_)));
    let alone = play(&token.port, &[install]);
    assert_eq!(alone[0].1, Answer::Refused(Refusal::NoExchange), "without a start");
    bench.prove(&mut token, "CST-000001").expect("its secret is as it was");
}

/// To another token of the same maker, and to the same one after its wipe. Red when a grant is not bound to serial
/// and counter, or a wiped token remembers its commit.
#[test]
fn a_recorded_provisioning_does_nothing_to_another_token_or_after_a_wipe() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let other = bench.token_with("two", "CST-000002", &BRISK);
    let all = provisioned(&bench, &token);
    let wiped = bench.run("wipe", &token.port, &[]);
    assert_eq!((wiped.exit, &wiped.json["state"]), (Some(0), &"wiped".into()), "{}", wiped.told);
    for (port, counter) in [(&other.port, 1), (&token.port, 2)] {
        let before = info(port);
        for (request, answer) in play(port, &all) {
            let fits = match (&request, &answer) {
                (Request::Info, Answer::Info(_)) => true,
                (Request::Start(_), Answer::Challenge(challenge)) => challenge.counter == counter,
                (Request::Install(_), Answer::Refused(Refusal::Signature)) => true,
                (Request::Commit(_), Answer::Refused(Refusal::Counter)) => true,
                _ => false,
            };
            assert!(fits, "{request:?}: {answer:?}");
        }
        unchanged(&before, &info(port));
    }
    for (token, serial) in [(token, "CST-000001"), (other, "CST-000002")] {
        let said = bench.provision(&token.port);
        assert!(said.provisioned(), "{serial} can be provisioned all the same: {}", said.told);
    }
}

/// A fresh exchange of ours with a token, and its own start with this in place of something.
fn start(line: &mut Wire, first: &Start, port_nonce: u8) -> Start {
    let start = Start { host_nonce: Octets([port_nonce; 16]), ..first.clone() };
    let answer = line.ask(&Request::Start(start.clone()));
    assert!(matches!(answer, Ok(Answer::Challenge(_))), "{answer:?}");
    start
}

/// What a token says to a grant in which one thing is another's: wrapped secret, policy, E_H, signature, suite, slot.
///
/// Red when the signature does not cover one of them, or is not checked before they are used.
#[test]
fn a_grant_with_something_exchanged_is_refused() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let other = bench.token_with("two", "CST-000002", &BRISK);
    let pick = |all: &[Recorded]| match find(all, |request| matches!(request, Request::Install(_))).request {
        Request::Install(install) => install,
        _ => unreachable!("found by its kind"),
    };
    let all = provisioned(&bench, &token);
    let (ours, theirs) = (pick(&all), pick(&provisioned(&bench, &other)));
    let Request::Start(first) = find(&all, |request| matches!(request, Request::Start(_))).request else {
        unreachable!("found by its kind")
    };
    let before = info(&token.port);
    let mut line = Wire::open(&token.port);
    let mixed = [
        ours.clone(),
        theirs.clone(),
        Install { wrapped: theirs.wrapped.clone(), ..ours.clone() },
        Install { policy: theirs.policy, ..ours.clone() },
        Install { host_ephemeral: theirs.host_ephemeral, ..ours.clone() },
        Install { signature: theirs.signature, ..ours.clone() },
    ];
    for (n, install) in mixed.into_iter().enumerate() {
        start(&mut line, &first, u8::try_from(n).expect("few"));
        assert_eq!(line.ask(&Request::Install(install)), Err(Refusal::Signature), "mixture {n}");
    }
    line.leave();
    unchanged(&before, &info(&token.port));
}

/// Downgrade: another protocol version, the reserved suite, another host key, a slot that is not there.
///
/// Red when a token takes part in what it does not speak.
#[test]
fn other_versions_and_suites_are_refused_by_name() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let all = provisioned(&bench, &token);
    let Request::Start(first) = find(&all, |request| matches!(request, Request::Start(_))).request else {
        unreachable!("found by its kind")
    };
    let before = info(&token.port);
    let mut line = Wire::open(&token.port);
    for version in [0, PROTOCOL + 1, u8::MAX] {
        let mut bytes = message(SEQUENCE, &Request::Start(first.clone()));
        bytes[0] = version;
        assert_eq!(line.replay(&frame(&bytes), SEQUENCE), Answer::Refused(Refusal::Version), "{version}");
    }
    let another = before.certificate.as_ref().expect("an attested token").key;
    for (start, refusal) in [
        (Start { suite: Suite::Hkdf, ..first.clone() }, Refusal::Suite),
        (Start { host_key: another, ..first.clone() }, Refusal::Host),
        (Start { slot: 4, ..first.clone() }, Refusal::Slot),
    ] {
        assert_eq!(line.ask(&Request::Start(start)), Err(refusal));
    }
    line.leave();
    unchanged(&before, &info(&token.port));
}

/// Orders are for one challenge and one token: played again, over another's challenge, or for another order, they are
/// refused. Red when the challenge serves twice, or serial or order are not signed.
#[test]
fn an_order_is_obeyed_once() {
    let bench = Bench::start();
    let token = bench.token_with("one", "CST-000001", &BRISK);
    let other = bench.token_with("two", "CST-000002", &BRISK);
    provisioned(&bench, &token);
    provisioned(&bench, &other);
    for act in ["set-clock", "lock", "wipe"] {
        let (said, trace) = recorded(&bench, &token, act, &[]);
        assert_eq!((said.exit, said.error()), (Some(0), ""), "{act}: {}", said.told);
        assert!(answers(&trace.token).contains(&Answer::Obeyed), "{act}");
        let order = find(&requests(&trace.host), |request| matches!(request, Request::Order { .. }));
        let Request::Order { order: what, signature } = order.request else {
            unreachable!("found by its kind")
        };
        for (port, whose) in [(&token.port, "itself"), (&other.port, "another")] {
            let before = info(port);
            let mut line = Wire::open(port);
            let again = line.ask(&Request::Order { order: what, signature });
            assert_eq!(again, Err(Refusal::NoExchange), "{act} to {whose}, without a challenge");
            for order in [what, Order::Wipe, Order::Return, Order::SetClock { utc: 1_900_000_000 }] {
                line.call(call::GetNonce).expect("a challenge");
                let refusal = line.ask(&Request::Order { order, signature }).expect_err("another challenge");
                assert!(
                    matches!(refusal, Refusal::Signature | Refusal::Life),
                    "{act} to {whose} as {order:?}: {refusal:?}"
                );
            }
            line.leave();
            unchanged(&before, &info(port));
        }
    }
    assert_eq!(info(&token.port).life, Life::Wiped);
    assert_eq!(info(&other.port).life, Life::Provisioned);
}
