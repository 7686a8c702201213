//! `config save`: what runs is written down, and starts again as it was.

use serde_json::{Value, json};

use super::client::{Said, errno, mvctl, state};
use super::common::Switch;
use super::flow;

/// Links and lowers without what another run numbers or counts in its own way,
/// by name.
fn essence(switch: &Switch) -> String {
    let mut all = Vec::new();
    for method in ["link.show", "lower.show"] {
        let shown = switch.rpc(method, json!({}));
        for mut one in shown.as_array().unwrap().iter().cloned() {
            let keys = one.as_object_mut().unwrap();
            keys.remove("stats64");
            keys.remove("ifindex");
            // It tells whether the link has been up.
            keys.remove("qdisc");
            let extra = one["mvswitch"].as_object_mut().unwrap();
            for key in ["drops", "lower_drops", "worker"] {
                extra.remove(key);
            }
            if let Some(Value::Array(links)) = extra.get_mut("links") {
                links.sort_by_key(Value::to_string);
            }
            all.push(one);
        }
    }
    all.sort_by_key(|one| one["ifname"].as_str().unwrap().to_owned());
    let text = serde_json::to_string_pretty(&all).unwrap();
    text.replace(switch.runtime_dir().to_str().unwrap(), "RUN")
}

/// All that can be changed, in iproute2's words.
const COMMANDS: &str = "\
link set mv0 mtu 1300
link set mv1 type macvlan mode private
link set mv1 down
link add link lan0 name mv2 type macvlan mode source macaddr set 02:00:00:00:02:01 02:00:00:00:02:02
link add link lan0 name mv3 type macvlan mode vepa bcqueuelen 3000
link add link lan0 name mv4 type macvlan mode bridge socket four.sock role client
link set mv3 allmulticast off
lower add lan1 device net_null1,no-rx=1 mtu 1400
lower add lan1.5 lower lan1 vlan 5
lower set lan0 address 02:00:00:00:03:00
lower set lan1 address 02:00:00:00:03:01
link add link lan1 name mv5 type macvlan mode passthru
link add link lan1.5 name mv6 address 02:00:00:00:00:16 type macvlan mode bridge
host add link lan0 device net_null6,no-rx=1
";

#[test]
fn what_is_saved_starts_the_same_switch() {
    let mut first = Switch::start(&format!("[switch]\nname = \"t\"\n{}", flow::CONFIG));
    let batch = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(batch.path(), COMMANDS).unwrap();
    mvctl(&first, &["-batch", batch.path().to_str().unwrap()]).good();
    mvctl(&first, &["config", "save"]).good();
    let saved = std::fs::read_to_string(first.config_file()).unwrap();
    for comment in ["# The switch of this test.", "# swallows everything"] {
        assert!(saved.contains(comment), "{comment} was lost: {saved}");
    }
    assert_eq!(first.rpc("config.show", json!({}))["text"], saved);
    let diff = || mvctl(&first, &["-j", "config", "diff", first.config_file().to_str().unwrap()]);
    assert_eq!(serde_json::from_str::<Value>(&diff().good()).unwrap()["changes"], json!([]));
    let before = essence(&first);
    let metrics = format!("[metrics]\nlisten = \"{}\"\n", first.metrics_address());
    assert!(saved.contains(&metrics), "{saved}");
    first.allow("failed to connect");
    first.stop();
    let mut second = Switch::start(&saved.replace(&metrics, ""));
    assert_eq!(essence(&second), before, "{saved}");
    second.allow("failed to connect");
    second.stop();
}

#[test]
fn a_file_that_was_edited_meanwhile_is_not_overwritten() {
    let switch = Switch::start(flow::CONFIG);
    switch.rpc("link.set", json!({"name": "mv0", "mtu": 1300}));
    let edited = std::fs::read_to_string(switch.config_file()).unwrap() + "# by hand\n";
    std::fs::write(switch.config_file(), &edited).unwrap();
    let before = state(&switch);
    let Said { code, err, .. } = mvctl(&switch, &["config", "save"]);
    assert!(code == Some(5) && err.contains("was edited since it was read"), "{code:?} {err}");
    assert_eq!(std::fs::read_to_string(switch.config_file()).unwrap(), edited);
    assert_eq!(state(&switch), before);
    // Elsewhere it can be saved, and after it was applied here as well.
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("saved.toml");
    mvctl(&switch, &["config", "save", file.to_str().unwrap()]).good();
    assert!(std::fs::read_to_string(&file).unwrap().contains("mtu = 1300"));
    mvctl(&switch, &["config", "apply", switch.config_file().to_str().unwrap()]).good();
    switch.rpc("link.set", json!({"name": "mv0", "mtu": 1200}));
    mvctl(&switch, &["config", "save"]).good();
    let saved = std::fs::read_to_string(switch.config_file()).unwrap();
    assert!(saved.contains("# by hand") && saved.contains("mtu = 1200"), "{saved}");
    // Back to what was applied before: that is read, too.
    std::fs::write(switch.config_file(), &edited).unwrap();
    mvctl(&switch, &["config", "apply", switch.config_file().to_str().unwrap()]).good();
    mvctl(&switch, &["config", "save"]).good();
    assert_eq!(std::fs::read_to_string(switch.config_file()).unwrap(), edited);
    switch.stop();
}

/// The switch's name is that of its own file, whichever was applied.
#[test]
fn another_file_that_was_applied_does_not_name_the_switch() {
    let switch = Switch::start(flow::CONFIG);
    let text = std::fs::read_to_string(switch.config_file()).unwrap();
    switch.rpc("config.apply", json!({"file": "/elsewhere/other.toml", "text": text}));
    switch.rpc("config.save", json!({}));
    assert_eq!(std::fs::read_to_string(switch.config_file()).unwrap(), text);
    switch.stop();
}

/// Some of what a running switch can be, as the kernel's driver can, no file may
/// say: then the file that was good stays.
#[test]
fn a_file_that_would_not_start_is_not_written() {
    let mut switch = Switch::start(flow::CONFIG);
    switch.allow("gone, and its links with it");
    let good = std::fs::read_to_string(switch.config_file()).unwrap();
    let is_refused = |needle: &str| {
        let error = switch.try_rpc("config.save", json!({})).unwrap_err();
        let said = error["message"].as_str().unwrap();
        assert!(errno(&error) == "EINVAL" && said.contains(needle), "{error}");
        assert_eq!(std::fs::read_to_string(switch.config_file()).unwrap(), good);
        // Nor to another place.
        let Said { code, err, .. } = mvctl(&switch, &["config", "save", "-"]);
        assert!(code == Some(1) && err.contains(needle), "{code:?} {err}");
        let shown = mvctl(&switch, &["config", "show"]).good();
        assert!(shown.starts_with("# This would not start: "), "{shown}");
    };
    // A link that is down may have another's address.
    let twin = json!({"name": "mv2", "link": "lan0", "address": flow::A, "up": false});
    switch.rpc("link.add", twin);
    is_refused("that of link mv0");
    switch.rpc("link.del", json!({"name": "mv2"}));
    switch.rpc("link.set", json!({"name": "mv0", "nopromisc": true}));
    is_refused("nopromisc");
    switch.rpc("link.set", json!({"name": "mv0", "nopromisc": false}));
    switch.rpc("config.save", json!({}));
    assert_eq!(std::fs::read_to_string(switch.config_file()).unwrap(), good);
    switch.rpc("lower.del", json!({"name": "lan0"}));
    is_refused("no lower");
    switch.stop();
}
