//! The file as it is written: every key, each with its place for a finding.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::{Finding, enrolment, people_file, push};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) state_dir: Spanned<PathBuf>,
    pub(super) public_url: Option<Spanned<String>>,
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) hsm: Hsm,
    #[serde(default)]
    pub(super) listen: Vec<Listen>,
    #[serde(default)]
    pub(super) modem: Vec<Modem>,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) oath: Oath,
    #[serde(default)]
    pub(super) sms: Sms,
    #[serde(default)]
    pub(super) authenticator: Vec<people_file::Authenticator>,
    #[serde(default)]
    pub(super) flow: Vec<people_file::Flow>,
    #[serde(default)]
    pub(super) selfservice: Vec<people_file::Flow>,
    #[serde(default)]
    pub(super) letters: people_file::Letters,
    #[serde(default)]
    pub(super) backchannel: Vec<people_file::BackChannel>,
    pub(super) mail: Option<people_file::Mail>,
    #[serde(default)]
    pub(super) pages: people_file::Pages,
    #[serde(default)]
    pub(super) compat: Compat,
    #[serde(default)]
    pub(super) provisioning: Provisioning,
    #[serde(default)]
    pub(super) two_person: TwoPerson,
    #[serde(default)]
    pub(super) messages: Messages,
    #[serde(default)]
    pub(super) enrol: enrolment::EnrolTable,
    pub(super) mfa: Option<Spanned<push::MfaTable>>,
    pub(super) push: Option<Spanned<push::PushTable>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Messages {
    pub(super) dir: Option<Spanned<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hsm {
    pub(super) module: Spanned<PathBuf>,
    pub(super) token_label: Spanned<String>,
    pub(super) pin_file: Option<Spanned<PathBuf>>,
    pub(super) pin_credential: Option<Spanned<String>>,
    pub(super) sandbox: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) paths_rw: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    pub(super) deadline: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) kind: Spanned<String>,
    pub(super) address: Spanned<String>,
    pub(super) application: Option<Spanned<String>>,
    pub(super) cert: Option<Spanned<PathBuf>>,
    pub(super) key: Option<Spanned<PathBuf>>,
    pub(super) client_ca: Option<Spanned<PathBuf>>,
    pub(super) purpose: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Modem {
    pub(super) id: Spanned<String>,
    pub(super) port: PathBuf,
    pub(super) sim_pin_file: Option<PathBuf>,
    pub(super) smsc: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) token_failures: Option<Spanned<u32>>,
    pub(super) token_lock: Option<Spanned<String>>,
    pub(super) delay_from: Option<Spanned<u32>>,
    pub(super) pair_failures: Option<Spanned<u32>>,
    pub(super) pair_lock: Option<Spanned<String>>,
    pub(super) user_failures: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Oath {
    pub(super) hotp_window: Option<Spanned<u16>>,
    pub(super) totp_window: Option<Spanned<u16>>,
    pub(super) drift_max: Option<Spanned<i32>>,
    pub(super) auto_adjust: Option<bool>,
    pub(super) challenge_ttl: Option<Spanned<String>>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) algorithm: Option<Spanned<String>>,
    pub(super) digits: Option<Spanned<u8>>,
    pub(super) period: Option<Spanned<u16>>,
    pub(super) secret_hex: Option<Spanned<u32>>,
    pub(super) quota_soft: Option<Spanned<u32>>,
    pub(super) quota_hard: Option<Spanned<u32>>,
    pub(super) confirm_on_activation: Option<bool>,
    pub(super) reveal_after_activation: Option<bool>,
    pub(super) replace_immediately: Option<bool>,
    pub(super) auto_order_letter: Option<bool>,
    pub(super) auto_order_letter_new_users: Option<bool>,
    #[serde(default)]
    pub(super) admin: people_file::OathAdmin,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sms {
    pub(super) message: Option<Spanned<String>>,
    #[serde(alias = "opt_length", alias = "opt-length")]
    pub(super) otp_length: Option<Spanned<u8>>,
    pub(super) otp_ttl: Option<Spanned<String>>,
    pub(super) max_allowed_attempts: Option<Spanned<u32>>,
    pub(super) max_challenges_sent: Option<Spanned<u32>>,
    pub(super) notify_old_on_change: Option<bool>,
    pub(super) notify_new_on_change: Option<bool>,
    pub(super) mask_for_admins: Option<bool>,
    #[serde(default)]
    pub(super) self_registration: people_file::SelfRegistration,
    #[serde(default)]
    pub(super) number: people_file::Number,
    #[serde(default)]
    pub(super) limits: people_file::SmsLimits,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Provisioning {
    #[serde(default)]
    pub(super) maker_keys: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) revoked_serials: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TwoPerson {
    pub(super) acts: Option<Vec<Spanned<String>>>,
    pub(super) life: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compat {
    #[serde(default)]
    pub(super) privacyidea: PrivacyIdea,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrivacyIdea {
    #[serde(default)]
    pub(super) verbose: bool,
}

/// Line of a byte offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// Reads TOML into its shape. Unknown keys and wrong types end here, with their line.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Finding> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().trim().replace('\n', " ");
        let key = message
            .split('`')
            .nth(1)
            .map_or_else(|| text.get(span.clone()).unwrap_or("").trim().to_owned(), str::to_owned);
        Finding { file: None, line: line_of(text, span.start), key, text: message }
    })
}
