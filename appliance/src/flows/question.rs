//! What the HSM is asked about one token: its record, the present state, the code, and for each message that the
//! code may have been made from the state that follows. The rules are in `domain`; here they become bytes.

use domain::sentcode;
use domain::token::MovingState;
use domain::verify::Candidate;
use hsm::{Factor, Match, MatchKey, Tampered};

use super::FlowError;
use super::guess::pad;
use crate::appliance::Appliance;
use crate::store::token::TokenRow;

/// A message that the code may have been made from, and where a match leads.
pub(super) struct Try {
    /// What goes under the token's HMAC.
    pub(super) message: Vec<u8>,
    /// The state after a match.
    pub(super) next: MovingState,
}

impl From<&Candidate> for Try {
    fn from(candidate: &Candidate) -> Self {
        Try { message: oath::moving_factor(candidate.factor).to_vec(), next: candidate.next }
    }
}

/// Asks whether `otp` was made from one of the messages. `refusal` is the state when it was not. The question is
/// filled up to `width` factors, so that the time it takes tells nothing about the token.
pub(super) fn question(
    token: &TokenRow,
    otp: &str,
    tries: impl IntoIterator<Item = Try>,
    refusal: &MovingState,
    width: usize,
) -> Match {
    let refusal = refusal.bytes(&token.id);
    let mut factors: Vec<Factor> = tries
        .into_iter()
        .map(|Try { message, next }| Factor { messages: vec![message], next_state: next.bytes(&token.id) })
        .collect();
    pad(&mut factors, width, &refusal);
    Match {
        key: MatchKey::Record {
            record: token.record.clone().unwrap_or_default(),
            binding: token.binding(),
            record_mac: token.record_mac,
        },
        state: token.state.bytes(&token.id),
        state_mac: token.state_mac,
        format: sentcode::oath_format(&token.policy.format),
        candidate: otp.as_bytes().to_vec(),
        factors,
        refusal,
    }
}

/// What the HSM found changed, as the act's error.
pub(super) fn tampered(app: &Appliance, token: &TokenRow, what: Tampered) -> FlowError {
    let what = match what {
        Tampered::Record => "the record",
        Tampered::State => "the state",
    };
    app.changed_token(what, token)
}
