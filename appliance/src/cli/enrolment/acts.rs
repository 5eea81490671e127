//! The commands of enrolments as they are typed.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use crate::api::wire;

/// The acts, in the order of the process.
#[derive(Subcommand)]
pub(in crate::cli) enum Act {
    /// Ask for a factor for a user.
    Request(RequestArgs),
    /// List enrolments.
    List {
        /// Only of this user.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only in this state, such as code_issued or vetting.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Begin after this enrolment.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Show an enrolment, and what was done step by step.
    Show {
        /// Its handle.
        id: String,
    },
    /// Choose the factor, and show it before the vetting where a code is given.
    Preregister {
        /// The enrolment.
        id: String,
        /// What is to be bound: sms, soft, push or hardware.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Which product.
        #[arg(long)]
        product: Option<String>,
        #[command(flatten)]
        shown: ShownArgs,
    },
    /// Make a token for an app, for this enrolment; its secret is shown once.
    Token {
        /// The enrolment.
        id: String,
    },
    /// Register a phone with the app, for this enrolment, and wait for the phone.
    Phone {
        /// The enrolment.
        id: String,
        /// What the code registers; push alone by default for who has the codes of an app.
        #[arg(long, value_enum)]
        kind: Option<PhoneKind>,
        /// Language of the text beside the code, such as en-gb.
        #[arg(long)]
        locale: Option<String>,
        /// Print the code and go; `enrol show` tells what came of it.
        #[arg(long)]
        no_wait: bool,
    },
    /// Ask the phone with the app that is to be bound, or send a code to the number that is.
    Send {
        /// The enrolment.
        id: String,
        /// A number that is not bound yet.
        #[arg(long, value_name = "NUMBER")]
        number: Option<String>,
    },
    /// Make the registration code, which is shown once.
    Code {
        /// The enrolment.
        id: String,
        /// By mail too, to the user's own address.
        #[arg(long)]
        mail: bool,
    },
    /// Take a time for the vetting, or give it back.
    Appoint {
        /// The enrolment.
        id: String,
        /// The time: see `enrol times`.
        #[arg(required_unless_present = "cancel", value_name = "TIME")]
        appointment: Option<String>,
        /// Give the time back.
        #[arg(long, conflicts_with = "appointment")]
        cancel: bool,
    },
    /// List the times that are offered, or offer one.
    Times {
        /// Offer this time, such as 2027-03-01T09:00:00Z.
        #[arg(long, value_name = "TIME", requires = "place")]
        offer: Option<String>,
        /// How long it takes.
        #[arg(long, value_name = "N", default_value_t = 30)]
        minutes: u32,
        /// Where, or the address of a video call.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        place: Option<String>,
        /// Only for applicants of this organisation.
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
    },
    /// Look who the applicant is.
    #[command(subcommand)]
    Vet(Vet),
    /// Hand a token over from stock.
    Handover {
        /// The enrolment.
        id: String,
        /// Serial of the token.
        serial: String,
    },
    /// Bind factor and identity; with a code, show the factor first.
    Bind {
        /// The enrolment.
        id: String,
        #[command(flatten)]
        shown: ShownArgs,
    },
    /// Let the binding take effect, and tell the user.
    Activate {
        /// The enrolment.
        id: String,
    },
    /// Tell the user of an activation that went untold.
    Confirm {
        /// The enrolment.
        id: String,
    },
    /// Take an enrolment back before it took effect.
    Cancel {
        /// The enrolment.
        id: String,
        /// Why: a word such as not_needed.
        #[arg(default_value = "cancelled")]
        reason: String,
    },
    /// Refuse an enrolment; the user is told.
    Reject {
        /// The enrolment.
        id: String,
        /// Why: a word such as name_mismatch.
        reason: String,
        /// Words for the record.
        #[arg(long)]
        remark: Option<String>,
    },
    /// Take a binding back, and its factor with it.
    Revoke {
        /// The enrolment.
        id: String,
        /// Why: a word such as lost.
        #[arg(default_value = "revoked")]
        reason: String,
        /// The user has asked for it.
        #[arg(long)]
        by_user: bool,
    },
    /// Show what was vetted; that you read it is an event.
    Identity {
        /// The enrolment.
        id: String,
    },
    /// Erase what was vetted; enrolment and events stay. A whole person: countersign user forget.
    Forget {
        /// The enrolment.
        id: String,
    },
    /// Count enrolments by method, state and level.
    Report,
}

/// What a phone registers for.
#[derive(Clone, Copy, ValueEnum)]
pub(in crate::cli) enum PhoneKind {
    /// Push and codes.
    Combined,
    /// Push alone.
    Push,
}

/// What a vetting consists of, in its order.
#[derive(Subcommand)]
pub(in crate::cli) enum Vet {
    /// Begin: by the code that the applicant brings, or by the handle of what your desk has asked for itself.
    Begin {
        /// The enrolment.
        #[arg(required_unless_present = "code")]
        id: Option<String>,
        /// The registration code.
        #[arg(long)]
        code: Option<String>,
        /// Where, or over what.
        #[arg(long)]
        place: Option<String>,
    },
    /// Show the factor that the applicant has, by its code.
    Possession {
        /// The enrolment.
        id: String,
        #[command(flatten)]
        shown: ShownArgs,
    },
    /// Compare the claim with a proof. What you do not confirm ends the enrolment.
    Proof(ProofArgs),
    /// See the face alive.
    Liveness {
        /// The enrolment.
        id: String,
        /// How, such as face_to_face.
        method: String,
        /// It is not: this ends the enrolment.
        #[arg(long)]
        failed: bool,
    },
    /// Ask who issued the proof.
    Source {
        /// The enrolment.
        id: String,
        /// Who was asked.
        source: String,
        /// Under which reference.
        #[arg(long)]
        reference: Option<String>,
        /// It is lost, stolen or retired: this ends the enrolment.
        #[arg(long)]
        retired: bool,
    },
    /// Write down that the applicant is vetted.
    Record {
        /// The enrolment.
        id: String,
        /// Words for the record, at most 500 characters.
        #[arg(long)]
        remark: Option<String>,
    },
    /// Confirm another's vetting as a second person.
    Second {
        /// The enrolment.
        id: String,
    },
    /// Begin anew with another token than was shown.
    Again {
        /// The enrolment.
        id: String,
    },
    /// Vet by a code of an own token that is vetted already.
    Token {
        /// The enrolment.
        id: String,
        /// Serial of that token.
        serial: String,
        /// Its code.
        otp: String,
    },
}

/// Whose factor it will be, and how the user is vetted.
#[derive(Args)]
pub(in crate::cli) struct RequestArgs {
    /// Name of the user.
    user: String,
    /// How the user is to be vetted, such as on_premise.
    #[arg(long)]
    method: String,
    /// The level that is aimed at; the lowest of the method by default.
    #[arg(long)]
    level: Option<f64>,
    /// How the request came in: federated, email, local_login or api.
    #[arg(long)]
    channel: Option<String>,
    /// Whose registration authorities may vet.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Name of the person.
    #[arg(long)]
    name: Option<String>,
    /// E-mail address of the person.
    #[arg(long)]
    email: Option<String>,
}

/// A code of the factor.
#[derive(Args)]
pub(in crate::cli) struct ShownArgs {
    /// The code.
    otp: Option<String>,
    /// Serial of the token; the one from before, or the user's only one, by default.
    #[arg(long)]
    serial: Option<String>,
    /// For a code that was sent, or without a code for a phone that has answered: what `enrol send` gave.
    #[arg(long, conflicts_with = "serial")]
    challenge: Option<String>,
}

impl ShownArgs {
    pub(super) fn body(self) -> Option<wire::Possession> {
        let ShownArgs { otp, serial, challenge } = self;
        if otp.is_none() && challenge.is_none() {
            return None;
        }
        Some(wire::Possession { otp: otp.unwrap_or_default(), serial, challenge })
    }
}

/// What the claim is compared with, and what you confirm.
#[derive(Args)]
pub(in crate::cli) struct ProofArgs {
    /// The enrolment.
    pub(super) id: String,
    /// What it is: id_document, eid_assertion or known_person.
    #[arg(long, default_value = "id_document")]
    kind: String,
    /// Type of the document, such as passport.
    #[arg(long)]
    document: Option<String>,
    /// Who issued it, such as CH.
    #[arg(long)]
    country: Option<String>,
    /// The last characters of its number, at most 6.
    #[arg(long)]
    last6: Option<String>,
    /// It is not expired.
    #[arg(long)]
    not_expired: bool,
    /// The name is the user's.
    #[arg(long)]
    name_match: bool,
    /// The photo is the person's.
    #[arg(long)]
    photo_match: bool,
    /// You have checked the security features.
    #[arg(long)]
    security_features: bool,
    /// You have read the chip.
    #[arg(long)]
    electronic_read: bool,
    /// Words for the record, at most 500 characters.
    #[arg(long)]
    remark: Option<String>,
}

impl ProofArgs {
    pub(super) fn body(self) -> wire::VetProof {
        wire::VetProof {
            kind: self.kind,
            document: self.document,
            country: self.country,
            last6: self.last6,
            not_expired: self.not_expired,
            name_match: self.name_match,
            photo_match: self.photo_match,
            security_features: self.security_features,
            electronic_read: self.electronic_read.then_some(true),
            remark: self.remark,
        }
    }
}

impl RequestArgs {
    pub(super) fn body(self) -> wire::NewEnrolment {
        wire::NewEnrolment {
            user: self.user,
            method: self.method,
            level: self.level,
            factor_index: None,
            channel: self.channel,
            organisation: self.organisation,
            name: self.name,
            email: self.email,
            first_factor: None,
        }
    }
}
