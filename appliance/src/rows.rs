//! MACs over rows that say who may do what. A row is checked by the HSM once for what it holds: the same content
//! is known again by its digest, so that no request pays for it twice.

use std::collections::HashSet;

use hsm::{HsmError, MacPurpose};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::appliance::Appliance;
use crate::error::FlowError;

/// Rows remembered at the most: 128 KiB. Beyond it all are checked anew.
const CHECKED_MAX: usize = 4096;

/// Digests of rows whose MAC was right.
#[derive(Default)]
pub(crate) struct Checked(Mutex<HashSet<[u8; 32]>>);

impl Checked {
    fn holds(&self, digest: &[u8; 32]) -> bool {
        self.0.lock().contains(digest)
    }

    fn insert(&self, digest: [u8; 32]) {
        let mut checked = self.0.lock();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(digest);
    }
}

impl Appliance {
    /// The MAC of a row, over its canonical bytes.
    ///
    /// # Errors
    /// When the HSM cannot answer.
    pub(crate) fn row_mac(&self, bytes: Vec<u8>) -> Result<[u8; 32], FlowError> {
        let macs = self.hsm.mac(MacPurpose::Row, vec![bytes])?;
        Ok(*macs.first().ok_or(HsmError::Protocol)?)
    }

    /// Checks a row's MAC. `what` names the table, `which` the row.
    ///
    /// # Errors
    /// [`FlowError::Tampered`] when it is another; when the HSM cannot answer.
    pub(crate) fn check_row(
        &self,
        what: &'static str,
        which: &str,
        bytes: Vec<u8>,
        mac: &[u8; 32],
    ) -> Result<(), FlowError> {
        let digest = Sha256::new().chain_update(&bytes).chain_update(mac).finalize().into();
        if self.checked.holds(&digest) {
            return Ok(());
        }
        if self.row_mac(bytes)? != *mac {
            return Err(FlowError::Tampered { what, which: which.to_owned() });
        }
        self.checked.insert(digest);
        Ok(())
    }

    /// Does what [`Appliance::check_row`] does, for a row that there is not.
    ///
    /// # Errors
    /// When the HSM cannot answer.
    pub(crate) fn work_as_for_row(&self, bytes: Vec<u8>) -> Result<(), FlowError> {
        let digest = Sha256::new().chain_update(&bytes).chain_update([0; 32]).finalize().into();
        if !self.checked.holds(&digest) {
            self.row_mac(bytes)?;
            self.checked.insert(digest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let checked = Checked::default();
        for n in 0..=CHECKED_MAX {
            checked.insert(Sha256::digest(n.to_be_bytes()).into());
        }
        assert!(checked.0.lock().len() <= CHECKED_MAX);
        assert!(checked.holds(&Sha256::digest(CHECKED_MAX.to_be_bytes()).into()), "the newest is known");
    }
}
