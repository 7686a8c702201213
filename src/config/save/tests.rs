//! What is saved means what runs, and nothing else of the file is touched.

use std::path::Path;

use proptest::prelude::*;

use super::super::samples::{RUNTIME_DIR, read, texts};
use super::super::{HostConfig, Idle, LinkConfig, LowerConfig, Role, diff};
use super::*;

fn saved(text: &str, running: &Config) -> String {
    save(text, running, Path::new(RUNTIME_DIR))
}

/// What must be the same, in whatever order.
fn facts(config: &Config, drawn: &Config) -> (Vec<LowerConfig>, Vec<LinkConfig>) {
    let mut config = config.clone();
    config.lowers.sort_by(|a, b| a.name.cmp(&b.name));
    config.links.sort_by(|a, b| a.name.cmp(&b.name));
    for link in &mut config.links {
        for list in [&mut link.macaddr, &mut link.addresses, &mut link.multicast] {
            list.sort_unstable();
            list.dedup();
        }
        if link.random_address || link.mode == Mode::Passthru {
            let same = find(&drawn.links, |link| &link.name, &link.name);
            link.address = same.map_or(link.address, |link| link.address);
        }
        link.random_address &= link.mode != Mode::Passthru;
    }
    (config.lowers, config.links)
}

/// With the one `bclim` that the links of a lower have.
fn uniform(mut config: Config) -> Config {
    let said = config.links.clone();
    for link in &mut config.links {
        let mut on_it = said.iter().filter(|other| other.lower == link.lower);
        link.bclim = on_it.find_map(|other| other.bclim);
    }
    config
}

/// Comments that belong to nothing that could go.
fn kept(text: &str) -> Vec<String> {
    let mut kept: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once("# kept "))
        .map(|(_, comment)| comment.trim_end().to_owned())
        .collect();
    kept.sort_unstable();
    kept
}

proptest! {
    #[test]
    fn what_holds_is_not_touched(text in texts()) {
        prop_assert_eq!(saved(&text, &read(&text)), text);
    }

    #[test]
    fn what_is_saved_is_what_runs(a in texts(), b in texts()) {
        let running = uniform(read(&b));
        let text = saved(&a, &running);
        let again = read(&text);
        prop_assert_eq!(facts(&uniform(again.clone()), &running), facts(&running, &running), "{}", text);
        prop_assert_eq!(diff(&running, &again), vec![], "{}", text);
        // Once is enough.
        prop_assert_eq!(saved(&text, &running), text.clone());
        prop_assert_eq!(kept(&text), kept(&a), "{}\n---\n{}", a, text);
        prop_assert_eq!(text.contains("\r\n"), a.contains("\r\n"));
        prop_assert_eq!(text.replace("\r\n", "").contains('\n'), !a.contains("\r\n"));
    }

    #[test]
    fn no_more_lines_change_than_must(text in texts(), up in any::<prop::sample::Index>()) {
        let mut running = read(&text);
        match running.links.len() {
            0 => running.lowers[0].up ^= true,
            count => running.links[up.index(count)].up ^= true,
        }
        let after = saved(&text, &running);
        let (before, after): (Vec<&str>, Vec<&str>) = (text.lines().collect(), after.lines().collect());
        let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
        let tail = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        // One line is another, or one is new.
        prop_assert!(same + tail + 1 >= before.len().max(after.len()), "{:#?} {:#?}", before, after);
        prop_assert!(after.len() <= before.len() + 1);
    }
}

#[test]
fn every_example_is_saved_as_it_is() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let mut running = Config::load(&file).unwrap();
        running.resolve_sockets(Path::new(RUNTIME_DIR)).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(saved(&text, &running), text, "{}", file.display());
        seen += 1;
    }
    assert!(seen >= 4);
}

/// With everything a file can have, and odd spaces.
const TEXT: &str = "#:schema x.json
# head

switch.name   =  'odd'   # dotted

# own of lan0
[[lower]] # on the header
name=\"lan0\"
device =\"demo\"   # the wire
mtu = 1_500

# kept general

# own of mv0
# two lines
[[macvlan]]
  name = \"mv0\"   # guest
  parent = 'lan0'
  mac = \"02:00:00:00:00:0A\"
  # why so many
  addresses = [
    \"02:00:00:00:00:0b\", # first
    \"02:00:00:00:00:0c\",
  ]
  # own of bclim
  bclim = 3

[[macvlan]]
name = \"mv1\"
master = \"lan0\"

# kept end of mv1
[metrics]
listen = \"127.0.0.1:9477\"
# the end
";

fn changed(change: impl Fn(&mut Config)) -> String {
    let mut running = read(TEXT);
    change(&mut running);
    saved(TEXT, &running)
}

fn mac(text: &str) -> macvlan::mac::MacAddr {
    text.parse().unwrap()
}

#[test]
fn a_value_is_changed_in_its_place() {
    assert_eq!(changed(|_| {}), TEXT);
    let text = changed(|config| {
        config.lowers[0].mtu = 9000;
        config.links[0].mtu = 9000;
        config.links[1].mtu = 9000;
        config.links[0].address = mac("02:00:00:00:00:0d");
        config.links[0].addresses = vec![mac("02:00:00:00:00:0e"), mac("02:00:00:00:00:0b")];
        config.links[0].bclim = None;
    });
    let wanted = TEXT
        .replace("mtu = 1_500", "mtu = 9000")
        .replace("mac = \"02:00:00:00:00:0A\"", "mac = \"02:00:00:00:00:0d\"")
        .replace("\"02:00:00:00:00:0c\"", "\"02:00:00:00:00:0e\"")
        .replace("  # own of bclim\n  bclim = 3\n", "");
    assert_eq!(text, wanted);
}

/// A running switch says it of every link: the file that says it once holds.
#[test]
fn the_limit_of_a_lower_stays_where_it_is_said() {
    let limited = |limit: i32| {
        changed(|config| config.links.iter_mut().for_each(|link| link.bclim = Some(limit)))
    };
    assert_eq!(limited(3), TEXT);
    assert_eq!(limited(4), TEXT.replace("bclim = 3", "bclim = 4"));
    // Where it was said is gone: then it is said once again.
    let text = changed(|config| {
        config.links[0].lower = "lan1".into();
        config.links[0].bclim = Some(1);
        config.links[1].bclim = Some(3);
        let mut link = config.links[1].clone();
        link.name = "mv2".into();
        link.address = mac("02:00:00:00:00:20");
        link.endpoint = Endpoint::Device("net_null3".into());
        config.links.push(link);
        let lower = LowerConfig { name: "lan1".into(), ..config.lowers[0].clone() };
        config.lowers.push(lower);
    });
    let limits: Vec<Option<i32>> = read(&text).links.iter().map(|link| link.bclim).collect();
    assert_eq!(limits, [Some(1), Some(3), None], "{text}");
}

#[test]
fn lists_keep_their_lines_and_comments() {
    let list = |addresses: &[&str]| {
        changed(|config| {
            config.links[0].addresses = addresses.iter().map(|text| mac(text)).collect();
        })
    };
    let (b, c, d) = ("02:00:00:00:00:0b", "02:00:00:00:00:0c", "02:00:00:00:00:0d");
    assert_eq!(list(&[b]), TEXT.replace(&format!("    \"{c}\",\n"), ""));
    assert_eq!(list(&[c]), TEXT.replace(&format!("    \"{b}\", # first\n"), ""));
    let three = TEXT.replace(&format!("\"{c}\",\n"), &format!("\"{c}\",\n    \"{d}\",\n"));
    assert_eq!(list(&[b, c, d]), three);
    let none = TEXT.find("  # why").unwrap()..TEXT.find("  # own of bclim").unwrap();
    assert_eq!(list(&[]), TEXT.replace(&TEXT[none], ""));

    // Comments at the end, without a comma there.
    let text = TEXT.replace(&format!("\"{c}\","), &format!("\"{c}\" # last"));
    let mut running = read(&text);
    running.links[0].addresses.push(mac(d));
    let wanted = text.replace(" # last\n", &format!(", # last\n    \"{d}\"\n"));
    assert_eq!(saved(&text, &running), wanted);
    running.links[0].addresses.truncate(1);
    let wanted =
        text.replace(&format!("    \"{c}\" # last\n"), "").replace("\", # first", "\" # first");
    assert_eq!(saved(&text, &running), wanted);
}

#[test]
fn what_is_gone_takes_its_own_comments_along() {
    let text = changed(|config| drop(config.links.remove(0)));
    let start = TEXT.find("# own of mv0").unwrap();
    let end = TEXT.find("\n[[macvlan]]\nname = \"mv1\"").unwrap() + 1;
    assert_eq!(text, format!("{}{}", &TEXT[..start], &TEXT[end..]));

    let text = changed(|config| drop(config.links.remove(1)));
    let start = TEXT.find("\n[[macvlan]]\nname = \"mv1\"").unwrap();
    let end = TEXT.find("\n# kept end of mv1").unwrap();
    assert_eq!(text, format!("{}{}", &TEXT[..start], &TEXT[end..]));

    let text = changed(|config| config.metrics = None);
    let start = TEXT.find("\n# kept end of mv1").unwrap();
    assert_eq!(text, format!("{}# the end\n", &TEXT[..start]));
}

#[test]
fn what_is_new_comes_last_of_its_kind() {
    let text = changed(|config| {
        let mut link = config.links[1].clone();
        link.name = "mv2".into();
        link.address = mac("02:00:00:00:00:20");
        link.endpoint =
            Endpoint::Vhost { socket: Path::new(RUNTIME_DIR).join("mv2.sock"), role: Role::Client };
        config.links.push(link.clone());
        link.name = "mv3".into();
        link.mode = Mode::Private;
        link.random_address = true;
        link.endpoint = Endpoint::Device("net_null3".into());
        config.links.push(link);
        let host = HostConfig { device: "net_tap0".into(), reachable: false };
        config.lowers[0].host = Some(host);
    });
    let new = "\n[[macvlan]]\nname = \"mv2\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:20\"\nrole = \"client\"\n\
               \n[[macvlan]]\nname = \"mv3\"\nlink = \"lan0\"\nmode = \"private\"\naddress = \"random\"\ndevice = \"net_null3\"\n";
    let place = TEXT.find("\n# kept end of mv1").unwrap();
    let (before, after) = TEXT.split_at(place);
    let after =
        after.replace("# the end", "\n[[host]]\nlink = \"lan0\"\ndevice = \"net_tap0\"\n# the end");
    assert_eq!(text, format!("{before}{new}{after}"));
}

#[test]
fn a_word_stays_where_it_means_what_runs() {
    let text = "[[lower]]\nname = \"l\"\ndevice = \"demo\"\n[[macvlan]]\nname = \"a\"\nlink = \"l\"\naddress = \"auto\"\n\
                [[macvlan]]\nname = \"b\"\nlink = \"l\"\naddress = \"random\"\n[[macvlan]]\nname = \"c\"\nlink = \"l\"\n";
    let running = read(text);
    assert_eq!(saved(text, &running), text);
    // Another takes the address that a derives: a is named, for what it has.
    let mut other = running.clone();
    let thief = running.links[0].address;
    other.links[0].address = running.links[2].address;
    other.links[2].address = thief;
    other.links[1].random_address = false;
    let now = saved(text, &other);
    let [a, b, c] = [0, 1, 2].map(|index| other.links[index].address);
    let wanted = text.replace("auto", &a.to_string()).replace("random", &b.to_string());
    assert_eq!(now, format!("{wanted}address = \"{c}\"\n"));
}

#[test]
fn what_a_word_would_mean_is_seen_when_all_else_is_in_place() {
    let lowers =
        "[[lower]]\nname = \"l\"\ndevice = \"demo\"\n[[lower]]\nname = \"k\"\ndevice = \"demo\"\n";
    let auto = "[[macvlan]]\nname = \"a\"\nlink = \"l\"\naddress = \"auto\"\n";
    let text = format!("{lowers}{auto}");
    // On another lower it derives another address: the word still holds there.
    let moved = text.replace("link = \"l\"", "link = \"k\"");
    assert_eq!(saved(&text, &read(&moved)), moved);
    // It stays by its address there: the word holds no more.
    let mut running = read(&text);
    running.links[0].lower = "k".into();
    let address = running.links[0].address.to_string();
    assert_eq!(saved(&text, &running), moved.replace("auto", &address));
    // It had to give way to another, which is gone.
    let thief = format!("[[macvlan]]\nname = \"b\"\nlink = \"l\"\naddress = \"{address}\"\n");
    let both = format!("{text}{thief}");
    let mut running = read(&both);
    running.links.remove(1);
    let second = running.links[0].address.to_string();
    assert_ne!(second, address);
    assert_eq!(saved(&both, &running), text.replace("auto", &second));
}

#[test]
fn other_systems_line_ends_and_marks_stay() {
    for text in [TEXT.replace('\n', "\r\n"), format!("\u{feff}{TEXT}"), TEXT.trim_end().to_owned()]
    {
        let mut running = read(&text);
        assert_eq!(saved(&text, &running), text);
        running.links[0].bclim = Some(4);
        let now = saved(&text, &running);
        assert_eq!(now.trim_end(), text.replace("bclim = 3", "bclim = 4").trim_end());
    }
}

#[test]
fn sections_in_braces_are_edited_too() {
    let text = "# head\ncores = { idle = \"spin\" } # fast\nlower = [{ name = \"l\", device = \"demo\" }] # one\n\
                macvlan = [\n  # first\n  { name = \"a\", link = \"l\", up = false }, # off\n  { name = \"b\", link = \"l\" },\n]\n# end\n";
    let mut running = read(text);
    running.links[0].up = true;
    running.cores.idle = Idle::Auto;
    let wanted = text.replace("false", "true").replace("spin", "auto");
    assert_eq!(saved(text, &running), wanted);
    running.links.remove(0);
    let mut link = running.links[0].clone();
    link.name = "c".into();
    link.address = mac("02:00:00:00:00:03");
    link.endpoint = Endpoint::Device("net_null0".into());
    running.links.push(link);
    let now = saved(text, &running);
    assert_eq!(diff(&running, &read(&now)), vec![]);
    assert!(
        now.starts_with("# head\n") && now.ends_with("]\n# end\n") && now.contains("# one\n"),
        "{now}"
    );
    assert!(now.contains("\n  { name = \"c\", link = \"l\", address = \"02:00:00:00:00:03\", device = \"net_null0\" }"), "{now}");
}

#[test]
fn a_vlan_moves_behind_what_carries_it() {
    let text = "[[lower]]\nname = \"a\"\ndevice = \"demo\"\n\n# own\n[[lower]]\nname = \"v\"\nlower = \"a\"\nvlan = 7\n";
    let running = read(
        "[[lower]]\nname = \"b\"\ndevice = \"demo\"\n[[lower]]\nname = \"v\"\nlower = \"b\"\nvlan = 7\n",
    );
    let wanted = "[[lower]]\nname = \"b\"\ndevice = \"demo\"\n\n# own\n[[lower]]\nname = \"v\"\nlower = \"b\"\nvlan = 7\n";
    assert_eq!(saved(text, &running), wanted);
}

#[test]
fn without_a_file_everything_is_written() {
    let running = read(TEXT);
    for text in ["", "[[lower]\n", "[bonds]\n"] {
        let now = saved(text, &running);
        assert_eq!(diff(&running, &read(&now)), vec![], "{now}");
        assert!(now.starts_with("[switch]\nname = \"odd\"\n\n[metrics]\n"), "{now}");
    }
}
