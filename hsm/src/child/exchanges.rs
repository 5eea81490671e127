//! Exchanges that wait for their confirmation: each once, each for a time, and only so many.

use std::time::Instant;

use crate::types::{EXCHANGE_LIFE, EXCHANGES_MAX};

struct Exchange<K> {
    id: u64,
    begun: Instant,
    key: K,
}

/// Confirmation keys by number, the oldest first. Whatever leaves is handed back, to be destroyed.
pub(super) struct Exchanges<K> {
    waiting: Vec<Exchange<K>>,
}

impl<K> Exchanges<K> {
    pub(super) fn new() -> Exchanges<K> {
        Exchanges { waiting: Vec::with_capacity(EXCHANGES_MAX) }
    }

    /// Keeps a key, and returns the one that has to go for it.
    pub(super) fn put(&mut self, id: u64, key: K, now: Instant) -> Option<K> {
        let evicted = (self.waiting.len() >= EXCHANGES_MAX).then(|| self.waiting.remove(0).key);
        self.waiting.push(Exchange { id, begun: now, key });
        evicted
    }

    /// The key of an exchange, which is then unknown.
    pub(super) fn take(&mut self, id: u64) -> Option<K> {
        let at = self.waiting.iter().position(|exchange| exchange.id == id)?;
        Some(self.waiting.remove(at).key)
    }

    /// The keys of all exchanges that have waited too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<K> {
        let late = |exchange: &Exchange<K>| now.saturating_duration_since(exchange.begun) >= EXCHANGE_LIFE;
        let until = self.waiting.iter().take_while(|exchange| late(exchange)).count();
        self.waiting.drain(..until).map(|exchange| exchange.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_handed_out_once() {
        let mut exchanges = Exchanges::new();
        assert_eq!(exchanges.put(7, 'a', Instant::now()), None);
        assert_eq!(exchanges.take(8), None);
        assert_eq!(exchanges.take(7), Some('a'));
        assert_eq!(exchanges.take(7), None);
    }

    #[test]
    fn an_exchange_ends_with_its_time() {
        let mut exchanges = Exchanges::new();
        let begun = Instant::now();
        exchanges.put(1, 'a', begun);
        exchanges.put(2, 'b', begun + Duration::from_secs(1));
        assert!(exchanges.expire(begun + EXCHANGE_LIFE - Duration::from_nanos(1)).is_empty());
        assert_eq!(exchanges.expire(begun + EXCHANGE_LIFE), ['a']);
        assert_eq!((exchanges.take(1), exchanges.take(2)), (None, Some('b')));
    }

    #[test]
    fn one_too_many_ends_the_oldest() {
        let mut exchanges = Exchanges::new();
        let now = Instant::now();
        for id in 0..EXCHANGES_MAX as u64 {
            assert_eq!(exchanges.put(id, id, now), None);
        }
        assert_eq!(exchanges.put(1000, 1000, now), Some(0));
        assert_eq!((exchanges.take(0), exchanges.take(1)), (None, Some(1)));
    }
}
