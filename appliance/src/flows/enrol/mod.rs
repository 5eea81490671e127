//! Enrolments: from the request for a factor to its binding, for every method of vetting (B.5.6, document 003).
//!
//! Each act loads the enrolment under its MACs, has [`domain::enrol`] judge it, and saves it with one event for each
//! transition in one commit. What a person does at a desk, an application for its user, and the appliance by itself,
//! are the same acts; pages call them as the API does.

mod applicant;
mod bind;
mod code;
mod end;
mod forget;
mod identity;
pub mod keep;
mod letter;
mod notice;
mod number;
mod people;
mod phone;
mod possession;
mod replaced;
mod request;
mod schedule;
mod soft;
mod token_end;
mod vet;
mod view;
mod vouch;
mod work;

pub use applicant::applicant;
pub use bind::{activate, bind, confirm, hand_over};
pub use code::{Issued, issue};
pub use end::{Why, cancel, reject, revoke, revoke_token};
pub use forget::{identity as forget_identity, person as forget_person};
pub use identity::Identity;
pub(crate) use letter::{ByLetter, by_letter, is_enabled as letters_count};
pub(crate) use people::check_records;
pub(crate) use phone::registered;
pub use phone::{Registering, number_to_select, register};
pub use possession::{Sent, Shown, send, show as show_factor};
pub(crate) use replaced::{Replaced, half_of, replaced};
pub(crate) use request::STRONGER_FACTOR;
pub use request::{Evidence, Info, NewRequest, request, select};
pub use schedule::{NewAppointment, book, give_back, list as appointments, offer};
pub use soft::{Made, make};
pub use vet::{Beginning, Document, Proof, again, begin, liveness, proof, record, second, source};
pub use view::{Step, View, Wanted, activities, list, report, show, vetted};
pub use vouch::{by_assertion, by_token};
pub(crate) use work::Ready;

/// Purposes of challenges that show a factor, before the vetting and when it is bound (BIND-10).
pub(super) const PURPOSES: [&str; 2] = ["possession_pre", "possession_bind"];
