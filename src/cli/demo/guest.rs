//! A demo guest's process, as the demo sees it, and where its EAL may write.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mvctl::proto::LinkShow;
use mvctl::runtime_dir;

use super::super::Failure;
use super::super::args::DemoGuestArgs;
use crate::demo::guest;

/// Memory of a guest, in MiB.
const GUEST_MB: u32 = 64;

/// A directory for what the guests' EALs write; gone at the end.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(runtime_dir: &Path) -> Result<Self, Failure> {
        let path = runtime_dir.join(format!("demo-{}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|error| Failure::runtime(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A guest's process. It ends when its input does.
pub(super) struct Guest {
    pub(super) link: String,
    pub(super) address: Ipv4Addr,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Guest {
    pub(super) fn start(
        link: &LinkShow,
        address: Ipv4Addr,
        scratch: &Path,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::runtime(format!("the demo guest cannot start: {error}"))
        };
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("demo-guest")
            .args(["--socket", link.mvswitch.socket.as_deref().unwrap_or_default()])
            .args(["--address", &format!("{address}/24")])
            .args(["--mac", &link.address])
            .args(["--memory-mb", &GUEST_MB.to_string()])
            .args(["--log-level", "warn"])
            .env("RUNTIME_DIRECTORY", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let Some(output) = output else {
            return Err(Failure::runtime("the demo guest has no output"));
        };
        let mut guest = Self {
            link: link.ifname.clone(),
            address,
            child,
            input,
            output: BufReader::new(output),
        };
        match guest.answer()?.as_str() {
            "ready" => Ok(guest),
            other => Err(Failure::runtime(format!("the demo guest said: {other}"))),
        }
    }

    pub(super) fn ask(&mut self, question: &str) -> Result<String, Failure> {
        if let Some(input) = &mut self.input {
            let asked = writeln!(input, "{question}").and_then(|()| input.flush());
            asked.map_err(|error| {
                Failure::runtime(format!("the guest on {} is gone: {error}", self.link))
            })?;
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line.trim().to_owned()),
            _ => Err(Failure::runtime(format!("the guest on {} ended early", self.link))),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.input = None;
        _ = self.child.wait();
    }
}

/// What the hidden command's arguments mean.
pub(crate) fn options(args: &DemoGuestArgs) -> Result<guest::Options, String> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = cores.first().map(|core| core.id);
    Ok(guest::Options {
        socket: args.socket.clone(),
        address: args.address.address,
        prefix: args.address.prefix,
        mac: args.mac,
        memory_mb: args.memory_mb,
        core: core.ok_or("no CPU may be used")?,
        runtime_dir: runtime_dir::resolve(None, None),
    })
}
