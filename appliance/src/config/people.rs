//! The part of the configuration that people meet: authenticators, flows, letters, pages, mail.
//!
//! Durations are milliseconds. Ids are checked and references resolved: a value of these types can be used.

use std::path::PathBuf;

use domain::colour::Colour;
use domain::flow::Definition;
use domain::phone::Msisdn;
use oath::Algorithm;

/// OATH accounts of one user where the configuration does not say (OATH-13).
const QUOTA_ACCOUNTS: u32 = 1;

/// Everything that people meet.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Named SMS authenticators (SMS-01).
    pub authenticators: Vec<SmsAuthenticator>,
    /// Flows, those of the self-service included.
    pub flows: Vec<Definition>,
    /// Registration of the first number (MOB-15 and following).
    pub registration: SelfRegistration,
    /// Which numbers may be registered (MOB-11).
    pub numbers: Numbers,
    /// Limits on messages beyond a session (SMS-43).
    pub sms_limits: SmsLimits,
    /// Notices about a changed number (MOB-37).
    pub notices: Notices,
    /// Activation letters.
    pub letters: Letters,
    /// Soft OATH tokens.
    pub oath: SoftOath,
    /// Back-channels over an SMS authenticator (SMS-37).
    pub backchannels: Vec<BackChannel>,
    /// Mail relay for the e-mail factor (D-21); without one there is no such factor.
    pub mail: Option<Mail>,
    /// Pages.
    pub pages: Pages,
}

/// An SMS authenticator (A.2).
#[derive(Clone, Debug, PartialEq)]
pub struct SmsAuthenticator {
    /// Its id.
    pub id: String,
    /// The authenticator that comes before it (SMS-06).
    pub previous: Option<String>,
    /// What a user must show before a number is registered (SMS-22); none: no registration.
    pub required_for_registration: Vec<Requirement>,
    /// Codes rather than links (SMS-28).
    pub send_otp_as_code: bool,
    /// Digits of a code (SMS-29).
    pub otp_length: u8,
    /// Life of a code (SMS-16).
    pub otp_ttl_ms: u64,
    /// Life of a link (D-13).
    pub link_ttl_ms: u64,
    /// Wrong codes for one code; 0 is unlimited (SMS-30).
    pub max_allowed_attempts: u32,
    /// Codes of one session; 0 is unlimited (SMS-31).
    pub max_challenges_sent: u32,
    /// A registration button on each step (SMS-25).
    pub allow_registration_during_login: bool,
    /// A page that explains what is needed before the registration (SMS-26).
    pub show_info_before_registration: bool,
    /// No second message after a registration (SMS-34).
    pub auto_login_after_registration: bool,
    /// The session attribute that holds the number (SMS-10).
    pub intermediate_attribute_name: Option<String>,
    /// Level that a number from an attribute gives, where it is trusted (D-19).
    pub attribute_trusted_loa: Option<f64>,
    /// Whether the account store can take a number (SMS-20).
    pub writable: bool,
}

impl Default for SmsAuthenticator {
    fn default() -> Self {
        SmsAuthenticator {
            id: String::new(),
            previous: None,
            required_for_registration: Vec::new(),
            send_otp_as_code: false,
            otp_length: 6,
            otp_ttl_ms: 60_000,
            link_ttl_ms: 300_000,
            max_allowed_attempts: 3,
            max_challenges_sent: 3,
            allow_registration_during_login: true,
            show_info_before_registration: true,
            auto_login_after_registration: true,
            intermediate_attribute_name: None,
            attribute_trusted_loa: None,
            writable: true,
        }
    }
}

/// What has to be shown before a number is registered or changed (SMS-22, D-09); all of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The key of an activation letter.
    Iak,
    /// A code to the e-mail address (SMS-24).
    Email,
    /// The local password.
    Password,
    /// A code of an OATH token.
    Oath,
    /// Another SMS authenticator.
    Authenticator(String),
}

/// Where a user goes once the number is registered (MOB-30).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// The login goes on.
    #[default]
    Continue,
    /// The login begins anew.
    Relogin,
}

/// Registration of the first number.
#[derive(Clone, Debug)]
pub struct SelfRegistration {
    /// Whether it is offered (MOB-15).
    pub enabled: bool,
    /// Whether the key of a letter is asked for (MOB-20).
    pub iak_required: bool,
    /// What follows (MOB-30).
    pub after: After,
    /// Whether the form shows the contact number (D-01).
    pub prefill: bool,
    /// Whether a user without a letter may order one (D-04).
    pub self_order: bool,
}

impl Default for SelfRegistration {
    fn default() -> Self {
        let after = After::Continue;
        SelfRegistration { enabled: false, iak_required: true, after, prefill: false, self_order: false }
    }
}

/// Which numbers may be registered, by the beginning of their international form.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Country code, such as `+41`, for numbers that begin with a single 0.
    pub default_country: Option<String>,
    /// One of these, or any where the list is empty.
    pub allow: Vec<String>,
    /// None of these: they win.
    pub deny: Vec<String>,
    /// Whether several users may share a number (D-08).
    pub shared_allowed: bool,
}

impl Numbers {
    /// Reads a number as people type it, within what may be registered (MOB-11).
    pub fn read(&self, text: &str) -> Option<Msisdn> {
        let text = text.trim();
        let national = text.starts_with('0') && !text.starts_with("00");
        let number = match (&self.default_country, national) {
            (Some(country), true) => Msisdn::parse(&format!("{country}{}", &text[1..])).ok()?,
            _ => Msisdn::parse(text).ok()?,
        };
        let begins = |prefix: &String| number.expose().starts_with(prefix.as_str());
        let allowed = self.allow.is_empty() || self.allow.iter().any(begins);
        (allowed && !self.deny.iter().any(begins)).then_some(number)
    }
}

/// Messages at the most, whatever the session (SMS-43).
#[derive(Clone, Copy, Debug)]
pub struct SmsLimits {
    /// To one user in an hour.
    pub user_hour: u32,
    /// To one user in a day.
    pub user_day: u32,
    /// To one number in an hour.
    pub number_hour: u32,
    /// Ordered by one application in an hour.
    pub application_hour: u32,
    /// Over all modems in a day.
    pub modem_day: u32,
}

impl Default for SmsLimits {
    fn default() -> Self {
        SmsLimits { user_hour: 5, user_day: 10, number_hour: 5, application_hour: 10_000, modem_day: 20_000 }
    }
}

/// Notices about a changed number.
#[derive(Clone, Copy, Debug)]
pub struct Notices {
    /// To the former number.
    pub old: bool,
    /// To the new one.
    pub new: bool,
    /// Whether operators see numbers masked (MOB-38).
    pub mask_for_admins: bool,
}

impl Default for Notices {
    fn default() -> Self {
        Notices { old: true, new: false, mask_for_admins: true }
    }
}

/// Letters.
#[derive(Clone, Debug)]
pub struct Letters {
    /// The typesetter; else the one that is installed beside this program.
    pub helper: Option<PathBuf>,
    /// Where finished letters are put; else `letters` in the state directory.
    pub output_dir: Option<PathBuf>,
    /// The operator's own templates.
    pub template_dir: Option<PathBuf>,
    /// Language where there is no template in the user's.
    pub default_lang: String,
    /// Which side the envelope's window is on: `left` or `right`.
    pub window: String,
    /// Name of the sender.
    pub sender: String,
    /// The line above the address.
    pub return_line: String,
    /// What the letter says about help.
    pub contact: String,
    /// Least time between two letters to one user (OATH-46).
    pub delivery_gap_ms: u64,
    /// Days after which a finished file is erased (D-06).
    pub retention_days: u32,
    /// Letters with an activation key.
    pub sms_iak: LetterKind,
    /// Letters with a QR code.
    pub oath: LetterKind,
}

impl Default for Letters {
    fn default() -> Self {
        Letters {
            helper: None,
            output_dir: None,
            template_dir: None,
            default_lang: "en".to_owned(),
            window: "left".to_owned(),
            sender: String::new(),
            return_line: String::new(),
            contact: String::new(),
            delivery_gap_ms: 24 * 3_600_000,
            retention_days: 3,
            sms_iak: LetterKind::default(),
            oath: LetterKind::default(),
        }
    }
}

/// One kind of letter.
#[derive(Clone, Debug)]
pub struct LetterKind {
    /// Days that a letter is valid (MOB-34).
    pub valid_days: u32,
    /// Wrong keys before it burns (MOB-34).
    pub max_attempts: u32,
    /// Time between two runs of the scheduler; none: only by command (MOB-22).
    pub every_ms: Option<u64>,
    /// Beginning of file names (OATH-46).
    pub file_prefix: String,
    /// End of file names, before `.pdf`.
    pub file_suffix: String,
}

impl Default for LetterKind {
    fn default() -> Self {
        LetterKind {
            valid_days: 21,
            max_attempts: 5,
            every_ms: None,
            file_prefix: String::new(),
            file_suffix: String::new(),
        }
    }
}

/// Soft OATH tokens: authenticator apps (A.3).
#[derive(Clone, Debug)]
pub struct SoftOath {
    /// Time-based or by counter (OATH-09).
    pub totp: bool,
    /// Hash.
    pub algorithm: Algorithm,
    /// Digits: 6 to 8 (OATH-18).
    pub digits: u8,
    /// Seconds of a step (OATH-10).
    pub period: u16,
    /// Living soft tokens of one user (OATH-13); none when the configuration does not say.
    pub quota_soft: Option<u32>,
    /// Living hardware tokens of one user.
    pub quota_hard: u32,
    /// Whether a first code must be typed (OATH-53).
    pub confirm_on_activation: bool,
    /// Whether a secret can be shown again once active (D-26).
    pub reveal_after_activation: bool,
    /// Whether the former token ends at once and not at the first code of the new one (D-25).
    pub replace_immediately: bool,
    /// What an operator with the right may see: `qr`, `hex`, `base32` (OATH-20).
    pub admin_secret_formats: Vec<String>,
    /// Who has that right (OATH-48): names of roles, and `break-glass` for root. Nobody else has it.
    pub view_secret_roles: Vec<String>,
    /// Whether an operator may make this a user's next method (OATH-19).
    pub selectable_as_next: bool,
    /// Whether a letter is ordered with each new token (OATH-51).
    pub auto_order_letter: bool,
    /// Whether a letter is ordered for each new user (OATH-51).
    pub auto_order_letter_new_users: bool,
}

impl Default for SoftOath {
    fn default() -> Self {
        SoftOath {
            totp: true,
            algorithm: Algorithm::Sha1,
            digits: 6,
            period: 30,
            quota_soft: None,
            quota_hard: 1,
            confirm_on_activation: true,
            reveal_after_activation: true,
            replace_immediately: false,
            admin_secret_formats: Vec::new(),
            view_secret_roles: Vec::new(),
            selectable_as_next: true,
            auto_order_letter: false,
            auto_order_letter_new_users: false,
        }
    }
}

/// A back-channel over an SMS authenticator in link mode (SMS-37, D-20).
#[derive(Clone, Debug)]
pub struct BackChannel {
    /// Its id.
    pub id: String,
    /// The authenticator that asks the user.
    pub frontchannel: String,
    /// Life of a request.
    pub ttl_ms: u64,
    /// Least time between two polls.
    pub interval_ms: u64,
}

/// A mail relay on the same premises.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Sender's address.
    pub from: String,
}

/// Background of a light page: the darkest that anything in the accent's colour stands on.
pub const PAGE: Colour = Colour::new(0xee, 0xf1, 0xf4);
/// Colour of buttons and links where none is configured.
const ACCENT: Colour = Colour::new(0x1f, 0x4e, 0x79);

/// Pages.
#[derive(Clone, Debug)]
pub struct Pages {
    /// Where phones and browsers reach the pages, without a slash at its end.
    pub public_url: Option<String>,
    /// A PNG or JPEG file above each page.
    pub logo: Option<PathBuf>,
    /// Colour of buttons and links where the page is light; where it is dark, the same hue lightened.
    pub accent: Colour,
    /// The flow that `/ui/login` begins.
    pub login_flow: Option<String>,
}

impl Default for Pages {
    fn default() -> Self {
        Pages { public_url: None, logo: None, accent: ACCENT, login_flow: None }
    }
}

impl SoftOath {
    /// OATH accounts of one user at the most: one, unless the configuration says otherwise (D-22).
    pub fn quota_accounts(&self) -> u32 {
        self.quota_soft.unwrap_or(QUOTA_ACCOUNTS)
    }
}

impl People {
    /// The authenticator of an id.
    pub fn authenticator(&self, id: &str) -> Option<&SmsAuthenticator> {
        self.authenticators.iter().find(|authenticator| authenticator.id == id)
    }

    /// The flow of an id.
    pub fn flow(&self, id: &str) -> Option<&Definition> {
        self.flows.iter().find(|flow| flow.id == id)
    }
}
