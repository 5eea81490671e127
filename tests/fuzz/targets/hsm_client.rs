//! The daemon's end of the HSM wire, before a child that lies: every call ends in time, and what it takes for an answer
//! has the shape that was asked for.

#![no_main]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fuzz::{begin, is_control};
use hsm::{
    AttributeCheck, Compute, Hsm, HsmError, HsmSettings, Info, Launcher, MacPurpose, Match, MatchKey,
    Matched, PinSource, SignKey, Status, Tampered,
};
use libfuzzer_sys::fuzz_target;

/// The longest that opening and one call may take; the rest is the machine's.
const DEADLINE: Duration = Duration::from_millis(2_000);
const MACHINE: Duration = Duration::from_secs(3);
/// Numbers of the replies on the wire.
const INFO: u8 = 0;
const BYTES: u8 = 5;
/// In the first byte: what is said is said to the first request, and nothing after it.
const FIRST: u8 = 8;

/// In a shell: waits for one request and takes it, whole as it was written.
const HEAR: &str = "dd bs=65536 count=1 >/dev/null 2>&1";

/// A child that says `opening` to the first request, and `said` to the next if there is to be one, whatever they are,
/// and ends.
fn child(directory: &Path, opening: &[u8], said: Option<&[u8]>) -> Launcher {
    let files = [("opening", opening), ("said", said.unwrap_or_default())].map(|(name, bytes)| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path.into_os_string()
    });
    let next = said.map_or(String::new(), |_| format!("; {HEAR}; exec cat \"$1\" >&0"));
    let script = format!("{HEAR}; cat \"$0\" >&0{next}");
    let args = [OsString::from("-c"), script.into()].into_iter().chain(files).collect();
    Launcher { program: PathBuf::from("/bin/sh"), args }
}

fn settings() -> HsmSettings {
    HsmSettings {
        module: PathBuf::from("/nowhere"),
        token_label: "token".to_owned(),
        pin: PinSource::File(PathBuf::from("/nowhere")),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        latch: PathBuf::from("/nowhere"),
        deadline: DEADLINE,
    }
}

fn info() -> Info {
    Info {
        module: "/nowhere".to_owned(),
        manufacturer: "nobody".to_owned(),
        token_label: "token".to_owned(),
        assurance: hsm::Assurance::Enforced,
        kek_generation: 1,
        capabilities: [("CKM_AES_KEY_WRAP".to_owned(), true)].into_iter().collect(),
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..], body].concat()
}

/// `Ok` of the reply with this number.
fn reply(number: u8, fields: &[u8]) -> Vec<u8> {
    frame(&[&[0, number], fields].concat())
}

fn opening() -> Vec<u8> {
    reply(INFO, &postcard::to_allocvec(&info()).expect("short"))
}

fn candidates() -> Vec<Match> {
    let candidate = Match {
        key: MatchKey::SentCode,
        state: Vec::new(),
        state_mac: [0; 32],
        format: Vec::new(),
        candidate: b"123456".to_vec(),
        factors: Vec::new(),
        refusal: Vec::new(),
    };
    vec![candidate; 2]
}

/// One call, of the kind that the input chose.
fn call(hsm: &Hsm, which: u8) -> Result<(), HsmError> {
    let asked = usize::from(which >> 4);
    match which % 8 {
        0 => hsm.info().map(drop),
        1 => hsm.check().map(|checks: Vec<AttributeCheck>| drop(checks)),
        2 => hsm.random(asked).map(|mut bytes| {
            // The planted fault: a byte is lost on the way.
            if is_control() {
                bytes.push(0);
            }
            assert_eq!(bytes.len(), asked, "random bytes of another length");
        }),
        3 => hsm.mac(MacPurpose::Lookup, vec![vec![7]; asked]).map(|macs| assert_eq!(macs.len(), asked)),
        4 => hsm.match_codes(candidates()).map(|verdicts: Vec<Matched>| {
            assert_eq!(verdicts.len(), 2);
            let factors = verdicts.iter().filter(|verdict| matches!(verdict, Matched::Hit { .. })).count();
            assert_eq!(factors, 0, "the code of a factor that was not asked about");
        }),
        5 => hsm
            .sign(SignKey::Host, b"message")
            .map(|signature| assert_eq!(signature.len(), hsm::SIGNATURE_LEN)),
        6 => hsm.public_key(SignKey::Host).map(|point| assert_eq!(point.len(), hsm::POINT_LEN)),
        _ => hsm
            .compute(Compute { format: Vec::new(), messages: vec![vec![1]] })
            .map(|code| assert!(code.len() <= hsm::CODE_MAX, "a code of {} bytes", code.len())),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let hit = |factor| Matched::Hit { factor, next_mac: [1; 32] };
    let miss = Matched::Miss { next_mac: [2; 32] };
    let verdicts =
        |verdicts: [Matched; 2]| reply(3, &postcard::to_allocvec(&verdicts.to_vec()).expect("short"));
    let bytes = |len: usize| reply(BYTES, &postcard::to_allocvec(&vec![9u8; len]).expect("short"));
    let refused =
        postcard::to_allocvec(&Err::<(), _>(HsmError::Refused { reason: "no".to_owned() })).expect("short");
    let macs = postcard::to_allocvec(&vec![[4u8; 32]; 3]).expect("short");
    let tampered = Matched::Tampered { what: Tampered::Record };
    let said: [(u8, Vec<u8>); 18] = [
        (0x00, opening()),
        (0x42, bytes(4)),
        (0x42, bytes(3)),
        (0x42, bytes(5)),
        (0x35, bytes(64)),
        (0x35, bytes(65)),
        (0x06, bytes(65)),
        (0x07, bytes(6)),
        (0x33, reply(4, &macs)),
        (0x23, reply(4, &macs)),
        (0x43, reply(4, &macs)),
        (0x04, verdicts([miss.clone(), tampered])),
        (0x04, verdicts([miss.clone(), miss])),
        (0x04, verdicts([hit(0), hit(9)])),
        (0x01, reply(1, &[0])),
        (0x01, frame(&refused)),
        (0x02, [bytes(4), bytes(4)].concat()),
        (0x02, vec![0xff; 9]),
    ];
    let openings = [opening(), reply(BYTES, &[0]), frame(&refused), frame(&[1, 5]), vec![9; 3]];
    let openings = openings.into_iter().map(|said| [vec![FIRST], said].concat());
    said.into_iter().map(|(which, said)| [vec![which], said].concat()).chain(openings).collect()
}

fuzz_target!(init: begin(seeds), |data: &[u8]| {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let Some((&which, said)) = data.split_first() else { return };
    let directory = DIRECTORY.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
    let launcher = match which & FIRST {
        0 => child(directory.path(), &opening(), Some(said)),
        _ => child(directory.path(), said, None),
    };
    let begun = Instant::now();
    let hsm = Hsm::start(launcher, settings());
    let opened = matches!(hsm.status(), Status::Up { .. });
    assert!(opened || which & FIRST != 0, "a child that opens well is not taken");
    if let Err(error) = call(&hsm, which) {
        assert!(!error.to_string().is_empty());
    }
    assert!(begun.elapsed() <= 2 * DEADLINE + MACHINE, "it lasts too long");
    drop(hsm);
    assert!(begun.elapsed() <= 2 * DEADLINE + 2 * MACHINE, "it does not let go of its child");
});
