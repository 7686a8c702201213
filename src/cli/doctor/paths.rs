//! The runtime directory, the sockets in it, and the metrics' address.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use mvctl::runtime_dir;
use nix::unistd::{AccessFlags, access};

use super::machine::Machine;
use super::{Check, Needs};
use crate::config::{Endpoint, Role};

const DIRECTORY: &str = "runtime directory";
const CONTROL: &str = "control socket";

/// Longest socket path in bytes: `sun_path` holds 108 with the final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// What is at a path that a socket is to have.
enum Place {
    Free,
    /// A socket that nobody listens on; a start removes it.
    Stale,
    InUse,
    /// Something that a start would not touch.
    Foreign(String),
}

pub(super) fn checks(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let mut checks = vec![directory(machine, &needs.runtime_dir)];
    let control = needs.runtime_dir.join(runtime_dir::CONTROL_SOCKET);
    let place = look(machine, &control);
    // Then the links' sockets and the metrics are that switch's, too.
    let running = matches!(place, Place::InUse);
    checks.push(control_socket(&control, place));
    if !running {
        checks.extend(link_sockets(machine, needs));
        checks.extend(metrics(needs));
    }
    checks
}

fn directory(machine: &Machine, directory: &Path) -> Check {
    let shown = directory.display();
    let another = "name another with --runtime-dir";
    let length = directory.join(runtime_dir::CONTROL_SOCKET).as_os_str().len();
    if length > SOCKET_PATH_MAX {
        let found = format!(
            "{shown} is too long: the control socket's path has {length} bytes, and Linux takes \
             {SOCKET_PATH_MAX}"
        );
        return Check::problem(DIRECTORY, found, another);
    }
    // Following no link, as a start does.
    if std::fs::symlink_metadata(directory).is_ok() {
        return match runtime_dir::prepare(directory) {
            Ok(()) if writable(directory) => Check::ok(DIRECTORY, format!("{shown}, of this user")),
            Ok(()) => Check::problem(
                DIRECTORY,
                format!("{shown} cannot be written to"),
                format!("chmod u+rwx {shown}"),
            ),
            Err(refusal) => {
                let (found, advice) = split_advice(&refusal);
                Check::problem(DIRECTORY, found, advice)
            }
        };
    }
    let parent = directory.ancestors().skip(1).find(|parent| parent.exists());
    match parent {
        Some(parent) if parent.is_dir() && writable(parent) => {
            Check::ok(DIRECTORY, format!("{shown}, made by the first start"))
        }
        Some(parent) => Check::problem(
            DIRECTORY,
            format!("{shown} cannot be made in {}", parent.display()),
            format!(
                "{}, or {another}",
                machine.as_root(&format!("install -d -m 700 -o {} {shown}", machine.user))
            ),
        ),
        None => Check::problem(DIRECTORY, format!("{shown} cannot be made"), another),
    }
}

fn writable(directory: &Path) -> bool {
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// What is wrong, and what to do about it, of a sentence that says both.
fn split_advice(sentence: &str) -> (&str, &str) {
    let parts = sentence.rsplit_once("; ").or_else(|| sentence.rsplit_once(": "));
    let (wrong, advice) = parts.unwrap_or((sentence, "name another with --runtime-dir"));
    (wrong, advice.strip_prefix("type ").unwrap_or(advice))
}

fn control_socket(path: &Path, place: Place) -> Check {
    let shown = path.display();
    match place {
        Place::Free => Check::ok(CONTROL, format!("{shown} is free")),
        Place::Stale => Check::ok(CONTROL, format!("{shown} is stale; the next start removes it")),
        Place::InUse => Check::problem(
            CONTROL,
            format!("a switch runs already: it listens on {shown}"),
            "stop it, or start the other one with --runtime-dir DIR",
        ),
        Place::Foreign(what) => Check::problem(CONTROL, what, remove(path)),
    }
}

/// One line for all that are free, and one for each other.
fn link_sockets(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let Some(config) = &needs.config else { return Vec::new() };
    let mut checks = Vec::new();
    let mut good = 0;
    for link in &config.links {
        let Endpoint::Vhost { socket, role } = &link.endpoint else { continue };
        let (name, shown) = (format!("link {}", link.name), socket.display());
        match (role, look(machine, socket)) {
            (Role::Server, Place::Free | Place::Stale) | (Role::Client, Place::InUse) => good += 1,
            (Role::Server, Place::InUse) => checks.push(Check::problem(
                name,
                format!("another process listens on {shown}"),
                "stop it, or write another socket",
            )),
            (Role::Server, Place::Foreign(what)) => {
                checks.push(Check::problem(name, what, remove(socket)));
            }
            (Role::Client, _) => checks.push(Check::note(
                name,
                format!("nobody listens on {shown} yet"),
                "start the guest: the switch connects as soon as it listens",
            )),
        }
    }
    if good > 0 {
        checks.insert(0, Check::ok("link sockets", format!("{good} as they should be")));
    }
    checks
}

fn remove(path: &Path) -> String {
    format!("rm {}, or name another path", path.display())
}

fn look(machine: &Machine, path: &Path) -> Place {
    let shown = path.display();
    // A symbolic link is not followed: a start does not either.
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Place::Free,
        Err(error) => return Place::Foreign(format!("{shown}: {error}")),
    };
    if !found.file_type().is_socket() {
        return Place::Foreign(format!("{shown} is there, and no socket"));
    }
    // Asked first, because a connection would be an event to a switch that runs.
    let sockets = machine.read("proc/net/unix").unwrap_or_default();
    let bound = |line: &str| line.split_whitespace().nth(7).is_some_and(|at| Path::new(at) == path);
    if sockets.lines().any(bound) {
        return Place::InUse;
    }
    if found.uid() != machine.user {
        return Place::Foreign(format!("{shown} is a socket of user {}", found.uid()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Place::InUse,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Place::Stale,
        Err(error) => Place::Foreign(format!("{shown}: {error}")),
    }
}

/// Whether the metrics' address can be had: taken for an instant.
fn metrics(needs: &Needs) -> Option<Check> {
    let address = needs.config.as_ref()?.metrics?;
    Some(match TcpListener::bind(address) {
        Ok(_) => Check::ok("metrics", format!("{address} is free")),
        Err(error) => Check::problem(
            "metrics",
            format!("{address}: {error}"),
            "write another address in [metrics] listen",
        ),
    })
}
