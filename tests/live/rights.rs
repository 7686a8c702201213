//! Who may do what: the credentials of whoever connects decide, and they are
//! the kernel's word.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Said, mvctl_program, state};
use super::common::{Need, Process, Switch, have, wait_for};
use super::flow;

const NOBODY: u32 = 65534;
/// Numbers that no user database has.
const OWNER: u32 = 4_200_001;
const GROUP: u32 = 4_200_002;
const READERS: u32 = 4_200_003;
const STRANGERS: u32 = 4_200_004;

/// A switch, and `mvctl` where everybody can run it.
struct Desk {
    switch: Switch,
    program: PathBuf,
    _directory: TempDir,
}

impl Desk {
    fn start(control: &str) -> Self {
        let switch = Switch::start(&format!("{}{control}", flow::CONFIG));
        let open = || std::fs::Permissions::from_mode(0o755);
        // What lies above the runtime directory is the test's and no obstacle.
        let above = switch.runtime_dir().parent().unwrap().to_owned();
        std::fs::set_permissions(above, open()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), open()).unwrap();
        let program = directory.path().join("mvctl");
        std::fs::copy(mvctl_program(), &program).unwrap();
        Self { switch, program, _directory: directory }
    }

    fn command(&self, user: u32, group: u32, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.uid(user).gid(group).current_dir("/");
        command.arg("--socket").arg(self.switch.socket("control.sock")).args(line.split(' '));
        command
    }

    fn mvctl(&self, user: u32, group: u32, line: &str) -> Said {
        Said::of(&mut self.command(user, group, line))
    }

    #[track_caller]
    fn may_change(&self, user: u32, group: u32) {
        self.mvctl(user, group, "link set mv1 mtu 1400").good();
        self.mvctl(user, group, "link set mv1 mtu 1500").good();
        self.mvctl(user, group, "config show").good();
    }

    /// May not even get there, or is told why not.
    #[track_caller]
    fn may_nothing(&self, user: u32, group: u32) {
        for line in ["link show", "link set mv1 mtu 1400", "version", "monitor"] {
            let said = self.mvctl(user, group, line);
            let told = match said.code {
                Some(3) => said.err.contains("no right to talk"),
                Some(1) => said.err.contains("EPERM: neither your user nor a group of yours"),
                _ => false,
            };
            assert!(told && said.out.is_empty(), "{user}:{group} {line}: {said:?}");
        }
    }

    #[track_caller]
    fn may_look(&self, user: u32, group: u32) {
        let before = state(&self.switch);
        for line in [
            "link show",
            "-s -d -j link show",
            "lower show",
            "stats show",
            "worker show",
            "config show",
            "version",
            "explain from mv0 dst 02:00:00:00:00:11",
        ] {
            let said = self.mvctl(user, group, line);
            assert!(said.code == Some(0) && !said.out.is_empty(), "{line}: {said:?}");
        }
        for line in [
            "link add link lan0 name mv9 type macvlan",
            "link set mv1 down",
            "link del mv1",
            "lower del lan0",
            "host add link lan0 device net_null9",
            "fdb add 01:00:5e:00:00:05 dev mv0",
            "stats clear",
            "announce",
            "config save",
            "shutdown",
        ] {
            let said = self.mvctl(user, group, line);
            assert_eq!(said.code, Some(1), "{line}: {said:?}");
            assert!(said.err.contains("EPERM: you may look"), "{line}: {said:?}");
        }
        assert_eq!(state(&self.switch), before);
    }
}

#[test]
fn others_have_no_access_unless_the_config_says_so() {
    if !have("others_have_no_access_unless_the_config_says_so", &[Need::Root]) {
        return;
    }
    let desk = Desk::start("");
    desk.may_nothing(NOBODY, NOBODY);
    desk.may_nothing(OWNER, GROUP);
    desk.may_change(0, 0);
    desk.switch.stop();
}

#[test]
fn groups_and_the_owner_have_the_rights_that_the_config_gives() {
    if !have("groups_and_the_owner_have_the_rights_that_the_config_gives", &[Need::Root]) {
        return;
    }
    let desk = Desk::start(&format!(
        "[control]\nowner = \"{OWNER}\"\ngroup = \"{GROUP}\"\nread_group = \"{READERS}\"\n"
    ));
    desk.may_change(OWNER, STRANGERS);
    desk.may_change(NOBODY, GROUP);
    desk.may_look(NOBODY, READERS);
    desk.may_nothing(NOBODY, STRANGERS);
    // They may listen, too.
    let mut listen = desk.command(NOBODY, READERS, "-j monitor");
    let listener = Process::start("mvctl", &mut listen);
    wait_for("the first event", Duration::from_secs(5), || {
        desk.may_change(OWNER, STRANGERS);
        let said = listener.stdout();
        let event = said.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
        event.map(|event| assert_eq!(event["link"]["ifname"], "mv1"))
    });
    drop(listener);
    desk.switch.stop();

    // A group alone opens no more than it must.
    let desk = Desk::start(&format!("[control]\ngroup = \"{GROUP}\"\n"));
    desk.may_change(NOBODY, GROUP);
    desk.may_nothing(NOBODY, READERS);
    desk.may_nothing(OWNER, STRANGERS);
    desk.switch.stop();
}
