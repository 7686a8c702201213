//! What the kernel says about interfaces, over routing netlink.
//!
//! Used by `import` and `doctor`. Reads; never changes an interface. Links in other
//! network namespaces are found by looking into every namespace that has a
//! process or a name: a link's own namespace is the only one that lists it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode;
use nix::sched::{CloneFlags, setns};
use rtnetlink::Handle;
use rtnetlink::packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, InfoMacVtap, InfoVlan, LinkAttribute, LinkFlags, LinkInfo,
    LinkLayerType, LinkMessage, MacVlanFlags, MacVlanMode, VlanProtocol,
};
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};

const OWN_NAMESPACE: &str = "/proc/self/ns/net";

/// An interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) address: Option<MacAddr>,
    pub(super) mtu: u32,
    pub(super) up: bool,
    pub(super) promisc: bool,
    /// It is an Ethernet device.
    pub(super) ethernet: bool,
    /// The bridge, bond or the like it is a port of, by index.
    pub(super) master: Option<u32>,
    pub(super) lower: Lower,
    pub(super) kind: Kind,
}

/// The interface below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lower {
    /// It has none.
    None,
    /// By index, in the same namespace.
    Here(u32),
    /// By index, in the namespace that this one knows by that number.
    Elsewhere(u32, i32),
}

/// What kind of interface it is, as far as that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Macvlan(Macvlan),
    Vlan { id: u16, service_tag: bool },
    Other,
}

/// A macvlan or macvtap link's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Macvlan {
    /// It is a macvtap.
    pub(super) tap: bool,
    /// `None` for a mode this program does not know.
    pub(super) mode: Option<Mode>,
    pub(super) nopromisc: bool,
    pub(super) nodst: bool,
    pub(super) sources: Vec<MacAddr>,
    pub(super) bcqueuelen: Option<u32>,
    pub(super) bclim: Option<i32>,
}

/// Links of other namespaces whose lower is in this one.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// The namespace's name and the link, whose [`Interface::lower`] is an index here.
    pub(super) links: Vec<(String, Interface)>,
    /// How many namespaces could not be looked into.
    pub(super) closed: usize,
}

/// All interfaces of this namespace.
///
/// # Errors
/// One sentence: the kernel does not answer.
pub(super) fn interfaces() -> Result<Vec<Interface>, String> {
    ask(async |handle| interfaces_by(&handle).await)
}

/// All macvlan links of other namespaces whose lower is in this one.
///
/// # Errors
/// One sentence: this namespace itself cannot be named.
pub(super) fn elsewhere() -> Result<Elsewhere, String> {
    let own = File::open(OWN_NAMESPACE).map_err(|error| format!("{OWN_NAMESPACE}: {error}"))?;
    let own_inode = own.metadata().map_err(|error| error.to_string())?.ino();
    let mut found = Elsewhere::default();
    let others = namespaces().into_iter().filter(|(inode, _)| *inode != own_inode);
    for (_, (name, path)) in others {
        let looked = std::thread::scope(|scope| {
            // A namespace is its thread's: this one keeps the caller's.
            scope.spawn(|| links_in(&path, &own)).join().unwrap_or_else(|_| Err(String::new()))
        });
        match looked {
            Ok(links) => found.links.extend(links.into_iter().map(|link| (name.clone(), link))),
            Err(_) => found.closed += 1,
        }
    }
    Ok(found)
}

/// Every namespace that has a name or a process, by inode.
fn namespaces() -> BTreeMap<u64, (String, PathBuf)> {
    let mut all = BTreeMap::new();
    for directory in ["/run/netns", "/run/docker/netns"] {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            note(&mut all, entry.file_name().to_string_lossy().into_owned(), entry.path());
        }
    }
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        if id.bytes().all(|byte| byte.is_ascii_digit()) {
            note(&mut all, format!("pid-{id}"), entry.path().join("ns/net"));
        }
    }
    all
}

fn note(all: &mut BTreeMap<u64, (String, PathBuf)>, name: String, path: PathBuf) {
    // A process may have ended, or be somebody else's.
    if let Ok(found) = std::fs::metadata(&path) {
        all.entry(found.ino()).or_insert((name, path));
    }
}

/// The macvlan links in the namespace at `path` whose lower is in `home`.
fn links_in(path: &Path, home: &File) -> Result<Vec<Interface>, String> {
    let failed = |error: std::io::Error| error.to_string();
    setns(File::open(path).map_err(failed)?, CloneFlags::CLONE_NEWNET)
        .map_err(|error| error.to_string())?;
    ask(async |handle| {
        let mut links = interfaces_by(&handle).await?;
        links.retain(|link| {
            matches!((&link.kind, link.lower), (Kind::Macvlan(_), Lower::Elsewhere(..)))
        });
        if links.is_empty() {
            return Ok(links);
        }
        // The kernel gives out numbers for namespaces per namespace.
        let number = number_of(&handle, home).await?;
        links.retain_mut(|link| match link.lower {
            Lower::Elsewhere(index, namespace) if Some(namespace) == number => {
                link.lower = Lower::Here(index);
                true
            }
            _ => false,
        });
        Ok(links)
    })
}

/// Runs `question` with a connection to the kernel, in this thread's namespace.
fn ask<T>(question: impl AsyncFnOnce(Handle) -> Result<T, String>) -> Result<T, String> {
    let failed = |error: std::io::Error| format!("the kernel cannot be asked: {error}");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(failed)?;
        tokio::spawn(connection);
        question(handle).await
    })
}

async fn interfaces_by(handle: &Handle) -> Result<Vec<Interface>, String> {
    let messages: Vec<LinkMessage> =
        handle.link().get().execute().try_collect().await.map_err(no_answer)?;
    Ok(messages.iter().map(interface).collect())
}

/// By which number this connection's namespace knows the one `namespace` is open on.
async fn number_of(handle: &Handle, namespace: &File) -> Result<Option<i32>, String> {
    let descriptor = u32::try_from(namespace.as_raw_fd()).map_err(|error| error.to_string())?;
    let mut question = NsidMessage::default();
    question.attributes.push(NsidAttribute::Fd(descriptor));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(question));
    request.header.flags = NLM_F_REQUEST;
    let mut answers = handle.clone().request(request).map_err(no_answer)?;
    let mut number = None;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(answer)) = answer.payload {
            number = answer.attributes.iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(number) => Some(*number),
                _ => None,
            });
        }
    }
    Ok(number)
}

fn no_answer(error: rtnetlink::Error) -> String {
    format!("the kernel does not list its interfaces: {error}")
}

fn interface(message: &LinkMessage) -> Interface {
    let flags = message.header.flags;
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        address: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        promisc: flags.contains(LinkFlags::Promisc),
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        master: None,
        lower: Lower::None,
        kind: Kind::Other,
    };
    let (mut below, mut namespace) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Address(bytes) => {
                interface.address = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr::new);
            }
            LinkAttribute::Controller(index) => interface.master = Some(*index),
            LinkAttribute::Link(index) => below = Some(*index),
            LinkAttribute::LinkNetNsId(number) => namespace = Some(*number),
            LinkAttribute::LinkInfo(infos) => interface.kind = kind(infos),
            _ => {}
        }
    }
    interface.lower = match (below, namespace) {
        (None, _) => Lower::None,
        (Some(index), None) => Lower::Here(index),
        (Some(index), Some(number)) => Lower::Elsewhere(index, number),
    };
    interface
}

fn kind(infos: &[LinkInfo]) -> Kind {
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(data) => Some(data),
        _ => None,
    });
    let named = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    match (named, data) {
        (Some(InfoKind::MacVlan), Some(InfoData::MacVlan(all))) => {
            Kind::Macvlan(macvlan(false, all))
        }
        (Some(InfoKind::MacVtap), Some(InfoData::MacVtap(all))) => {
            let all: Vec<InfoMacVlan> = all.iter().filter_map(as_macvlan).collect();
            Kind::Macvlan(macvlan(true, &all))
        }
        (Some(InfoKind::Vlan), Some(InfoData::Vlan(all))) => vlan(all),
        _ => Kind::Other,
    }
}

fn vlan(attributes: &[InfoVlan]) -> Kind {
    let mut number = 0;
    let mut service = false;
    for attribute in attributes {
        match attribute {
            InfoVlan::Id(id) => number = *id,
            InfoVlan::Protocol(protocol) => service = *protocol == VlanProtocol::Ieee8021Ad,
            _ => {}
        }
    }
    Kind::Vlan { id: number, service_tag: service }
}

fn macvlan(tap: bool, attributes: &[InfoMacVlan]) -> Macvlan {
    let mut link = Macvlan {
        tap,
        mode: None,
        nopromisc: false,
        nodst: false,
        sources: Vec::new(),
        bcqueuelen: None,
        bclim: None,
    };
    for attribute in attributes {
        match attribute {
            InfoMacVlan::Mode(word) => link.mode = mode(*word),
            InfoMacVlan::Flags(flags) => {
                link.nopromisc = flags.contains(MacVlanFlags::NoPromisc);
                link.nodst = flags.contains(MacVlanFlags::NoDst);
            }
            InfoMacVlan::MacAddrData(list) => {
                link.sources = list.iter().filter_map(source).collect();
            }
            InfoMacVlan::BcQueueLen(frames) => link.bcqueuelen = Some(*frames),
            InfoMacVlan::BcCutoff(members) => link.bclim = Some(*members),
            _ => {}
        }
    }
    link
}

fn source(entry: &InfoMacVlan) -> Option<MacAddr> {
    match entry {
        InfoMacVlan::MacAddr(bytes) => Some(MacAddr::new(*bytes)),
        _ => None,
    }
}

fn mode(mode: MacVlanMode) -> Option<Mode> {
    match mode {
        MacVlanMode::Private => Some(Mode::Private),
        MacVlanMode::Vepa => Some(Mode::Vepa),
        MacVlanMode::Bridge => Some(Mode::Bridge),
        MacVlanMode::Passthrough => Some(Mode::Passthru),
        MacVlanMode::Source => Some(Mode::Source),
        _ => None,
    }
}

/// The kernel has one set of attributes for both kinds, the library two types.
fn as_macvlan(attribute: &InfoMacVtap) -> Option<InfoMacVlan> {
    Some(match attribute {
        InfoMacVtap::Mode(mode) => InfoMacVlan::Mode(*mode),
        InfoMacVtap::Flags(flags) => InfoMacVlan::Flags(*flags),
        InfoMacVtap::MacAddr(bytes) => InfoMacVlan::MacAddr(*bytes),
        InfoMacVtap::MacAddrData(list) => {
            InfoMacVlan::MacAddrData(list.iter().filter_map(as_macvlan).collect())
        }
        InfoMacVtap::BcQueueLen(frames) => InfoMacVlan::BcQueueLen(*frames),
        InfoMacVtap::BcCutoff(members) => InfoMacVlan::BcCutoff(*members),
        _ => return None,
    })
}
