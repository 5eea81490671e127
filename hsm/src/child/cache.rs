//! Session handles of unwrapped keys, least recently used first out. A handle is found under everything
//! that was authenticated when it was unwrapped, so that a hit needs no second look.

use std::num::NonZeroUsize;

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use lru::LruCache;

use super::fault::Fault;

/// The most unwrapped keys at one time: some 8 KB each in SoftHSM.
const HANDLES_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

pub(super) struct Cache {
    handles: LruCache<Vec<u8>, ObjectHandle>,
}

impl Cache {
    pub(super) fn new() -> Cache {
        Cache { handles: LruCache::new(HANDLES_MAX) }
    }

    pub(super) fn get(&mut self, name: &[u8]) -> Option<ObjectHandle> {
        self.handles.get(name).copied()
    }

    /// Keeps a handle, and destroys the one that has to go for it.
    pub(super) fn put(
        &mut self,
        session: &Session,
        name: Vec<u8>,
        handle: ObjectHandle,
    ) -> Result<(), Fault> {
        match self.handles.push(name, handle) {
            Some((_, evicted)) => Ok(session.destroy_object(evicted)?),
            None => Ok(()),
        }
    }
}
