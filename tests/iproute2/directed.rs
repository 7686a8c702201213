//! The commands that a user of `ip link` gives, and the mistakes they make.
//!
//! One command a line. `+` is carried out by both sides, `-` refused by both, and
//! the links are the same afterwards. `~ID` is a deviation of
//! `tests/deviations.toml`: carried out by the kernel, refused by ours; what follows
//! with `ip` in front brings the kernel back to where ours is. Names of more than
//! 15 letters are not here: ours may have them.

/// Each begins without links and with the lowers as they were.
pub(crate) const CASES: &[(&str, &str)] = &[
    ("objects, commands, options", OBJECTS),
    ("every mode", EVERY_MODE),
    ("grammar of link add", ADD),
    ("refusals of link add", ADD_REFUSED),
    ("mode at run time", MODE),
    ("flags", FLAGS),
    ("source lists", SOURCE),
    ("queue length", QUEUE),
    ("mtu", MTU),
    ("addresses", ADDRESSES),
    ("up, down, promisc, allmulticast", FLAGS_OF_THE_INTERFACE),
    ("passthru", PASSTHRU),
    ("grammar of link set and del", SET),
    ("changes of the lower", LOWER),
];

const OBJECTS: &str = "
    + link add link lan0 name mv0 type macvlan mode bridge
    + l a link lan0 name mv1 type macvlan mode vepa
    + l
    + link
    + li sh mv0
    + link ls mv0
    + link lst mv0
    + link list mv0
    + link l dev mv0
    + link show up dev mv0
    + link show type macvlan
    + link show type nonsense
    + link show group 5
    + link show nomaster
    - link show mv7
    - link show mv0 mv1
    + -j -d -p link show mv0
    + -json -details -pretty l sh mv0
    + -br l
    + -oneline -det l
    + -s -s -t link show mv0
    + -c=never link show mv0
    - -nonsense link show mv0
    + l s mv0 up
    + link ch mv0 mtu 1400
    + link change mv0 down
    - link replace mv0 type macvlan mode private
    - link frobnicate mv0
    - frobnicate show
    + link d mv0
    + link delete mv1
";

const EVERY_MODE: &str = "
    + link add link lan0 name mv0 type macvlan mode private
    + link add link lan0 name mv1 type macvlan mode vepa
    + link add link lan0 name mv2 type macvlan mode bridge
    + link add link lan0 name mv3 type macvlan mode source
    + link add link lan1 name mv4 type macvlan mode passthru
    - link add link lan1 name mv5 type macvlan mode bridge
    - link add link lan1 name mv5 type macvlan mode passthru
    - link add link lan0 name mv5 type macvlan mode passthru
    + link set mv0 up
    + link set mv1 up
    + link set mv2 up
    + link set mv3 up
    + link set mv4 up
    + link del mv4
    + link add link lan1 name mv5 type macvlan mode bridge
    - link add link lan1 name mv4 type macvlan mode passthru
";

const ADD: &str = "
    + link add link lan0 name mv0 type macvlan mode bridge
    + link add link lan0 mv1 type macvlan mode bridge
    + link add mv2 link lan0 type macvlan mode bridge
    + link add dev mv3 link lan0 type macvlan mode bridge
    + link add name mv4 dev mv4 link lan0 type macvlan mode bridge
    + link add address 02:00:00:00:00:15 mtu 1400 name mv5 link lan0 type macvlan bcqueuelen 2000 mode private
    + link add li lan0 mv6 addr 2:0:0:0:0:16 ty macvlan m vepa bcq 16
    - link add l lan0 mv7 a 2:0:0:0:0:17 t macvlan mode source
    + link add l lan0 mv7 a 2:0:0:0:0:17 ty macvlan mo source macaddr set 2:0:0:0:0:81 2:0:0:0:0:82 nod
    + link add link lan0 mv8 up type macvlan mode bridge flag null
    + link add link lan0 mv9 up promisc on allmulticast on type macvlan mode bridge
    + link add link lan0 mv10 down mtu 0x100 type macvlan mode bridge
    + link add link lan0 mv11 mtu 0300 type macvlan mode bridge
    + link add link lan0 mv12 mtu 68 type macvlan mode bridge
    + link add link lan0 mv13 mtu 1500 type macvlan mode bridge
    + link add link mv0 mv14 type macvlan mode bridge
    + link add link lan0 name type123456789ab type macvlan mode bridge
    + link add link lan0 mv15 address 02:00:00:00:00:15 type macvlan mode bridge
    + link add link lan0 mv16 address 02:00:00:00:00:a0 type macvlan mode bridge
    + link add link lan0 mv17 type macvlan mode private mode bridge
";

const ADD_REFUSED: &str = "
    + link add link lan0 mv0 address 02:00:00:00:00:10 type macvlan mode bridge
    - link add link lan0 mv0 type macvlan mode bridge
    - link add link lan0 lan1 type macvlan mode bridge
    - link add link lan7 mv1 type macvlan mode bridge
    - link add mv1 type macvlan mode bridge
    - link add link lan0 name mv1 name mv2 type macvlan mode bridge
    - link add link lan0 name mv1 dev mv2 type macvlan mode bridge
    - link add link lan0 mv1 mv2 type macvlan mode bridge
    - link add link lan0 name
    - link add link lan0 name a/b type macvlan mode bridge
    - link add link lan0 name . type macvlan mode bridge
    - link add link lan0 name .. type macvlan mode bridge
    - link add link lan0 name a:b type macvlan mode bridge
    - link add link lan0 mv1 mtu 1501 type macvlan mode bridge
    - link add link lan0 mv1 mtu 67 type macvlan mode bridge
    - link add link lan0 mv1 mtu 0 type macvlan mode bridge
    - link add link lan0 mv1 mtu -1 type macvlan mode bridge
    - link add link lan0 mv1 mtu x type macvlan mode bridge
    - link add link lan0 mv1 mtu 08 type macvlan mode bridge
    - link add link lan0 mv1 mtu 1400 mtu 1400 type macvlan mode bridge
    - link add link lan0 mv1 address 01:00:5e:00:00:01 type macvlan mode bridge
    - link add link lan0 mv1 address ff:ff:ff:ff:ff:ff type macvlan mode bridge
    - link add link lan0 mv1 address 00:00:00:00:00:00 type macvlan mode bridge
    - link add link lan0 mv1 address 02:00:00 type macvlan mode bridge
    - link add link lan0 mv1 address 02:00:00:00:00:zz type macvlan mode bridge
    - link add link lan0 mv1 address 02:00:00:00:00:100 type macvlan mode bridge
    - link add link lan0 mv1 type macvlan mode default
    - link add link lan0 mv1 type macvlan mode BRIDGE
    - link add link lan0 mv1 type macvlan mode passthrough
    - link add link lan0 mv1 type macvlan mode
    - link add link lan0 mv1 type macvlan mode bridge flag promisc
    - link add link lan0 mv1 type macvlan mode bridge flag
    - link add link lan0 mv1 type macvlan mode bridge nopromisc
    - link add link lan0 mv1 type macvlan mode bridge macaddr add 02:00:00:00:00:81
    - link add link lan0 mv1 type macvlan mode source macaddr add 01:00:5e:00:00:01
    - link add link lan0 mv1 type macvlan mode source macaddr add 00:00:00:00:00:00
    - link add link lan0 mv1 type macvlan mode source macaddr set 02:00:00:00:00:81 01:00:5e:00:00:01
    - link add link lan0 mv1 type macvlan mode source macaddr add
    - link add link lan0 mv1 type macvlan mode source macaddr replace 02:00:00:00:00:81
    - link add link lan0 mv1 type macvlan mode bridge bcqueuelen 4294967296
    - link add link lan0 mv1 type macvlan mode bridge bcqueuelen -5x
    - link add link lan0 mv1 type macvlan mode bridge frobnicate
    - link add link lan0 mv1 type macvlan mode bridge mtu 1400
    - link add link lan0 mv1 type frobnicate
    - link add link lan0 mv1 type
    - link add link lan0 mv1 promisc yes type macvlan mode bridge
";

const MODE: &str = "
    + link add link lan0 mv0 up type macvlan mode bridge
    + link add link lan0 mv1 type macvlan mode bridge
    + link set mv0 type macvlan mode private
    + link set mv0 type macvlan mode vepa
    + link set mv0 type macvlan mode source
    + link set mv0 type macvlan mode bridge
    + link set mv1 type macvlan mode source
    + link set mv1 type macvlan mode private
    - link set mv0 type macvlan mode passthru
    - link set mv1 type macvlan mode passthru
    - link set mv0 type macvlan mode defualt
    - link set mv0 type macvlan mode
    - link set mv7 type macvlan mode bridge
    + link set mv0 type macvlan
    + link add link lan1 mv2 up type macvlan mode passthru
    + link set mv2 type macvlan mode passthru
    - link set mv2 type macvlan mode bridge
    - link set mv2 type macvlan mode source
";

const FLAGS: &str = "
    + link add link lan0 mv0 up type macvlan mode source nodst
    + link set mv0 type macvlan flag null
    + link set mv0 type macvlan flag nodst
    + link set mv0 type macvlan mode bridge
    + link set mv0 type macvlan mode source
    + link set mv0 type macvlan flag nodst flag null
    + link set mv0 type macvlan flag null nodst
    + link set mv0 type macvlan mode bridge flag null
    + link set mv0 type macvlan nodst
    + link set mv0 type macvlan f null
    - link set mv0 type macvlan nopromisc
    - link set mv0 type macvlan flag nopromisc
    - link set mv0 type macvlan mode bridge flag nopromisc
    - link set mv0 type macvlan flag none
    - link set mv0 type macvlan flag 0
    + link add link lan1 mv1 up type macvlan mode passthru nopromisc
    - link set mv1 type macvlan nopromisc
    + link set mv1 type macvlan flag null
    + link set mv1 type macvlan mode passthru nopromisc
    + link set mv1 type macvlan mode passthru nopromisc nodst
    + link set mv1 type macvlan nodst
    + link set mv1 type macvlan mode passthru
";

const SOURCE: &str = "
    + link add link lan0 mv0 type macvlan mode source macaddr add 02:00:00:00:00:81
    + link set mv0 type macvlan macaddr add 02:00:00:00:00:82
    + link set mv0 type macvlan macaddr add 02:00:00:00:00:82
    + link set mv0 type macvlan macaddr del 02:00:00:00:00:81
    + link set mv0 type macvlan macaddr del 02:00:00:00:00:81
    + link set mv0 type macvlan macaddr set 02:00:00:00:00:83 2:0:0:0:0:84
    + link set mv0 type macvlan macaddr set 02:00:00:00:00:85 nodst
    + link set mv0 type macvlan macaddr set 02:00:00:00:00:85 02:00:00:00:00:85
    + link set mv0 type macvlan macaddr set
    + link set mv0 type macvlan mac add 02:00:00:00:00:86
    + link set mv0 type macvlan macaddr flush
    + link set mv0 type macvlan macaddr flush
    + link set mv0 type macvlan macaddr add 02:00:00:00:00:87 bcqueuelen 5
    + link set mv0 up
    + link set mv0 type macvlan macaddr add 02:00:00:00:00:88
    - link set mv0 type macvlan macaddr add
    - link set mv0 type macvlan macaddr add 01:00:00:00:00:88
    - link set mv0 type macvlan macaddr del 00:00:00:00:00:00
    - link set mv0 type macvlan macaddr add 02:00:00:00:00
    - link set mv0 type macvlan macaddr
    - link set mv0 type macvlan macaddr clear
    + link set mv0 type macvlan mode bridge
    - link set mv0 type macvlan macaddr add 02:00:00:00:00:89
    - link set mv0 type macvlan macaddr flush
    + link set mv0 type macvlan mode source
    + link set mv0 type macvlan mode source macaddr set 02:00:00:00:00:8a
    + link set mv0 type macvlan mode private
";

const QUEUE: &str = "
    + link add link lan0 mv0 type macvlan mode bridge
    + link add link lan0 mv1 type macvlan mode bridge bcqueuelen 2000
    + link set mv0 type macvlan bcqueuelen 3000
    + link set mv0 type macvlan bcqueuelen 0x10
    + link set mv0 type macvlan bcqueuelen 010
    + link set mv0 type macvlan bcqueuelen 0
    + link set mv1 type macvlan bc 0
    + link set mv1 type macvlan bcqueuelen 4294967295
    - link set mv1 type macvlan bcqueuelen 4294967296
    - link set mv1 type macvlan bcqueuelen 1k
    - link set mv1 type macvlan bcqueuelen 09
    - link set mv1 type macvlan bcqueuelen
    + link del mv1
    + link set mv0 type macvlan bcqueuelen 1 bcqueuelen 2
";

const MTU: &str = "
    + link add link lan0 mv0 type macvlan mode bridge
    + link set mv0 mtu 1400
    + link set mv0 up
    + link set mv0 mtu 68
    + link set mv0 mtu 1500
    + link set mv0 mtu 0x500
    - link set mv0 mtu 1501
    - link set mv0 mtu 65536
    - link set mv0 mtu 67
    - link set mv0 mtu 0
    - link set mv0 mtu
    - link set mv0 mtu big
    - link set mv0 mtu 99999999999
    + link set mv0 mtu 1300 down
    + link add link mv0 mv1 type macvlan mode bridge
";

const ADDRESSES: &str = "
    + link add link lan0 mv0 address 02:00:00:00:00:10 type macvlan mode bridge
    + link add link lan0 mv1 address 02:00:00:00:00:11 type macvlan mode bridge
    + link set mv0 address 02:00:00:00:00:12
    + link set mv0 up
    + link set mv0 address 02:00:00:00:00:13
    + link set mv0 address 02:00:00:00:00:13
    - link set mv0 address 01:00:00:00:00:13
    - link set mv0 address 00:00:00:00:00:00
    - link set mv0 address ff:ff:ff:ff:ff:ff
    - link set mv0 address 02:00:00:00:00:a0
    - link set mv0 address 02:00
    - link set mv0 address xyz
    - link set mv0 address
    - link set mv1 address 02:00:00:00:00:13
    - link set mv1 address 02:00:00:00:00:a0
    + link set mv0 address 02:00:00:00:00:11
    - link set mv1 up
    + link set mv0 down
    + link set mv1 up
    - link set mv0 up
    + link set mv0 addr 2:0:0:0:0:14
    + link set mv0 up
    + link add link lan0 mv2 address 02:00:00:00:00:a0 type macvlan mode bridge
    - link set mv2 up
    - link add link lan0 mv3 up address 02:00:00:00:00:14 type macvlan mode bridge
    + link add link lan1 mv4 up address 02:00:00:00:00:14 type macvlan mode bridge
";

const FLAGS_OF_THE_INTERFACE: &str = "
    + link add link lan0 mv0 type macvlan mode bridge
    + link set mv0 up
    + link set mv0 up
    + link set mv0 promisc on
    + link set mv0 promisc on
    + link set mv0 allmulticast on
    + link set mv0 down
    + link set mv0 down
    + link set mv0 promisc off
    + link set mv0 allmulticast off
    + link set mv0 promisc on allmulticast on up mtu 1400
    + link set mv0 down up
    - link set mv0 promisc maybe
    - link set mv0 allmulticast
    + link set mv0 up type macvlan mode private
";

const PASSTHRU: &str = "
    + link add link lan1 mv0 type macvlan mode passthru
    + link set mv0 up
    + link set mv0 address 02:00:00:00:01:10
    - link set mv0 address 01:00:00:00:01:10
    + link set lan1 address 02:00:00:00:01:a1
    + link set mv0 address 02:00:00:00:01:11
    + link set mv0 promisc on
    + link set mv0 allmulticast on
    + link set mv0 mtu 1400
    + link set mv0 down
    + link del mv0
    + link add link lan1 mv0 address 02:00:00:00:01:22 type macvlan mode passthru nopromisc
    + link set mv0 address 02:00:00:00:01:23
    + link del mv0
";

const SET: &str = "
    + link add link lan0 mv0 type macvlan mode bridge
    + link add link lan0 mv1 type macvlan mode bridge
    + link add link lan0 mv2 type macvlan mode bridge
    + link set dev mv0 up
    + link set up dev mv0
    + link set mtu 1400 mv0
    + link set mv0 mtu 1300 addr 02:00:00:00:00:31 down
    + link set mv0 ty macvlan m private bcq 7 f null
    - link set mv0 mv1 up
    - link set
    - link set mv7 up
    - link set mv0 frobnicate
    - link set mv0 mtu 1400 mtu 1400
    - link set mv0 type macvlan frobnicate
    - link del
    - link del mv7
    + link del mv0
    - link del mv0
    + link delete dev mv1
    + link del mv2 type macvlan
";

const LOWER: &str = "
    + link add link lan0 mv0 up address 02:00:00:00:00:10 type macvlan mode bridge
    + link add link lan0 mv1 mtu 1300 type macvlan mode private
    + link add link lan1 mv2 up type macvlan mode passthru
    + link set lan0 mtu 1400
    + link set lan0 mtu 1500
    + link set lan0 mtu 1200
    - link set mv0 mtu 1300
    + link set lan0 mtu 1500
    + link set mv0 mtu 1500
    + link set lan0 down
    + link set mv1 up
    + link set mv0 down
    + link set mv0 up
    + link set lan0 up
    + link set lan1 down
    + link set lan1 up
    + link set lan1 mtu 1400
    + link set lan0 address 02:00:00:00:00:a1
    - link set mv0 address 02:00:00:00:00:a1
    + link set mv0 address 02:00:00:00:00:a0
    ~NT-04 link set lan0 address 02:00:00:00:00:a0
    ip link set lan0 address 02:00:00:00:00:a1
    + link set lan1 address 02:00:00:00:01:a1
    + link set lan1 mtu 1500
    + link set lan0 down
    + link del mv0
    + link add link lan0 mv3 up type macvlan mode vepa
    + link set lan0 up
";
