//! What each SDK understands of a URI (C.1, C.1.1).

use std::collections::BTreeMap;

use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::accounts::{Account, CodeKey, PushKey};
use crate::code::{Algorithm, Digits, Secret};
use crate::encoding::{android, if_it_looks_so, ios};
use crate::{Personality, Refusal, uid_of};

fn unusable<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotUsable(why.into()))
}

fn percent(text: &str) -> Result<String, Refusal> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = if byte == b'%' {
            let pair = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
            std::str::from_utf8(&pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
        } else {
            Some(byte)
        };
        out.push(decoded.ok_or_else(|| Refusal::NotUsable("a broken escape".to_owned()))?);
    }
    String::from_utf8(out).or_else(|_| unusable("not UTF-8"))
}

/// A URI in parts, after the SDK's own way of splitting.
struct Parts {
    personality: Personality,
    scheme: String,
    kind: String,
    label: String,
    parameters: BTreeMap<String, String>,
}

impl Parts {
    fn split(personality: Personality, uri: &str) -> Result<Self, Refusal> {
        // java.net.URI and its kin refuse what RFC 3986 does not have (C.1.1, 4).
        if uri.bytes().any(|byte| !byte.is_ascii_graphic() || b"{}|\\^<>\"`".contains(&byte)) {
            return unusable("a character that stands in no URI");
        }
        let Some((scheme, rest)) = uri.split_once("://") else { return unusable("no scheme") };
        let Some((kind, rest)) = rest.split_once('/') else { return unusable("no label") };
        let Some((label, query)) = rest.split_once('?') else { return unusable("no query") };
        // The fragment is not the query's.
        let query = query.split('#').next().unwrap_or_default();
        let mut parameters = BTreeMap::new();
        if personality == Personality::AndroidLegacy {
            // getQuery() has decoded already: an escaped `&` splits (C.1.1, 3).
            for pair in percent(query)?.split('&') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                parameters.insert(name.to_owned(), value.to_owned());
            }
        } else {
            for pair in query.split('&') {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                parameters.insert(percent(name)?, percent(value)?);
            }
        }
        let (scheme, kind, label) = (scheme.to_owned(), kind.to_owned(), percent(label)?);
        Ok(Parts { personality, scheme, kind, label, parameters })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    fn must(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).map_or_else(|| unusable(format!("no {name}")), Ok)
    }

    /// A field that every SDK reads in the URL-safe alphabet: `a`, `r`, `s`, `c`.
    fn url_safe(&self, name: &str) -> Result<Vec<u8>, Refusal> {
        let text = self.must(name)?;
        let bytes = match self.personality {
            Personality::AndroidLegacy => android(text, true),
            Personality::IosLegacy | Personality::PingNew => ios(text, true),
        };
        bytes.map_or_else(|| unusable(format!("{name} is no Base64")), Ok)
    }

    /// A field that each SDK reads in an alphabet of its own: `issuer`, `l`, `policies`.
    fn disputed(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let bytes = match self.personality {
            Personality::AndroidLegacy => android(text, true),
            Personality::IosLegacy => ios(text, false),
            Personality::PingNew => Some(if_it_looks_so(text)),
        };
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map_or_else(|| unusable(format!("{name} is no text")), |text| Ok(Some(text)))
    }

    fn image(&self) -> Result<Option<String>, Refusal> {
        let Some(text) = self.get("image") else { return Ok(None) };
        if self.scheme != "pushauth" {
            return Ok(Some(text.to_owned()));
        }
        let bytes = match self.personality {
            Personality::AndroidLegacy => android(text, false),
            Personality::IosLegacy => ios(text, true),
            Personality::PingNew => Some(if_it_looks_so(text)),
        };
        bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map_or_else(|| unusable("no image"), |i| Ok(Some(i)))
    }

    /// Issuer and account of the label, split in the SDK's way (C.1.1, 2).
    fn names(&self) -> (String, String) {
        match self.personality {
            Personality::IosLegacy => {
                let parts: Vec<&str> = self.label.split(':').collect();
                let account = parts.get(1).unwrap_or(&parts[0]);
                (parts[0].to_owned(), (*account).to_owned())
            }
            Personality::AndroidLegacy | Personality::PingNew => match self.label.split_once(':') {
                Some((issuer, account)) => (issuer.to_owned(), account.trim().to_owned()),
                None => (String::new(), self.label.clone()),
            },
        }
    }
}

/// Reads a URI in the SDK's way.
pub(crate) fn scan(personality: Personality, uri: &str) -> Result<Account, Refusal> {
    let parts = Parts::split(personality, uri)?;
    let (with_code, with_push) = match (parts.scheme.as_str(), parts.kind.as_str()) {
        ("otpauth", "totp" | "hotp") => (true, false),
        ("pushauth", "push") => (false, true),
        ("mfauth", "totp" | "hotp") => (true, true),
        _ => return unusable("another scheme"),
    };
    if parts.get("version").is_some_and(|version| version != "1") {
        return unusable("another version");
    }
    let (label_issuer, name) = parts.names();
    let issuer = if with_push { parts.disputed("issuer")? } else { parts.get("issuer").map(str::to_owned) };
    if let Some(issuer) = &issuer
        && personality == Personality::PingNew
        && issuer.to_lowercase() != label_issuer.to_lowercase()
    {
        return unusable("the issuer is not the label's");
    }
    let policies = match parts.disputed("policies")? {
        None => Vec::new(),
        Some(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(policies)) => policies.into_iter().collect(),
            _ => return unusable("the policies are no JSON object"),
        },
    };
    Ok(Account {
        issuer: issuer.filter(|issuer| !issuer.is_empty()).unwrap_or(label_issuer),
        name,
        image: parts.image()?,
        policies,
        code: with_code.then(|| code(&parts)).transpose()?,
        push: with_push.then(|| push(&parts)).transpose()?,
    })
}

fn code(parts: &Parts) -> Result<CodeKey, Refusal> {
    let text = parts.must("secret")?.trim_end_matches('=');
    let Ok(bytes) = BASE32_NOPAD.decode(text.as_bytes()) else { return unusable("the secret is no Base32") };
    let algorithm = match parts.get("algorithm").map(str::to_lowercase).as_deref() {
        None | Some("sha1") => Algorithm::Sha1,
        Some("sha256") => Algorithm::Sha256,
        Some("sha512") => Algorithm::Sha512,
        Some(_) => return unusable("another algorithm"),
    };
    let number = |name: &str, default: u64| match parts.get(name) {
        None => Ok(default),
        Some(text) => text.parse().or_else(|_| unusable(format!("{name} is no number"))),
    };
    let digits = match number("digits", 6)? {
        6 => Digits::Six,
        8 => Digits::Eight,
        _ => return unusable("another number of digits"),
    };
    let period_s = number("period", 30)?;
    if period_s == 0 {
        return unusable("a period of 0 seconds");
    }
    let counter = if parts.kind == "hotp" { Some(number("counter", 0)?) } else { None };
    Ok(CodeKey { secret: Secret { bytes: Zeroizing::new(bytes), algorithm, digits, period_s }, counter })
}

fn push(parts: &Parts) -> Result<PushKey, Refusal> {
    let url = |name: &str| {
        let url = String::from_utf8(parts.url_safe(name)?).or_else(|_| unusable("no address"))?;
        if url.starts_with("http") { Ok(url) } else { unusable("no address") }
    };
    let (mut register, mut authenticate) = (url("r")?, url("a")?);
    if parts.personality == Personality::PingNew {
        // Ping's SDK drops the query and makes all three addresses itself (C.1.2).
        let base = register.split('?').next().unwrap_or_default().to_owned();
        (register, authenticate) =
            (format!("{base}?_action=register"), format!("{base}?_action=authenticate"));
    }
    let challenge = parts.url_safe("c")?;
    Ok(PushKey {
        secret: Zeroizing::new(parts.url_safe("s")?),
        uid: uid_of(parts.personality, &challenge),
        challenge: Zeroizing::new(challenge),
        register,
        authenticate,
        message: parts.must("m")?.to_owned(),
        cookie: parts.disputed("l")?,
    })
}
