//! What a config means, and what is refused.

use super::*;

#[path = "../../tests/config/cases.rs"]
pub(super) mod cases;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("dir/t.toml"))
}

const LAN0: &str = "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n";

fn with_links(links: &str) -> Config {
    parse(&format!("{LAN0}{links}")).unwrap()
}

#[test]
fn every_bad_config_is_refused_at_its_place() {
    let mut failures = Vec::new();
    for case in cases::CASES {
        let (text, line, column) = case.split();
        let Err(error) = parse(&text) else {
            failures.push(format!("{}: is taken for good", case.what));
            continue;
        };
        let shown = error.to_string();
        let mut words =
            error.message.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let good = shown.starts_with(&format!("dir/t.toml:{line}:{column}: "))
            && shown.contains(case.needle)
            && shown.lines().count() == 1
            && !words.any(|word| raw::ALIASES.contains(&word));
        if !good {
            failures.push(format!("{} ({line}:{column}, {}): {shown}", case.what, case.needle));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_lower_is_all_that_is_needed() {
    let config = parse(LAN0).unwrap();
    assert_eq!(config.switch, Switch { name: "t".into(), runtime_dir: None });
    assert_eq!(config.cores, Cores { control: 0, workers: None, idle: Idle::Auto });
    assert_eq!(config.eal, EalConfig { memory: Memory::Auto, memory_mb: None, args: vec![] });
    assert_eq!(config.metrics, None);
    assert_eq!(config.control, ControlConfig::default());
    let lower = LowerConfig {
        name: "lan0".into(),
        device: LowerDevice::Device("demo".into()),
        mtu: DEFAULT_MTU,
        address: None,
        up: true,
        private_strict: false,
        drop_link_local: false,
        host: None,
    };
    assert_eq!(config.lowers, [lower]);
    assert_eq!(config.links, []);
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [switch]
        name = "s"
        runtime_dir = "/run/s"
        [cores]
        control = 1
        workers = "2-3,0"
        idle = "spin"
        [eal]
        memory = "4k"
        memory_mb = 256
        args = ["--no-shconf", "--log-level=pmd:debug"]
        [metrics]
        listen = "[::1]:9477"
        [control]
        owner = "operator"
        group = "1000"
        read_group = "adm"
        [[lower]]
        name = "lan0"
        device = "net_pcap0,iface=eth0"
        mtu = 9000
        address = "02:00:00:00:00:01"
        up = false
        private_strict = true
        drop_link_local = true
        [[lower]]
        name = "lan0.10"
        lower = "lan0"
        vlan = 10
        vlan_protocol = "802.1AD"
        [[host]]
        link = "lan0"
        device = "net_tap0,iface=lan0h"
        reachable = true
        [[macvlan]]
        name = "mv0"
        link = "lan0"
        mode = "private"
        address = "02:00:00:00:00:0A"
        mtu = 4000
        socket = "/run/guests/a"
        role = "client"
        up = false
        [[macvlan]]
        name = "mv1"
        link = "lan0"
        device = "net_null1,no-rx=1"
        mode = "source"
        nodst = true
        macaddr = ["02:00:00:00:00:51"]
        bcqueuelen = 0
        bclim = -1
        addresses = ["02:00:00:00:00:0B"]
        promisc = true
        multicast = ["33:33:00:00:00:01"]
        spoof_check = true
        [[macvlan]]
        name = "mv2"
        link = "lan0.10"
        mode = "passthru"
        nopromisc = true
    "#;
    let config = parse(text).unwrap();
    assert_eq!(config.switch, Switch { name: "s".into(), runtime_dir: Some("/run/s".into()) });
    assert_eq!(config.cores, Cores { control: 1, workers: Some(vec![2, 3, 0]), idle: Idle::Spin });
    let args = vec!["--no-shconf".into(), "--log-level=pmd:debug".into()];
    assert_eq!(config.eal, EalConfig { memory: Memory::Small, memory_mb: Some(256), args });
    assert_eq!(config.metrics, Some("[::1]:9477".parse().unwrap()));
    let account = |name: &str| Some(name.to_owned());
    let control = ControlConfig {
        owner: account("operator"),
        group: account("1000"),
        read_group: account("adm"),
    };
    assert_eq!(config.control, control);
    assert_eq!((config.file(), config.text()), (Path::new("dir/t.toml"), text));
    let [lower, vlan] = &config.lowers[..] else { panic!("{:?}", config.lowers) };
    let mac = |last| MacAddr::new([2, 0, 0, 0, 0, last]);
    assert_eq!(
        *lower,
        LowerConfig {
            name: "lan0".into(),
            device: LowerDevice::Device("net_pcap0,iface=eth0".into()),
            mtu: 9000,
            address: Some(mac(1)),
            up: false,
            private_strict: true,
            drop_link_local: true,
            host: Some(HostConfig { device: "net_tap0,iface=lan0h".into(), reachable: true }),
        }
    );
    let protocol = VlanProtocol::Dot1ad;
    assert_eq!(vlan.device, LowerDevice::Vlan { lower: "lan0".into(), id: 10, protocol });
    assert_eq!((vlan.mtu, protocol.tpid()), (9000, 0x88a8));
    let mv0 = LinkConfig {
        name: "mv0".into(),
        lower: "lan0".into(),
        mode: Mode::Private,
        flags: Flags::NONE,
        address: mac(10),
        random_address: false,
        addresses: vec![],
        macaddr: vec![],
        bcqueuelen: 1000,
        bclim: None,
        mtu: 4000,
        up: false,
        promisc: false,
        allmulticast: true,
        multicast: vec![],
        spoof_check: false,
        endpoint: Endpoint::Vhost { socket: "/run/guests/a".into(), role: Role::Client },
    };
    assert_eq!(config.links[0], mv0);
    assert_eq!(config.links[1].endpoint, Endpoint::Device("net_null1,no-rx=1".into()));
    assert_eq!(
        config.links[1],
        LinkConfig {
            name: "mv1".into(),
            mode: Mode::Source,
            flags: Flags::NODST,
            address: config.links[1].address,
            addresses: vec![mac(11)],
            macaddr: vec![mac(0x51)],
            bcqueuelen: 0,
            bclim: Some(-1),
            mtu: 9000,
            up: true,
            promisc: true,
            // Not all groups, since some are listed.
            allmulticast: false,
            multicast: vec![MacAddr::new([0x33, 0x33, 0, 0, 0, 1])],
            spoof_check: true,
            endpoint: Endpoint::Device("net_null1,no-rx=1".into()),
            ..mv0
        }
    );
    assert_eq!((config.links[2].mode, config.links[2].flags), (Mode::Passthru, Flags::NOPROMISC));
}

#[test]
fn a_link_has_defaults_of_container_tools() {
    let config = with_links("[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n");
    let link = &config.links[0];
    assert_eq!((link.mode, link.mtu, link.up), (Mode::Bridge, 1500, true));
    assert_eq!(link.endpoint, Endpoint::Vhost { socket: "mv0.sock".into(), role: Role::Server });
}

#[test]
fn other_tools_names_are_read() {
    for lower in ["parent", "master", "network_interface", "lowerDevice"] {
        for address in ["mac", "hwaddr"] {
            let link = format!(
                "[[macvlan]]\nname = \"a\"\n{lower} = \"lan0\"\nmacvlan_mode = \"vepa\"\n{address} = \"02:00:00:00:00:07\"\n"
            );
            let config = with_links(&link);
            assert_eq!(config.links[0].mode, Mode::Vepa);
            assert_eq!(config.links[0].address, MacAddr::new([2, 0, 0, 0, 0, 7]));
        }
    }
}

#[test]
fn the_switch_is_named_after_the_file() {
    for (file, name) in [
        ("config/two-ports.toml", "two-ports"),
        ("my config (1).toml", "my-config--1-"),
        (".hidden", "hidden"),
        ("...", "mvswitch"),
        ("/a2345678901234567890123456789012345.toml", "a2345678901234567890123456789012"),
    ] {
        let config = Config::parse(LAN0, Path::new(file)).unwrap();
        assert_eq!(config.switch.name, name, "{file}");
        assert_eq!(check_name(name), Ok(()), "{file}");
        // A switch that runs has a name already, whatever the next file is called.
        let config = Config::parse_for("running", LAN0, Path::new(file)).unwrap();
        assert_eq!(config.switch.name, "running");
    }
    let named = format!("[switch]\nname = \"other\"\n{LAN0}");
    let config = Config::parse_for("running", &named, Path::new("t.toml")).unwrap();
    assert_eq!(config.switch.name, "other");
}

#[test]
fn automatic_addresses_depend_on_names_alone_and_never_clash() {
    let auto = |name: &str| format!("[[macvlan]]\nname = \"{name}\"\nlink = \"lan0\"\n");
    let derived = MacAddr::derive(&["t", "lan0", "a"], 0);
    assert_eq!(with_links(&auto("a")).links[0].address, derived);
    let both = with_links(&format!("{}{}", auto("b"), auto("a")));
    assert_eq!(both.links[1].address, derived);

    // An explicit address goes first, even if it comes last.
    let thief = format!("{}address = \"{derived}\"\n", auto("b"));
    let config = with_links(&format!("{}{thief}", auto("a")));
    assert_eq!(config.links[0].address, MacAddr::derive(&["t", "lan0", "a"], 1));
    assert_eq!(config.links[1].address, derived);

    // Two lowers are two worlds.
    let second = "[[lower]]\nname = \"lan1\"\ndevice = \"demo\"\n";
    let thief = thief.replace("\"lan0\"", "\"lan1\"");
    assert_eq!(with_links(&format!("{}{second}{thief}", auto("a"))).links[0].address, derived);
}

#[test]
fn random_addresses_are_others_each_time() {
    let address = || {
        let link = "[[macvlan]]\nname = \"a\"\nlink = \"lan0\"\naddress = \"random\"\n";
        let link = with_links(link).links.remove(0);
        assert!(link.random_address);
        link.address
    };
    let (first, second) = (address(), address());
    assert!(first != second && first.is_valid_unicast() && first.bytes()[0] & 2 != 0);
}

#[test]
fn things_that_may_be_shared_are() {
    let config = parse(&format!("{LAN0}[[lower]]\nname = \"lan1\"\ndevice = \"demo,hairpin=1\"\n"));
    assert_eq!(config.unwrap().lowers.len(), 2);
    // On a machine with one core there is no other.
    let config = parse(&format!("[cores]\ncontrol = 0\nworkers = \"0\"\n{LAN0}")).unwrap();
    assert_eq!(config.cores.workers, Some(vec![0]));
    let limits = "[[lower]]\nname = \"a\"\ndevice = \"net_null0\"\nmtu = 9216\n[[lower]]\nname = \"b\"\ndevice = \"net_null1\"\nmtu = 68\n";
    assert!(parse(limits).is_ok());
    let passive = "[[lower]]\nname = \"a\"\ndevice = \"net_virtio_user0,path=/x,server=0\"\n";
    assert!(parse(passive).is_ok());
}

#[test]
fn sockets_are_resolved_below_the_runtime_directory() {
    let links = "[[macvlan]]\nname = \"a\"\nlink = \"lan0\"\nsocket = \"./sub/a.sock\"\n\
                 [[macvlan]]\nname = \"b\"\nlink = \"lan0\"\nsocket = \"/elsewhere/b\"\n\
                 [[macvlan]]\nname = \"c\"\nlink = \"lan0\"\ndevice = \"net_null0\"\n";
    let mut config = with_links(links);
    config.resolve_sockets(Path::new("/run/x")).unwrap();
    let socket = |index: usize| match &config.links[index].endpoint {
        Endpoint::Vhost { socket, .. } => socket.display().to_string(),
        Endpoint::Device(device) => device.clone(),
    };
    assert_eq!(
        [socket(0), socket(1), socket(2)],
        ["/run/x/sub/a.sock", "/elsewhere/b", "net_null0"]
    );
}

#[test]
fn sockets_that_cannot_be_resolved_are_refused_at_their_place() {
    let resolve = |links: &str, dir: &str| {
        let mut config = with_links(links);
        let before = config.links.clone();
        let error = config.resolve_sockets(Path::new(dir)).unwrap_err();
        assert_eq!(config.links, before);
        error.to_string()
    };
    let link = "[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n";
    // 98 + 1 + 8 bytes are 107, the most there can be; one more is too many.
    let fits = format!("/{}", "d".repeat(97));
    assert!(with_links(link).resolve_sockets(Path::new(&fits)).is_ok());
    let error = resolve(link, &format!("{fits}d"));
    assert!(error.starts_with("dir/t.toml:5:8: socket path /ddd"), "{error}");
    assert!(error.contains("has 108 bytes"), "{error}");

    let absolute = format!(
        "{link}[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\nsocket = \"/run/x/mv0.sock\"\n"
    );
    let error = resolve(&absolute, "/run/x");
    assert!(
        error.starts_with("dir/t.toml:10:10: ") && error.contains("that of link mv0 already"),
        "{error}"
    );

    let own = format!("{link}socket = \"/run/x/control.sock\"\n");
    assert!(resolve(&own, "/run/x").contains("own control socket"));
}

#[test]
fn every_example_is_valid() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let mut config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        config
            .resolve_sockets(Path::new("/run/mvswitch"))
            .unwrap_or_else(|error| panic!("{error}"));
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let error = Config::load(&missing).unwrap_err();
    assert_eq!(error.position, None);
    assert!(
        error.to_string().starts_with(&format!("{}: cannot read the config: ", missing.display())),
        "{error}"
    );
    assert!(Config::load(directory.path()).is_err());

    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, b"# \xc3\xa9\nx = \"\xff\"\n").unwrap();
    let error = Config::load(&binary).unwrap_err();
    assert_eq!(error.position, Some(Position { line: 2, column: 6 }));
    assert!(error.message.contains("not UTF-8"), "{error}");
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_are_fine() {
    let windows = format!("\u{feff}{}", LAN0.replace('\n', "\r\n"));
    assert!(parse(&windows).is_ok());
    let error = parse(&windows.replace("demo", "")).unwrap_err();
    assert_eq!(error.position, Some(Position { line: 3, column: 10 }));
}

#[test]
fn there_is_an_end_to_sections() {
    let mut text = "[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n".to_owned();
    for link in 0..100_000 {
        text.push_str(&format!("[[macvlan]]\nname=\"l{link}\"\nlink=\"lan0\"\n"));
    }
    let error = Config::parse(&text, Path::new("a.toml")).unwrap_err();
    let line = 3 + 3 * 8192 + 1;
    let expected =
        format!("a.toml:{line}:1: there can be 8192 sections [[macvlan]]; this is one more");
    assert_eq!(error.to_string(), expected);
}
