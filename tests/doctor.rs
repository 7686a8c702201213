//! `mvswitch doctor` and a start on the same machine: what one calls a problem
//! ends the other, and looking changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use common::{HugePages, Namespace, Need, PATIENCE, Process, Switch, have};
use nix::sys::signal::Signal;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mvswitch");

/// A user without any rights: Debian's nobody.
const NOBODY: &str = "65534";

const DEMO: &str =
    "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n";

fn lower(device: &str) -> String {
    format!("[[lower]]\nname = \"lan0\"\ndevice = \"{device}\"\n")
}

/// What `doctor -j` found, and its exit code.
struct Report {
    code: Option<i32>,
    checks: Vec<Value>,
}

impl Report {
    #[track_caller]
    fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let checks = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        let report = Self { code: output.status.code(), checks };
        assert!(!report.checks.is_empty());
        for check in &report.checks {
            let mut keys: Vec<&str> = check.as_object().unwrap().keys().map(|k| &**k).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["check", "found", "mend", "state"]);
            let state = check["state"].as_str().unwrap();
            assert!(["ok", "note", "problem"].contains(&state), "{check}");
            assert_eq!(state == "ok", check["mend"].is_null(), "{check}");
            assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
        }
        let problems = report.problems();
        assert_eq!(report.code, Some(i32::from(!problems.is_empty())), "{problems:?}");
        report
    }

    /// The problems, each with its words.
    fn problems(&self) -> Vec<String> {
        let problem = |check: &&Value| check["state"] == "problem";
        self.checks.iter().filter(problem).map(Value::to_string).collect()
    }

    #[track_caller]
    fn check(&self, name: &str) -> &Value {
        let named = self.checks.iter().find(|check| check["check"] == name);
        named.unwrap_or_else(|| panic!("no {name} in {:?}", self.checks))
    }
}

fn doctor(config: Option<&str>, runtime_dir: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["doctor", "-j", "--runtime-dir"]).arg(runtime_dir);
    if let Some(config) = config {
        let file = runtime_dir.with_extension("toml");
        fs::write(&file, config).unwrap();
        command.arg("-c").arg(file);
    }
    command.output().unwrap()
}

#[test]
fn the_plain_report_has_a_line_for_each_check() {
    let base = tempfile::tempdir().unwrap();
    let runtime_dir = base.path().join("run");
    let report = Report::of(&doctor(None, &runtime_dir));
    assert_eq!(report.code, Some(0), "{:?}", report.problems());
    for name in [
        "DPDK",
        "rights",
        "huge pages",
        "cores",
        "NUMA",
        "IOMMU",
        "kernel modules",
        "/dev/net/tun",
        "/dev/vhost-net",
        "open files",
        "locked memory",
        "user namespaces",
        "runtime directory",
        "control socket",
    ] {
        report.check(name);
    }
    let mut command = Command::new(PROGRAM);
    let output = command.args(["doctor", "--runtime-dir"]).arg(&runtime_dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for check in &report.checks {
        let (state, name) = (check["state"].as_str().unwrap(), check["check"].as_str().unwrap());
        let line = |line: &&str| line.starts_with(state) && line.contains(&format!(" {name} "));
        let line = text.lines().find(line);
        assert!(line.is_some(), "{state} {name}: {text}");
        if let Some(mend) = check["mend"].as_str() {
            assert!(text.contains(&format!("mend: {mend}\n")), "{mend}: {text}");
        }
    }
    assert!(text.lines().last().unwrap().starts_with("nothing stands in the way"), "{text}");
    assert!(!runtime_dir.exists(), "doctor made the runtime directory");
}

#[test]
fn what_doctor_calls_a_problem_ends_a_start() {
    let base = tempfile::tempdir().unwrap();
    let runtime_dir = base.path().join("run");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let free_huge = HugePages::free();
    for (config, name, mend) in [
        (lower("net_af_packet0,iface=nosuchif"), "lower lan0", "write iface= one of lo"),
        (lower("net_af_packet0"), "lower lan0", "iface=NAME"),
        (lower("0000:ff:1f.7"), "lower lan0", ""),
        (
            format!("[eal]\nmemory = \"huge\"\nmemory_mb = 99998\n{DEMO}"),
            "huge pages",
            "sysctl vm.nr_hugepages=",
        ),
        (format!("[eal]\nmemory_mb = 1\n{DEMO}"), "memory", "Raise it or leave it out"),
        (format!("[cores]\nworkers = \"1023\"\n{DEMO}"), "cores", "write cores of 0"),
        (format!("[cores]\ncontrol = 1022\n{DEMO}"), "cores", "write cores of 0"),
        (format!("[metrics]\nlisten = \"{taken}\"\n{DEMO}"), "metrics", "another address"),
        (
            format!(
                "{}[[macvlan]]\nname = \"m\"\nlink = \"lan0\"\n",
                lower("net_af_packet0,iface=lo")
            ),
            "lower lan0",
            "another interface",
        ),
        (lower("net_virtio_user0,path=/nowhere/x.sock"), "lower lan0", "listens there"),
    ] {
        let report = Report::of(&doctor(Some(&config), &runtime_dir));
        let check = report.check(name);
        assert_eq!(check["state"], "problem", "{config}: {check}");
        assert!(check["mend"].as_str().unwrap().contains(mend), "{config}: {check}");
        let mut start = Command::new(PROGRAM);
        start.arg("-c").arg(runtime_dir.with_extension("toml"));
        let ended = start.arg("--runtime-dir").arg(&runtime_dir).output().unwrap();
        assert!(!ended.status.success(), "{config} starts after all");
        _ = fs::remove_dir(&runtime_dir);
    }
    assert_eq!(HugePages::free(), free_huge);
}

#[test]
fn where_doctor_sees_no_problem_a_switch_starts() {
    let base = tempfile::tempdir().unwrap();
    let runtime_dir = base.path().join("run");
    for config in [
        DEMO.to_owned(),
        format!("[eal]\nmemory = \"4k\"\n{DEMO}"),
        lower("net_null0"),
        format!("{DEMO}role = \"client\"\n"),
    ] {
        let report = Report::of(&doctor(Some(&config), &runtime_dir));
        assert_eq!(report.problems(), Vec::<String>::new(), "{config}");
        let mut start = Command::new(PROGRAM);
        start.arg("-c").arg(runtime_dir.with_extension("toml"));
        let mut switch = Process::start("mvswitch", start.arg("--runtime-dir").arg(&runtime_dir));
        switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
        switch.signal(Signal::SIGTERM);
        assert!(switch.ended(PATIENCE).unwrap().success());
    }
}

#[test]
fn a_running_switch_is_seen_and_left_alone() {
    let switch = Switch::start(DEMO);
    let before = switch.rpc("link.show", serde_json::json!({}));
    let report = Report::of(&doctor(Some(DEMO), &switch.runtime_dir()));
    let check = report.check("control socket");
    assert_eq!(check["state"], "problem", "{check}");
    assert!(check["found"].as_str().unwrap().contains("a switch runs already"), "{check}");
    // Its own sockets are not counted against it once more.
    assert_eq!(report.problems().len(), 1, "{:?}", report.problems());
    assert_eq!(switch.rpc("link.show", serde_json::json!({})), before);
    switch.stop();
}

#[test]
fn what_lies_at_a_sockets_path_is_judged_and_left_there() {
    let base = tempfile::tempdir().unwrap();
    let runtime_dir = base.path().join("run");
    fs::create_dir(&runtime_dir).unwrap();
    fs::set_permissions(&runtime_dir, fs::Permissions::from_mode(0o700)).unwrap();
    for (file, name) in [("control.sock", "control socket"), ("mv0.sock", "link mv0")] {
        let path = runtime_dir.join(file);
        let listener = UnixListener::bind(&path).unwrap();
        let report = Report::of(&doctor(Some(DEMO), &runtime_dir));
        assert_eq!(report.check(name)["state"], "problem");
        assert!(
            listener.set_nonblocking(true).is_ok() && listener.accept().is_err(),
            "doctor connected to a socket that is in use"
        );
        drop(listener);
        let report = Report::of(&doctor(Some(DEMO), &runtime_dir));
        assert_eq!(report.problems(), Vec::<String>::new(), "a dead socket is no obstacle");
        assert!(path.exists(), "doctor removed {file}");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "x").unwrap();
        let report = Report::of(&doctor(Some(DEMO), &runtime_dir));
        let check = report.check(name);
        assert!(check["found"].as_str().unwrap().contains("no socket"), "{check}");
        fs::remove_file(&path).unwrap();
    }
    fs::set_permissions(&runtime_dir, fs::Permissions::from_mode(0o777)).unwrap();
    let report = Report::of(&doctor(None, &runtime_dir));
    let check = report.check("runtime directory");
    assert!(check["mend"].as_str().unwrap().starts_with("chmod go-w /"), "{check}");
    let report = Report::of(&doctor(None, &base.path().join("d".repeat(100))));
    let check = report.check("runtime directory");
    assert!(check["found"].as_str().unwrap().contains("Linux takes 107"), "{check}");
}

#[test]
fn interfaces_are_looked_at_in_their_namespace() {
    let test = "interfaces_are_looked_at_in_their_namespace";
    if !have(test, &[Need::Root, Need::Program("ip")]) {
        return;
    }
    let machine = Namespace::new("doctor");
    machine.run("ip", &["link", "add", "low0", "type", "veth", "peer", "name", "peer0"]);
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("c.toml");
    let look = |device: &str| {
        fs::write(&file, lower(device)).unwrap();
        let run = base.path().join("run");
        let args = ["doctor", "-j", "-c", file.to_str().unwrap(), "--runtime-dir"];
        let output = machine.output(PROGRAM, &[&args[..], &[run.to_str().unwrap()]].concat());
        Report::of(&output).check("lower lan0").clone()
    };
    let packet = "net_af_packet0,iface=low0";
    let down = look(packet);
    assert_eq!((&down["state"], &down["mend"]), (&"note".into(), &"ip link set low0 up".into()));
    machine.run("ip", &["link", "set", "low0", "up"]);
    assert_eq!(look(packet)["state"], "ok");
    machine.run("ip", &["link", "add", "link", "low0", "name", "mv7", "type", "macvlan"]);
    let both = look(packet);
    assert_eq!(both["state"], "note");
    assert!(both["mend"].as_str().unwrap().contains("mvswitch import low0"), "{both}");
    assert_eq!(look("net_af_packet0,iface=lo")["state"], "note");
    assert_eq!(look("net_tap0,iface=low0")["state"], "problem");
    assert_eq!(look("net_tap0,iface=tap7")["state"], "ok");
}

#[test]
fn a_user_without_rights_gets_notes_for_what_can_be_done_without() {
    let test = "a_user_without_rights_gets_notes_for_what_can_be_done_without";
    if !have(test, &[Need::Root, Need::Program("setpriv")]) {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = base.path().join("mvswitch");
    fs::copy(PROGRAM, &program).unwrap();
    let file = base.path().join("c.toml");
    let home = base.path().join("home");
    fs::create_dir(&home).unwrap();
    let nobody = NOBODY.parse().unwrap();
    std::os::unix::fs::chown(&home, Some(nobody), Some(nobody)).unwrap();
    let look = |config: &str, runtime_dir: &Path| {
        fs::write(&file, config).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&program);
        command.args(["doctor", "-j", "-c"]).arg(&file).arg("--runtime-dir").arg(runtime_dir);
        Report::of(&command.output().unwrap())
    };
    let mine = home.join("run");
    let report = look(DEMO, &mine);
    assert_eq!(report.problems(), Vec::<String>::new());
    let report = look(&lower("net_af_packet0,iface=lo"), &mine);
    let check = report.check("rights");
    let mend = check["mend"].as_str().unwrap();
    assert!(mend.starts_with("sudo setcap cap_net_raw+ep /"), "{check}");
    let report = look(DEMO, Path::new("/run/mvswitch-of-nobody"));
    assert_eq!(report.check("runtime directory")["state"], "problem");
}

#[test]
fn a_bad_config_is_a_usage_error() {
    let base = tempfile::tempdir().unwrap();
    let output = doctor(Some("nonsense = 1\n"), &base.path().join("run"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty() && said.contains("run.toml:1:1"), "{said}");
}
