//! One try, then a person.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use hsm::{Hsm, HsmError, PinSource, Status, unlatch};

use crate::rig::{PIN, Rig, launcher, put_pin};

/// A rig and how often C_Login was called.
fn spied() -> (Rig, impl Fn() -> usize) {
    let (rig, calls) = Rig::spied();
    (rig, move || calls("C_Login"))
}

/// Red when the latch is written late or not at all, or when a restart does not heed it.
#[test]
fn a_wrong_pin_is_tried_exactly_once() {
    let (rig, logins) = spied();
    put_pin(&rig.path("pin"), "000000");
    let hsm = rig.start();
    assert_eq!(hsm.status(), Status::Down { error: HsmError::PinIncorrect });
    assert_eq!(hsm.random(1), Err(HsmError::PinIncorrect));
    drop(hsm);
    assert_eq!(logins(), 1);
    let latch = rig.settings.latch.clone();
    let note = fs::read_to_string(&latch).expect("latched");
    assert!(note.contains("latched") && !note.contains("000000"), "{note}");
    put_pin(&rig.path("pin"), PIN);
    for _ in 0..3 {
        assert_eq!(rig.refusal(), HsmError::PinLatched { path: latch.clone() });
    }
    assert_eq!(logins(), 1, "not even the right PIN is tried");
    assert!(unlatch(&latch).expect("writable"));
    rig.open();
    assert_eq!(logins(), 2);
    rig.open();
    assert!(!unlatch(&latch).expect("nothing latched"));
}

#[test]
fn a_permit_allows_one_try_only() {
    let (rig, logins) = spied();
    put_pin(&rig.path("pin"), "000000");
    assert_eq!(rig.refusal(), HsmError::PinIncorrect);
    assert!(unlatch(&rig.settings.latch).expect("writable"));
    assert_eq!(rig.refusal(), HsmError::PinIncorrect);
    assert!(matches!(rig.refusal(), HsmError::PinLatched { .. }));
    assert_eq!(logins(), 2);
}

/// The token's own count stops us where another program used up tries.
#[test]
fn a_token_short_of_tries_is_left_alone() {
    let (rig, logins) = spied();
    put_pin(&rig.path("pin"), "000000");
    assert_eq!(rig.refusal(), HsmError::PinIncorrect);
    put_pin(&rig.path("pin"), PIN);
    for name in ["latch", "latch.login"] {
        let _ = fs::remove_file(rig.path(name));
    }
    assert!(matches!(rig.refusal(), HsmError::PinLatched { .. }));
    assert_eq!(logins(), 1);
    assert!(unlatch(&rig.settings.latch).expect("writable"));
    rig.open();
}

/// A login whose end nobody saw may have been counted. Red when `trying` is not written before C_Login.
#[test]
fn a_login_that_never_ended_counts_as_a_try() {
    let (rig, logins) = spied();
    let other = fs::read_to_string({
        rig.open();
        rig.path("latch.login")
    })
    .expect("a proven login");
    fs::write(rig.path("latch.login"), other.replace("proven", "trying")).expect("scratch");
    assert!(matches!(rig.refusal(), HsmError::PinLatched { .. }));
    assert_eq!(logins(), 1);
}

#[test]
fn nothing_is_tried_that_cannot_be_noted() {
    let (mut rig, logins) = spied();
    rig.settings.latch = rig.path("missing/latch");
    assert!(matches!(rig.refusal(), HsmError::Unavailable { .. }));
    assert_eq!(logins(), 0);
}

#[test]
fn a_pin_file_open_to_others_is_not_read() {
    let (mut rig, logins) = spied();
    let pin = rig.path("pin");
    fs::set_permissions(&pin, Permissions::from_mode(0o644)).expect("own file");
    let HsmError::PinFile(why) = rig.refusal() else { panic!("taken") };
    assert!(why.contains(&format!("chmod 0600 {}", pin.display())), "{why}");
    rig.settings.pin = PinSource::Credential("../pin".into());
    assert!(matches!(rig.refusal(), HsmError::PinFile(_)));
    assert_eq!(logins(), 0);
}

#[test]
fn what_is_missing_is_named() {
    let mut rig = Rig::new();
    rig.settings.token_label = "another".into();
    assert_eq!(
        rig.refusal(),
        HsmError::TokenMissing { label: "another".into(), available: vec![crate::rig::LABEL.into()] }
    );
    rig.settings.module = "/nonexistent.so".into();
    assert_eq!(rig.refusal(), HsmError::ModuleMissing { path: "/nonexistent.so".into() });
    rig.settings.module = rig.path("pin");
    assert!(matches!(rig.refusal(), HsmError::ModuleUnusable { .. }));
    let mut nobody = launcher();
    nobody.program = "/nonexistent".into();
    rig.settings.deadline = Duration::from_secs(5);
    let status = Hsm::start(nobody, rig.settings.clone()).status();
    assert!(matches!(status, Status::Down { error: HsmError::Unavailable { .. } }));
}
