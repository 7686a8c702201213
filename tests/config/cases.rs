//! Bad configs: each text has one thing wrong with it, at the `§`.
//!
//! Shared by the unit tests of `src/config` and by `tests/config.rs`, which
//! shows them to the real program.

/// One bad config.
pub(crate) struct Case {
    /// What is wrong with it.
    pub(crate) what: &'static str,
    /// The file, with `§` where the error must point.
    pub(crate) text: &'static str,
    /// What the message must contain.
    pub(crate) needle: &'static str,
}

impl Case {
    /// The file as it is on disk, and the line and column of the error.
    pub(crate) fn split(&self) -> (String, usize, usize) {
        let (before, after) = self.text.split_once('§').expect(self.what);
        let line = before.lines().last().filter(|_| !before.ends_with('\n')).unwrap_or_default();
        (format!("{before}{after}"), before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

const fn case(what: &'static str, text: &'static str, needle: &'static str) -> Case {
    Case { what, text, needle }
}

/// A good lower, and what follows it.
macro_rules! lan0 {
    ($rest:literal) => {
        concat!("[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n", $rest)
    };
}

/// A good lower and a good link, and what follows them.
macro_rules! mv0 {
    ($rest:literal) => {
        concat!(
            "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n",
            $rest
        )
    };
}

/// One bad config for each rule.
pub(crate) const CASES: &[Case] = &[
    case("syntax: section not closed", "[switch§\nname = \"a\"\n", "not valid TOML"),
    case("syntax: text without quotes", "[switch]\nname = §two-ports\n", "write \"two-ports\""),
    case(
        "syntax: path without quotes",
        "[switch]\nruntime_dir = §/run/x # here\n",
        "write \"/run/x\"",
    ),
    case("syntax: truth in capitals", mv0!("up = §True\n"), "write true or false"),
    case("syntax: text not closed", "[switch]\nname = \"a§\n", "not valid TOML"),
    case("syntax: a key alone", "[switch]\nname§\n", "not valid TOML"),
    case("key twice", "[switch]\nname = \"a\"\n§name = \"b\"\n", "name is given twice"),
    case("section twice", "[eal]\n[§eal]\n", "eal is given twice"),
    case(
        "unknown section",
        "[§bonds]\n",
        "unknown key \"bonds\"; known here: switch, cores, eal, metrics, control, lower, host, macvlan",
    ),
    case("misspelt section", "[[§macvlans]]\n", "did you mean \"macvlan\"?"),
    case(
        "misspelt key",
        "[switch]\n§nmae = \"a\"\n",
        "unknown key \"nmae\"; did you mean \"name\"? Known here: name, runtime_dir",
    ),
    case(
        "hyphen for underscore",
        "[switch]\n§runtime-dir = \"/run/x\"\n",
        "did you mean \"runtime_dir\"?",
    ),
    case("key in quotes", "[switch]\n§\"nmae\" = \"a\"\n", "unknown key \"nmae\""),
    case("key with a line break", "[switch]\n§\"a\\nb\" = 1\n", "unknown key \"a\\nb\""),
    case(
        "key of another section",
        lan0!("§role = \"server\"\n"),
        "unknown key \"role\"; known here: name, device, lower, vlan, vlan_protocol, mtu, address, up, private_strict, drop_link_local",
    ),
    case(
        "aliases are not offered",
        mv0!("§speed = 1\n"),
        "known here: name, link, mode, address, mtu, socket, role, device, up, nopromisc, nodst, macaddr, bcqueuelen, bclim, addresses, promisc, allmulticast, multicast, spoof_check",
    ),
    case(
        "key and its other name",
        "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n§[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\nparent = \"lan0\"\n",
        "link is given twice, once by another of its names",
    ),
    case(
        "number for text",
        "[switch]\nname = §5\n",
        "wrong type for name: found integer `5`; write text in double quotes",
    ),
    case("text for a number", lan0!("mtu = §\"1500\"\n"), "write a whole number without quotes"),
    case("fraction for a number", lan0!("mtu = §1500.5\n"), "wrong type for mtu"),
    case(
        "number too large to be one",
        lan0!("mtu = §99999999999999999999\n"),
        "wrong type for mtu",
    ),
    case("text for a switch", mv0!("up = §\"yes\"\n"), "write true or false, without quotes"),
    case("number of workers", "[cores]\nworkers = §1\n", "\"1\" is core 1"),
    case("text for a list", "[eal]\nargs = §\"--no-shconf\"\n", "a list of texts"),
    case("number in a list", "[eal]\nargs = [\"a\", §1]\n", "found integer `1`"),
    case("date for text", "[switch]\nname = §2026-01-01\n", "found a date"),
    case("list for text", "[switch]\nname = §[\"a\"]\n", "found a list"),
    case("one section where many can be", "§[lower]\nname = \"lan0\"\n", "write [[lower]]"),
    case("many sections where one can be", "§[[switch]]\nname = \"a\"\n", "write [switch]"),
    case("value for a section", "switch = §3\n", "write a section [switch]"),
    case("value for sections", "lower = §\"lan0\"\n", "write a section [[lower]]"),
    case("text for the control core", "[cores]\ncontrol = §\"0\"\n", "a whole number"),
    case("text for a section", "control = §\"wheel\"\n", "write a section [control]"),
    case("empty group", "[control]\ngroup = §\"\"\n", "group is empty; write a name"),
    case("unprintable user", "[control]\nowner = §\"a\\tb\"\n", "owner \"a\\tb\" has a space"),
    case("number for a group", "[control]\nread_group = §100\n", "write text in double quotes"),
    case("bad switch name", "[switch]\nname = §\"two ports\"\n", "has a ' ' in it"),
    case("relative runtime_dir", "[switch]\nruntime_dir = §\"run\"\n", "is not absolute"),
    case(
        "negative control core",
        "[cores]\ncontrol = §-1\n",
        "core -1 is out of range; write 0 to 1023",
    ),
    case("huge control core", "[cores]\ncontrol = §1024\n", "out of range"),
    case("core list 2-", "[cores]\nworkers = §\"2-\"\n", "\"2-\" is neither"),
    case("core list 5-2", "[cores]\nworkers = §\"5-2\"\n", "runs backwards"),
    case("core list x", "[cores]\nworkers = §\"x\"\n", "\"x\" is neither"),
    case("core list empty", "[cores]\nworkers = §\"\"\n", "\"\" is neither"),
    case("core list 1,2,1", "[cores]\nworkers = §\"1,2,1\"\n", "core 1 twice"),
    case("core list 2000", "[cores]\nworkers = §\"2000\"\n", "core 2000 is over 1023"),
    case(
        "unknown idle policy",
        "[cores]\nidle = §\"spinn\"\n",
        "unknown idle policy \"spinn\"; did you mean \"spin\"? Write one of \"auto\", \"spin\"",
    ),
    case("unknown memory", "[eal]\nmemory = §\"2M\"\n", "write one of \"auto\", \"huge\", \"4k\""),
    case("no memory", "[eal]\nmemory_mb = §0\n", "memory_mb 0 is out of range; write 1 to 1048576"),
    case(
        "--no-huge beside --in-memory",
        "[eal]\nargs = [§\"--no-huge\", \"--in-memory\"]\n",
        "write memory = \"4k\" in [eal] instead",
    ),
    case(
        "--in-memory with small pages",
        "[eal]\nmemory = \"4k\"\nargs = [\"--no-huge\", §\"--in-memory\"]\n",
        "write memory = \"huge\"",
    ),
    case(
        "cores by EAL argument",
        "[eal]\nargs = [\"--no-shconf\", §\"-l\", \"0-1\"]\n",
        "in [cores] instead",
    ),
    case("empty EAL argument", "[eal]\nargs = [§\"\"]\n", "is empty"),
    case("metrics without an address", "§[metrics]\n", "metrics without listen"),
    case(
        "metrics on a host name",
        "[metrics]\nlisten = §\"localhost:9477\"\n",
        "listen = \"127.0.0.1:9477\"",
    ),
    case(
        "metrics without a port",
        "[metrics]\nlisten = §\"127.0.0.1\"\n",
        "is not an address to listen on",
    ),
    case("empty file", "§", "no lower; write a section [[lower]]"),
    case("no lower", "[switch]\nname = \"a\"\n§", "no lower; write a section [[lower]]"),
    case("lower without a name", "§[[lower]]\ndevice = \"demo\"\n", "lower without a name"),
    case("lower without a device", "§[[lower]]\nname = \"lan0\"\n", "lower lan0 has no device"),
    case(
        "lower with a bad name",
        "[[lower]]\nname = §\".lan0\"\ndevice = \"demo\"\n",
        "begins with a dot",
    ),
    case("empty name", "[[lower]]\nname = §\"\"\ndevice = \"demo\"\n", "a name is empty"),
    case(
        "name too long",
        "[[lower]]\nname = §\"a23456789012345678901234567890123\"\ndevice = \"demo\"\n",
        "has 33 characters",
    ),
    case(
        "name that is a path",
        "[[lower]]\nname = §\"a/b\"\ndevice = \"demo\"\n",
        "has a '/' in it",
    ),
    case("empty device", "[[lower]]\nname = \"lan0\"\ndevice = §\"\"\n", "has no name"),
    case(
        "device with a space",
        "[[lower]]\nname = \"lan0\"\ndevice = §\"net_af_packet0, iface=eth0\"\n",
        "no space after the comma",
    ),
    case(
        "short PCI address",
        "[[lower]]\nname = \"lan0\"\ndevice = §\"8a:00.0\"\n",
        "write \"0000:8a:00.0\"",
    ),
    case(
        "unknown demo option",
        "[[lower]]\nname = \"lan0\"\ndevice = §\"demo,hairpn=1\"\n",
        "demo,hairpin=1",
    ),
    case(
        "listening virtio-user",
        "[[lower]]\nname = \"lan0\"\ndevice = §\"net_virtio_user0,path=/tmp/a,server=1\"\n",
        "let the other side listen",
    ),
    case("lower's mtu too small", lan0!("mtu = §67\n"), "mtu 67 is out of range; write 68 to 9216"),
    case("lower's mtu too large", lan0!("mtu = §9217\n"), "mtu 9217 is out of range"),
    case("negative mtu", lan0!("mtu = §-1\n"), "mtu -1 is out of range"),
    case(
        "lower twice",
        lan0!("[[lower]]\nname = §\"lan0\"\ndevice = \"net_null0\"\n"),
        "name \"lan0\" is that of a lower on line 2 already",
    ),
    case(
        "device of two lowers",
        "[[lower]]\nname = \"a\"\ndevice = \"net_null0\"\n[[lower]]\nname = \"b\"\ndevice = §\"net_null0,copy=1\"\n",
        "device net_null0 is that of lower a already",
    ),
    case(
        "PCI device in another case",
        "[[lower]]\nname = \"a\"\ndevice = \"0000:8a:00.0\"\n[[lower]]\nname = \"b\"\ndevice = §\"0000:8A:00.0\"\n",
        "is that of lower a already",
    ),
    case("link without a name", lan0!("§[[macvlan]]\nlink = \"lan0\"\n"), "link without a name"),
    case(
        "link without a lower",
        lan0!("§[[macvlan]]\nname = \"mv0\"\n"),
        "link mv0 has no lower; write link = one of \"lan0\"",
    ),
    case(
        "unknown lower",
        lan0!("[[macvlan]]\nname = \"mv0\"\nlink = §\"lan1\"\n"),
        "there is no lower \"lan1\"; write one of \"lan0\"",
    ),
    case(
        "unknown lower by another name",
        lan0!("[[macvlan]]\nname = \"mv0\"\nmaster = §\"eth0\"\n"),
        "there is no lower \"eth0\"",
    ),
    case(
        "link on a link",
        mv0!("[[macvlan]]\nname = \"mv1\"\nlink = §\"mv0\"\n"),
        "\"mv0\" is a link, and links are on lowers",
    ),
    case(
        "link twice",
        mv0!("[[macvlan]]\nname = §\"mv0\"\nlink = \"lan0\"\n"),
        "name \"mv0\" is that of a link on line 5 already",
    ),
    case(
        "link named as a lower",
        lan0!("[[macvlan]]\nname = §\"lan0\"\nlink = \"lan0\"\n"),
        "name \"lan0\" is that of a lower on line 2 already",
    ),
    case(
        "misspelt mode",
        mv0!("mode = §\"brigde\"\n"),
        "unknown mode \"brigde\"; did you mean \"bridge\"? Write one of \"bridge\", \"vepa\", \"private\", \"passthru\", \"source\"",
    ),
    case(
        "passthru with an address",
        mv0!("mode = \"passthru\"\naddress = §\"02:00:00:00:00:01\"\n"),
        "has the address of lower lan0",
    ),
    case(
        "passthru beside another link",
        mv0!("[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\nmode = §\"passthrough\"\n"),
        "link mv1 is in passthru mode and so the only one of lower lan0, which has mv0 and mv1",
    ),
    case(
        "another link beside passthru",
        mv0!("mode = \"passthru\"\n§[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\n"),
        "link mv0 is in passthru mode and so the only one of lower lan0, which has mv0 and mv1",
    ),
    case(
        "nopromisc in another mode",
        mv0!("nopromisc = §true\n"),
        "link mv0 is in bridge mode, and nopromisc is for passthru",
    ),
    case(
        "source list in another mode",
        mv0!("macaddr = [§\"02:00:00:00:00:01\"]\n"),
        "write mode = \"source\" or leave macaddr out",
    ),
    case(
        "group in a source list",
        mv0!("mode = \"source\"\nmacaddr = [\"02:00:00:00:00:01\", §\"01:00:00:00:00:01\"]\n"),
        "is multicast",
    ),
    case("negative queue", mv0!("bcqueuelen = §-1\n"), "write 0 to 4294967295"),
    case("huge limit", mv0!("bclim = §3000000000\n"), "bclim 3000000000 is out of range"),
    case(
        "further address of another link",
        mv0!(
            "address = \"02:00:00:00:00:0a\"\n[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\naddresses = [\"02:00:00:00:00:0b\", §\"02:00:00:00:00:0a\"]\n"
        ),
        "is that of link mv0 on lower lan0 already; leave it out",
    ),
    case(
        "further address twice",
        mv0!("addresses = [\"02:00:00:00:00:0b\", §\"02:00:00:00:00:0b\"]\n"),
        "is that of link mv0 on lower lan0 already",
    ),
    case(
        "address of the lower",
        "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\naddress = \"02:00:00:00:00:01\"\n[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\naddress = §\"02:00:00:00:00:01\"\n",
        "is that of lower lan0 already",
    ),
    case(
        "two limits on one lower",
        mv0!("bclim = 3\n[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\nbclim = §4\n"),
        "link mv0 says 3; write 3 here too, or leave it out",
    ),
    case(
        "group that is none",
        mv0!("multicast = [§\"02:00:00:00:00:01\"]\n"),
        "is no multicast address; write one such as",
    ),
    case(
        "group twice",
        mv0!("multicast = [\"33:33:00:00:00:01\", §\"33:33:00:00:00:01\"]\n"),
        "is listed twice",
    ),
    case(
        "vlan of a device",
        "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\nvlan = §10\n",
        "lower lan0 has a device, so it has no vlan",
    ),
    case(
        "device and lower",
        lan0!("[[lower]]\nname = \"v\"\ndevice = \"net_null0\"\nlower = §\"lan0\"\nvlan = 10\n"),
        "leave one of the two out",
    ),
    case(
        "vlan without an id",
        lan0!("§[[lower]]\nname = \"v\"\nlower = \"lan0\"\n"),
        "lower v is on lan0; write vlan = 1 to 4094",
    ),
    case(
        "vlan 0",
        lan0!("[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = §0\n"),
        "vlan 0 is out of range; write 1 to 4094",
    ),
    case(
        "vlan on nothing",
        lan0!("[[lower]]\nname = \"v\"\nlower = §\"lan1\"\nvlan = 10\n"),
        "there is no lower \"lan1\"",
    ),
    case(
        "vlan on a vlan",
        lan0!(
            "[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 10\n[[lower]]\nname = \"w\"\nlower = §\"v\"\nvlan = 11\n"
        ),
        "lower v is a VLAN itself",
    ),
    case(
        "vlan twice",
        lan0!(
            "[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 10\n[[lower]]\nname = \"w\"\nlower = \"lan0\"\nvlan = §10\nvlan_protocol = \"802.1Q\"\n"
        ),
        "vlan 10 of lan0 is lower v already",
    ),
    case(
        "service tags on af_packet",
        "[[lower]]\nname = \"lan0\"\ndevice = \"net_af_packet0,iface=eth0\"\n[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 10\nvlan_protocol = §\"802.1ad\"\n",
        "hands service tags over as if they were 802.1q",
    ),
    case(
        "misspelt protocol",
        lan0!("[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 10\nvlan_protocol = §\"8021q\"\n"),
        "did you mean \"802.1q\"?",
    ),
    case(
        "vlan's mtu above its parent's",
        lan0!("[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 10\nmtu = §1504\n"),
        "write 68 to 1500 (that of lower lan0)",
    ),
    case(
        "host without a lower",
        lan0!("§[[host]]\ndevice = \"net_tap0\"\n"),
        "host without a lower",
    ),
    case(
        "host without a device",
        lan0!("§[[host]]\nlink = \"lan0\"\n"),
        "write one such as device = \"net_tap0,iface=lan0h\"",
    ),
    case(
        "host of nothing",
        lan0!("[[host]]\nlink = §\"lan1\"\ndevice = \"net_tap0\"\n"),
        "there is no lower \"lan1\"",
    ),
    case(
        "two hosts of a lower",
        lan0!(
            "[[host]]\nlink = \"lan0\"\ndevice = \"net_tap0\"\n[[host]]\nlink = §\"lan0\"\ndevice = \"net_tap1\"\n"
        ),
        "lower lan0 has a host already",
    ),
    case(
        "device of a host and a link",
        mv0!(
            "device = §\"net_tap0,iface=b\"\n[[host]]\nlink = \"lan0\"\ndevice = \"net_tap0,iface=a\"\n"
        ),
        "device net_tap0 is that of host of lan0 already",
    ),
    case("malformed address", mv0!("address = §\"02-00-00-00-00-01\"\n"), "is not a MAC address"),
    case("short address", mv0!("mac = §\"02:00:00:00:01\"\n"), "is not a MAC address"),
    case(
        "multicast address",
        mv0!("address = §\"01:00:5e:00:00:01\"\n"),
        "address 01:00:5e:00:00:01 is multicast",
    ),
    case("broadcast address", mv0!("hwaddr = §\"ff:ff:ff:ff:ff:ff\"\n"), "is multicast"),
    case("zero address", mv0!("address = §\"00:00:00:00:00:00\"\n"), "is all zero"),
    case(
        "address of two links",
        mv0!(
            "address = \"02:00:00:00:00:0a\"\n[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\naddress = §\"02:00:00:00:00:0A\"\n"
        ),
        "address 02:00:00:00:00:0a is that of link mv0 on lower lan0 already",
    ),
    case("link's mtu too small", mv0!("mtu = §67\n"), "write 68 to 1500 (that of lower lan0)"),
    case(
        "link's mtu above the lower's",
        mv0!("mtu = §1501\n"),
        "write 68 to 1500 (that of lower lan0)",
    ),
    case(
        "unknown role",
        mv0!("role = §\"sever\"\n"),
        "unknown role \"sever\"; did you mean \"server\"?",
    ),
    case("socket above the directory", mv0!("socket = §\"../mv0.sock\"\n"), "has '..' in it"),
    case("empty socket", mv0!("socket = §\"\"\n"), "a socket is empty"),
    case("socket that is a directory", mv0!("socket = §\"guests/\"\n"), "names no file"),
    case(
        "the switch's own socket",
        mv0!("socket = §\"./control.sock\"\n"),
        "the switch's own control socket",
    ),
    case(
        "link whose socket is the switch's own",
        mv0!("[[macvlan]]\nname = §\"control\"\nlink = \"lan0\"\n"),
        "the switch's own control socket",
    ),
    case("socket with a line break", mv0!("socket = §\"a\\nb\"\n"), "control characters"),
    case(
        "socket path too long",
        mv0!(
            "socket = §\"/sssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss\"\n"
        ),
        "has 108 bytes, and Linux takes 107",
    ),
    case(
        "socket of two links",
        mv0!("[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\nsocket = §\"./mv0.sock\"\n"),
        "is that of link mv0 already",
    ),
    case(
        "default socket of another link",
        mv0!("socket = \"mv1.sock\"\n[[macvlan]]\nname = §\"mv1\"\nlink = \"lan0\"\n"),
        "socket \"mv1.sock\" is that of link mv0 already",
    ),
    case(
        "socket beside device",
        mv0!("socket = §\"mv0.sock\"\ndevice = \"net_null0\"\n"),
        "link mv0 has a device, so it has no socket",
    ),
    case(
        "role beside device",
        mv0!("device = \"net_null0\"\nrole = §\"client\"\n"),
        "link mv0 has a device, so it has no role",
    ),
    case("demo wire as a link", mv0!("device = §\"demo\"\n"), "the demo wire can be a lower only"),
    case(
        "listening virtio-user as a link",
        mv0!("device = §\"net_virtio_user0,path=/tmp/a,queues=1,server=1\"\n"),
        "would stop the switch until somebody connects",
    ),
    case(
        "device of a lower and a link",
        "[[lower]]\nname = \"lan0\"\ndevice = \"net_null0\"\n[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\ndevice = §\"net_null0,no-rx=1\"\n",
        "device net_null0 is that of lower lan0 already",
    ),
];
