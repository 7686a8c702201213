//! What the words of each object mean: words in, a [`Request`] out.
//!
//! iproute2's grammar where `ip` or `bridge` has the object. Only [`crate::cli`]
//! calls it. Must not talk to mvswitch: whether a name exists, or a value suits
//! another, is mvswitch's to say.

mod explain;
mod filter;
mod host;
mod link;
mod lower;
mod macvlan;
mod select;

use crate::failure::Failure;
use crate::proto::Request;

pub(crate) use explain::explain;
pub(crate) use filter::{filter_add, filter_del};
pub(crate) use host::{host_add, host_del, host_set};
pub(crate) use link::{link_add, link_del, link_set};
pub(crate) use lower::{lower_add, lower_del, lower_set};
pub(crate) use select::{LinkFilter, links, one_name};

/// What makes a request of the words behind an object and a command.
pub(crate) type Grammar = fn(&[String]) -> Result<Request, Failure>;

/// The grammar of a change, where `object` and `command` (written out) are one.
pub(crate) fn change(object: &str, command: &str) -> Option<Grammar> {
    Some(match (object, command) {
        ("link", "add") => link_add,
        ("link", "set") => link_set,
        ("link", "del") => link_del,
        ("lower", "add") => lower_add,
        ("lower", "set") => lower_set,
        ("lower", "del") => lower_del,
        ("host", "add") => host_add,
        ("host", "set") => host_set,
        ("host", "del") => host_del,
        ("fdb" | "maddress", "add") => filter_add,
        ("fdb" | "maddress", "del") => filter_del,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What `line`, which begins with object and command, asks for; or the
    /// error, after a `!`.
    fn asked(line: &str) -> Value {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (head, words) = words.split_at(2);
        let request = match change(&head[0], &head[1]) {
            Some(grammar) => grammar(words),
            None => {
                let words = [&["from".to_owned()], words].concat();
                explain(&words).map(Request::Explain)
            }
        };
        match request {
            Ok(request) => serde_json::to_value(&request).unwrap(),
            Err(failure) => Value::String(format!("! {failure}")),
        }
    }

    fn asks_for(line: &str, method: &str, params: Value) {
        assert_eq!(asked(line), json!({"method": method, "params": params}), "{line}");
    }

    fn refused(line: &str, needle: &str) {
        let Value::String(error) = asked(line) else { panic!("{line}: {}", asked(line)) };
        assert!(error.contains(needle), "{line}: {error}");
    }

    #[test]
    fn link_add_takes_ip_s_words_in_any_order() {
        for (line, params) in [
            (
                "link add link lan0 name mv2 address 02:00:00:00:00:12 mtu 1400 type macvlan mode \
                 bridge bcqueuelen 2000 socket mv2.sock",
                json!({"name": "mv2", "link": "lan0", "address": "02:00:00:00:00:12", "mtu": 1400,
                       "type": "macvlan", "mode": "bridge", "bcqueuelen": 2000, "socket": "mv2.sock"}),
            ),
            ("link add mv2 link lan0", json!({"name": "mv2", "link": "lan0"})),
            ("link add dev mv2 link lan0", json!({"name": "mv2", "link": "lan0"})),
            ("link add name mv2 dev mv2 l lan0", json!({"name": "mv2", "link": "lan0"})),
            (
                "link add li lan0 mv2 up ty macvtap m private f null",
                json!({"name": "mv2", "link": "lan0", "up": true, "type": "macvtap",
                       "mode": "private", "nopromisc": false, "nodst": false}),
            ),
            (
                "link add link lan0 mv2 mode passthru nopromisc role client down",
                json!({"name": "mv2", "link": "lan0", "mode": "passthru", "nopromisc": true,
                       "nodst": false, "role": "client", "up": false}),
            ),
            (
                "link add link lan0 mv2 type macvlan mode source macaddr set 2:0:0:0:0:81 \
                 02:00:00:00:00:82 nodst bclim -1",
                json!({"name": "mv2", "link": "lan0", "type": "macvlan", "mode": "source",
                       "macaddr": {"set": ["02:00:00:00:00:81", "02:00:00:00:00:82"]},
                       "nopromisc": false, "nodst": true, "bclim": -1}),
            ),
            (
                "link add link lan0 mv2 device net_tap0,iface=x addresses 2:0:0:0:0:1,2:0:0:0:0:2 \
                 spoof_check on promisc off allmulticast on a auto",
                json!({"name": "mv2", "link": "lan0", "device": "net_tap0,iface=x",
                       "addresses": ["02:00:00:00:00:01", "02:00:00:00:00:02"],
                       "spoof_check": true, "promisc": false, "allmulticast": true,
                       "address": "auto"}),
            ),
        ] {
            asks_for(line, "link.add", params);
        }
    }

    #[test]
    fn link_set_takes_ip_s_words() {
        for (line, params) in [
            (
                "link set mv2 type macvlan mode private",
                json!({"name": "mv2", "type": "macvlan", "mode": "private"}),
            ),
            ("link set mv2 mode private", json!({"name": "mv2", "mode": "private"})),
            ("link set mv2 down", json!({"name": "mv2", "up": false})),
            ("link set dev up up", json!({"name": "up", "up": true})),
            ("link set name mv2 mtu 0x578", json!({"name": "mv2", "mtu": 1400})),
            ("link set mv2 name mv2 up", json!({"name": "mv2", "up": true})),
            ("link set mv2", json!({"name": "mv2"})),
            ("link set f up", json!({"name": "f", "up": true})),
            (
                "link set mv2 type macvlan macaddr add 02:00:00:00:00:81",
                json!({"name": "mv2", "type": "macvlan", "macaddr": {"add": "02:00:00:00:00:81"}}),
            ),
            ("link set mv2 macaddr flush", json!({"name": "mv2", "macaddr": "flush"})),
            ("link set mv2 macaddr set", json!({"name": "mv2", "macaddr": {"set": []}})),
            (
                "link set macaddr set 2:0:0:0:0:1 mv2",
                json!({"name": "mv2", "macaddr": {"set": ["02:00:00:00:00:01"]}}),
            ),
            (
                "link set mv2 type macvlan flag nodst flag null",
                json!({"name": "mv2", "type": "macvlan", "nopromisc": false, "nodst": true}),
            ),
            (
                "link set mv2 type macvlan mode passthru nop",
                json!({"name": "mv2", "type": "macvlan", "mode": "passthru", "nopromisc": true,
                    "nodst": false}),
            ),
            (
                "link set mv2 type macvlan bcq 0x10 bclim -0x2",
                json!({"name": "mv2", "type": "macvlan", "bcqueuelen": 16, "bclim": -2}),
            ),
            (
                "link set mv2 type macvlan bc 4294967295",
                json!({"name": "mv2", "type": "macvlan", "bcqueuelen": 4_294_967_295_u32}),
            ),
            ("link set mv2 addresses none", json!({"name": "mv2", "addresses": []})),
            (
                "link set mv2 addr 2:0:0:0:0:9",
                json!({"name": "mv2", "address": "02:00:00:00:00:09"}),
            ),
        ] {
            asks_for(line, "link.set", params);
        }
        asks_for("link del mv2", "link.del", json!({"name": "mv2"}));
        asks_for("link del dev mv2 type macvlan", "link.del", json!({"name": "mv2"}));
    }

    #[test]
    fn what_ip_refuses_is_refused() {
        for (line, needle) in [
            ("link add link lan0", "the link's name is missing"),
            ("link add mv2", "link LOWER"),
            ("link add link", "after \"link\": its value is missing"),
            ("link add link lan0 mv2 mv3", "\"mv3\" is neither a keyword"),
            ("link add link lan0 name mv2 name mv3", "\"name\" is given twice"),
            ("link add link lan0 name mv2 dev mv3", "two names, mv2 and mv3"),
            ("link add link lan0 mv2 mtu 1400 mtu 1500", "\"mtu\" is given twice"),
            ("link add link lan0 mv2 mtu x", "argument of \"mtu\" must be a number"),
            ("link add link lan0 mv2 mtu -1", "argument of \"mtu\" must be a number"),
            ("link add link lan0 mv2 mtu 99999999999", "argument of \"mtu\""),
            ("link add link lan0 mv2 index 9", "numbers its links itself"),
            ("link add link lan0 mv2 type veth", "macvlan and macvtap"),
            ("link add link lan0 mv2 type macvlan foo", "macvlan has no option \"foo\""),
            ("link add link lan0 mv2 type macvlan mtu 1400", "before \"type\""),
            ("link add link lan0 mv2 type macvlan mode", "after \"mode\""),
            (
                "link add link lan0 mv2 type macvlan mode brid",
                "argument of \"mode\" must be \"private\"",
            ),
            ("link add link lan0 mv2 mode default", "argument of \"mode\" must be"),
            ("link add link lan0 mv2 type macvlan flag x", "argument of \"flag\" must be"),
            ("link add link lan0 mv2 type macvlan nopromisc", "only in passthru mode"),
            ("link set mv2 type macvlan flag nopromisc", "only in passthru mode"),
            ("link set mv2 type macvlan bcl 1", "macvlan has no option \"bcl\""),
            ("link set mv2 type macvlan bcqueuelen -1", "from 0 to 4294967295, not \"-1\""),
            ("link set mv2 type macvlan bcqueuelen 4294967296", "not \"4294967296\""),
            ("link set mv2 type macvlan bclim 2147483648", "from -2147483648 to 2147483647"),
            ("link set mv2 type macvlan macaddr", "after \"macaddr\""),
            ("link set mv2 type macvlan macaddr x", "argument of \"macaddr\" must be"),
            ("link set mv2 type macvlan macaddr add", "after \"add\""),
            ("link set mv2 type macvlan macaddr add zz", "must be a MAC address"),
            ("link set mv2 type macvlan macaddr set zz", "macvlan has no option \"zz\""),
            ("link set mv2 macaddr flush macaddr flush", "\"macaddr\" is given twice"),
            ("link set", "the link's name is missing"),
            ("link set mv2 name mv3", "cannot be renamed"),
            ("link set mv2 master br0", "no \"master\""),
            ("link set mv2 m br0", "no \"master\""),
            ("link set mv2 txq 10", "no \"txqueuelen\""),
            ("link set mv2 nomaster", "no \"nomaster\""),
            ("link set mv2 link lan1", "cannot move to another lower"),
            ("link set mv2 socket x", "when the link is added"),
            ("link set mv2 promisc yes", "argument of \"promisc\" must be \"on\" or \"off\""),
            ("link set mv2 address 02:00", "must be a MAC address"),
            ("link set mv2 addresses 02:00", "must be MAC addresses"),
            ("link del", "the link's name is missing"),
            ("link del mv2 up", "takes a name and nothing else"),
            ("link del group 1", "no \"group\""),
        ] {
            refused(line, needle);
        }
    }

    #[test]
    fn lowers_and_hosts() {
        asks_for(
            "lower add lan1 device 0000:8a:00.0 mtu 9000 address 2:0:0:0:0:1 private_strict on \
             drop_link_local off down",
            "lower.add",
            json!({"name": "lan1", "device": "0000:8a:00.0", "mtu": 9000, "up": false,
                   "address": "02:00:00:00:00:01", "private_strict": true, "drop_link_local": false}),
        );
        asks_for(
            "lower add name lan0.10 lower lan0 vlan 0xa vlan_protocol 802.1ad",
            "lower.add",
            json!({"name": "lan0.10", "lower": "lan0", "vlan": 10, "vlan_protocol": "802.1ad"}),
        );
        asks_for("lower set lan0 up", "lower.set", json!({"name": "lan0", "up": true}));
        asks_for("lower del dev lan0", "lower.del", json!({"name": "lan0"}));
        asks_for(
            "host add link lan0 device net_tap0,iface=h reachable on",
            "host.add",
            json!({"link": "lan0", "device": "net_tap0,iface=h", "reachable": true}),
        );
        asks_for(
            "host set reachable off link lan0",
            "host.set",
            json!({"link": "lan0", "reachable": false}),
        );
        asks_for("host del link lan0", "host.del", json!({"link": "lan0"}));
        for (line, needle) in [
            ("lower add lan1", "device DEVICE"),
            ("lower add device x", "name is missing"),
            ("lower add lan1 lower lan0", "vlan ID"),
            ("lower set lan0 device x", "delete lan0 and add it again"),
            ("lower set lan0 mtu", "after \"mtu\""),
            ("lower add lan1 lower lan0 vlan 70000", "argument of \"vlan\""),
            ("lower del lan0 up", "takes a name and nothing else"),
            ("host add link lan0", "device DEVICE"),
            ("host add device x", "link LOWER"),
            ("host set link lan0 device x", "delete the host of lan0 and add it again"),
            ("host del link lan0 reachable on", "nothing else"),
            ("host del lan0", "host has no option \"lan0\""),
        ] {
            refused(line, needle);
        }
    }

    #[test]
    fn filters_and_frames() {
        let params = json!({"name": "mv0", "address": "33:33:00:00:00:01"});
        asks_for("fdb add 33:33:0:0:0:1 dev mv0", "filter.add", params.clone());
        asks_for("fdb del dev mv0 33:33:0:0:0:1", "filter.del", params);
        asks_for(
            "explain from mv0 dst 2:0:0:0:0:1 src 2:0:0:0:0:2 type 0x86dd vlan 7",
            "explain",
            json!({"from": "mv0", "dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02",
                   "type": 0x86dd, "vlan": 7}),
        );
        asks_for(
            "explain from host@lan0 dst ff:ff:ff:ff:ff:ff type arp",
            "explain",
            json!({"from": "host@lan0", "dst": "ff:ff:ff:ff:ff:ff", "type": 0x0806}),
        );
        for (line, needle) in [
            ("fdb add dev mv0", "MAC address is missing"),
            ("fdb add 33:33:0:0:0:1", "dev LINK"),
            ("fdb add mv0", "neither a keyword"),
            ("explain from mv0", "dst MAC"),
            ("explain from mv0 dst zz", "must be a MAC address"),
            ("explain from mv0 dst 2:0:0:0:0:1 type ipx", "ipv4, ipv6, arp"),
            ("explain from mv0 dst 2:0:0:0:0:1 vlan 4096", "from 0 to 4095"),
        ] {
            refused(line, needle);
        }
    }

    #[test]
    fn links_are_selected_as_ip_does() {
        let selected = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            links(&words).map_err(|failure| failure.to_string())
        };
        let filter = selected("up type macvlan link lan0 dev up").unwrap();
        assert_eq!(filter.name.as_deref(), Some("up"));
        assert_eq!(filter.up, Some(true));
        assert_eq!(filter.kind.as_deref(), Some("macvlan"));
        assert_eq!(filter.link.as_deref(), Some("lan0"));
        assert_eq!(selected("down").unwrap().up, Some(false));
        assert_eq!(selected("nomaster novf group default").unwrap().name, None);
        assert!(selected("mv0 mv1").unwrap_err().contains("\"mv1\""));
        assert!(selected("master br0").unwrap_err().contains("no \"master\""));
    }
}
