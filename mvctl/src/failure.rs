//! Why a command was not carried out, and the exit code that says so.
//!
//! Every part of mvctl answers with a [`Failure`]; only `main` turns it into an
//! exit code. Must print nothing.

use std::fmt;
use std::io::Write;

use crate::client::ClientError;
use crate::proto::RpcError;

/// The exit codes, as `--help` and the man page list them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  carried out
  1  refused for another reason than those below, or failed here
  2  not a command: the words are wrong
  3  mvswitch is not reachable: absent, dead, or no right to talk to it
  4  there is no such link, lower or device (ENOENT, ENODEV)
  5  in conflict with what is there (EEXIST, EADDRINUSE, EBUSY)";

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// The words are wrong; a sentence.
    Usage(String),
    /// Where the word `help` stands, or clap has something to say: its text.
    Clap(Box<clap::Error>),
    /// mvswitch is not there, or refused.
    Client(ClientError),
    /// A file or the terminal failed; a sentence.
    Local(String),
    /// Told already; the exit code that remains.
    Told(u8),
}

impl Failure {
    /// The process' exit code, as in [`EXIT_CODES`].
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Clap(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            Self::Client(ClientError::Unreachable(_)) => 3,
            Self::Client(ClientError::Refused(error)) => refused(error),
            Self::Local(_) => 1,
            Self::Told(code) => *code,
        }
    }

    /// The switch has answered, and said no.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Client(ClientError::Refused(_)))
    }

    /// Says it: on standard error, but help that was asked for on standard output.
    pub fn tell(&self) {
        match self {
            Self::Clap(error) => _ = error.print(),
            Self::Told(_) => {}
            other => warn(&format!("mvctl: {other}")),
        }
    }
}

fn refused(error: &RpcError) -> u8 {
    match error.errno() {
        Some("ENODEV" | "ENOENT") => 4,
        Some("EEXIST" | "EADDRINUSE" | "EBUSY") => 5,
        _ => 1,
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) | Self::Local(sentence) => f.write_str(sentence),
            Self::Clap(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
            Self::Told(_) => Ok(()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        Self::Client(ClientError::Refused(error))
    }
}

/// Says something on standard error; nobody need read it.
pub(crate) fn warn(line: &str) {
    _ = writeln!(std::io::stderr(), "{line}");
}

/// The words are wrong.
pub(crate) fn usage<T>(sentence: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(sentence.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_exit_code() {
        let refused = |errno: &str| Failure::from(RpcError::refused(errno, "no"));
        for (failure, code) in [
            (Failure::Usage("?".into()), 2),
            (Failure::Local("?".into()), 1),
            (Failure::Client(ClientError::Unreachable("?".into())), 3),
            (refused("ENOENT"), 4),
            (refused("ENODEV"), 4),
            (refused("EEXIST"), 5),
            (refused("EADDRINUSE"), 5),
            (refused("EBUSY"), 5),
            (refused("EINVAL"), 1),
            (refused("ENOSPC"), 1),
            (RpcError::protocol(crate::proto::INVALID_PARAMS, "?".into()).into(), 1),
        ] {
            assert_eq!(failure.code(), code, "{failure}");
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")));
        }
    }
}
