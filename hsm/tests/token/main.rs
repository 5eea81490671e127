//! The library against a real PKCS#11 module: SoftHSM in a scratch directory, behind a real child process.

mod codes;
mod device;
mod faults;
mod keys;
mod liar;
mod login;
mod message;
mod provisioning;
mod rig;
mod sealing;
mod signing;
