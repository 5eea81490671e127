//! How an app fetches its messages where nothing can be sent to it (C.11): a GET that its key signs.

use data_encoding::BASE64URL_NOPAD;

use crate::Phone;
use crate::encoding::mac;

/// Where messages are kept, below the place of the endpoint.
const PATH: &str = "/json/push/poll";
/// The endpoint's paths, by which its place is known.
const ENDPOINTS: [&str; 2] = ["/json/push/sns/message", "/p"];

impl Phone {
    /// The address to be fetched by GET at a Unix time in milliseconds: which account, when, and a MAC over
    /// `account|time` in the URL-safe alphabet. The appliance takes it for a minute.
    ///
    /// # Panics
    /// When the account has no push.
    pub fn poll(&self, account: usize, unix_ms: u64) -> String {
        let push = self.accounts[account].push.as_ref().expect("an account with push");
        let place = ENDPOINTS.iter().find_map(|path| push.base().strip_suffix(path)).unwrap_or(push.base());
        let uid = &push.uid;
        let signature = BASE64URL_NOPAD.encode(&mac(&push.secret, format!("{uid}|{unix_ms}").as_bytes()));
        format!("{place}{PATH}?mechanismUid={uid}&timestamp={unix_ms}&signature={signature}")
    }
}
