//! A config on a running switch: what it changes, what it leaves alone, what is
//! refused as a whole.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::cases::CASES;
use super::client::{Said, errno, files, link, lower, mvctl, state};
use super::common::{PATIENCE, Switch, Vdev, have, wait_until};
use super::flow::{self, Flow};

/// What follows the config of the flow: links and lowers that are changed.
const OTHERS: &str = "
[[lower]]
name = \"lan1\"
device = \"net_null1,no-rx=1\"
[[macvlan]]
name = \"mv2\" # is changed in every key
link = \"lan0\"
address = \"02:00:00:00:00:12\"
[[macvlan]]
name = \"mv3\"
link = \"lan0\"
address = \"02:00:00:00:00:13\"
[[macvlan]]
name = \"mv4\"
link = \"lan0\"
address = \"02:00:00:00:00:14\"
";

/// A config file whose text is changed bit by bit.
struct Draft<'a> {
    switch: &'a Switch,
    text: String,
}

impl<'a> Draft<'a> {
    fn of(switch: &'a Switch) -> Self {
        Self { switch, text: std::fs::read_to_string(switch.config_file()).unwrap() }
    }

    #[track_caller]
    fn replace(&mut self, from: &str, to: &str) -> &mut Self {
        assert_eq!(self.text.matches(from).count(), 1, "{from:?} in {}", self.text);
        self.text = self.text.replace(from, to);
        self
    }

    fn mvctl(&self, arguments: &[&str]) -> Said {
        std::fs::write(self.switch.config_file(), &self.text).unwrap();
        let file = self.switch.config_file();
        mvctl(self.switch, &[arguments, &[file.to_str().unwrap()]].concat())
    }

    /// What `config apply` or `diff` says of it, as `change kind name`.
    #[track_caller]
    fn changes(&self, arguments: &[&str]) -> Vec<String> {
        let said = self.mvctl(&[&["-j"], arguments].concat()).good();
        let told: Value = serde_json::from_str(&said).unwrap();
        let word = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
        let changes = told["changes"].as_array().unwrap().iter();
        changes.map(|it| ["change", "kind", "name"].map(|key| word(it, key)).join(" ")).collect()
    }

    /// Applies it: `wanted` is announced and carried out, and nothing is left to do.
    #[track_caller]
    fn apply(&self, wanted: &[&str]) {
        let before = state(self.switch);
        assert_eq!(self.changes(&["config", "diff"]), wanted);
        assert_eq!(self.changes(&["config", "apply", "--dry-run"]), wanted);
        assert_eq!(state(self.switch), before, "a dry run changed something");
        assert_eq!(self.changes(&["config", "apply"]), wanted);
        let after = state(self.switch);
        assert_eq!(self.changes(&["config", "diff"]), [""; 0]);
        assert_eq!(self.changes(&["config", "apply"]), [""; 0]);
        assert_eq!(state(self.switch), after, "a second time it changed something");
    }

    /// It is refused for a reason with all of `needles` in it, and changes nothing.
    #[track_caller]
    fn refused(&self, needles: &[&str]) {
        let before = state(self.switch);
        let said = self.mvctl(&["config", "apply"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        for needle in needles {
            assert!(said.err.contains(needle), "{needle:?} is not in {}", said.err);
        }
        assert_eq!(state(self.switch), before, "it was refused and changed something");
    }
}

#[test]
fn a_reload_changes_what_differs_and_disturbs_nothing_else() {
    if !have("a_reload_changes_what_differs_and_disturbs_nothing_else", flow::NEEDS) {
        return;
    }
    let mut switch = Switch::start(&format!("{}{OTHERS}", flow::CONFIG));
    switch.allow("gone, and its links with it");
    let switch = switch;
    let third = Vdev::virtio_user(&switch.socket("mv4.sock"), "02:00:00:00:00:14");
    let flow = Flow::start(&switch, &[third.to("02:09:09:09:09:09")]);
    switch.wait_up(&["mv4"], true);
    let untouched = || {
        ["mv0", "mv1"].map(|name| {
            let mut shown = link(&switch, name);
            shown.as_object_mut().unwrap().remove("stats64");
            // The broadcast queue is their lower's, whoever of its links asks for it.
            let data = shown["linkinfo"]["info_data"].as_object_mut().unwrap();
            data.remove("usedbcqueuelen");
            data.remove("bclim");
            shown.to_string()
        })
    };
    let before = untouched();
    let mut draft = Draft::of(&switch);
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);

    links_change_in_every_key(&switch, &mut draft);
    a_link_moves_with_its_guest(&switch, &mut draft);
    lowers_hosts_and_vlans_change(&switch, &mut draft);
    a_restart_is_refused(&switch, &mut draft);

    assert_eq!(untouched(), before, "a link that did not change has changed");
    flow.finish(&switch);
    switch.stop();
}

fn links_change_in_every_key(switch: &Switch, draft: &mut Draft<'_>) {
    draft.replace(
        "address = \"02:00:00:00:00:12\"",
        "address = \"02:00:00:00:01:12\"\nmode = \"source\"\nnodst = true\nmtu = 1400\n\
         macaddr = [\"02:00:00:00:02:01\", \"02:00:00:00:02:02\"]\nbcqueuelen = 2000\nbclim = 5\n\
         addresses = [\"02:00:00:00:01:13\"]\npromisc = true\nallmulticast = false\n\
         multicast = [\"01:00:5e:00:00:05\"]\nspoof_check = true",
    );
    draft.apply(&["set link mv2"]);
    let mv2 = link(switch, "mv2");
    let data = &mv2["linkinfo"]["info_data"];
    assert_eq!(
        (&mv2["address"], &mv2["mtu"], &mv2["promiscuity"], &mv2["allmulti"]),
        (&json!("02:00:00:00:01:12"), &json!(1400), &json!(1), &json!(0))
    );
    assert_eq!(
        (&data["mode"], &data["nodst"], &data["bcqueuelen"], &data["bclim"]),
        (&json!("source"), &json!(true), &json!(2000), &json!(5))
    );
    assert_eq!(data["macaddr_data"], json!(["02:00:00:00:02:01", "02:00:00:00:02:02"]));
    let extra = &mv2["mvswitch"];
    assert_eq!(extra["addresses"], json!(["02:00:00:00:01:13"]));
    assert_eq!(extra["groups"], json!(["01:00:5e:00:00:05"]));
    assert_eq!(extra["spoof_check"], true);

    // Down, and on another socket: a deletion and an addition under one name.
    draft.replace("mtu = 1400\n", "mtu = 1400\nup = false\nsocket = \"other.sock\"\n");
    draft.apply(&["replace link mv2"]);
    assert!(!files(switch).contains("mv2.sock") && files(switch).contains("other.sock"));
    assert_eq!(link(switch, "mv2")["operstate"], "DOWN");

    // mv3 goes; mv5 and mv6 come, and exchange their addresses.
    let mv3 = "[[macvlan]]\nname = \"mv3\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:13\"\n";
    let two = |five: &str, six: &str| {
        format!(
            "[[macvlan]]\nname = \"mv5\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:{five}\"\n\
             [[macvlan]]\nname = \"mv6\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:{six}\"\n"
        )
    };
    draft.replace(mv3, &two("15", "16"));
    draft.apply(&["del link mv3", "add link mv5", "add link mv6"]);
    assert!(!files(switch).contains("mv3.sock") && files(switch).contains("mv5.sock"));
    draft.replace(&two("15", "16"), &two("16", "15"));
    draft.changes(&["config", "apply"]);
    assert_eq!(link(switch, "mv5")["address"], "02:00:00:00:00:16");
    assert_eq!(link(switch, "mv6")["address"], "02:00:00:00:00:15");
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);
}

/// The link is another one, on another lower; its port, and with it the guest and
/// the counters, is the same.
fn a_link_moves_with_its_guest(switch: &Switch, draft: &mut Draft<'_>) {
    let before = link(switch, "mv4");
    draft.replace("name = \"mv4\"\nlink = \"lan0\"", "name = \"mv4\"\nlink = \"lan1\"");
    draft.apply(&["replace link mv4"]);
    let after = link(switch, "mv4");
    assert_eq!(after["link"], "lan1");
    assert_ne!(after["ifindex"], before["ifindex"]);
    let guest = |shown: &Value| {
        let extra = &shown["mvswitch"];
        (extra["peer_connected"].clone(), extra["connections"].clone(), shown["stats64"].clone())
    };
    assert_eq!(guest(&after), guest(&before));
    assert_eq!(guest(&after).0, true);
}

fn lowers_hosts_and_vlans_change(switch: &Switch, draft: &mut Draft<'_>) {
    let lan1 = "device = \"net_null1,no-rx=1\"\n";
    let keys = "mtu = 1400\naddress = \"02:00:00:00:03:01\"\nup = false\nprivate_strict = true\n\
                drop_link_local = true\n";
    draft.replace(lan1, &format!("{lan1}{keys}"));
    // Its link must not have more than it; its random mtu was written by nobody.
    draft.changes(&["config", "apply"]);
    let lan1 = lower(switch, "lan1");
    assert_eq!((&lan1["mtu"], &lan1["address"]), (&json!(1400), &json!("02:00:00:00:03:01")));
    assert_eq!(lan1["operstate"], "DOWN");
    assert_eq!(link(switch, "mv4")["mtu"], 1400);
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);
    draft.replace("up = false\nprivate_strict", "up = true\nprivate_strict");
    draft.apply(&["set lower lan1"]);
    assert_eq!(lower(switch, "lan1")["operstate"], "UP");

    let vlan = "[[lower]]\nname = \"lan1.10\"\nlower = \"lan1\"\nvlan = 10\n\
                [[macvlan]]\nname = \"mv7\"\nlink = \"lan1.10\"\naddress = \"02:00:00:00:00:17\"\n";
    let host = "[[host]]\nlink = \"lan1\"\ndevice = \"net_null7,no-rx=1\"\n";
    draft.text.push_str(vlan);
    draft.text.push_str(host);
    draft.apply(&["add lower lan1.10", "add host lan1", "add link mv7"]);
    assert_eq!(lower(switch, "lan1")["mvswitch"]["host"], "net_null7,no-rx=1");
    assert_eq!(lower(switch, "lan1.10")["mtu"], 1400);
    draft.replace(host, &format!("{host}reachable = true\n"));
    draft.apply(&["set host lan1"]);
    assert_eq!(lower(switch, "lan1")["mvswitch"]["reachable"], true);
    draft.replace("vlan = 10\n", "vlan = 11\n");
    draft.apply(&["replace lower lan1.10", "replace link mv7"]);
    let host = format!("{host}reachable = true\n");
    draft.replace(&vlan.replace("vlan = 10", "vlan = 11"), "").replace(&host, "");
    draft.apply(&["del link mv7", "del host lan1", "del lower lan1.10"]);
    assert!(!files(switch).contains("mv7.sock"));
}

fn a_restart_is_refused(switch: &Switch, draft: &mut Draft<'_>) {
    let text = draft.text.clone();
    draft.replace("workers = \"1\"", "workers = \"1\"\nidle = \"spin\"");
    draft.replace("memory = \"4k\"", "memory = \"4k\"\nmemory_mb = 300");
    draft.text.push_str("[[macvlan]]\nname = \"mv8\"\nlink = \"lan0\"\n");
    assert_eq!(
        draft.changes(&["config", "diff"]),
        ["restart cores cores", "restart eal eal", "add link mv8"]
    );
    draft.refused(&["EOPNOTSUPP", "needs a start anew", "[cores] idle", "[eal] memory_mb"]);
    assert!(!files(switch).contains("mv8.sock"));
    draft.text = text;
}

#[test]
fn a_broken_file_changes_nothing_and_says_where() {
    let mut switch = Switch::start(&format!("{}{OTHERS}", flow::CONFIG));
    let before = state(&switch);
    let mut failures = Vec::new();
    for case in CASES {
        let (text, line, column) = case.split();
        let refused = switch
            .try_rpc("config.apply", json!({"file": "bad.toml", "text": text}))
            .expect_err(case.what);
        let message = refused["message"].as_str().unwrap();
        let good = errno(&refused) == "EINVAL"
            && message.starts_with(&format!("bad.toml:{line}:{column}: "))
            && message.contains(case.needle);
        if !good {
            failures.push(format!("{}: {refused}", case.what));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(state(&switch), before);

    // As its operator brings it, and by a signal.
    let good = std::fs::read_to_string(switch.config_file()).unwrap();
    let bad = good.replace("name = \"mv3\"", "nmae = \"mv3\"");
    std::fs::write(switch.config_file(), &bad).unwrap();
    let place = format!("{}:{}:1: ", switch.config_file().display(), line_of(&bad, "nmae"));
    let said = mvctl(&switch, &["config", "apply", switch.config_file().to_str().unwrap()]);
    assert!(said.code == Some(1) && said.err.contains(&place), "{place}: {said:?}");
    switch.allow("nothing is changed");
    switch.signal(Signal::SIGHUP);
    wait_until("the log names the place", PATIENCE, || switch.log().contains(&place));
    std::fs::remove_file(switch.config_file()).unwrap();
    switch.signal(Signal::SIGHUP);
    wait_until("the log says so", PATIENCE, || switch.log().contains("cannot be read"));
    assert_eq!(state(&switch), before);

    // A good one that asks for what cannot be had.
    std::fs::write(switch.socket("file"), "").unwrap();
    let before = state(&switch);
    let add = |more: &str| {
        format!(
            "{good}[[macvlan]]\nname = \"mv8\"\nlink = \"lan0\"\n[[macvlan]]\nname = \"mv9\"\nlink = \"lan0\"\n{more}\n"
        )
    };
    for (text, needle) in [
        (add("socket = \"file\""), "not a socket"),
        (add("device = \"net_nix0\""), "net_nix0"),
        (format!("{good}[[lower]]\nname = \"lan7\"\ndevice = \"net_nix7\"\n"), "net_nix7"),
        (format!("{good}[[host]]\nlink = \"lan0\"\ndevice = \"net_nix7\"\n"), "net_nix7"),
        (good.replace("net_null1,no-rx=1\"", "net_null1,no-rx=1\"\nmtu = 9000"), "mtu"),
    ] {
        let refused = switch.try_rpc("config.apply", json!({ "text": text })).unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains(needle), "{needle}: {refused}");
        assert_eq!(state(&switch), before, "{refused}");
    }
    switch.stop();
}

fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).unwrap() + 1
}

#[test]
fn a_signal_reads_the_file_again() {
    let switch = Switch::start(&format!("{}{OTHERS}", flow::CONFIG));
    let mut draft = Draft::of(&switch);
    draft.replace("address = \"02:00:00:00:00:13\"", "address = \"02:00:00:00:00:33\"");
    std::fs::write(switch.config_file(), &draft.text).unwrap();
    switch.signal(Signal::SIGHUP);
    wait_until("the file is read", Duration::from_secs(2), || {
        link(&switch, "mv3")["address"] == "02:00:00:00:00:33"
    });
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);
    // Its text is what is saved from now on.
    assert_eq!(switch.rpc("config.show", json!({}))["text"], draft.text);
    switch.stop();
}

/// It is one for all links of a lower, whoever of them says it.
#[test]
fn bclim_is_that_of_the_lower() {
    let config = flow::CONFIG.replace("name = \"mv0\"", "name = \"mv0\"\nbclim = 5");
    let switch = Switch::start(&format!("{config}{OTHERS}"));
    let bclim = |name: &str| link(&switch, name)["linkinfo"]["info_data"]["bclim"].clone();
    let mut draft = Draft::of(&switch);
    // A link that moves leaves it behind.
    draft.text.push_str("[[macvlan]]\nname = \"mv5\"\nlink = \"lan1\"\n");
    draft.replace("name = \"mv4\"\nlink = \"lan0\"", "name = \"mv4\"\nlink = \"lan1\"");
    draft.changes(&["config", "apply"]);
    assert_eq!((bclim("mv4"), bclim("mv5")), (Value::Null, Value::Null));
    // One that is replaced does not bring the old one back.
    draft.replace("bclim = 5", "bclim = 7");
    draft.replace("name = \"mv3\"", "name = \"mv3\"\nsocket = \"other.sock\"");
    draft.changes(&["config", "apply"]);
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);
    assert_eq!((bclim("mv0"), bclim("mv3")), (json!(7), json!(7)));
    // The usual one is one as well.
    draft.replace("bclim = 7", "bclim = 1");
    draft.changes(&["config", "apply"]);
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);
    switch.stop();
}

/// What follows its carrier does so unless the file has another wish for it.
#[test]
fn a_vlan_is_what_the_file_says_whatever_becomes_of_its_carrier() {
    let vlan = "[[lower]]\nname = \"v5\"\nlower = \"lan1\"\nvlan = 5\nup = false\n";
    let lan1 = "device = \"net_null1,no-rx=1\"\n";
    let mut switch = Switch::start(&format!("{}{OTHERS}{vlan}", flow::CONFIG));
    switch.allow("gone, and its links with it");
    let switch = switch;
    let metrics = format!("\n[metrics]\nlisten = \"{}\"\n", switch.metrics_address());
    let mut draft = Draft::of(&switch);
    draft.replace(lan1, &format!("{lan1}up = false\n"));
    draft.apply(&["set lower lan1"]);
    draft.replace(&format!("{lan1}up = false\n"), lan1);
    draft.changes(&["config", "apply"]);
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);
    assert_eq!(lower(&switch, "v5")["operstate"], "DOWN");
    // To wish it up on one that is down is no mistake: so it could be started.
    draft.replace(lan1, &format!("{lan1}up = false\n"));
    draft.replace("vlan = 5\nup = false\n", "vlan = 5\n");
    draft.apply(&["set lower lan1", "set lower v5"]);
    assert_eq!(lower(&switch, "v5")["operstate"], "DOWN");
    draft.replace(&format!("{lan1}up = false\n"), lan1);
    draft.apply(&["set lower lan1"]);
    assert_eq!(lower(&switch, "v5")["operstate"], "UP");

    let own = lower(&switch, "lan1")["address"].as_str().unwrap().to_owned();
    draft.replace("vlan = 5\n", &format!("vlan = 5\naddress = \"{own}\"\n"));
    draft.replace(lan1, &format!("{lan1}address = \"02:00:00:00:03:01\"\n"));
    draft.changes(&["config", "apply"]);
    assert_eq!(lower(&switch, "v5")["address"], own);
    assert_eq!(draft.changes(&["config", "diff"]), [""; 0]);

    // Its name becomes a link's.
    draft.text.truncate(draft.text.find("[[lower]]\nname = \"v5\"").unwrap());
    draft.text.push_str("[[macvlan]]\nname = \"v5\"\nlink = \"lan1\"\n");
    draft.text.push_str(&metrics);
    draft.apply(&["del lower v5", "add link v5"]);
    switch.stop();
}

/// A VLAN follows its carrier before its links are given what that one left.
#[test]
fn a_link_is_given_what_the_carrier_left() {
    let carrier = "[[lower]]\nname = \"lan1\"\ndevice = \"net_null1,no-rx=1\"\naddress = \"02:00:00:00:00:a0\"\n\
                   [[lower]]\nname = \"v5\"\nlower = \"lan1\"\nvlan = 5\n\
                   [[macvlan]]\nname = \"mv5\"\nlink = \"v5\"\naddress = \"02:00:00:00:00:b0\"\n";
    let switch = Switch::start(&format!("{}{carrier}", flow::CONFIG));
    let mut draft = Draft::of(&switch);
    draft.replace("02:00:00:00:00:a0", "02:00:00:00:00:a1");
    draft.replace("02:00:00:00:00:b0", "02:00:00:00:00:a0");
    draft.changes(&["config", "apply"]);
    assert_eq!(lower(&switch, "v5")["address"], "02:00:00:00:00:a1");
    assert_eq!(link(&switch, "mv5")["address"], "02:00:00:00:00:a0");
    switch.stop();
}
