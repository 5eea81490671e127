//! The configuration file: what is accepted lies within every named range, and what is refused is told with a line that
//! is there.

#![no_main]

use std::path::Path;

use appliance::config::{Address, Config, Finding, parse};
use fuzz::{begin, is_control};
use libfuzzer_sys::fuzz_target;

fn check_config(config: &Config) {
    let Config { limits, window, terms, questions, two_person, .. } = config;
    assert!(config.state_dir.is_absolute() && config.hsm.module.is_absolute());
    assert!((1..=64).contains(&config.issuer.chars().count()) && !config.issuer.contains(':'));
    assert!((100..=30_000).contains(&config.hsm.deadline_ms));
    assert!(!config.listeners.is_empty(), "nobody could speak to the daemon");
    for listener in &config.listeners {
        match &listener.address {
            Address::Unix(path) => assert!(path.is_absolute()),
            Address::Http(address) => assert!(address.ip().is_loopback(), "http beyond this machine"),
        }
    }
    assert!((1..=20).contains(&limits.token_failures) && (1_000..=900_000).contains(&limits.token_lock_ms));
    assert!((1..=20).contains(&limits.delay_from) && (1..=50).contains(&limits.pair_failures));
    assert!((60_000..=30 * 24 * 3_600_000).contains(&limits.pair_lock_ms));
    // NIST SP 800-63B: no more than 100 consecutive failures.
    assert!((1..=100).contains(&limits.user_failures));
    assert!(
        (1..=100).contains(&window.look_ahead) && window.steps <= 10 && (0..=20).contains(&window.drift_max)
    );
    assert!((6..=10).contains(&terms.digits), "{} digits", terms.digits);
    assert!(
        (30_000..=600_000).contains(&terms.ttl_ms) && terms.attempts_max <= 100 && terms.sends_max <= 100
    );
    assert!((10_000..=600_000).contains(&questions.ttl_ms));
    assert!((1_000..=7 * 24 * 3_600_000).contains(&two_person.life_ms));
    assert_eq!(config.sms_message.replace("%%", "").matches("%s").count(), 1);
    assert!(config.provisioning.maker_keys.iter().all(|key| key[0] == 4));
    assert!(config.provisioning.revoked_serials.iter().all(|serial| link::Serial::parse(serial).is_ok()));
    for (at, modem) in config.modems.iter().enumerate() {
        assert!(!config.modems[..at].iter().any(|other| other.id == modem.id), "two modems of one name");
    }
}

fn check_findings(text: &str, findings: &[Finding]) {
    assert!(!findings.is_empty(), "refused without a reason");
    assert!(findings.is_sorted_by_key(|finding| finding.line));
    let lines = text.split('\n').count();
    for Finding { line, text, .. } in findings {
        assert!((1..=lines).contains(line), "line {line} of {lines}: {text}");
        assert!(!text.is_empty());
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../packaging/countersign.toml");
    let shipped = std::fs::read_to_string(shipped).expect("the configuration that ships");
    // Examples in comments are keys too.
    let all = shipped.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    });
    let key = format!("04{}", "5a".repeat(64));
    let rest = format!(
        "[provisioning]\nmaker_keys = [\"{key}\"]\nrevoked_serials = [\"CST-1\"]\n[compat.privacyidea]\nverbose = true\n"
    );
    let bare: String =
        shipped.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let all: String = all.chain([rest]).collect();
    vec![shipped.into_bytes(), bare.into_bytes(), all.into_bytes()]
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Ok(mut config) => {
            // The planted fault: a range that nobody looks at.
            if is_control() {
                config.limits.user_failures = u32::MAX;
            }
            check_config(&config);
            assert!(parse(&format!("{text}\n# a comment")).is_ok(), "a comment changes it");
            assert!(parse(&format!("no_such_key = 1\n{text}")).is_err(), "an unknown key is accepted");
        }
        Err(findings) => check_findings(text, &findings),
    }
});
