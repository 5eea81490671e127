//! The library against a real PKCS#11 module: SoftHSM in a scratch directory, behind a real child process.

mod codes;
mod faults;
mod keys;
mod login;
mod rig;
mod sealing;
