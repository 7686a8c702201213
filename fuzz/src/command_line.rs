//! Any text as commands of mvctl, as `mvctl -batch` reads it: a line is a command
//! or a sentence says why not, and the daemon reads what a command asks for.

use super::rpc_line::check_request;

/// Reads `bytes` as mvctl does; carries nothing out.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut last = 0;
    for (line, request) in mvctl::batch::requests(text) {
        assert!(last < line && line <= text.split('\n').count(), "line {line} after {last}");
        last = line;
        match request {
            Ok(Some(request)) => check_request(&request),
            Ok(None) => {}
            Err(failure) => {
                // Help that was asked for, or wrong words.
                assert!(matches!(failure.code(), 0 | 2), "{failure:?}");
                assert!(!failure.to_string().trim().is_empty(), "{failure:?}");
            }
        }
    }
}
