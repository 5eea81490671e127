//! The HSM child: the only process that loads the vendor's library and reads the PIN. It serves one client
//! on the socket at its standard input, one request after the other, and ends when that closes.
//!
//! A fault of the device or the session ends it too: handles never outlive the process that made them, and
//! the client starts the next one.

mod attributes;
mod cache;
mod curve;
mod enrol;
mod exchanges;
mod fault;
mod initialise;
mod keys;
mod login;
mod matching;
mod message;
mod module;
mod pairs;
mod provision;
mod seal;
mod selftest;
mod sign;
mod token;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Instant;

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

use self::fault::Fault;
use self::token::Token;
use crate::HsmError;
use crate::types::Render;
use crate::wire::{self, Reply, Request, Response};

/// Serves until the client closes the socket or the device fails. To be called first thing in `main`.
pub fn run(render: Render) -> ExitCode {
    match harden().and_then(|()| serve(render)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("HSM child: {error}");
            ExitCode::FAILURE
        }
    }
}

/// No core file and no debugger may see the PIN or a secret; no child outlives the daemon, not even one
/// that hangs in the vendor's code.
fn harden() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

fn serve(render: Render) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut token = match wire::read(&socket)? {
        None => return Ok(()),
        Some(Request::Initialise(request)) => {
            let reply: Reply = initialise::initialise(&request).map(Response::Info);
            return wire::write(&socket, &reply);
        }
        Some(Request::Attach(request)) => match Token::attach(&request, render) {
            Ok(token) => token,
            Err(error) => return wire::write::<Reply>(&socket, &Err(error)),
        },
        Some(_) => return wire::write::<Reply>(&socket, &Err(HsmError::Protocol)),
    };
    wire::write::<Reply>(&socket, &Ok(Response::Info(token.info().clone())))?;
    while let Some(request) = wire::read(&socket)? {
        let outcome = answer(&mut token, request).or_else(|fault| match fault {
            Fault::Suspect(reason) => token.health().and(Err(Fault::Refused(reason))),
            Fault::Refused(_) | Fault::Device(_) => Err(fault),
        });
        let ending = matches!(outcome, Err(Fault::Device(_)));
        wire::write::<Reply>(&socket, &outcome.map_err(HsmError::from))?;
        if ending {
            return Err(io::Error::other("ended after a fault of the device"));
        }
    }
    token.close();
    Ok(())
}

fn answer(token: &mut Token, request: Request) -> Result<Response, Fault> {
    match request {
        Request::Info => token.health().map(|()| Response::Info(token.info().clone())),
        Request::Check => token.check().map(Response::Check),
        Request::Enrol(enrol) => token.enrol(&enrol).map(Response::Enrolled),
        Request::Match(batch) => token.match_codes(&batch).map(Response::Matched),
        Request::Compute(compute) => token.compute(&compute).map(Response::Bytes),
        Request::Mac { purpose, data } => token.macs(purpose, &data).map(Response::Macs),
        Request::NewPersonKey => token.new_person_key().map(|record| Response::Bytes(record.into())),
        Request::Seal { person_key, aad, plaintext } => {
            token.seal(&person_key, &aad, &plaintext).map(|sealed| Response::Bytes(sealed.into()))
        }
        Request::Open { person_key, aad, sealed } => {
            token.open(&person_key, &aad, &sealed).map(Response::Bytes)
        }
        Request::Random { len } => token.random(len).map(Response::Bytes),
        Request::Sign { key, message } => token.sign(key, &message).map(array),
        Request::PublicKey { key } => token.public_key(key).map(array),
        Request::VerifySignature(signed) => token.verify_signature(&signed).map(Response::Verified),
        Request::Provision(provision) => token
            .provision(&provision, Instant::now())
            .map(|provisioned| Response::Provisioned(Box::new(provisioned))),
        Request::Confirm(confirm) => token.confirm(&confirm, Instant::now()).map(array),
        Request::Abandon { exchange } => token.abandon(exchange).map(|()| Response::Abandoned),
        Request::EnrolMessageKey { binding } => token.enrol_message_key(&binding).map(Response::MessageKey),
        Request::Authenticate(request) => token.authenticate(&request).map(Response::Authenticated),
        Request::Attach(_) | Request::Initialise(_) => {
            Err(Fault::Refused("the token is open already".into()))
        }
    }
}

fn array<const N: usize>(bytes: [u8; N]) -> Response {
    Response::Bytes(bytes.to_vec().into())
}
