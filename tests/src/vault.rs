//! SoftHSM in the test's own hands: it has the PIN, so it can learn a secret that nobody else may know, and list
//! what the token stores.
//!
//! The library reads its configuration's place from the environment, so this happens in a process of its own: the
//! test's binary, which must have an ignored test that calls [`answer`].

use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use data_encoding::HEXLOWER;

use crate::appliance::{Appliance, PIN, SOFTHSM, TOKEN_LABEL, told};

/// What is asked, in the environment.
const QUESTION: &str = "COUNTERSIGN_TEST_RECORD";
/// A message to sign, in the environment.
const MESSAGE: &str = "COUNTERSIGN_TEST_MESSAGE";
/// Begins the line of the answer.
const MAC: &str = "mac ";
const SECRET: &str = "secret ";
const OBJECT: &str = "object ";
/// Key that wraps shared secrets.
const KEK: &[u8] = b"countersign-use-kek-1";
/// Key under which rows stand.
const ROW_MAC: &[u8] = b"countersign-row-mac-1";
/// Version, KEK, algorithm, type and hash; then the length and the blob.
const RECORD_LEN_AT: usize = 8;
const RECORD_BLOB_AT: usize = 10;

fn ask(rig: &Appliance, answerer: &str, record: &[u8]) -> Vec<String> {
    ask_for(rig, answerer, QUESTION, record)
}

fn ask_for(rig: &Appliance, answerer: &str, what: &str, bytes: &[u8]) -> Vec<String> {
    let output = Command::new("/proc/self/exe")
        .args(["--ignored", "--exact", answerer, "--nocapture"])
        .env("SOFTHSM2_CONF", rig.path("softhsm2.conf"))
        .env(what, HEXLOWER.encode(bytes))
        .output()
        .expect("this very binary");
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The secret in a record of the store; `answerer` is the name of the ignored test.
///
/// # Panics
/// When SoftHSM does not unwrap it.
pub fn secret(rig: &Appliance, answerer: &str, record: &[u8]) -> Vec<u8> {
    let lines = ask(rig, answerer, record);
    let hex = lines.iter().find_map(|line| line.split_once(SECRET)).expect("an answer").1;
    HEXLOWER.decode(hex.trim().as_bytes()).expect("hex")
}

/// What the key of rows signs a message with; `answerer` is the name of the ignored test.
///
/// # Panics
/// When SoftHSM does not answer.
pub fn mac(rig: &Appliance, answerer: &str, message: &[u8]) -> Vec<u8> {
    let lines = ask_for(rig, answerer, MESSAGE, message);
    let hex = lines.iter().find_map(|line| line.split_once(MAC)).expect("an answer").1;
    HEXLOWER.decode(hex.trim().as_bytes()).expect("hex")
}

/// Labels of all objects that the token stores, in order.
///
/// # Panics
/// When SoftHSM does not answer.
pub fn objects(rig: &Appliance, answerer: &str) -> Vec<String> {
    let lines = ask(rig, answerer, &[]);
    let mut labels: Vec<String> =
        lines.iter().filter_map(|line| line.split_once(OBJECT)).map(|(_, label)| label.to_owned()).collect();
    labels.sort_unstable();
    labels
}

/// In the process of its own: answers what the environment asks; does nothing without a question.
///
/// # Panics
/// When SoftHSM does not answer.
pub fn answer() {
    if let Some(message) = std::env::var_os(MESSAGE) {
        let message = HEXLOWER.decode(message.as_encoded_bytes()).expect("hex");
        let session = open();
        let key = session.find_objects(&[Attribute::Label(ROW_MAC.to_vec())]).expect("its objects");
        let mac = session.sign(&Mechanism::Sha256Hmac, key[0], &message).expect("a MAC");
        println!("\n{MAC}{}", HEXLOWER.encode(&mac));
    }
    let Some(record) = std::env::var_os(QUESTION) else { return };
    let record = HEXLOWER.decode(record.as_encoded_bytes()).expect("hex");
    let session = open();
    for object in session.find_objects(&[Attribute::Token(true)]).expect("its objects") {
        let attributes = session.get_attributes(object, &[AttributeType::Label]).expect("a label");
        if let Some(Attribute::Label(label)) = attributes.first() {
            println!("\n{OBJECT}{}", String::from_utf8_lossy(label));
        }
    }
    if !record.is_empty() {
        println!("\n{SECRET}{}", HEXLOWER.encode(&unwrap(&session, &record)));
    }
}

fn open() -> Session {
    let pkcs11 = Pkcs11::new(SOFTHSM).expect("SoftHSM");
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("SoftHSM");
    let slots = pkcs11.get_slots_with_initialized_token().expect("its slots");
    let ours = |slot: &&cryptoki::slot::Slot| {
        pkcs11.get_token_info(**slot).is_ok_and(|info| info.label() == TOKEN_LABEL)
    };
    let slot = *slots.iter().find(ours).expect("the rig's token");
    let session = pkcs11.open_rw_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::from(PIN))).expect("the rig's PIN");
    session
}

fn unwrap(session: &Session, record: &[u8]) -> Vec<u8> {
    let kek = session.find_objects(&[Attribute::Label(KEK.to_vec())]).expect("its objects");
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let key = session
        .unwrap_key(&Mechanism::AesKeyWrap, kek[0], &record[RECORD_BLOB_AT..], &template)
        .expect("a record of this appliance");
    let attributes = session.get_attributes(key, &[AttributeType::Value]).expect("its value");
    let Some(Attribute::Value(mut value)) = attributes.into_iter().next() else { panic!("no value") };
    let len = [record[RECORD_LEN_AT], record[RECORD_LEN_AT + 1]];
    value.truncate(u16::from_le_bytes(len).into());
    value
}
