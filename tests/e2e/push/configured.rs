//! What is configured for phones is checked, and holds.

use serde_json::json;
use tests::device::{Choice, Personality};
use tests::handset::{Handset, begin};
use tests::phones::{id, push, rig_with, state};
use tests::time::unix_s;
use tests::{Appliance, RigOptions};

/// COMB-07 to COMB-11, COMB-16 to COMB-20, COMB-22 to COMB-28, AT-22. Red when a range or a default of the list is
/// another, or a finding has lost its place.
#[test]
fn every_parameter_is_checked_with_its_line() {
    let rig = |tables: &str| {
        let options =
            RigOptions { public_url: Some("https://otp.example.org".to_owned()), ..RigOptions::default() };
        let rig = Appliance::prepare(options.config(tables));
        let output = rig.cli(&["config", "check"]);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    let whole = "[mfa]\nissuer = \"Example Inc\"\naccount_name_attr = \"email\"\nbgcolor = \"#032b75\"\n\
        logo_url = \"https://otp.example.org/logo.png\"\ngenerate_recovery_codes = false\nregistration_timeout = 600\n\
        otp_length = 8\nmin_secret_hex = 40\noath_algorithm = \"HOTP\"\ntotp_period = 60\n\
        policies = '{\"biometricAvailable\":{},\"deviceTampering\":{\"score\":0.8}}'\n\
        [mfa.qr_message]\nen-gb = \"Scan\"\n[push]\ntimeout = 60\ntype = \"challenge\"\npath = \"/p\"\n\
        [push.message]\nde = \"Anmeldung von {user} bei {issuer}\"\n";
    assert_eq!(rig(whole).1, Some(0), "{}", rig(whole).0);
    for (tables, key) in [
        ("[mfa]\nissuer = \"X\"\n", "mfa: CFG-COMB-1"),
        ("[push]\npoll = false\n", "push: CFG-COMB-1"),
        ("[push]\n[mfa]\nissuer = \"A:B\"\n", "mfa.issuer"),
        ("[push]\n[mfa]\nissuer = \"Zü~r?>\"\n", "mfa.issuer"),
        ("[push]\n[mfa]\nbgcolor = \"red\"\n", "mfa.bgcolor"),
        ("[push]\n[mfa]\nlogo_url = \"https://x.example/l.png?a=1&b=2\"\n", "mfa.logo_url"),
        ("[push]\n[mfa]\nregistration_timeout = 9\n", "mfa.registration_timeout"),
        ("[push]\n[mfa]\nregistration_timeout = 601\n", "mfa.registration_timeout"),
        ("[push]\n[mfa]\notp_length = 7\n", "mfa.otp_length"),
        ("[push]\n[mfa]\nmin_secret_hex = 31\n", "mfa.min_secret_hex"),
        ("[push]\n[mfa]\nmin_secret_hex = 64\n", "oath.secret_hex"),
        ("[push]\n[mfa]\noath_algorithm = \"OCRA\"\n", "mfa.oath_algorithm"),
        ("[push]\n[mfa]\ntotp_period = 9\n", "mfa.totp_period"),
        ("[push]\n[mfa]\ntotp_hash = \"MD5\"\n", "mfa.totp_hash"),
        ("[push]\n[mfa]\nhotp_checksum = true\n", "mfa.hotp_checksum"),
        ("[push]\n[mfa]\nhotp_truncation_offset = 16\n", "mfa.hotp_truncation_offset"),
        ("[push]\n[mfa]\npolicies = '{\"biometricAvailable\":true}'\n", "mfa.policies"),
        ("[push]\n[mfa]\npolicies = '{\"deviceTampering\":{\"score\":1.5}}'\n", "mfa.policies"),
        ("[push]\n[mfa.qr_message]\ne = \"x\"\n", "mfa.qr_message.e"),
        ("[push]\ntimeout = 10\n", "push.timeout"),
        ("[push]\ntype = \"sound\"\n", "push.type"),
        ("[push]\npath = \"/q\"\n", "push.path"),
        ("[push]\nunknown = 1\n", "unknown"),
    ] {
        let (text, status) = rig(tables);
        assert_eq!(status, Some(2), "{tables}: {text}");
        let found = text
            .lines()
            .find(|line| line.contains(&format!(": {key}")))
            .unwrap_or_else(|| panic!("{tables}: {text}"));
        let line: usize = found.split(':').nth(1).and_then(|n| n.parse().ok()).expect("a line");
        assert!(line > 10, "{found}");
    }
}

/// COMB-08 to COMB-10, COMB-16, COMB-20, COMB-21, COMB-26: what is configured is what the code and the records say.
#[test]
fn what_is_configured_stands_in_the_code() {
    let (rig, mut client) = rig_with(
        "[mfa]\nissuer = \"Example Inc\"\naccount_name_attr = \"email\"\nbgcolor = \"#00AA11\"\notp_length = 8\n\
         oath_algorithm = \"HOTP\"\ngenerate_recovery_codes = false\n\
         policies = '{\"deviceTampering\":{\"score\":0.8}}'\n[mfa.qr_message]\nen = \"Scan me\"\nde = \"Scanne mich\"\n\
         [push]\npath = \"/p\"\ntype = \"default\"\n",
    );
    rig.user("alice");
    rig.user("bob");
    rig.admin().put("/v1/users/alice/email", &json!({"email": "alice@example.org"})).expect(200);
    let wish = json!({"kind": "combined", "locale": "de-CH"});
    let begun = client.post("/v1/users/alice/registrations", &wish).expect(201).json();
    assert_eq!(begun["message"], "Scanne mich");
    assert!(begun["qr_svg"].as_str().is_some_and(|svg| svg.starts_with("<svg")));
    let mut handset = Handset::new(&rig, Personality::AndroidLegacy, "alice");
    let (account, answer) = handset.register(begun["uri"].as_str().expect("a text"));
    assert_eq!(answer.status, 200, "by the short path");
    let own = &handset.phone.accounts()[account];
    assert_eq!((own.issuer.as_str(), own.name.as_str()), ("Example Inc", "alice@example.org"));
    assert_eq!(own.policies.len(), 1);
    assert!(begun["uri"].as_str().is_some_and(|uri| uri.contains("b=00aa11") && uri.contains("digits=8")));
    let shown = client.get(&format!("/v1/users/alice/registrations/{}", id(&begun))).expect(200).json();
    assert!(shown["recovery_codes"].is_null(), "switched off");
    assert_eq!(shown["oath"]["profile"]["type"], "hotp");
    let code = handset.phone.code(account, unix_s());
    assert!(client.verify("alice", &code).accepted(), "the counter's first two codes are in the window");
    assert!(client.verify("alice", &code).rejected(), "the counter has moved");
    let code = handset.phone.code(account, unix_s());
    assert!(client.verify("alice", &code).accepted(), "the next one");
    let asked = push(&mut client, "alice");
    assert!(asked["number"].is_null());
    let notice = handset.notice(account);
    assert_eq!(handset.answer(&notice, Choice::Approve).status, 200);
    assert_eq!(state(&mut client, &asked), "verified");
    let begun = begin(&mut client, "bob", "push");
    let bob = handset.phone.scan(begun["uri"].as_str().expect("a text")).expect("the app takes it");
    assert_eq!(handset.phone.accounts()[bob.account].name, "bob", "without the attribute the user name");
    assert_eq!(begun["message"], "Scan me");
}

/// COMB-27, COMB-28: a phone that violates a policy says nothing, and so the registration times out.
#[test]
fn a_policy_is_judged_on_the_phone() {
    let (rig, mut client) = rig_with(
        "[mfa]\nregistration_timeout = 10\npolicies = '{\"biometricAvailable\":{},\"deviceTampering\":{\"score\":0.5}}'\n[push]\n",
    );
    rig.user("alice");
    let begun = begin(&mut client, "alice", "combined");
    let mut handset = Handset::new(&rig, Personality::PingNew, "alice");
    handset.phone.condition.biometric = false;
    handset.phone.scan(begun["uri"].as_str().expect("a text")).expect_err("a policy");
    let shown =
        client.get(&format!("/v1/users/alice/registrations/{}?wait=25", id(&begun))).expect(200).json();
    assert_eq!(shown["outcome"], "timeout");
}
