//! Enrolment: from the request for a factor to a binding that is in effect (B.5.6).
//!
//! One engine for all methods: a desk, a video, a letter, an assertion, an own token, nobody, an organisation. What a
//! method asks for is data, a [`policy::Column`]; what an act may do is code, in `acts`.

mod activity;
mod acts;
mod catalogue;
mod code;
mod kind;
mod level;
pub mod policy;
mod product;
mod progress;
#[cfg(test)]
mod tests;

pub use activity::{Activity, Done, Entry};
pub use acts::{Check, Refusal, Vetter};
pub use code::{DRAW_LEN, EnrolCode, EnrolCodeError};
pub use kind::{Channel, Factor, Method, ProofKind};
pub use level::{Facts, Level, RULE_VERSION};
pub use product::{PRODUCT_MAX, Product, ProductError};
pub use progress::{ELIGIBLE_MS, IDLE_MS, Order, Progress, Requester, Rules, State};
