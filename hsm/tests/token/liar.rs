//! A child that answers what it likes: the client takes nothing for an answer that has another shape.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use hsm::{
    Assurance, Factor, Hsm, HsmError, HsmSettings, Info, Launcher, Match, MatchKey, Matched, PinSource,
};

/// Numbers of the replies on the wire.
const INFO: u8 = 0;
const MATCHED: u8 = 3;
const BYTES: u8 = 5;
/// In a shell: waits for one request and takes it, whole as it was written.
const HEAR: &str = "dd bs=65536 count=1 >/dev/null 2>&1";

fn reply(number: u8, fields: &[u8]) -> Vec<u8> {
    let len = u32::try_from(2 + fields.len()).expect("short");
    [&len.to_le_bytes()[..], &[0, number], fields].concat()
}

/// A child that opens and then says `said`, whatever it is asked.
fn liar(said: &[u8]) -> (Hsm, tempfile::TempDir) {
    let info = Info {
        module: String::new(),
        manufacturer: String::new(),
        token_label: String::new(),
        assurance: Assurance::Enforced,
        kek_generation: 1,
        capabilities: [].into(),
    };
    let directory = tempfile::tempdir().expect("a directory");
    let files =
        [("opening", reply(INFO, &postcard::to_allocvec(&info).expect("short"))), ("said", said.to_vec())];
    let files = files.map(|(name, bytes)| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.into_os_string()
    });
    // It stays until the client hangs up: an end would be another fault.
    let script = format!("{HEAR}; cat \"$0\" >&0; {HEAR}; cat \"$1\" >&0; exec cat >/dev/null");
    let args = [OsString::from("-c"), script.into()].into_iter().chain(files).collect();
    let settings = HsmSettings {
        module: PathBuf::from("/nowhere"),
        token_label: String::new(),
        pin: PinSource::File(PathBuf::from("/nowhere")),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        latch: directory.path().join("latch"),
        deadline: Duration::from_secs(10),
    };
    (Hsm::start(Launcher { program: PathBuf::from("/bin/sh"), args }, settings), directory)
}

/// A key made of fewer random bytes than were asked for would be a weak one.
#[test]
fn random_bytes_of_another_length_are_no_answer() {
    for (said, expected) in [(3, Err(HsmError::Protocol)), (4, Ok(4)), (5, Err(HsmError::Protocol))] {
        let (hsm, _directory) = liar(&reply(BYTES, &[&[said], &[9; 5][..usize::from(said)]].concat()));
        assert_eq!(hsm.random(4).map(|bytes| bytes.len()), expected, "{said} bytes");
    }
}

/// A hit names one of the factors that were asked about: which code was used up hangs on it.
#[test]
fn a_hit_without_its_factor_is_no_answer() {
    let factor = Factor { messages: vec![vec![1; 8]], next_state: vec![2] };
    let asked = Match {
        key: MatchKey::SentCode,
        state: Vec::new(),
        state_mac: [0; 32],
        format: Vec::new(),
        candidate: b"123456".to_vec(),
        factors: vec![factor; 2],
        refusal: Vec::new(),
    };
    for (factor, expected) in [(0, Ok(1)), (1, Ok(1)), (2, Err(HsmError::Protocol))] {
        let said = vec![Matched::Hit { factor, next_mac: [1; 32] }];
        let (hsm, _directory) = liar(&reply(MATCHED, &postcard::to_allocvec(&said).expect("short")));
        assert_eq!(hsm.match_codes(vec![asked.clone()]).map(|verdicts| verdicts.len()), expected, "{factor}");
    }
}
