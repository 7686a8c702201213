//! What makes a value good, one rule a function, without a file behind it.
//!
//! Used by the config's second phase and by link ops at run time, so that both
//! refuse the same things in the same words. Pure: looks at no device, core or
//! path of this machine. Every error is one sentence: what is wrong; what to
//! type.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

use macvlan::mac::MacAddr;
use macvlan::mode::Mode;

use super::words::choose;
use super::{Idle, Memory, Role, VlanProtocol};

/// Longest name in bytes.
const NAME_MAX: usize = 32;

/// Longest socket path in bytes: `sun_path` holds 108 with the final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// Least MTU: what IPv4 asks of every link.
pub const MIN_MTU: u16 = 68;

/// Greatest MTU of a lower: the usual jumbo frame.
pub const MAX_MTU: u16 = 9216;

/// MTU of a lower that names none.
pub const DEFAULT_MTU: u16 = 1500;

/// The switch's own socket in its runtime directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// A user or group, as a name or a number. Whether this machine has it is seen
/// at start.
///
/// # Errors
/// One sentence.
pub(super) fn check_account(key: &str, account: &str) -> Result<String, String> {
    let advice = "write a name such as \"mvswitch\" or a number such as \"1000\"";
    if account.is_empty() {
        return Err(format!("{key} is empty; {advice}, or leave it out"));
    }
    if account.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
        return Err(format!(
            "{key} \"{account}\" has a space or a control character in it; {advice}"
        ));
    }
    Ok(account.to_owned())
}

/// A name of a switch, lower or link: 1 to 32 of letters, digits, `.`, `_` and
/// `-`, no dot first (it becomes a file name).
///
/// # Errors
/// One sentence.
pub fn check_name(name: &str) -> Result<(), String> {
    let advice = "write 1 to 32 letters, digits, '.', '_' or '-'";
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        return Err(format!("a name is empty; {advice}"));
    }
    if let Some(bad) = name.chars().find(|letter| !u8::try_from(*letter).is_ok_and(plain)) {
        return Err(format!("name \"{name}\" has a '{bad}' in it; {advice}"));
    }
    if name.starts_with('.') {
        return Err(format!("name \"{name}\" begins with a dot; {advice}, a dot not first"));
    }
    if name.len() > NAME_MAX {
        return Err(format!("name \"{name}\" has {} characters; {advice}", name.len()));
    }
    Ok(())
}

/// The socket that a link has if it names neither socket nor device.
#[must_use]
pub fn default_socket(link: &str) -> PathBuf {
    PathBuf::from(format!("{link}.sock"))
}

/// A socket as written: relative to the runtime directory, or absolute.
///
/// # Errors
/// One sentence.
pub fn check_socket(socket: &Path) -> Result<(), String> {
    let shown = socket.display();
    let text = socket.as_os_str().as_encoded_bytes();
    if text.is_empty() {
        return Err("a socket is empty; write a file name such as \"mv0.sock\"".to_owned());
    }
    if text.ends_with(b"/") || socket.file_name().is_none() {
        return Err(format!("socket \"{shown}\" names no file; write one such as \"mv0.sock\""));
    }
    if socket.components().any(|part| part == Component::ParentDir) {
        return Err(format!(
            "socket \"{shown}\" has '..' in it; write a path below the runtime directory, or an absolute one"
        ));
    }
    if text.iter().any(u8::is_ascii_control) {
        return Err(format!("socket \"{shown}\" has control characters in it; leave them out"));
    }
    if without_dots(socket) == Path::new(CONTROL_SOCKET) {
        return Err(own_socket());
    }
    check_length(socket)
}

/// The socket's full path.
///
/// # Errors
/// One sentence: what [`check_socket`] says, or that the whole is over 107 bytes.
pub fn check_socket_path(runtime_dir: &Path, socket: &Path) -> Result<PathBuf, String> {
    check_socket(socket)?;
    let path = runtime_dir.join(without_dots(socket));
    if path == runtime_dir.join(CONTROL_SOCKET) {
        return Err(own_socket());
    }
    check_length(&path)?;
    Ok(path)
}

fn own_socket() -> String {
    format!("{CONTROL_SOCKET} is the switch's own control socket; choose another name")
}

fn check_length(path: &Path) -> Result<(), String> {
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        return Err(format!(
            "socket path {} has {length} bytes, and Linux takes {SOCKET_PATH_MAX}; \
             choose a shorter name or runtime directory",
            path.display()
        ));
    }
    Ok(())
}

/// `./a` is `a`: two spellings must not pass for two sockets.
pub(super) fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// What identifies a device: the part before the first comma.
#[must_use]
pub fn device_name(device: &str) -> &str {
    device.split(',').next().unwrap_or_default()
}

/// The device text of a lower: `demo`, a PCI address, or a vdev, with arguments.
/// Whether it exists is seen when it is opened.
///
/// # Errors
/// One sentence.
pub fn check_device(device: &str) -> Result<(), String> {
    let name = device_name(device);
    let arguments = || device.split(',').skip(1);
    if name.is_empty() {
        let advice = "write \"demo\", a PCI address such as \"0000:8a:00.0\", or a DPDK device such as \"net_af_packet0,iface=eth0\"";
        return Err(format!("device \"{device}\" has no name; {advice}"));
    }
    if name.contains(char::is_whitespace) || device.contains(char::is_control) {
        return Err(format!("device \"{device}\" has a space in its name; write it without"));
    }
    if let Some(argument) = arguments().find(|text| text.trim() != *text || text.is_empty()) {
        return Err(format!(
            "device \"{device}\" has the argument \"{argument}\"; write arguments as key=value, with no space after the comma"
        ));
    }
    if name.len() == 7 && is_short_pci(name) {
        return Err(format!("PCI address \"{name}\" has no domain; write \"0000:{name}\""));
    }
    if name == "demo"
        && let Some(other) = arguments().find(|text| !matches!(*text, "hairpin=0" | "hairpin=1"))
    {
        return Err(format!(
            "the demo wire knows no \"{other}\"; write demo, demo,hairpin=0 or demo,hairpin=1"
        ));
    }
    let virtio_user = name.starts_with("net_virtio_user") || name.starts_with("virtio_user");
    let server = |text: &str| text.strip_prefix("server=").is_some_and(|value| value != "0");
    if virtio_user && arguments().any(server) {
        // Its probe waits in accept(), and that is on the control thread.
        return Err(format!(
            "device {name} with server=1 would stop the switch until somebody connects; leave server=1 out \
             and let the other side listen, or give a link a socket instead of a device: that listens without waiting"
        ));
    }
    Ok(())
}

/// The device text of a link: any but the demo wire.
///
/// # Errors
/// One sentence.
pub fn check_link_device(device: &str) -> Result<(), String> {
    if device_name(device) == "demo" {
        return Err(
            "the demo wire can be a lower only; give the link a socket such as \"mv0.sock\""
                .to_owned(),
        );
    }
    check_device(device)
}

/// A PCI address, such as `0000:8a:00.0`: EAL probes it at start.
#[must_use]
pub fn is_pci(device: &str) -> bool {
    let name = device_name(device);
    name.split_once(':').is_some_and(|(domain, rest)| {
        domain.len() == 4
            && domain.bytes().all(|byte| byte.is_ascii_hexdigit())
            && rest.len() == 7
            && is_short_pci(rest)
    })
}

/// `8a:00.0`, as lspci prints it.
fn is_short_pci(name: &str) -> bool {
    let shape = |(byte, expected)| match expected {
        b'h' => u8::is_ascii_hexdigit(&byte),
        separator => byte == separator,
    };
    name.bytes().zip(*b"hh:hh.h").all(shape)
}

/// An MTU in bytes of at most `most`, whose reason is given in words.
///
/// # Errors
/// One sentence.
pub fn check_mtu(mtu: i64, most: u16, reason: &str) -> Result<u16, String> {
    let good = u16::try_from(mtu).ok().filter(|mtu| (MIN_MTU..=most).contains(mtu));
    good.ok_or_else(|| format!("mtu {mtu} is out of range; write {MIN_MTU} to {most}{reason}"))
}

/// A link's mode, in iproute2's words.
///
/// # Errors
/// One sentence.
pub fn parse_mode(word: &str) -> Result<Mode, String> {
    // People who know Docker or CNI write the long word (B16).
    let word = if word == "passthrough" { "passthru" } else { word };
    let modes = [Mode::Bridge, Mode::Vepa, Mode::Private, Mode::Passthru, Mode::Source];
    let modes = modes.map(|mode| (mode.name(), mode));
    choose("mode", word, &modes)
}

/// Which tag a VLAN's frames carry, in `ip link`'s words (any case).
///
/// # Errors
/// One sentence.
pub(super) fn parse_vlan_protocol(word: &str) -> Result<VlanProtocol, String> {
    let protocols =
        [VlanProtocol::Dot1q, VlanProtocol::Dot1ad].map(|protocol| (protocol.name(), protocol));
    choose("VLAN protocol", &word.to_ascii_lowercase(), &protocols)
}

/// A group that a link hears: its first byte is odd.
///
/// # Errors
/// One sentence.
pub(super) fn parse_group(text: &str) -> Result<MacAddr, String> {
    match text.parse::<MacAddr>() {
        Ok(group) if group.is_multicast() => Ok(group),
        _ => Err(format!(
            "\"{text}\" is no multicast address; write one such as \"01:00:5e:00:00:fb\" or \"33:33:00:00:00:01\""
        )),
    }
}

/// Who listens on a link's socket.
///
/// # Errors
/// One sentence.
pub fn parse_role(word: &str) -> Result<Role, String> {
    choose("role", word, &[("server", Role::Server), ("client", Role::Client)])
}

pub(super) fn parse_idle(word: &str) -> Result<Idle, String> {
    choose("idle policy", word, &[("auto", Idle::Auto), ("spin", Idle::Spin)])
}

pub(super) fn parse_memory(word: &str) -> Result<Memory, String> {
    choose("memory", word, &[("auto", Memory::Auto), ("huge", Memory::Huge), ("4k", Memory::Small)])
}

/// A link's address: unicast and not all zero (ER-02).
///
/// # Errors
/// One sentence.
pub fn parse_address(text: &str) -> Result<MacAddr, String> {
    let example = "02:00:00:00:00:01";
    let Ok(address) = text.parse::<MacAddr>() else {
        return Err(format!(
            "\"{text}\" is not a MAC address; write \"auto\" or one such as \"{example}\""
        ));
    };
    if address.is_multicast() {
        return Err(format!(
            "address {address} is multicast; write one whose first byte is even, such as \"{example}\""
        ));
    }
    if !address.is_valid_unicast() {
        return Err(format!(
            "address {address} is all zero; write \"auto\" or one such as \"{example}\""
        ));
    }
    Ok(address)
}

/// The address of a link that asks for `"auto"`: it depends on the names
/// alone, unless that one is `taken` on the lower already.
#[must_use]
pub fn auto_address(
    switch: &str,
    lower: &str,
    link: &str,
    taken: impl Fn(MacAddr) -> bool,
) -> MacAddr {
    let mut attempt = 0;
    loop {
        let address = MacAddr::derive(&[switch, lower, link], attempt);
        if !taken(address) {
            return address;
        }
        attempt = attempt.wrapping_add(1);
    }
}

/// The address of a link that asks for `"random"`: another one each time (LC-13).
#[must_use]
pub fn random_address(taken: impl Fn(MacAddr) -> bool) -> MacAddr {
    loop {
        // The keys of a hash map are the system's random numbers.
        let address = MacAddr::local(RandomState::new().build_hasher().finish());
        if !taken(address) {
            return address;
        }
    }
}

/// A whole number in `range`, in `unit`.
pub(super) fn check_number<T>(
    what: &str,
    number: i64,
    range: RangeInclusive<T>,
) -> Result<T, String>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let good = T::try_from(number).ok().filter(|number| range.contains(number));
    good.ok_or_else(|| {
        format!("{what} {number} is out of range; write {} to {}", range.start(), range.end())
    })
}
