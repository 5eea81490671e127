//! What this process may not do, whatever it is given. Knows nothing of documents.

use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use thiserror::Error;

/// Most seconds of processor time.
const CPU_SECONDS: u64 = 60;
/// Most bytes of address space.
const ADDRESS_SPACE: u64 = 1 << 30;
/// stdin, stdout and stderr: with these open no file, pipe or socket can be opened any more.
const OPEN_FILES: u64 = 3;
/// Nested layout recurses.
const STACK: usize = 8 << 20;

/// The process could not be bounded.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(transparent)]
    System(#[from] rustix::io::Errno),
    #[error(transparent)]
    Threads(#[from] ThreadPoolBuildError),
}

/// Gives up what typesetting does not need. A panic from here on is one line without values and `exit_fault`.
pub(crate) fn confine(exit_fault: u8) -> Result<(), Error> {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
        eprintln!("countersign-letters: failed to typeset: panic{place}");
        std::process::exit(i32::from(exit_fault));
    }));
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::As, ADDRESS_SPACE)?;
    limit(Resource::Nofile, OPEN_FILES)?;
    ThreadPoolBuilder::new().num_threads(1).stack_size(STACK).build_global()?;
    Ok(())
}

fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}
