//! Random commands, most of which make sense.
//!
//! What is left out on purpose is what `tests/deviations.toml` has: lowers take no
//! address that a link may have (NT-04), and a passthru link's flags are settled
//! when it is added (UCF-08).

use super::random::Random;
use super::shown::State;

/// How many links there are at most.
const LINKS: usize = 6;

/// Addresses that links have; a clash now and then is wanted.
fn address(random: &mut Random) -> String {
    match random.below(14) {
        0 => "01:00:5e:00:00:01".into(),
        1 => "00:00:00:00:00:00".into(),
        2 => "02:00:00:00:00:a0".into(),
        3 => format!("2:0:0:0:0:{:x}", 0x10 + random.below(6)),
        4 => random.pick(&["02:00", "x", "02:00:00:00:00:zz"]).into(),
        _ => format!("02:00:00:00:00:{:02x}", 0x10 + random.below(12)),
    }
}

fn listed(random: &mut Random) -> String {
    match random.below(12) {
        0 => "01:00:5e:00:00:01".into(),
        _ => format!("02:00:00:00:00:{:02x}", 0x80 + random.below(6)),
    }
}

fn mtu(random: &mut Random) -> &'static str {
    random.pick(&["68", "1280", "1400", "1499", "1500", "0x500", "02000", "67", "1501", "x"])
}

fn queue(random: &mut Random) -> &'static str {
    random.pick(&["0", "1", "0x40", "0100", "500", "1000", "3000", "4294967295", "4294967296", "q"])
}

fn list(random: &mut Random) -> String {
    match random.below(8) {
        0 => "flush".into(),
        1 => "set".into(),
        2 | 3 => format!("set {} {}", listed(random), listed(random)),
        4 => format!("del {}", listed(random)),
        _ => format!("add {}", listed(random)),
    }
}

/// A command that may follow on `state`.
pub(crate) fn command(random: &mut Random, state: &State) -> String {
    let names = state.names();
    match random.below(100) {
        0..15 => add(random),
        15..22 => format!("link del {}", name(random, &names)),
        22..27 => lower(random),
        _ if names.is_empty() => add(random),
        27..62 => set(random, &names),
        _ => retype(random, &names, state),
    }
}

/// One that there is, or now and then one that there may not be.
fn name(random: &mut Random, names: &[String]) -> String {
    if names.is_empty() || random.percent(4) {
        return format!("mv{}", random.below(LINKS));
    }
    random.pick(names)
}

fn add(random: &mut Random) -> String {
    let lower = random.weighted(&[(14, "lan0"), (5, "lan1"), (1, "lan2")]);
    let name = format!("mv{}", random.below(LINKS));
    let named = random.pick(&["name ", "dev ", ""]);
    let mut general = vec![format!("link {lower}"), format!("{named}{name}")];
    if random.percent(60) {
        general.push(format!("address {}", address(random)));
    }
    if random.percent(20) {
        general.push(format!("mtu {}", mtu(random)));
    }
    if random.percent(30) {
        general.push(random.pick(&["up", "down", "promisc on", "allmulticast on"]).into());
    }
    // The order of keywords is nobody's business.
    let first = general.remove(random.below(general.len()));
    general.push(first);
    let passthru = if lower == "lan1" { 6 } else { 1 };
    let mode = random.weighted(&[
        (8, "bridge"),
        (4, "private"),
        (4, "vepa"),
        (6, "source"),
        (passthru, "passthru"),
        (1, "brigde"),
    ]);
    let mut own = vec![format!("mode {mode}")];
    if random.percent(25) {
        own.push(random.pick(&["nodst", "flag null", "flag nodst", "nopromisc"]).into());
    }
    if random.percent(if mode == "source" { 60 } else { 3 }) {
        own.push(format!("macaddr {}", list(random)));
    }
    if random.percent(25) {
        own.push(format!("bcqueuelen {}", queue(random)));
    }
    format!("link add {} type macvlan {}", general.join(" "), own.join(" "))
}

fn set(random: &mut Random, names: &[String]) -> String {
    let name = name(random, names);
    let change = match random.below(20) {
        0..6 => "up".into(),
        6..9 => "down".into(),
        9..13 => format!("address {}", address(random)),
        13..16 => format!("mtu {}", mtu(random)),
        16 | 17 => format!("promisc {}", random.pick(&["on", "off"])),
        _ => format!("allmulticast {}", random.pick(&["on", "off"])),
    };
    let dev = random.pick(&["", "dev "]);
    format!("link set {dev}{name} {change}")
}

fn retype(random: &mut Random, names: &[String], state: &State) -> String {
    let name = name(random, names);
    let mode = state.get(&name, "/linkinfo/info_data/mode");
    let mut words = Vec::new();
    if random.percent(40) {
        let passthru = if mode == "passthru" { 12 } else { 1 };
        let mode = random.weighted(&[
            (4, "bridge"),
            (4, "private"),
            (4, "vepa"),
            (8, "source"),
            (passthru, "passthru"),
        ]);
        words.push(format!("mode {mode}"));
    }
    if mode != "passthru" && random.percent(30) {
        words.push(random.pick(&["nodst", "flag null", "flag nodst", "nopromisc"]).into());
    }
    if random.percent(if mode == "source" { 60 } else { 5 }) {
        words.push(format!("macaddr {}", list(random)));
    }
    if words.is_empty() || random.percent(20) {
        words.push(format!("bcqueuelen {}", queue(random)));
    }
    format!("link set {name} type macvlan {}", words.join(" "))
}

fn lower(random: &mut Random) -> String {
    let lower = random.below(2);
    let change = match random.below(10) {
        0..3 => "up".into(),
        3 => "down".into(),
        4..7 => format!("mtu {}", random.pick(&["1500", "1400", "1300", "1500"])),
        _ => format!("address 02:00:00:00:0{lower}:b{}", random.below(4)),
    };
    format!("link set lan{lower} {change}")
}
