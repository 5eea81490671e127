//! Hardware tokens while they are made: who is at the cable, what is proved, and the stock.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The appliance's own key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HostKey {
    /// P-256, SEC 1 uncompressed, hex.
    pub key: String,
    /// SHA-256 of it, hex: what a device shows as its owner.
    pub fingerprint: String,
}

/// What a device says about itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// The device's `Info`, as it came over the link, hex.
    pub info: String,
}

/// A device whose maker vouches for it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Attested {
    /// Its serial.
    pub serial: String,
    /// Id of the maker key, hex.
    pub maker: String,
}

/// What a station heard from a device, and what token it shall become.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginProvisioning {
    /// The device's `Info`, as it came over the link, hex.
    pub info: String,
    /// The `Start` it was sent, hex.
    pub start: String,
    /// The `Challenge` it answered, hex.
    pub challenge: String,
    /// `totp`, `hotp` or `ocra`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `SHA1` (default), `SHA256` or `SHA512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// 6 (default) to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// 10 to 120 seconds; 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u16>,
    /// First HOTP counter; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
    /// Digits of an OCRA question, 4 to 10; 8 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_digits: Option<u8>,
    /// Whether an HOTP code ends with a checksum digit (RFC 4226, appendix C).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
    /// Truncation offset of an HOTP code: 0 to 15, or -1 (default) for the dynamic one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation_offset: Option<i8>,
    /// The batch it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
}

/// A grant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Granted {
    /// Names the exchange for two minutes.
    pub exchange: String,
    /// The `Install` that the device is sent, hex.
    pub install: String,
}

/// A device's proof that it holds the secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// 16 bytes, hex.
    pub tag: String,
}

/// What releases a device's secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// The `Commit` that the device is sent, hex.
    pub commit: String,
}

/// What is known of a device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Serial.
    pub serial: String,
    /// Version and hash of its image, as it last said.
    pub firmware: String,
    /// The batch it came in.
    pub batch: Option<String>,
    /// Counter of the last exchange that was confirmed.
    pub counter: u32,
    /// The `Commit` that it has not answered yet, hex; null when nothing is left over.
    pub commit: Option<String>,
}

/// An exchange that a device has committed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// The exchange's counter.
    pub counter: u32,
}

/// An order for a device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// `set-clock`, `lock`, `return` or `wipe`.
    pub order: String,
    /// The device's fresh challenge: 16 bytes, hex.
    pub challenge: String,
}

/// An order that a device obeys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedOrder {
    /// The `Request` that the device is sent, hex.
    pub request: String,
}

/// A code that a token's display shows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DisplayedCode {
    /// The code.
    pub otp: String,
}

/// Whether a token in stock shows what it should.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Proved {
    /// Whether the code was fresh and is consumed.
    pub proved: bool,
    /// Whether this was one wrong code too many: the token's secret is erased, and it must be provisioned again.
    pub revoked: bool,
}

/// What a station says of its batch.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchText {
    /// Its name on a line, and a hash of the rest.
    pub text: String,
}

/// The appliance's word for a batch.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchSignature {
    /// ECDSA over P-256 and SHA-256, r and s, hex.
    pub signature: String,
}

/// A batch with a signature to check.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedBatch {
    /// What was signed.
    pub text: String,
    /// The signature, hex.
    pub signature: String,
}

/// Whether a signature is the appliance's own.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchChecked {
    /// It is, over this very text.
    pub ours: bool,
}

/// A hardware token in the list of the stock.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StockItem {
    /// Serial.
    pub serial: String,
    /// The batch it came in.
    pub batch: Option<String>,
    /// `in_stock`, `assigned`, `suspended`, `revoked`, `pending` (its provisioning was cut) or `empty`.
    pub state: String,
    /// Version and hash of its image, as it last said.
    pub firmware: String,
}
