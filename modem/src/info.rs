//! What is known about a modem after its first dialogue.

use serde::{Serialize, Serializer};

use crate::urc::may_send;

/// A modem as it was found; serialises as `modem probe` prints it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Info {
    /// The family whose quirks apply.
    pub profile: Family,
    /// `AT+CGMI`.
    pub manufacturer: Option<String>,
    /// `AT+CGMM`.
    pub model: Option<String>,
    /// `AT+CGSN`; tells two modems of one model apart.
    pub imei: Option<String>,
    /// The SIM's number, from `AT+CCID` or its kin.
    pub iccid: Option<String>,
    /// The prompt with the blanks around it; none before the first was seen.
    pub prompt: Option<String>,
    /// The modem echoed commands when it was found; echo is then turned off.
    pub echo: bool,
    /// `<ds>` of `AT+CNMI`: 1 = status reports come as +CDS, 2 = are stored, 0 = none.
    pub cnmi_ds: Option<u8>,
    /// The best of CREG, CGREG and CEREG.
    pub registration: Option<Registration>,
}

/// `<stat>` of TS 27.007 7.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration(pub u8);

impl Registration {
    /// May the modem send SMS?
    pub fn may_send(self) -> bool {
        may_send(self.0)
    }

    /// Of two domains, the one that may send; else the first.
    pub(crate) fn better(self, other: Option<Self>) -> Self {
        other.filter(|other| other.may_send() && !self.may_send()).unwrap_or(self)
    }
}

impl std::fmt::Display for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            0 => "none",
            1 => "home",
            2 => "searching",
            3 => "denied",
            5 => "roaming",
            6 => "home-sms-only",
            7 => "roaming-sms-only",
            8 => "emergency-only",
            9 => "home-csfb",
            10 => "roaming-csfb",
            _ => "unknown",
        })
    }
}

impl Serialize for Registration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Modems that behave alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Nothing known against the standard.
    #[default]
    Generic,
    /// E1xx, E3xx: `^RSSI` and its kin between answers.
    Huawei,
    /// SIM800, SIM7600, SIM7670: prompts without a space, reports in `SR`.
    Simcom,
    /// EC25, EG25, BG96.
    Quectel,
}

impl Family {
    /// All, in the order `modem profiles` prints them.
    pub const ALL: [Self; 4] = [Self::Generic, Self::Huawei, Self::Simcom, Self::Quectel];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Huawei => "huawei",
            Self::Simcom => "simcom",
            Self::Quectel => "quectel",
        }
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// By what `AT+CGMI` says.
    pub(crate) fn of_manufacturer(manufacturer: &str) -> Self {
        let lower = manufacturer.to_ascii_lowercase();
        let known = [("huawei", Self::Huawei), ("simcom", Self::Simcom), ("quectel", Self::Quectel)];
        known.into_iter().find(|(word, _)| lower.contains(word)).map_or(Self::Generic, |(_, family)| family)
    }

    /// Turns off unasked chatter, where a command for it is known.
    pub(crate) fn calm(self) -> Option<&'static str> {
        (self == Self::Huawei).then_some("AT^CURC=0")
    }
}
