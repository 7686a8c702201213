//! What `explain` says of a frame is what happens to such a frame.

use serde_json::{Value, json};

use super::common::{Need, have};
use super::rig::{Rig, link, mac};

const NEEDS: &[Need] = &[Need::Root, Need::Program("ip"), Need::Path("/dev/net/tun")];

const OUTSIDE: &str = "02:09:09:09:09:09";
const GROUP: &str = "01:00:5e:00:00:05";

#[test]
fn frames_go_where_explain_says() {
    if !have("frames_go_where_explain_says", NEEDS) {
        return;
    }
    let address = |number: u8| format!("address = \"02:00:00:00:00:{number:02x}\"\n");
    let links = [
        link("g1", "lan0", &address(1)),
        link("g2", "lan0", &address(2)),
        link("g3", "lan0", &format!("{}mode = \"vepa\"", address(3))),
        link("g4", "lan0", &format!("{}mode = \"private\"", address(4))),
        link("g5", "lan0", &format!("{}mode = \"source\"\nmacaddr = [\"{OUTSIDE}\"]", address(5))),
        link("g6", "lan0", &format!("{}up = false", address(6))),
        link(
            "g7",
            "lan0",
            &format!(
                "{}allmulticast = false\nmulticast = [\"{GROUP}\"]\nspoof_check = true",
                address(7)
            ),
        ),
    ];
    let mut rig = Rig::start("", &links.concat());
    let of = |number: u8| format!("02:00:00:00:00:{number:02x}");
    let all = "ff:ff:ff:ff:ff:ff".to_owned();
    let (outside, group) = (OUTSIDE.to_owned(), GROUP.to_owned());
    let other_group = "01:00:5e:00:00:06".to_owned();
    for (from, dst, src) in [
        ("g1", of(2), of(1)),
        ("g1", of(3), of(1)),
        ("g1", of(4), of(1)),
        ("g1", of(6), of(1)),
        ("g1", outside.clone(), of(1)),
        ("g1", all.clone(), of(1)),
        ("g1", group.clone(), of(1)),
        ("g1", other_group.clone(), of(1)),
        ("g3", of(1), of(3)),
        ("g4", all.clone(), of(4)),
        ("g6", of(1), of(6)),
        ("g7", of(1), of(7)),
        ("g7", of(1), of(1)),
        ("lan0", of(1), outside.clone()),
        ("lan0", of(5), outside.clone()),
        ("lan0", of(6), outside.clone()),
        ("lan0", outside.clone(), outside.clone()),
        ("lan0", all.clone(), outside.clone()),
        ("lan0", all.clone(), of(3)),
        ("lan0", all.clone(), of(1)),
        ("lan0", other_group.clone(), "02:09:09:09:09:0a".to_owned()),
    ] {
        let frame = json!({"from": from, "dst": dst, "src": src, "type": 0x88b5});
        let told = rig.switch.rpc("explain", frame.clone());
        let name = |port: &Value| match port["port"].as_str().unwrap() {
            "lan0" => "wire".to_owned(),
            link => link.to_owned(),
        };
        let mut wanted: Vec<String> =
            told["receivers"].as_array().unwrap().iter().map(name).collect();
        wanted.sort();
        let bytes = rig.frame(mac(&dst), mac(&src));
        let before = dropped(&rig);
        let seen = rig.exchange(if from == "lan0" { "wire" } else { from }, &bytes);
        let got: Vec<String> = seen.into_iter().map(|(name, _)| name).collect();
        assert_eq!(got, wanted, "{frame}: {told:#}");
        assert!(!told["rules"].as_array().unwrap().is_empty(), "{frame}: {told:#}");
        if let Some(reason) = told["dropped"].as_str() {
            assert!(wanted.is_empty(), "{told:#}");
            let after = dropped(&rig);
            let more = |reason: &str| {
                let count = |all: &Vec<(String, u64)>| {
                    all.iter().find(|(name, _)| name == reason).map_or(0, |(_, frames)| *frames)
                };
                count(&after) - count(&before)
            };
            assert_eq!(more(reason), 1, "{frame}: {reason}: {before:?} {after:?}");
        }
    }
    rig.switch.stop();
}

/// Frames dropped so far by all ports, by reason.
fn dropped(rig: &Rig) -> Vec<(String, u64)> {
    let ports = rig.switch.rpc("stats.show", json!({"since_start": true}));
    let mut all: Vec<(String, u64)> = Vec::new();
    let drops = ports.as_array().unwrap().iter().flat_map(|port| port["drops"].as_array().unwrap());
    for drop in drops {
        let (reason, frames) = (drop["reason"].as_str().unwrap(), drop["frames"].as_u64().unwrap());
        match all.iter_mut().find(|(name, _)| name == reason) {
            Some((_, sum)) => *sum += frames,
            None => all.push((reason.to_owned(), frames)),
        }
    }
    all
}
