//! The rule for what may lie at a socket's path before it is ours.
//!
//! Used for vhost-user sockets and for the control socket. Removes only what is
//! provably a dead socket of our own; everything else is an error that says
//! what is there.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// Makes `path` free for a new socket.
///
/// # Errors
/// One sentence: what is there and what to do about it.
pub fn clear_stale(path: &Path) -> Result<(), String> {
    let shown = path.display();
    // Symbolic links are not followed: they may lead out of the directory.
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot look at {shown}: {error}")),
    };
    if !found.file_type().is_socket() {
        return Err(format!(
            "{shown} exists and is not a socket: move it away or use another path"
        ));
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!(
            "{shown} is a socket of user {}: remove it as that user or use another path",
            found.uid()
        ));
    }
    match knock(path) {
        // A listener whose backlog is full is one, too.
        Ok(()) | Err(Errno::EAGAIN) => {
            Err(format!("{shown} is in use by another process: stop that one or use another path"))
        }
        Err(Errno::ECONNREFUSED) => std::fs::remove_file(path)
            .map_err(|error| format!("cannot remove the stale socket {shown}: {error}")),
        Err(error) => Err(format!("cannot tell whether {shown} is in use: {error}")),
    }
}

/// Connects, without waiting for whoever listens.
fn knock(path: &Path) -> nix::Result<()> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let knocking = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(knocking.as_raw_fd(), &UnixAddr::new(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_a_dead_socket_of_ours_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert_eq!(clear_stale(&path), Ok(()));

        let listener = UnixListener::bind(&path).unwrap();
        assert!(clear_stale(&path).unwrap_err().contains("in use by another process"));
        // Nobody accepts: sooner or later a connection would have to wait.
        for _ in 0..200 {
            assert!(clear_stale(&path).unwrap_err().contains("in use by another process"));
        }
        drop(listener);
        assert_eq!(clear_stale(&path), Ok(()));
        assert!(!path.exists());

        std::fs::write(&path, "x").unwrap();
        assert!(clear_stale(&path).unwrap_err().contains("not a socket"));
        let link = dir.path().join("l");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(clear_stale(&link).unwrap_err().contains("not a socket"));
        assert!(path.exists() && link.is_symlink());
    }
}
