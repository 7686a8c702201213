//! A switch that is not there, not any more, or not for you: `mvctl` says which.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::client::{Said, mvctl, mvctl_program};
use super::common::{Need, Switch, have};
use super::flow;

fn at(socket: &Path) -> Said {
    Said::of(Command::new(mvctl_program()).arg("--socket").arg(socket).args(["link", "show"]))
}

#[test]
fn what_cannot_be_reached_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    drop(UnixListener::bind(path("dead")).unwrap());
    std::fs::write(path("file"), "").unwrap();
    let mute = UnixListener::bind(path("mute")).unwrap();
    let hangs_up = std::thread::spawn(move || drop(mute.accept()));
    for (name, why) in [
        ("absent", "there is no"),
        ("absent/s", "there is no"),
        ("dead", "left over from one that died"),
        ("file", "is not a socket"),
        ("mute", "hung up"),
    ] {
        let said = at(&path(name));
        assert_eq!(said.code, Some(3), "{name}: {said:?}");
        assert!(said.err.contains(why) && said.out.is_empty(), "{name}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{name}: {said:?}");
    }
    hangs_up.join().unwrap();
}

#[test]
fn a_switch_that_was_killed_leaves_a_socket_that_the_next_one_clears() {
    let switch = Switch::start(flow::CONFIG);
    let kept = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(switch.config_file()).unwrap();
    let run = kept.path().join("run");
    let file = kept.path().join("test.toml");
    std::fs::write(
        &file,
        text.replace(&format!("\"{}\"", switch.metrics_address()), "\"127.0.0.1:0\""),
    )
    .unwrap();
    switch.stop();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
        command.arg("-c").arg(&file).arg("--runtime-dir").arg(&run);
        let process = super::common::Process::start("mvswitch", &mut command);
        process.expect("ready", 0, super::common::PATIENCE, |said| {
            said.contains("ready").then_some(())
        });
        process
    };
    let mut first = start();
    first.kill();
    let said = at(&run.join("control.sock"));
    assert!(said.code == Some(3) && said.err.contains("left over"), "{said:?}");
    let mut second = start();
    assert!(at(&run.join("control.sock")).good().contains("mv0@lan0"));
    second.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(second.ended(super::common::PATIENCE).unwrap().success());
    let said = at(&run.join("control.sock"));
    assert!(said.code == Some(3) && said.err.contains("there is no"), "{said:?}");
}

#[test]
fn who_has_no_right_to_the_socket_is_told_so() {
    if !have("who_has_no_right_to_the_socket_is_told_so", &[Need::Root]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(directory.path(), open(0o755)).unwrap();
    let program = directory.path().join("mvctl");
    std::fs::copy(mvctl_program(), &program).unwrap();
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, open(0o660)).unwrap();
    let mut command = Command::new(&program);
    let said = Said::of(command.uid(65534).gid(65534).arg("--socket").arg(&socket).args(["link"]));
    assert!(said.code == Some(3) && said.err.contains("no right to talk"), "{said:?}");
}

#[test]
fn exit_codes_say_what_kind_of_refusal_it_was() {
    let switch = Switch::start(flow::CONFIG);
    for (line, code, why) in [
        ("link show mv9", 4, "there is no link mv9"),
        ("link set mv9 up", 4, "there is no link mv9"),
        ("link del mv9", 4, "there is no link mv9"),
        ("link add link lan9 name mv9 type macvlan", 4, "there is no lower lan9"),
        ("lower show lan9", 4, "lan9"),
        ("lower del lan9", 4, "there is no lower lan9"),
        ("host del link lan0", 4, "has no host"),
        ("explain from mv9 dst 02:00:00:00:00:11", 4, "mv9"),
        ("stats show mv9", 4, "there is no port mv9"),
        ("link add link lan0 name mv0 type macvlan", 5, "exists already"),
        ("link add link lan0 name x socket mv0.sock type macvlan", 5, "belongs to link mv0"),
        ("lower add lan9 device net_null0", 5, "belongs to lower lan0"),
        ("link frobnicate", 2, "frobnicate"),
        ("link add name", 2, ""),
        ("link set mv0 mtu many", 2, "many"),
        ("frobnicate", 2, "frobnicate"),
        ("config apply", 2, ""),
        ("link set mv0 mtu 9000", 1, "mtu"),
        ("link set mv0 type macvlan mode passthru", 1, "passthru"),
        ("config apply /nonexistent/file", 1, "/nonexistent/file"),
    ] {
        let said = mvctl(&switch, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, Some(code), "{line}: {said:?}");
        assert!(said.err.contains(why) && !said.err.is_empty(), "{line}: {said:?}");
        assert_eq!(said.out, "", "{line}: {said:?}");
    }
    switch.stop();
}
