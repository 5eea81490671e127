//! What an answer means, and when a message is tried again.

use std::time::Duration;

use super::{Answer, Carried, HttpError, NotCarried, Why};

/// The wait after the first try; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two tries: a person is looking at the phone.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait before a message that is [`NotCarried::Later`] is tried again: after `tries` tries, with `left` of
/// its life, and what the push service asked for. None when it would be too late.
pub fn next_try(tries: u32, left: Duration, asked: Option<Duration>) -> Option<Duration> {
    let grown = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST);
    let wait = asked.map_or(grown, |asked| asked.max(grown));
    (wait < left).then_some(wait)
}

/// RFC 8030 and what push services say beside it. A redirect is a refusal: the address that the rules were asked for is
/// the only one.
pub(super) fn judge(answer: Result<Answer, HttpError>) -> Result<Carried, NotCarried> {
    match answer {
        Ok(Answer { status: 200..=299, .. }) => Ok(Carried::Sent),
        Ok(Answer { status: 404 | 410, .. }) => Err(NotCarried::Gone),
        // 507: nobody has subscribed to the ntfy topic, or not yet again.
        Ok(Answer {
            status: status @ (408 | 425 | 429 | 500 | 502 | 503 | 504 | 507), retry_after, ..
        }) => Err(NotCarried::Later { why: Why::Status(status), after: retry_after }),
        Ok(Answer { status, .. }) => Err(NotCarried::Never(Why::Status(status))),
        Err(HttpError::NotAdmitted) => Err(NotCarried::Never(HttpError::NotAdmitted.into())),
        Err(error) => Err(NotCarried::Later { why: error.into(), after: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Result<Carried, NotCarried> {
        judge(Ok(Answer { status, retry_after: Some(Duration::from_secs(7)), body: Vec::new() }))
    }

    /// C.11, RFC 8030. Red when a message is sent again and again to a phone that is gone, or given up over a pause.
    #[test]
    fn every_status_has_its_meaning() {
        for status in [200, 201, 202, 204] {
            assert_eq!(answered(status), Ok(Carried::Sent), "{status}");
        }
        for status in [404, 410] {
            assert_eq!(answered(status), Err(NotCarried::Gone), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 507] {
            let later = NotCarried::Later { why: Why::Status(status), after: Some(Duration::from_secs(7)) };
            assert_eq!(answered(status), Err(later), "{status}");
        }
        for status in [301, 302, 303, 307, 308, 304, 400, 401, 403, 405, 413, 415, 501, 505, 999] {
            assert_eq!(answered(status), Err(NotCarried::Never(Why::Status(status))), "{status}");
        }
        assert_eq!(answered(413).unwrap_err().reason(), "too_large");
        let slow = judge(Err(HttpError::Deadline)).unwrap_err();
        assert!(matches!(slow, NotCarried::Later { .. }) && slow.reason() == "deadline");
        assert!(matches!(judge(Err(HttpError::NotAdmitted)), Err(NotCarried::Never(_))));
    }

    #[test]
    fn waits_double_until_the_message_ends() {
        let s = Duration::from_secs;
        let waits = [1, 2, 3, 4, 5, 6, 60].map(|tries| next_try(tries, s(120), None));
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30].map(|wait| Some(s(wait))));
        assert_eq!(next_try(1, s(1), None), None);
        assert_eq!(next_try(1, s(120), Some(s(60))), Some(s(60)));
        assert_eq!(next_try(6, s(120), Some(s(2))), Some(s(30)));
        assert_eq!(next_try(1, s(120), Some(s(86_400))), None);
    }
}
