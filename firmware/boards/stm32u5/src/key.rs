//! The chip's key: a page of its own, drawn at the first start and behind the same read-out protection as the image.
//!
//! Not in the part's one-time programmable area: that one outlives the erasure that comes with a return from level 1,
//! and could then be read. And a key that was drawn while the part was open may have been read already, so the first
//! start after closing draws another; what was stored under the old one is then not readable, and is gone.

use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use zeroize::Zeroizing;

use crate::flash::{self, Pages};
use crate::rng;

/// Behind the key once all of it is written: how the part was at that time.
const DRAWN_CLOSED: [u8; 16] = *b"device key, shut";
const DRAWN_OPEN: [u8; 16] = *b"device key, open";
const KEY_LEN: usize = 32;

/// The key, or `None` when it can be neither read nor made.
pub(crate) fn get() -> Option<[u8; KEY_LEN]> {
    let is_closed = flash::is_read_out_closed();
    stored(is_closed).or_else(|| {
        draw(if is_closed { &DRAWN_CLOSED } else { &DRAWN_OPEN })?;
        stored(is_closed)
    })
}

fn stored(is_closed: bool) -> Option<[u8; KEY_LEN]> {
    let mut page = Pages::key();
    let (mut key, mut mark) = ([0; KEY_LEN], [0; 16]);
    page.read(0, &mut key).and_then(|()| page.read(KEY_LEN as u32, &mut mark)).ok()?;
    (mark == DRAWN_CLOSED || mark == DRAWN_OPEN && !is_closed).then_some(key)
}

#[inline(never)]
fn draw(mark: &[u8; 16]) -> Option<()> {
    let mut page = Pages::key();
    let mut key = Zeroizing::new([0; KEY_LEN]);
    rng::fill(&mut *key).ok()?;
    page.erase(0, page.capacity() as u32).ok()?;
    page.write(0, &*key).and_then(|()| page.write(KEY_LEN as u32, mark)).ok()
}
