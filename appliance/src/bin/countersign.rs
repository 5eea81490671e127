//! The one binary: daemon, HSM child, command line.

fn main() -> std::process::ExitCode {
    appliance::cli::main()
}
