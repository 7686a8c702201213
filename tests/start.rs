//! Starts that fail: one message that names what is at fault and what to do,
//! the right exit code, and nothing left behind. And the ordinary user's start.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{HugePages, Need, PATIENCE, Process, Switch, have};
use nix::sys::signal::Signal;

/// A user without any rights: Debian's nobody.
const NOBODY: &str = "65534";

const DEMO: &str =
    "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n";

/// What a failed start says on standard error, and its exit code.
fn start(config: &str, runtime_dir: &Path) -> (Option<i32>, String) {
    let file = runtime_dir.with_extension("toml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
    command.arg("-c").arg(&file).arg("--runtime-dir").arg(runtime_dir);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Everything below a directory.
fn left_in(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn what_the_machine_lacks_is_said_in_one_line() {
    let base = tempfile::tempdir().unwrap();
    let lower = |device: &str| format!("[[lower]]\nname = \"lan0\"\ndevice = \"{device}\"\n");
    let free_huge = HugePages::free();
    // A card cannot be driven without; with them there is none at that place.
    let pci = if free_huge == 0 {
        ["PCI device", "nr_hugepages"]
    } else {
        ["cannot open 0000:ff:1f.7", "No such device"]
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (config, code, needles) in [
        (lower("net_nonsense0"), 1, &["net_nonsense0", "driver's name"][..]),
        (lower("net_af_packet0,iface=nosuchif"), 1, &["nosuchif", "interface exists"]),
        (lower("0000:ff:1f.7"), 1, &pci),
        (
            format!("[eal]\nmemory = \"huge\"\nmemory_mb = 99998\n{DEMO}"),
            1,
            &["99998 MiB", "nr_hugepages"],
        ),
        (format!("[cores]\nworkers = \"1023\"\n{DEMO}"), 2, &["core 1023", "it has 0"]),
        (format!("[cores]\ncontrol = 1022\n{DEMO}"), 2, &["core 1022", "control"]),
        (
            format!("[metrics]\nlisten = \"{taken}\"\n{DEMO}"),
            1,
            &["cannot serve metrics", "in use"],
        ),
        (
            format!("{DEMO}device = \"net_null1,nonsense=1\"\n"),
            1,
            &["link mv0", "net_null1,nonsense=1"],
        ),
    ] {
        let runtime_dir = base.path().join("run");
        let (exit, said) = start(&config, &runtime_dir);
        assert_eq!(exit, Some(code), "{config}: {said}");
        assert_eq!(said.lines().count(), 1, "{config}: {said}");
        for needle in needles {
            assert!(said.contains(needle), "{config}: {needle}: {said}");
        }
        assert_eq!(left_in(&runtime_dir), Vec::<PathBuf>::new(), "{config}");
    }
    assert_eq!(HugePages::free(), free_huge);
}

#[test]
fn what_lies_at_a_sockets_path_is_looked_at_first() {
    let base = tempfile::tempdir().unwrap();
    let runtime_dir = base.path().join("run");
    fs::create_dir(&runtime_dir).unwrap();
    fs::set_permissions(&runtime_dir, fs::Permissions::from_mode(0o700)).unwrap();
    for socket in ["mv0.sock", "control.sock"] {
        let path = runtime_dir.join(socket);
        fs::write(&path, "not a socket").unwrap();
        let (code, said) = start(DEMO, &runtime_dir);
        assert!(code == Some(1) && said.contains("is not a socket"), "{said}");
        assert_eq!(left_in(&runtime_dir), [path.as_path()], "{said}");
        fs::remove_file(&path).unwrap();

        let listener = UnixListener::bind(&path).unwrap();
        let (code, said) = start(DEMO, &runtime_dir);
        assert!(code == Some(1) && said.contains("in use by another process"), "{said}");
        assert_eq!(left_in(&runtime_dir), [path.as_path()], "{said}");
        // Dead sockets of ours, as kill -9 leaves them, are no obstacle.
        drop(listener);
    }
    let file = base.path().join("config.toml");
    fs::write(&file, DEMO).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
    let mut switch = Process::start(
        "mvswitch",
        command.arg("-c").arg(&file).arg("--runtime-dir").arg(&runtime_dir),
    );
    switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
    switch.signal(Signal::SIGTERM);
    assert!(switch.ended(PATIENCE).unwrap().success());
    assert_eq!(left_in(&runtime_dir), Vec::<PathBuf>::new());

    fs::set_permissions(&runtime_dir, fs::Permissions::from_mode(0o777)).unwrap();
    let (code, said) = start(DEMO, &runtime_dir);
    assert!(code == Some(1) && said.contains("chmod go-w"), "{said}");
}

#[test]
fn a_second_switch_in_the_same_place_is_refused_and_harms_nothing() {
    let switch = Switch::start(DEMO);
    let (code, said) = start(DEMO, &switch.runtime_dir());
    assert!(code == Some(1) && said.contains("in use by another process"), "{said}");
    assert!(switch.socket("mv0.sock").exists() && switch.socket("control.sock").exists());
    switch.rpc("link.show", serde_json::json!({}));
    switch.stop();
}

#[test]
fn a_killed_switch_leaves_nothing_that_stops_the_next() {
    let base = tempfile::tempdir().unwrap();
    let (file, runtime_dir) = (base.path().join("config.toml"), base.path().join("run"));
    fs::write(&file, DEMO).unwrap();
    for round in 0..3 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
        command.arg("-c").arg(&file).arg("--runtime-dir").arg(&runtime_dir);
        let mut switch = Process::start("mvswitch", &mut command);
        switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
        assert!(runtime_dir.join("mv0.sock").exists(), "round {round}");
        switch.kill();
    }
}

#[test]
fn the_first_signal_stops_in_order_the_second_at_once() {
    let base = tempfile::tempdir().unwrap();
    let (file, runtime_dir) = (base.path().join("config.toml"), base.path().join("run"));
    fs::write(&file, DEMO).unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
        command.arg("-c").arg(&file).arg("--runtime-dir").arg(&runtime_dir);
        let mut switch = Process::start("mvswitch", &mut command);
        switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
        let asked = Instant::now();
        switch.signal(signal);
        assert!(switch.ended(PATIENCE).unwrap().success());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert!(switch.stdout().lines().last().unwrap().starts_with("stopped  received"));
    }
    // Both are pending when the switch looks: it may still stop in order, or not.
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
    command.arg("-c").arg(&file).arg("--runtime-dir").arg(&runtime_dir);
    let mut switch = Process::start("mvswitch", &mut command);
    switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
    switch.signal(Signal::SIGTERM);
    switch.signal(Signal::SIGINT);
    let code = switch.ended(Duration::from_secs(2)).unwrap().code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
}

#[test]
fn an_ordinary_user_runs_switch_and_demo() {
    let needs = [Need::Root, Need::Program("setpriv")];
    if !have("an_ordinary_user_runs_switch_and_demo", &needs) {
        return;
    }
    // Where nobody can read it, whatever the rights of the build directory are.
    let base = tempfile::tempdir().unwrap();
    fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = base.path().join("mvswitch");
    fs::copy(env!("CARGO_BIN_EXE_mvswitch"), &program).unwrap();
    let file = base.path().join("config.toml");
    let second = "[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\n";
    fs::write(&file, format!("[eal]\nmemory = \"4k\"\n{DEMO}{second}")).unwrap();
    let home = base.path().join("home");
    fs::create_dir(&home).unwrap();
    let nobody = NOBODY.parse().unwrap();
    std::os::unix::fs::chown(&home, Some(nobody), Some(nobody)).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(&program)
            .args(args);
        command.env("TMPDIR", &home).env_remove("XDG_RUNTIME_DIR").env_remove("RUNTIME_DIRECTORY");
        command
    };
    let mut switch = Process::start("mvswitch", &mut as_nobody(&["-c", file.to_str().unwrap()]));
    switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
    assert!(switch.stdout().contains("laptop"), "{}", switch.stdout());
    let demo = as_nobody(&["demo", "--count", "2"]).output().unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    switch.signal(Signal::SIGTERM);
    assert!(switch.ended(PATIENCE).unwrap().success());
    assert_eq!(left_in(&home.join(format!("mvswitch-{NOBODY}"))), Vec::<PathBuf>::new());

    // What needs rights says so.
    fs::write(&file, "[[lower]]\nname = \"lan0\"\ndevice = \"net_af_packet0,iface=lo\"\n").unwrap();
    let refused = as_nobody(&["-c", file.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("CAP_NET_RAW"), "{said}");
}
