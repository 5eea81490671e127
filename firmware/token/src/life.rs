//! The life of a token: what each stage allows, and which follow it.

use link::{Life, Refusal};

/// What changes a token's place in life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The factory's certificate has arrived.
    Certify,
    /// A secret became active.
    Provision,
    /// The owner closes the bench.
    Lock,
    /// The owner takes it back, or too many wrong PINs did.
    Return,
    /// The owner gives it up.
    Wipe,
}

/// The stage after `step`.
///
/// # Errors
/// [`Refusal::Life`] where the stage does not allow it.
pub(crate) const fn after(life: Life, step: Step) -> Result<Life, Refusal> {
    match (life, step) {
        (Life::Factory, Step::Certify) => Ok(Life::Attested),
        (Life::Attested | Life::Provisioned | Life::Returned | Life::Wiped, Step::Provision) => {
            Ok(Life::Provisioned)
        }
        (Life::Provisioned, Step::Lock) => Ok(Life::Locked),
        (Life::Provisioned | Life::Locked | Life::Returned, Step::Return) => Ok(Life::Returned),
        (Life::Provisioned | Life::Locked | Life::Returned, Step::Wipe) => Ok(Life::Wiped),
        _ => Err(Refusal::Life),
    }
}

/// Whether codes are shown.
pub(crate) const fn shows_codes(life: Life) -> bool {
    matches!(life, Life::Provisioned | Life::Locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        use Life::{Attested, Factory, Locked, Provisioned, Returned, Wiped};
        for (life, [certify, provision, lock, back, wipe]) in [
            (Factory, [Some(Attested), None, None, None, None]),
            (Attested, [None, Some(Provisioned), None, None, None]),
            (Provisioned, [None, Some(Provisioned), Some(Locked), Some(Returned), Some(Wiped)]),
            (Locked, [None, None, None, Some(Returned), Some(Wiped)]),
            (Returned, [None, Some(Provisioned), None, Some(Returned), Some(Wiped)]),
            (Wiped, [None, Some(Provisioned), None, None, None]),
        ] {
            for (step, expected) in [
                (Step::Certify, certify),
                (Step::Provision, provision),
                (Step::Lock, lock),
                (Step::Return, back),
                (Step::Wipe, wipe),
            ] {
                assert_eq!(after(life, step).ok(), expected, "{life:?} {step:?}");
            }
        }
    }
}
