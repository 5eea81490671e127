//! The words of an enrolment: how a request came in, how a user is vetted, what is bound.

use crate::role::named;

named! {
    /// How a user is vetted (BIND-33).
    Method {
        /// At a registration desk, in person.
        OnPremise = "on_premise",
        /// By live video.
        Video = "video",
        /// By the key of an activation letter.
        Letter = "letter",
        /// By an assertion that a trusted application brings along.
        RemoteAssertion = "remote_assertion",
        /// By an own token that is vetted already.
        SelfVet = "self_vet",
        /// By nobody: the first factor alone.
        SelfAsserted = "self_asserted",
        /// By the organisation that hands tokens out.
        BulkIssue = "bulk_issue",
    }
}

impl Method {
    /// Whether a person at a desk or before a camera does the vetting; else the appliance does.
    pub fn needs_person(self) -> bool {
        matches!(self, Method::OnPremise | Method::Video | Method::BulkIssue)
    }

    /// Whether the applicant is somewhere else: a face has to be seen alive (BIND-16).
    pub fn is_online(self) -> bool {
        self == Method::Video
    }

    /// Whether its level is that of an assertion, or of a token that vouches.
    pub fn lives_on_another(self) -> bool {
        matches!(self, Method::RemoteAssertion | Method::SelfVet)
    }

    /// Whether the applicant brings a registration code to the vetting (BIND-34).
    pub fn needs_code(self) -> bool {
        matches!(self, Method::OnPremise | Method::Video)
    }
}

named! {
    /// How a request came in (BIND-03).
    Channel {
        /// By a login somewhere else.
        Federated = "federated",
        /// By e-mail.
        Email = "email",
        /// At a registration desk.
        Desk = "desk",
        /// By a login at the appliance.
        LocalLogin = "local_login",
        /// By an application.
        Api = "api",
    }
}

named! {
    /// What is bound.
    Factor {
        /// A phone number.
        Sms = "sms",
        /// An authenticator app.
        Soft = "soft",
        /// An app that answers pushes.
        Push = "push",
        /// A hardware token.
        Hardware = "hardware",
    }
}

named! {
    /// What an identity was compared with (BIND-15, D-47).
    ProofKind {
        /// A document with a photo.
        IdDocument = "id_document",
        /// The key of a letter to a registered address, or of one that was handed over.
        ActivationCode = "activation_code",
        /// An assertion of an electronic identity.
        EidAssertion = "eid_assertion",
        /// A token of the user that is vetted already.
        ExistingFactor = "existing_factor",
        /// Somebody whom the registration authority knows.
        KnownPerson = "known_person",
    }
}

impl ProofKind {
    /// Whether this can prove who somebody is, by this method. A code shows who gets somebody's post, no more.
    pub fn fits(self, method: Method) -> bool {
        match method {
            Method::OnPremise | Method::Video => {
                matches!(self, ProofKind::IdDocument | ProofKind::EidAssertion)
            }
            Method::Letter => self == ProofKind::ActivationCode,
            Method::RemoteAssertion => self == ProofKind::EidAssertion,
            Method::SelfVet => self == ProofKind::ExistingFactor,
            Method::BulkIssue => matches!(self, ProofKind::KnownPerson | ProofKind::IdDocument),
            Method::SelfAsserted => false,
        }
    }
}
