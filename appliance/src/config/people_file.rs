//! The part of the file that people meet, as it is written.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authenticator {
    pub(super) id: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) kind: Spanned<String>,
    pub(super) previous: Option<Spanned<String>>,
    #[serde(alias = "required-authenticator-for-registration")]
    pub(super) required_for_registration: Option<Spanned<OneOrMore>>,
    #[serde(alias = "send-otp-as-code")]
    pub(super) send_otp_as_code: Option<bool>,
    #[serde(alias = "opt_length", alias = "opt-length")]
    pub(super) otp_length: Option<Spanned<u8>>,
    pub(super) otp_ttl: Option<Spanned<String>>,
    pub(super) link_ttl: Option<Spanned<String>>,
    #[serde(alias = "max-allowed-attempts")]
    pub(super) max_allowed_attempts: Option<Spanned<u32>>,
    #[serde(alias = "max-challenges-sent")]
    pub(super) max_challenges_sent: Option<Spanned<u32>>,
    #[serde(alias = "allow-registration-during-login")]
    pub(super) allow_registration_during_login: Option<Spanned<bool>>,
    #[serde(alias = "show-info-before-registration")]
    pub(super) show_info_before_registration: Option<Spanned<bool>>,
    pub(super) auto_login_after_registration: Option<bool>,
    #[serde(alias = "intermediate-attribute-name")]
    pub(super) intermediate_attribute_name: Option<Spanned<String>>,
    pub(super) attribute_trusted_loa: Option<Spanned<f64>>,
    #[serde(alias = "account-manager-id")]
    pub(super) account_store: Option<Spanned<String>>,
}

/// A text or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    /// The texts, all at the place of the whole value.
    pub(super) fn texts(value: Option<Spanned<OneOrMore>>) -> Vec<Spanned<String>> {
        let Some(value) = value else { return Vec::new() };
        let span = value.span();
        let texts = match value.into_inner() {
            OneOrMore::One(text) => vec![text],
            OneOrMore::More(texts) => texts,
        };
        texts.into_iter().map(|text| Spanned::new(span.clone(), text)).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    pub(super) id: Spanned<String>,
    pub(super) label: Option<String>,
    pub(super) purpose: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) conditions: Vec<Spanned<String>>,
    pub(super) steps: Vec<Spanned<String>>,
    pub(super) overwrite_existing: Option<Spanned<bool>>,
    /// Whether a phone that is registered takes the place of what is there (D-34).
    pub(super) replace: Option<bool>,
    /// Whether a recovery code may stand for a push or a code of an app (COMB-43).
    pub(super) recovery_codes: Option<bool>,
    pub(super) push: Option<PushStep>,
    pub(super) select: Option<Options>,
    pub(super) migrate: Option<Options>,
}

/// What a push step does where the phone does not answer (COMB-05, COMB-45).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushStep {
    pub(super) on_timeout: Option<Spanned<String>>,
    pub(super) optional: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(default)]
    pub(super) option: Vec<OptionTable>,
    pub(super) max_skips: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionTable {
    pub(super) name: Option<Spanned<String>>,
    pub(super) label: Option<String>,
    pub(super) when: Option<Spanned<OneOrMore>>,
    pub(super) target: Option<Spanned<String>>,
    pub(super) steps: Vec<Spanned<String>>,
    pub(super) overwrite_existing: Option<Spanned<bool>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SelfRegistration {
    pub(super) enabled: Option<bool>,
    pub(super) iak_required: Option<Spanned<bool>>,
    pub(super) after: Option<Spanned<String>>,
    pub(super) prefill: Option<bool>,
    pub(super) self_order: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Number {
    pub(super) default_country: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) deny: Vec<Spanned<String>>,
    pub(super) shared_allowed: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmsLimits {
    pub(super) user_hour: Option<Spanned<u32>>,
    pub(super) user_day: Option<Spanned<u32>>,
    pub(super) number_hour: Option<Spanned<u32>>,
    pub(super) application_hour: Option<Spanned<u32>>,
    pub(super) modem_day: Option<Spanned<u32>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Letters {
    pub(super) helper: Option<Spanned<PathBuf>>,
    pub(super) output_dir: Option<Spanned<PathBuf>>,
    pub(super) template_dir: Option<Spanned<PathBuf>>,
    pub(super) default_lang: Option<Spanned<String>>,
    pub(super) window: Option<Spanned<String>>,
    pub(super) sender: Option<String>,
    pub(super) return_line: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) delivery_gap: Option<Spanned<String>>,
    pub(super) retention_days: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) sms_iak: LetterKind,
    #[serde(default)]
    pub(super) oath: LetterKind,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterKind {
    pub(super) valid_days: Option<Spanned<u32>>,
    pub(super) max_attempts: Option<Spanned<u32>>,
    pub(super) schedule: Option<Spanned<String>>,
    pub(super) file_prefix: Option<Spanned<String>>,
    pub(super) file_suffix: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OathAdmin {
    #[serde(default)]
    pub(super) secret_formats: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) view_secret_roles: Vec<Spanned<String>>,
    pub(super) selectable_as_next: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackChannel {
    pub(super) id: Spanned<String>,
    pub(super) frontchannel: Spanned<String>,
    pub(super) ttl: Option<Spanned<String>>,
    pub(super) interval: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mail {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) from: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pages {
    pub(super) logo: Option<Spanned<PathBuf>>,
    pub(super) accent: Option<Spanned<String>>,
    pub(super) login_flow: Option<Spanned<String>>,
}
