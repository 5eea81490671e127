//! The catalogue of activities (BIND-30): what goes in, what comes out, what may happen without.

use super::activity::{Activity as A, Entry};

/// An entry for each activity, in the order of [`A::ALL`].
pub(super) const CATALOGUE: [Entry; 17] = [
    // Request
    Entry {
        input: "name, e-mail address and organisation of the user; who asks, and how",
        output: "a request",
        risk_if_omitted: "a factor that nobody asked for",
        depends_on: &[],
        loa_effect: "none",
    },
    // FirstFactor
    Entry {
        input: "password, or the assertion of an application",
        output: "a session with its first factor",
        risk_if_omitted: "a stranger asks in the user's name",
        depends_on: &[A::Request],
        loa_effect: "alone it never leads above 1.5",
    },
    // Eligibility
    Entry {
        input: "the request, the rules and the user's tokens",
        output: "eligible, or a reason why not",
        risk_if_omitted: "somebody gets a factor who must not have one",
        depends_on: &[A::Request],
        loa_effect: "none",
    },
    // Selection
    Entry {
        input: "type and product",
        output: "the factor that is to be bound",
        risk_if_omitted: "the desk chooses for the user",
        depends_on: &[A::Eligibility],
        loa_effect: "a factor caps the level: only hardware reaches 3",
    },
    // PossessionPre
    Entry {
        input: "a code of the factor",
        output: "the factor is tentatively the user's",
        risk_if_omitted: "a factor is vetted that its user cannot use",
        depends_on: &[A::Selection],
        loa_effect: "without any proof of possession at most 2",
    },
    // Arrange
    Entry {
        input: "the request",
        output: "a registration code with its end",
        risk_if_omitted: "the desk takes another applicant's request",
        depends_on: &[A::Eligibility],
        loa_effect: "none",
    },
    // Scheduling
    Entry {
        input: "a free slot",
        output: "an appointment",
        risk_if_omitted: "nobody is there",
        depends_on: &[A::Arrange],
        loa_effect: "none",
    },
    // Vet
    Entry {
        input: "registration code, or a session; a registration authority with a level of its own",
        output: "a vetting that has begun",
        risk_if_omitted: "nobody answers for the vetting",
        depends_on: &[A::Eligibility],
        loa_effect: "a registration authority vets up to its own level",
    },
    // VetProof
    Entry {
        input: "claimed identity and its proof",
        output: "they agree, or not",
        risk_if_omitted: "another person's identity is bound",
        depends_on: &[A::Vet],
        loa_effect: "without it at most 1.5",
    },
    // VetLiveness
    Entry {
        input: "photo of the proof, face of the person",
        output: "it is the same living person, or not",
        risk_if_omitted: "a recording passes for a person",
        depends_on: &[A::VetProof],
        loa_effect: "online: without it at most 1.5",
    },
    // VetSource
    Entry {
        input: "number of the proof, register of its issuer",
        output: "valid, or withdrawn",
        risk_if_omitted: "a lost or withdrawn document passes",
        depends_on: &[A::VetProof],
        loa_effect: "where the policy wants it, a level less without it",
    },
    // VetRecord
    Entry {
        input: "the results of the checks",
        output: "a record of the identity, apart from the events, which can be erased",
        risk_if_omitted: "nobody can say later why somebody was believed",
        depends_on: &[A::VetProof],
        loa_effect: "none",
    },
    // HandOver
    Entry {
        input: "serial of a token in stock",
        output: "a receipt",
        risk_if_omitted: "another token than the bound one leaves the desk",
        depends_on: &[A::VetRecord],
        loa_effect: "none",
    },
    // DigitalId
    Entry {
        input: "vetted user, factor",
        output: "a binding that is not in effect yet",
        risk_if_omitted: "there is nothing to activate",
        depends_on: &[A::VetRecord],
        loa_effect: "none",
    },
    // PossessionBind
    Entry {
        input: "a code of the factor, at the desk where level 3 is wanted",
        output: "the factor works in its user's hands",
        risk_if_omitted: "a factor is bound that somebody else has",
        depends_on: &[A::Selection],
        loa_effect: "without any proof of possession at most 2",
    },
    // Activate
    Entry {
        input: "the binding, the registration authority's word",
        output: "an active factor with its level; the record of the binding",
        risk_if_omitted: "the binding has no effect",
        depends_on: &[A::DigitalId],
        loa_effect: "the level is computed here, and stored with the version of its rule",
    },
    // Confirmation
    Entry {
        input: "the result, good or bad; another channel than the new factor",
        output: "the user knows",
        risk_if_omitted: "a binding that the user did not want is not noticed",
        depends_on: &[A::Activate],
        loa_effect: "none",
    },
];
