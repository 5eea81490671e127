//! The appliance: what runs in the datacenter.
//!
//! `flows` acts, `domain` (a crate) judges, `store` remembers, `texts` are what people read, `api`, `ui` and `cli` speak, `sms` drives modems,
//! `daemon` puts it together.

pub mod api;
pub mod appliance;
pub mod bell;
mod beside;
mod bucket;
pub mod chores;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod delivery;
mod demo;
pub mod error;
pub mod exchanges;
pub mod flows;
pub mod live;
mod mail;
pub mod qr;
mod refusals;
mod rows;
mod seldom;
pub mod sms;
pub mod store;
pub mod texts;
pub mod ui;
