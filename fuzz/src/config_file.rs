//! A config: it is refused at a place that exists, with one line, or it means
//! something that holds together, and the same each time.

use std::collections::BTreeSet;
use std::path::Path;

use macvlan::mac::MacAddr;
use mvswitch::config::{self, Config, ConfigError, LowerDevice, MAX_MTU, MIN_MTU};

const FILE: &str = "dir/t.toml";
const DIRECTORY: &str = "/run/mvswitch";

/// Reads `bytes` as the switch does.
pub fn check(bytes: &[u8]) {
    // What is not UTF-8 is refused before it is parsed.
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parse = || Config::parse(text, Path::new(FILE));
    match (parse(), parse()) {
        (Ok(first), Ok(second)) => {
            assert_eq!(picture(&first, text), picture(&second, text));
            check_config(&first);
            assert_eq!(config::diff(&first, &first), [], "a config differs from itself");
            assert_eq!(config::save(text, &first, Path::new("/run")), text);
            check_sockets(first, text);
        }
        (Err(first), Err(second)) => {
            assert_eq!(first, second);
            check_error(&first, text);
        }
        (first, second) => unreachable!("read twice: {first:?} and {second:?}"),
    }
}

/// The config as text, without the addresses that are random by request: the
/// word, or the word in escapes.
fn picture(config: &Config, text: &str) -> String {
    let mut config = config.clone();
    if text.contains("random") || text.contains('\\') {
        config.links.iter_mut().for_each(|link| link.address = MacAddr::ZERO);
    }
    format!("{config:?}")
}

fn check_config(config: &Config) {
    assert!(!config.lowers.is_empty());
    let mut names = BTreeSet::new();
    for lower in &config.lowers {
        assert!(names.insert(&lower.name), "two are called {}", lower.name);
        assert!((MIN_MTU..=MAX_MTU).contains(&lower.mtu), "{lower:?}");
        if let LowerDevice::Vlan { lower: parent, id, .. } = &lower.device {
            let parent = config.lowers.iter().find(|other| other.name == *parent);
            assert!(parent.is_some_and(|parent| lower.mtu <= parent.mtu), "{lower:?}");
            assert!((1..=4094).contains(id), "{lower:?}");
        }
    }
    let mut addresses = BTreeSet::new();
    for link in &config.links {
        assert!(names.insert(&link.name), "two are called {}", link.name);
        let lower = config.lowers.iter().find(|lower| lower.name == link.lower);
        assert!(lower.is_some_and(|lower| (MIN_MTU..=lower.mtu).contains(&link.mtu)), "{link:?}");
        for &address in link.addresses.iter().chain([&link.address]) {
            assert!(address.is_valid_unicast(), "{link:?}");
            assert!(addresses.insert((&link.lower, address)), "{address} is there twice");
        }
        assert!(link.multicast.iter().all(|group| group.is_multicast()), "{link:?}");
    }
}

fn check_sockets(mut config: Config, text: &str) {
    let before = format!("{config:?}");
    match config.resolve_sockets(Path::new(DIRECTORY)) {
        Ok(()) => check_written_anew(&config),
        Err(error) => {
            assert_eq!(format!("{config:?}"), before);
            check_error(&error, text);
        }
    }
}

/// What a running switch saves where no file was makes the same switch.
fn check_written_anew(config: &Config) {
    let text = config::save("", config, Path::new(DIRECTORY));
    let again = Config::parse(&text, Path::new(FILE));
    match again.and_then(|mut again| again.resolve_sockets(Path::new(DIRECTORY)).map(|()| again)) {
        Ok(again) => assert_eq!(config::diff(config, &again), [], "{text}"),
        Err(error) => unreachable!("{error}: {text}"),
    }
}

fn check_error(error: &ConfigError, text: &str) {
    let shown = error.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?} is not one printable line");
    let Some(position) = error.position else { unreachable!("{shown} has no place") };
    let line = position.line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let letters = line.map(|line| line.chars().count());
    let inside = letters.is_some_and(|letters| (1..=letters + 1).contains(&position.column));
    assert!(inside, "{shown} points outside of {text:?}");
    assert!(!error.message.is_empty(), "{shown}");
}
