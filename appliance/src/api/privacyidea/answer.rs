//! What plugins get back: one envelope for all answers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::challenge::State;
use domain::token::Id;
use domain::verify::Reason;
use serde_json::{Value, json};

use super::super::error::{ApiError, RETRY_AFTER};

/// Version of the protocol.
const PROTOCOL: &str = "3.14";
const VERSION: &str = concat!("Countersign ", env!("CARGO_PKG_VERSION"));
/// `id` of an answer and of an error.
const ID: u8 = 2;
const ERROR_ID: u8 = 1;

/// The one text of all rejections.
pub(super) const REJECTED: &str = "wrong otp value";
/// Text of an accepted code of a token.
pub(super) const MATCHED: &str = "matching 1 tokens";
/// Text of an accepted code of a challenge.
pub(super) const ANSWERED: &str = "Found matching challenge";
/// Talkative text of a rejected code of a challenge.
pub(super) const UNANSWERED: &str = "Response did not match the challenge.";
/// What the user reads above the field. It names no number: whoever asks has shown nothing yet.
const PROMPT: &str = "Please enter the code that was sent to you.";

const MISSING_USER: u16 = 904;
const MISSING_TOKEN: u16 = 601;

/// An answer to any of the requests.
#[derive(Debug)]
pub(super) enum Answer {
    /// The code was good.
    Accepted {
        message: &'static str,
        serial: String,
        /// Type and length of code.
        token: Option<(&'static str, u8)>,
    },
    /// Anything else. Nothing but the text may vary, and that only when told to be talkative.
    Rejected(&'static str),
    /// Talkative: there is no such user.
    NoUser,
    /// Talkative: there is no such token.
    NoToken,
    /// A code was ordered by an empty one.
    Challenged(Id),
    /// As many challenges as were asked for: one or none.
    Triggered(Option<Id>),
    /// Where a challenge stands.
    Polled(Poll),
}

/// What a poll tells of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    Accept,
    Pending,
    Declined,
    Cancelled,
}

impl Poll {
    /// A challenge that nobody has, or that ended by itself, is pending for ever: so says the protocol.
    pub(super) fn of(state: Option<State>) -> Self {
        match state {
            Some(State::Verified) => Poll::Accept,
            Some(State::Denied) => Poll::Declined,
            Some(State::Cancelled | State::Superseded) => Poll::Cancelled,
            None
            | Some(State::Delivering | State::Waiting | State::Expired | State::Exhausted | State::Failed) => {
                Poll::Pending
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Poll::Accept => "accept",
            Poll::Pending => "pending",
            Poll::Declined => "declined",
            Poll::Cancelled => "cancelled",
        }
    }
}

/// The handle of a challenge as a decimal number. Always all digits, for 32 of them would be read as hex.
pub(super) fn transaction_id(id: &Id) -> String {
    format!("{:039}", u128::from_be_bytes(*id))
}

impl Answer {
    /// The rejection for a reason; the reason shows only when told to be talkative.
    pub(super) fn rejection(verbose: bool, reason: Option<Reason>, named_token: bool) -> Self {
        let Some(reason) = reason.filter(|_| verbose) else { return Answer::Rejected(REJECTED) };
        match reason {
            Reason::UnknownUser => Answer::NoUser,
            Reason::NoToken if named_token => Answer::NoToken,
            Reason::NoToken => Answer::Rejected("The user has no tokens assigned"),
            Reason::Replay => Answer::Rejected("wrong otp value. previous otp used again"),
            Reason::Locked | Reason::Limited => Answer::Rejected("Failcounter exceeded"),
            Reason::Revoked => Answer::Rejected("Token is disabled"),
            Reason::Wrong | Reason::Malformed => Answer::Rejected(REJECTED),
        }
    }

    /// Whether it lets the user in.
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self, Answer::Accepted { .. })
    }

    /// The answer as it is sent.
    pub(super) fn into_response(self, wall_ms: i64, nonce: Option<String>) -> Response {
        let (detail, value, authentication) = match self {
            Answer::NoUser => {
                let text = "ERR904: The user can not be found in any resolver in this realm!";
                return error(StatusCode::BAD_REQUEST, MISSING_USER, text, wall_ms);
            }
            Answer::NoToken => {
                let text = "The requested token could not be found.";
                return error(StatusCode::NOT_FOUND, MISSING_TOKEN, text, wall_ms);
            }
            Answer::Accepted { message, serial, token } => {
                let mut detail = json!({"message": message, "serial": serial});
                if let Some((kind, digits)) = token {
                    detail["type"] = kind.into();
                    detail["otplen"] = digits.into();
                }
                (detail, json!(true), "ACCEPT")
            }
            Answer::Rejected(message) => (json!({"message": message}), json!(false), "REJECT"),
            Answer::Challenged(id) => (challenge(&id), json!(false), "CHALLENGE"),
            Answer::Triggered(Some(id)) => (challenge(&id), json!(1), "CHALLENGE"),
            Answer::Triggered(None) => {
                let detail =
                    json!({"message": "", "messages": [], "multi_challenge": [], "transaction_ids": []});
                (detail, json!(0), "REJECT")
            }
            Answer::Polled(poll) => {
                let authentication = match poll {
                    Poll::Accept => "ACCEPT",
                    Poll::Declined => "DECLINED",
                    Poll::Pending | Poll::Cancelled => "REJECT",
                };
                (json!({"challenge_status": poll.name()}), json!(poll == Poll::Accept), authentication)
            }
        };
        let result = json!({"status": true, "value": value, "authentication": authentication});
        let mut envelope = envelope(ID, detail, result, wall_ms);
        if let Some(nonce) = nonce {
            envelope["nonce"] = nonce.into();
        }
        axum::Json(envelope).into_response()
    }
}

fn challenge(id: &Id) -> Value {
    let (transaction, serial) = (transaction_id(id), crate::flows::challenge::serial(id));
    let one = json!({
        "client_mode": "interactive",
        "message": PROMPT,
        "serial": serial,
        "transaction_id": transaction,
        "type": "sms",
    });
    let mut detail = one.clone();
    detail["messages"] = json!([PROMPT]);
    detail["multi_challenge"] = json!([one]);
    detail["preferred_client_mode"] = "interactive".into();
    detail["transaction_ids"] = json!([transaction]);
    detail
}

fn envelope(id: u8, detail: Value, result: Value, wall_ms: i64) -> Value {
    // Whole seconds: a finer clock would tell a stranger how long each refusal took.
    let seconds = u32::try_from(wall_ms.div_euclid(1000)).unwrap_or(u32::MAX);
    json!({
        "detail": detail,
        "id": id,
        "jsonrpc": "2.0",
        "result": result,
        "time": f64::from(seconds),
        "version": VERSION,
        "versionnumber": PROTOCOL,
    })
}

fn error(status: StatusCode, code: u16, message: &str, wall_ms: i64) -> Response {
    let result = json!({"status": false, "error": {"code": code, "message": message}});
    (status, axum::Json(envelope(ERROR_ID, Value::Null, result, wall_ms))).into_response()
}

/// What went wrong, in the words of this protocol.
pub(super) fn failure(failed: &ApiError, wall_ms: i64) -> Response {
    let status = failed.status();
    let (code, message) = match status {
        StatusCode::UNAUTHORIZED => (4033, failed.detail()),
        StatusCode::FORBIDDEN => (303, failed.detail()),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            (707, "codes cannot be checked at the moment: try again")
        }
        _ => (905, failed.detail()),
    };
    let mut response = error(status, code, message, wall_ms);
    if code == 707 {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::{FlowError, parse_handle};

    fn sent(response: Response) -> (StatusCode, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let status = response.status();
        let body = runtime.block_on(axum::body::to_bytes(response.into_body(), 1 << 16)).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    const REASONS: [Reason; 8] = [
        Reason::Wrong,
        Reason::Replay,
        Reason::Locked,
        Reason::Revoked,
        Reason::UnknownUser,
        Reason::NoToken,
        Reason::Malformed,
        Reason::Limited,
    ];

    #[test]
    fn a_rejection_is_one_envelope_whatever_its_reason() {
        let expected = json!({
            "detail": {"message": REJECTED},
            "id": 2,
            "jsonrpc": "2.0",
            "result": {"authentication": "REJECT", "status": true, "value": false},
            "time": 1.0,
            "version": VERSION,
            "versionnumber": "3.14",
        });
        for reason in REASONS {
            for named in [true, false] {
                let answer = Answer::rejection(false, Some(reason), named).into_response(1999, None);
                assert_eq!(sent(answer), (StatusCode::OK, expected.clone()));
            }
        }
    }

    #[test]
    fn talkative_rejections_carry_the_codes_that_plugins_know() {
        for (reason, named, status, code) in [
            (Reason::UnknownUser, false, 400, json!(904)),
            (Reason::NoToken, true, 404, json!(601)),
            (Reason::NoToken, false, 200, Value::Null),
            (Reason::Locked, false, 200, Value::Null),
        ] {
            let (found, body) = sent(Answer::rejection(true, Some(reason), named).into_response(0, None));
            assert_eq!(found.as_u16(), status);
            assert_eq!(body["result"]["error"]["code"], code);
            assert!(body["detail"]["transaction_id"].is_null());
        }
        let texts: std::collections::BTreeSet<String> = REASONS
            .into_iter()
            .filter(|r| *r != Reason::UnknownUser)
            .map(|r| sent(Answer::rejection(true, Some(r), false).into_response(0, None)).1)
            .map(|body| body["detail"]["message"].to_string())
            .collect();
        assert_eq!(texts.len(), 5);
    }

    #[test]
    fn a_challenge_names_itself_in_every_place() {
        let id: Id = [7; 16];
        let (_, body) = sent(Answer::Triggered(Some(id)).into_response(0, Some("n".to_owned())));
        let detail = &body["detail"];
        let number = detail["transaction_id"].as_str().unwrap();
        assert_eq!(parse_handle(number), Some(id));
        assert_eq!(detail["transaction_ids"][0], number);
        assert_eq!(detail["multi_challenge"][0]["transaction_id"], number);
        assert_eq!((&body["result"]["value"], &body["nonce"]), (&json!(1), &json!("n")));
    }

    /// A number of 32 digits would be read as hex.
    #[test]
    fn a_transaction_id_has_all_its_digits() {
        for number in [0, 1, 10u128.pow(31), u128::MAX] {
            let id = number.to_be_bytes();
            assert_eq!(transaction_id(&id).len(), 39);
            assert_eq!(parse_handle(&transaction_id(&id)), Some(id));
        }
    }

    #[test]
    fn each_state_is_polled_as_one_of_four() {
        for (state, expected, value, authentication) in [
            (None, "pending", false, "REJECT"),
            (Some(State::Waiting), "pending", false, "REJECT"),
            (Some(State::Verified), "accept", true, "ACCEPT"),
            (Some(State::Denied), "declined", false, "DECLINED"),
            (Some(State::Cancelled), "cancelled", false, "REJECT"),
            (Some(State::Expired), "pending", false, "REJECT"),
        ] {
            let (_, body) = sent(Answer::Polled(Poll::of(state)).into_response(0, None));
            assert_eq!(body["detail"]["challenge_status"], expected);
            assert_eq!(body["result"]["value"], value);
            assert_eq!(body["result"]["authentication"], authentication);
        }
    }

    #[test]
    fn a_fault_is_an_error_with_its_code_and_no_value() {
        for (fault, status, code) in [
            (ApiError::unauthorised(), 401, 4033),
            (ApiError::forbidden("verify"), 403, 303),
            (ApiError::malformed("x"), 400, 905),
            (ApiError::too_large(1), 413, 905),
            (hsm::HsmError::Deadline.into(), 503, 707),
            (FlowError::Busy.into(), 503, 707),
        ] {
            let response = failure(&fault, 0);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), code == 707);
            let (found, body) = sent(response);
            assert_eq!((found.as_u16(), body["id"].as_u64()), (status, Some(1)));
            assert_eq!(body["result"]["error"]["code"], code);
            assert_eq!(body["result"]["status"], false);
            assert!(body["detail"].is_null() && body["result"].get("value").is_none());
        }
    }
}
