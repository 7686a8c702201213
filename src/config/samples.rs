//! Random configs for tests: small worlds in which names, devices, sockets and
//! addresses meet often, in many spellings.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::Config;

pub(super) const RUNTIME_DIR: &str = "/run/x";

/// How sections are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `[[lower]]`.
    Headers,
    /// `lower = [{ … }]`.
    Braces,
}

/// Bytes that choose among few things each.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn roll(&mut self, sides: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % sides
    }

    fn pick<'b>(&mut self, choices: &[&'b str]) -> &'b str {
        let sides = u8::try_from(choices.len()).unwrap();
        choices[usize::from(self.roll(sides))]
    }

    /// One in so many.
    fn rarely(&mut self, sides: u8) -> bool {
        self.roll(sides) == 1
    }
}

type Keys = Vec<(&'static str, String)>;

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn lower(dice: &mut Dice<'_>) -> Keys {
    let mut keys = vec![("name", quoted(dice.pick(&["l0", "l1", "l2", "v0", "v1"])))];
    if dice.rarely(3) {
        keys.push(("lower", quoted(dice.pick(&["l0", "l1", "l2"]))));
        keys.push(("vlan", dice.pick(&["1", "2"]).to_owned()));
        if dice.rarely(3) {
            keys.push(("vlan_protocol", quoted(dice.pick(&["802.1q", "802.1AD"]))));
        }
    } else {
        keys.push((
            "device",
            quoted(dice.pick(&["demo", "net_null0", "net_null1", "net_null2,a=1"])),
        ));
    }
    if dice.rarely(3) {
        keys.push(("mtu", dice.pick(&["1500", "9000", "1400"]).to_owned()));
    }
    if dice.rarely(3) {
        keys.push(("address", quoted(dice.pick(&["02:00:00:00:00:01", "02:00:00:00:00:02"]))));
    }
    for key in ["up", "private_strict", "drop_link_local"] {
        if dice.rarely(4) {
            keys.push((key, dice.pick(&["true", "false"]).to_owned()));
        }
    }
    keys
}

fn host(dice: &mut Dice<'_>) -> Keys {
    let mut keys = vec![
        (dice.pick(&["link", "link", "parent"]), quoted(dice.pick(&["l0", "l1", "v0"]))),
        ("device", quoted(dice.pick(&["net_tap0", "net_tap1,iface=h"]))),
    ];
    if dice.rarely(2) {
        keys.push(("reachable", dice.pick(&["true", "false"]).to_owned()));
    }
    keys
}

fn list(dice: &mut Dice<'_>, choices: &[&str]) -> String {
    let count = dice.roll(3);
    let picks: Vec<String> = (0..count).map(|_| quoted(dice.pick(choices))).collect();
    match dice.roll(3) {
        0 => format!("[ {} ]", picks.join(" , ")),
        1 => format!("[{}]", picks.join(", ")),
        _ => format!("[\n  # listed\n  {}\n]", picks.join(", # one\n  ")),
    }
}

fn link(dice: &mut Dice<'_>) -> Keys {
    let mut keys = vec![
        ("name", quoted(dice.pick(&["m0", "m1", "m2", "m3", "m4", "m5", "v0"]))),
        (dice.pick(&["link", "link", "master"]), quoted(dice.pick(&["l0", "l1", "l2", "v0"]))),
    ];
    let macs = ["02:00:00:00:00:01", "02:00:00:00:00:0B", "02:00:00:00:00:0c", "2:0:0:0:0:d"];
    match dice.roll(5) {
        0 => keys.push((dice.pick(&["address", "mac"]), quoted(dice.pick(&macs)))),
        1 => keys.push(("address", quoted("auto"))),
        2 => keys.push(("hwaddr", quoted("random"))),
        _ => {}
    }
    let mode = dice.pick(&["bridge", "", "private", "vepa", "passthru", "passthrough", "source"]);
    if !mode.is_empty() {
        keys.push((dice.pick(&["mode", "macvlan_mode"]), quoted(mode)));
    }
    if mode.starts_with("pass") {
        keys.retain(|(key, value)| {
            !matches!(*key, "address" | "mac" | "hwaddr") || value == "\"auto\""
        });
        if dice.rarely(2) {
            keys.push(("nopromisc", dice.pick(&["true", "false"]).to_owned()));
        }
    }
    match dice.roll(6) {
        0 => keys.push(("device", quoted(dice.pick(&["net_null1", "net_null5", "net_null6,b=2"])))),
        1 => keys.push(("socket", quoted(dice.pick(&["./a.sock", "a.sock", "s/m0.sock"])))),
        2 => keys.push(("socket", quoted(dice.pick(&["/run/x/a.sock", "/run/x/m1.sock", "/y/z"])))),
        3 => keys.push(("role", quoted(dice.pick(&["server", "client"])))),
        _ => {}
    }
    if dice.rarely(4) {
        keys.push(("mtu", dice.pick(&["1500", "1400", "1000"]).to_owned()));
    }
    for key in ["up", "nodst", "promisc", "allmulticast", "spoof_check"] {
        if dice.rarely(5) {
            keys.push((key, dice.pick(&["true", "false"]).to_owned()));
        }
    }
    for key in ["bcqueuelen", "bclim"] {
        if dice.rarely(5) {
            keys.push((key, dice.pick(&["0", "1_000", "0x10"]).to_owned()));
        }
    }
    if mode == "source" {
        keys.push(("macaddr", list(dice, &macs)));
    }
    if dice.rarely(4) {
        keys.push(("addresses", list(dice, &macs)));
    }
    if dice.rarely(4) {
        keys.push(("multicast", list(dice, &["01:00:5e:00:00:fb", "33:33:00:00:00:FB"])));
    }
    keys
}

/// A section with comments and spaces around it. Its own comments have `own` in
/// them, others `kept`.
fn headed(kind: &str, keys: &Keys, number: usize, dice: &mut Dice<'_>) -> String {
    let mut text = String::from(dice.pick(&["", "\n", "\n\n"]));
    if dice.rarely(4) {
        _ = write!(text, "# kept {kind} {number}\n\n");
    }
    if dice.rarely(3) {
        _ = writeln!(text, "# own {kind} {number}\n#   own too");
    }
    _ = writeln!(text, "[[{kind}]]{}", dice.pick(&["", "  # own", "   "]));
    for (key, value) in keys {
        if dice.rarely(6) {
            _ = writeln!(text, "    # own {key}");
        }
        let equals = dice.pick(&[" = ", " = ", "=", "   =  "]);
        _ = writeln!(text, "{key}{equals}{value}{}", dice.pick(&["", "", "  # own"]));
    }
    text
}

/// A valid text. Each section is one that can follow those before it.
fn text(rolls: &[Vec<u8>], style: Style, windows: bool) -> String {
    let mut head = String::from("# kept head\n\n");
    let mut sections: [(&str, Vec<(Keys, String)>); 3] =
        [("lower", vec![]), ("host", vec![]), ("macvlan", vec![])];
    let mut tail = String::new();
    if let Some(first) = rolls.first() {
        let dice = &mut Dice(first.iter());
        head += dice.pick(&["", "switch.name = \"s\" # kept\n", "cores = { idle = \"spin\" }\n"]);
        tail += dice.pick(&[
            "",
            "[metrics] # kept\nlisten = \"127.0.0.1:1\"\n",
            "[control]\ngroup='g'\n",
        ]);
        tail += dice.pick(&["", "\n[eal] # kept\nargs = [\"-v\", '--x=1']\n"]);
        tail += dice.pick(&["", "# kept end\n"]);
    }
    let whole = |sections: &[(&str, Vec<(Keys, String)>); 3]| {
        let mut text = head.clone();
        for (kind, items) in sections {
            if style == Style::Braces && !items.is_empty() {
                let tables: Vec<String> = items
                    .iter()
                    .map(|(keys, _)| {
                        let keys = keys.iter().map(|(key, value)| format!("{key} = {value}"));
                        format!("  {{ {} }}", keys.collect::<Vec<_>>().join(", "))
                    })
                    .collect();
                _ = write!(text, "# kept {kind}\n{kind} = [\n{},\n]\n", tables.join(",\n"));
            } else {
                text.extend(items.iter().map(|(_, section)| section.as_str()));
            }
        }
        text + &tail
    };
    for (number, bytes) in rolls.iter().enumerate() {
        let dice = &mut Dice(bytes.iter());
        let kind = if number < 3 { 0 } else { [0, 1, 2, 2, 2][usize::from(dice.roll(5))] };
        let keys = [lower, host, link][kind](dice);
        let shown = headed(sections[kind].0, &keys, number, dice);
        let before = sections.clone();
        sections[kind].1.push((keys, shown));
        let fits = Config::parse(&whole(&sections), Path::new("t.toml"))
            .is_ok_and(|mut config| config.resolve_sockets(Path::new(RUNTIME_DIR)).is_ok());
        if !fits {
            sections = before;
        }
    }
    if sections[0].1.is_empty() {
        let keys = vec![("name", quoted("l0")), ("device", quoted("demo"))];
        sections[0].1.push((keys, "[[lower]]\nname = \"l0\"\ndevice = \"demo\"\n".to_owned()));
    }
    let text = whole(&sections);
    if windows { text.replace('\n', "\r\n") } else { text }
}

/// Texts of valid configs.
pub(super) fn texts() -> impl Strategy<Value = String> {
    let rolls = prop::collection::vec(prop::collection::vec(any::<u8>(), 64), 3..16);
    let style = prop_oneof![4 => Just(Style::Headers), 1 => Just(Style::Braces)];
    (rolls, style, prop::bool::weighted(0.1))
        .prop_map(|(rolls, style, windows)| text(&rolls, style, windows))
}

/// The config of a text, with its sockets resolved.
pub(super) fn read(text: &str) -> Config {
    let mut config =
        Config::parse(text, Path::new("t.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    config
        .resolve_sockets(Path::new(RUNTIME_DIR))
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    config
}
