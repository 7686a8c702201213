//! mvctl: shows and changes the links of a running mvswitch.

use std::process::ExitCode;

fn main() -> ExitCode {
    match mvctl::run::run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}
