//! Has the kernel catch up with carrier changes.
//!
//! The kernel handles them later, at times a whole second later. Whoever asks
//! ethtool for the state of a link has what is due handled first; that is the
//! whole purpose of this file.

use super::netlink::{Body, NETLINK_GENERIC, Netlink, attributes};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const ETHTOOL_MSG_LINKSTATE_GET: u8 = 6;
const ETHTOOL_A_LINKSTATE_HEADER: u16 = 1;

/// A socket to the kernel's ethtool family.
#[derive(Debug)]
pub(crate) struct Linkwatch {
    netlink: Netlink,
    family: u16,
}

impl Linkwatch {
    pub(crate) fn open() -> Self {
        let mut netlink = Netlink::open(NETLINK_GENERIC);
        let mut family = None;
        let mut body = Body::new(&[CTRL_CMD_GETFAMILY, 1, 0, 0]);
        body.text(CTRL_ATTR_FAMILY_NAME, "ethtool");
        let asked = netlink.ask(GENL_ID_CTRL, &body, |message| {
            let id = attributes(&message[4..]).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
            family = id.map(|(_, value)| u16::from_ne_bytes(value[..2].try_into().unwrap()));
        });
        assert_eq!(asked, Ok(()), "the kernel has no ethtool over netlink");
        Self { netlink, family: family.expect("the number of the ethtool family") }
    }

    /// Asks for the state of all links of the namespace.
    pub(crate) fn catch_up(&mut self) {
        let mut body = Body::new(&[ETHTOOL_MSG_LINKSTATE_GET, 1, 0, 0]);
        body.nest(ETHTOOL_A_LINKSTATE_HEADER, &Body::default());
        self.netlink.dump(self.family, &body, |_| ());
    }
}
