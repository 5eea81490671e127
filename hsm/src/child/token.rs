//! The opened token: one session, the long-term keys, and the primitives that the operations are made of.

use std::cell::Cell;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::cache::Cache;
use super::exchanges::Exchanges;
use super::fault::{Fault, describe, objects_to_attribute};
use super::keys::{Keys, Role};
use super::sign::Signing;
use super::{login, module, selftest};
use crate::HsmError;
use crate::latch::Latch;
use crate::mac;
use crate::record::{KW_OVERHEAD, KeyKind};
use crate::types::{AttributeCheck, Hash, Info, MacPurpose, RANDOM_MAX, Render};
use crate::wire::Attach;

/// What the canary signs.
const CANARY: &[u8] = b"countersign.canary";

pub(super) struct Token {
    pkcs11: Pkcs11,
    pub(super) session: Session,
    pub(super) keys: Keys,
    pub(super) cache: Cache,
    pub(super) render: Render,
    pub(super) working: Working,
    pub(super) signing: Signing,
    /// Confirmation keys.
    pub(super) exchanges: Exchanges<ObjectHandle>,
    /// Whether the module takes CKA_ALLOWED_MECHANISMS on session keys.
    takes_optional: Cell<bool>,
    info: Info,
}

/// The long-term keys in use: the newest of each role.
pub(super) struct Working {
    pub(super) kek_generation: u32,
    pub(super) kek: ObjectHandle,
    pub(super) data_kek_generation: u32,
    pub(super) data_kek: ObjectHandle,
    pub(super) row_mac: ObjectHandle,
    pub(super) code: ObjectHandle,
    canary: ObjectHandle,
}

impl Token {
    /// Opens the token that the client named.
    pub(super) fn attach(request: &Attach, render: Render) -> Result<Token, HsmError> {
        let pkcs11 = module::load(&request.module)?;
        let present = module::find(&pkcs11, &request.token_label)?;
        let session =
            pkcs11.open_ro_session(present.slot).map_err(|error| HsmError::unavailable(describe(&error)))?;
        let latch = Latch::new(&request.latch, &request.module, &request.token_label);
        login::login(&session, &present.token, &latch, &request.pin)?;
        let module = request.module.display().to_string();
        Token::examine(pkcs11, session, module, &request.token_label, render)
    }

    /// Takes a session that is logged in, finds the keys and examines the module.
    pub(super) fn examine(
        pkcs11: Pkcs11,
        session: Session,
        module: String,
        token_label: &str,
        render: Render,
    ) -> Result<Token, HsmError> {
        let keys = Keys::find(&session)?;
        let working = Working::choose(&keys).ok_or(HsmError::NotInitialised)?;
        let listed = selftest::listed(&pkcs11, &session)?;
        let takes_optional = Cell::new(true);
        let info = Info {
            module,
            manufacturer: manufacturer(&pkcs11),
            token_label: token_label.to_owned(),
            assurance: crate::Assurance::NotEnforced,
            kek_generation: working.kek_generation,
            capabilities: selftest::required(&listed)?,
        };
        let signing = Signing::find(&session, &listed)?;
        let (cache, exchanges) = (Cache::new(), Exchanges::new());
        let mut token =
            Token { pkcs11, session, keys, cache, render, working, signing, exchanges, takes_optional, info };
        token.health()?;
        selftest::examine(&token).map(|(assurance, seen)| {
            token.info.assurance = assurance;
            token.info.capabilities.extend(seen);
        })?;
        Ok(token)
    }

    pub(super) fn info(&self) -> &Info {
        &self.info
    }

    /// Closes the session and the library, so that a network HSM need not wait for either.
    pub(super) fn close(self) {
        drop(self.session);
        // The process ends next, whatever C_Finalize says.
        let _ = self.pkcs11.finalize();
    }

    /// One MAC under the canary. Any failure is the device's.
    pub(super) fn health(&self) -> Result<(), Fault> {
        self.hmac(Hash::Sha256, self.working.canary, CANARY).map(drop).map_err(|fault| match fault {
            Fault::Refused(reason) | Fault::Suspect(reason) | Fault::Device(reason) => {
                Fault::Device(format!("canary: {reason}"))
            }
        })
    }

    pub(super) fn check(&self) -> Result<Vec<AttributeCheck>, Fault> {
        let mut checks = self.keys.check(&self.session)?;
        checks.extend(self.signing.check(&self.session)?);
        Ok(checks)
    }

    pub(super) fn takes_optional(&self) -> bool {
        self.takes_optional.get()
    }

    /// HMAC under a key of the HSM: 20, 32 or 64 bytes.
    pub(super) fn hmac(
        &self,
        hash: Hash,
        key: ObjectHandle,
        message: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mechanism = match hash {
            Hash::Sha1 => Mechanism::Sha1Hmac,
            Hash::Sha256 => Mechanism::Sha256Hmac,
            Hash::Sha512 => Mechanism::Sha512Hmac,
        };
        Ok(Zeroizing::new(self.session.sign(&mechanism, key, message)?))
    }

    /// HMAC-SHA256 under the row-MAC key, separated by purpose.
    pub(super) fn mac(&self, purpose: MacPurpose, data: &[u8]) -> Result<[u8; 32], Fault> {
        let mac = self.hmac(Hash::Sha256, self.working.row_mac, &mac::message(purpose, data))?;
        mac.as_slice()
            .try_into()
            .map_err(|_| Fault::Device(format!("CKM_SHA256_HMAC gave {} bytes", mac.len())))
    }

    pub(super) fn mac_fits(&self, purpose: MacPurpose, data: &[u8], mac: &[u8; 32]) -> Result<bool, Fault> {
        Ok(self.mac(purpose, data)?.ct_eq(mac).into())
    }

    pub(super) fn macs(&self, purpose: MacPurpose, data: &[Vec<u8>]) -> Result<Vec<[u8; 32]>, Fault> {
        data.iter().map(|item| self.mac(purpose, item)).collect()
    }

    pub(super) fn random(&self, len: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
        if len > RANDOM_MAX {
            return Err(Fault::Refused(format!("{len} random bytes are more than {RANDOM_MAX}")));
        }
        let mut bytes = Zeroizing::new(vec![0; len]);
        self.session.generate_random_slice(&mut bytes)?;
        Ok(bytes)
    }

    /// A session key born in the HSM. `len` in bytes.
    pub(super) fn generate(
        &self,
        kind: KeyKind,
        len: usize,
        extractable: bool,
    ) -> Result<SessionKey<'_>, Fault> {
        let len = Attribute::ValueLen((len as u64).into());
        let mechanism = match kind {
            KeyKind::Secret(_) | KeyKind::Message => Mechanism::GenericSecretKeyGen,
            KeyKind::Person => Mechanism::AesKeyGen,
        };
        self.with_template(kind, extractable, Some(len), |template| {
            self.session.generate_key(&mechanism, template)
        })
    }

    /// A session key of a given value, extractable until it is wrapped.
    pub(super) fn create(&self, kind: KeyKind, value: &[u8]) -> Result<SessionKey<'_>, Fault> {
        let value = Attribute::Value(value.to_vec());
        self.with_template(kind, true, Some(value), |template| self.session.create_object(template))
    }

    /// A key wrapped by RFC 3394, cut to the length that a key of `len` bytes has: some modules report more.
    pub(super) fn wrap(&self, kek: ObjectHandle, key: ObjectHandle, len: usize) -> Result<Vec<u8>, Fault> {
        let mut blob = self.session.wrap_key(&Mechanism::AesKeyWrap, kek, key)?;
        if blob.len() < len + KW_OVERHEAD {
            return Err(Fault::Device(format!("C_WrapKey gave {} bytes for a key of {len}", blob.len())));
        }
        blob.truncate(len + KW_OVERHEAD);
        Ok(blob)
    }

    /// A session key that can be used and not taken out.
    pub(super) fn unwrap(
        &self,
        kek: ObjectHandle,
        kind: KeyKind,
        blob: &[u8],
    ) -> Result<SessionKey<'_>, Fault> {
        self.with_template(kind, false, None, |template| {
            self.session.unwrap_key(&Mechanism::AesKeyWrap, kek, blob, template)
        })
    }

    fn with_template(
        &self,
        kind: KeyKind,
        extractable: bool,
        content: Option<Attribute>,
        make: impl Fn(&[Attribute]) -> cryptoki::error::Result<ObjectHandle>,
    ) -> Result<SessionKey<'_>, Fault> {
        let (key_type, allowed) = match kind {
            KeyKind::Secret(Hash::Sha1) => (KeyType::GENERIC_SECRET, MechanismType::SHA1_HMAC),
            KeyKind::Secret(Hash::Sha256) | KeyKind::Message => {
                (KeyType::GENERIC_SECRET, MechanismType::SHA256_HMAC)
            }
            KeyKind::Secret(Hash::Sha512) => (KeyType::GENERIC_SECRET, MechanismType::SHA512_HMAC),
            KeyKind::Person => (KeyType::AES, MechanismType::AES_GCM),
        };
        let signs = matches!(kind, KeyKind::Secret(_) | KeyKind::Message);
        let mut template = Vec::with_capacity(11);
        template.extend(content);
        template.extend([
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(key_type),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(extractable),
            Attribute::Sign(signs),
            Attribute::Encrypt(!signs),
            Attribute::Decrypt(!signs),
        ]);
        self.with_optional(template, allowed, make)
    }

    /// Makes a session key, once more without the optional attributes if the module objects, and wipes the
    /// template.
    pub(super) fn with_optional(
        &self,
        mut template: Vec<Attribute>,
        allowed: MechanismType,
        make: impl Fn(&[Attribute]) -> cryptoki::error::Result<ObjectHandle>,
    ) -> Result<SessionKey<'_>, Fault> {
        let required = template.len();
        template.push(Attribute::AllowedMechanisms(vec![allowed]));
        let mut made = make(if self.takes_optional.get() { &template } else { &template[..required] });
        if self.takes_optional.get() && made.as_ref().is_err_and(objects_to_attribute) {
            made = make(&template[..required]);
            self.takes_optional.set(made.is_err());
        }
        for attribute in &mut template {
            if let Attribute::Value(value) = attribute {
                value.zeroize();
            }
        }
        Ok(SessionKey::new(&self.session, made?))
    }
}

impl Working {
    fn choose(keys: &Keys) -> Option<Working> {
        let (kek_generation, kek) = keys.newest(Role::UseKek)?;
        let (data_kek_generation, data_kek) = keys.newest(Role::DataKek)?;
        let (_, row_mac) = keys.newest(Role::RowMac)?;
        let (_, code) = keys.newest(Role::Code)?;
        let (_, canary) = keys.newest(Role::Canary)?;
        Some(Working { kek_generation, kek, data_kek_generation, data_kek, row_mac, code, canary })
    }
}

/// A session object that is destroyed unless it is kept.
pub(super) struct SessionKey<'a> {
    session: &'a Session,
    pub(super) handle: ObjectHandle,
}

impl<'a> SessionKey<'a> {
    pub(super) fn new(session: &'a Session, handle: ObjectHandle) -> SessionKey<'a> {
        SessionKey { session, handle }
    }

    /// For the cache or the exchanges to destroy.
    pub(super) fn keep(self) -> ObjectHandle {
        let handle = self.handle;
        std::mem::forget(self);
        handle
    }
}

impl Drop for SessionKey<'_> {
    fn drop(&mut self) {
        // A device that cannot destroy it fails at the next call, and the object ends with this process.
        let _ = self.session.destroy_object(self.handle);
    }
}

fn manufacturer(pkcs11: &Pkcs11) -> String {
    match pkcs11.get_library_info() {
        Ok(info) => {
            let version = info.library_version();
            format!("{} {}.{}", info.manufacturer_id(), version.major(), version.minor())
        }
        Err(error) => describe(&error),
    }
}
