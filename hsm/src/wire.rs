//! The wire between client and child: frames of a little-endian u32 length and a postcard body, one
//! request and one reply in turn, over a Unix socket pair. Frames may hold secrets and are wiped.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::{Deserialize as De, Serialize as Ser};
use zeroize::Zeroizing;

use crate::types::{
    AttributeCheck, Authenticate, Authenticated, CONFIRMATION_LEN, Compute, Enrol, Enrolled, Info,
    MacPurpose, Match, Matched, MessageKey, POINT_LEN, Provision, Provisioned, SIGNATURE_LEN, SignKey,
};
use crate::{HsmError, SEAL_MAX};

/// The longest frame body, in bytes.
pub(crate) const MAX_FRAME: usize = 4 * SEAL_MAX;

/// Which token to open. The first request of a serving child.
#[derive(Debug, Ser, De)]
pub(crate) struct Attach {
    pub(crate) module: PathBuf,
    pub(crate) token_label: String,
    pub(crate) pin: PinPath,
    pub(crate) latch: PathBuf,
}

/// A PIN file, and whether systemd made it: then its group bits are the mask of an access list.
#[derive(Debug, Clone, Ser, De)]
pub(crate) struct PinPath {
    pub(crate) path: PathBuf,
    pub(crate) credential: bool,
}

/// Which token to make. The only request of an initialising child.
#[derive(Debug, Ser, De)]
pub(crate) struct Initialise {
    pub(crate) module: PathBuf,
    pub(crate) slot: Option<u64>,
    pub(crate) token_label: String,
    pub(crate) so_pin: PinPath,
    pub(crate) pin: PinPath,
}

#[derive(Ser, De)]
pub(crate) enum Request {
    Attach(Attach),
    Initialise(Initialise),
    Info,
    Check,
    Enrol(Enrol),
    Match(Vec<Match>),
    Compute(Compute),
    Mac { purpose: MacPurpose, data: Vec<Vec<u8>> },
    NewPersonKey,
    Seal { person_key: Vec<u8>, aad: Vec<u8>, plaintext: Zeroizing<Vec<u8>> },
    Open { person_key: Vec<u8>, aad: Vec<u8>, sealed: Vec<u8> },
    Random { len: usize },
    Sign { key: SignKey, message: Vec<u8> },
    PublicKey { key: SignKey },
    VerifySignature(Signed),
    Provision(Box<Provision>),
    Confirm(Confirm),
    Abandon { exchange: u64 },
    EnrolMessageKey { binding: Vec<u8> },
    Authenticate(Authenticate),
}

/// A signature to verify.
#[derive(Ser, De)]
pub(crate) struct Signed {
    #[serde(with = "array")]
    pub(crate) public: [u8; POINT_LEN],
    pub(crate) message: Vec<u8>,
    #[serde(with = "array")]
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

/// An exchange to end well.
#[derive(Ser, De)]
pub(crate) struct Confirm {
    pub(crate) exchange: u64,
    pub(crate) device_message: Vec<u8>,
    pub(crate) tag: [u8; CONFIRMATION_LEN],
    pub(crate) host_message: Vec<u8>,
}

#[derive(Ser, De)]
pub(crate) enum Response {
    Info(Info),
    Check(Vec<AttributeCheck>),
    Enrolled(Enrolled),
    Matched(Vec<Matched>),
    Macs(Vec<[u8; 32]>),
    Bytes(Zeroizing<Vec<u8>>),
    Verified(bool),
    Provisioned(Box<Provisioned>),
    Abandoned,
    MessageKey(MessageKey),
    Authenticated(Authenticated),
}

/// What the child answers to each request.
pub(crate) type Reply = Result<Response, HsmError>;

/// A whole frame, length included. Refused when the body is longer than [`MAX_FRAME`].
///
/// The buffer has its final size from the start, so that no growth leaves a copy behind.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, HsmError> {
    let len = postcard::experimental::serialized_size(message).map_err(|_| HsmError::Protocol)?;
    if len > MAX_FRAME {
        return Err(HsmError::refused(format!("{len} bytes are more than {MAX_FRAME} in one request")));
    }
    let mut frame = Zeroizing::new(vec![0; 4 + len]);
    let prefix = u32::try_from(len).expect("MAX_FRAME fits in 32 bits");
    frame[..4].copy_from_slice(&prefix.to_le_bytes());
    postcard::to_slice(message, &mut frame[4..]).map_err(|_| HsmError::Protocol)?;
    Ok(frame)
}

/// Sends one message. An oversized one fails with [`ErrorKind::InvalidInput`] and nothing is sent.
pub(crate) fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    let frame = encode(message).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    to.write_all(&frame)
}

/// Receives one message, or `None` where the other end has closed between two frames.
pub(crate) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut prefix = [0; 4];
    match from.read(&mut prefix)? {
        0 => return Ok(None),
        got => from.read_exact(&mut prefix[got..])?,
    }
    let len = u32::from_le_bytes(prefix) as usize;
    if len > MAX_FRAME {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut body = Zeroizing::new(vec![0; len]);
    from.read_exact(&mut body)?;
    match postcard::take_from_bytes(&body) {
        Ok((message, [])) => Ok(Some(message)),
        Ok(_) | Err(_) => Err(ErrorKind::InvalidData.into()),
    }
}

/// Arrays longer than the 32 elements that serde knows, as sequences of bytes.
pub(crate) mod array {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_slice().serialize(to)
    }

    pub(crate) fn deserialize<'de, D, const N: usize>(from: D) -> Result<[u8; N], D::Error>
    where
        D: Deserializer<'de>,
    {
        let bytes = Vec::<u8>::deserialize(from)?;
        bytes.as_slice().try_into().map_err(|_| D::Error::invalid_length(bytes.len(), &"another length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Request::Mac { purpose: MacPurpose::Lookup, data: vec![vec![1, 2], vec![]] })
            .expect("short");
        let mut from = bytes.as_slice();
        let Some(Request::Mac { purpose, data }) = read(&mut from).expect("well-formed") else {
            panic!("another request came out")
        };
        assert_eq!((purpose, data), (MacPurpose::Lookup, vec![vec![1, 2], vec![]]));
        assert!(read::<Request>(&mut from).expect("closed").is_none());
    }

    #[test]
    fn a_long_array_survives_the_wire_at_its_length_only() {
        let signed = Signed { public: [7; POINT_LEN], message: vec![1], signature: [9; SIGNATURE_LEN] };
        let mut bytes = postcard::to_allocvec(&signed).expect("short");
        let same: Signed = postcard::from_bytes(&bytes).expect("well-formed");
        assert_eq!((same.public, same.signature), (signed.public, signed.signature));
        bytes[0] -= 1;
        assert!(postcard::from_bytes::<Signed>(&bytes).is_err());
    }

    #[test]
    fn a_frame_that_is_too_long_cut_or_overfull_is_refused() {
        let long = [(MAX_FRAME as u32 + 1).to_le_bytes().as_slice(), &[0; 8]].concat();
        let cut = [5u32.to_le_bytes().as_slice(), &[2]].concat();
        let overfull = [2u32.to_le_bytes().as_slice(), &[2, 2]].concat();
        for bytes in [long, cut, overfull] {
            assert!(read::<Request>(bytes.as_slice()).is_err());
        }
        assert!(encode(&Request::Random { len: 1 }).is_ok());
        assert!(matches!(
            encode(&Request::Mac { purpose: MacPurpose::State, data: vec![vec![0; MAX_FRAME]] }),
            Err(HsmError::Refused { .. })
        ));
    }
}
