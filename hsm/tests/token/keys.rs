//! What the token holds, and that none of it can be taken out.

use std::process::Command;

use hsm::{Assurance, HsmError};

use crate::rig::{LABEL, PIN, Rig};

#[test]
fn a_new_token_holds_its_keys_and_says_so() {
    let rig = Rig::blank();
    let info = rig.initialise().expect("a blank token");
    assert_eq!((info.token_label.as_str(), info.kek_generation), (LABEL, 1));
    assert_eq!(info.assurance, Assurance::Enforced);
    assert!(info.manufacturer.starts_with("SoftHSM"), "{}", info.manufacturer);
    assert!(info.capabilities.values().all(|yes| *yes), "{:?}", info.capabilities);
    let again = rig.initialise();
    assert!(matches!(again, Err(HsmError::Refused { .. })), "{again:?}");
    let hsm = rig.open();
    assert_eq!(hsm.info().expect("up"), info);
    let checks = hsm.check().expect("up");
    assert_eq!(checks.len(), 5 * 17 + 2 * (15 + 8));
    let wrong: Vec<_> = checks.iter().filter(|check| !check.ok).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_token_made_elsewhere_gets_only_its_keys() {
    let rig = Rig::blank();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", LABEL, "--so-pin", "1111", "--pin", PIN])
        .env_clear()
        .envs(rig.settings.env.clone())
        .output()
        .expect("installed");
    assert!(made.status.success(), "{made:?}");
    assert_eq!(rig.refusal(), HsmError::NotInitialised);
    rig.initialise().expect("keys were missing");
    rig.open();
}

/// The judge is another program, logged in with the right PIN.
#[test]
fn no_value_can_be_read() {
    let rig = Rig::new();
    let (listed, objects) = rig.tool(&["--list-objects", "--type", "secrkey"]);
    assert!(listed);
    for role in ["use-kek", "data-kek", "row-mac", "code", "canary"] {
        let label = format!("countersign-{role}-1");
        assert!(objects.contains(&label), "{objects}");
        let (_, value) = rig.tool(&["--read-object", "--type", "secrkey", "--label", &label]);
        assert!(value.is_empty(), "{label} gave {} bytes", value.len());
    }
    assert_eq!(objects.matches("never extractable").count(), 5, "{objects}");
    let (listed, objects) = rig.tool(&["--list-objects", "--type", "privkey"]);
    assert!(listed);
    for role in ["host-sign", "assertion-sign"] {
        let label = format!("countersign-{role}-1");
        assert!(objects.contains(&label), "{objects}");
        let (_, value) = rig.tool(&["--read-object", "--type", "privkey", "--label", &label]);
        assert!(value.is_empty(), "{label} gave {} bytes", value.len());
    }
    assert_eq!(objects.matches("Private Key Object").count(), 2, "{objects}");
    assert_eq!(objects.matches("never extractable").count(), 2, "{objects}");
    assert_eq!(objects.matches("sign\n").count(), 2, "nothing but signing: {objects}");
}

#[test]
fn a_foreign_object_under_our_label_stops_the_start() {
    let rig = Rig::new();
    let (planted, _) =
        rig.tool(&["--keygen", "--key-type", "AES:32", "--label", "countersign-use-kek-1", "--extractable"]);
    assert!(planted);
    assert!(matches!(rig.refusal(), HsmError::Unavailable { .. }));
}
