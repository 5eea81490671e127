//! How the emulated modems of each family differ.

use crate::info::Family;

/// What one family answers.
#[derive(Debug)]
pub(super) struct Persona {
    pub(super) manufacturer: &'static str,
    pub(super) model: &'static str,
    pub(super) revision: &'static str,
    pub(super) imei: &'static str,
    /// Said when the modem starts.
    pub(super) boot: &'static [&'static str],
    /// Said before each answer.
    pub(super) noise: &'static [&'static str],
    /// The command that turns `noise` off.
    pub(super) calm: Option<&'static str>,
    pub(super) prompt: &'static str,
    pub(super) notify_test: &'static str,
    /// `<ds>` values that `AT+CNMI=` takes, whatever `=?` lists.
    pub(super) notify_takes: &'static [u8],
    /// Where stored status reports lie.
    pub(super) report_memory: &'static str,
    pub(super) memories: &'static str,
    /// Command and answer that tell PIN attempts; `#` stands for the number.
    pub(super) attempts: Option<(&'static str, &'static str)>,
    pub(super) iccid: (&'static str, &'static str),
}

const GENERIC: Persona = Persona {
    manufacturer: "Countersign",
    model: "Emulated Modem",
    revision: "1.0",
    imei: "490154203237518",
    boot: &[],
    noise: &[],
    calm: None,
    prompt: "\r\n> ",
    notify_test: "+CNMI: (0,1,2),(0-3),(0,2),(0,1,2),(0,1)",
    notify_takes: &[0, 1, 2],
    report_memory: "SR",
    memories: "(\"ME\",\"SM\",\"SR\"),(\"ME\",\"SM\"),(\"ME\",\"SM\")",
    attempts: Some(("+CPINR", "+CPINR: SIM PIN,#,3")),
    iccid: ("+CCID", "+CCID: 89410000000000000011"),
};

const HUAWEI: Persona = Persona {
    manufacturer: "huawei",
    model: "E173",
    revision: "11.126.85.00.209",
    imei: "355021043287519",
    boot: &["^BOOT:20634521,0,0,0,75"],
    noise: &["^RSSI:17", "^HCSQ:\"WCDMA\",44,38,50"],
    calm: Some("^CURC=0"),
    prompt: "\r\n> ",
    notify_test: "+CNMI: (0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)",
    notify_takes: &[0, 1, 2],
    report_memory: "SR",
    memories: "(\"ME\",\"MT\",\"SM\",\"SR\"),(\"ME\",\"MT\",\"SM\",\"SR\"),(\"ME\",\"MT\",\"SM\",\"SR\")",
    attempts: Some(("^CPIN?", "^CPIN: SIM PIN,#,10,#,10,3")),
    iccid: ("^ICCID?", "^ICCID: 89410000000000000029"),
};

const SIMCOM: Persona = Persona {
    manufacturer: "INCORPORATED SIMCOM",
    model: "SIMCOM_SIM7670G",
    revision: "2374B03SIM767XM5A",
    imei: "864643061234565",
    boot: &["*ATREADY: 1", "+CPIN: READY", "SMS DONE", "PB DONE"],
    noise: &["+CNSMOD: 8"],
    calm: None,
    prompt: "\r\n>\r\n",
    notify_test: "+CNMI: (0,1,2),(0-3),(0,2),(0,1,2),(0,1)",
    notify_takes: &[0, 2],
    report_memory: "SR",
    memories: "(\"ME\",\"SM\",\"SR\"),(\"ME\",\"SM\"),(\"ME\",\"SM\")",
    attempts: Some(("+SPIC", "+SPIC: #,10,0,10")),
    iccid: ("+CICCID", "+ICCID: 89410000000000000037"),
};

const QUECTEL: Persona = Persona {
    manufacturer: "Quectel",
    model: "EC25",
    revision: "EC25EFAR06A03M4G",
    imei: "861075021234564",
    boot: &["RDY"],
    noise: &[],
    calm: None,
    prompt: "\r\n> ",
    notify_test: "+CNMI: (0-3),(0-3),(0,2),(0,1,2),(0,1)",
    notify_takes: &[0, 1, 2],
    report_memory: "SM",
    memories: "(\"ME\",\"MT\",\"SM\",\"SR\"),(\"ME\",\"MT\",\"SM\"),(\"ME\",\"MT\",\"SM\")",
    attempts: Some(("+QPINC=\"SC\"", "+QPINC: \"SC\",#,10")),
    iccid: ("+QCCID", "+QCCID: 89410000000000000045"),
};

/// The persona of a family.
pub(super) fn of(family: Family) -> &'static Persona {
    match family {
        Family::Generic => &GENERIC,
        Family::Huawei => &HUAWEI,
        Family::Simcom => &SIMCOM,
        Family::Quectel => &QUECTEL,
    }
}
