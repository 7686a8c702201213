//! The closed list of reasons a frame can be dropped for.
//!
//! One list serves counters, JSON, Prometheus and docs; whoever drops a frame
//! names exactly one of these. Never reused for anything that is not a drop.

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $help:literal;)*) => {
        /// Why a frame was dropped. The discriminant is the index of its counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $(#[doc = $help] $variant,)* }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The reason's label, as in `mvswitch_port_drop_total{reason}`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

reasons! {
    Runt = "runt", "Shorter than an Ethernet header (14 bytes).";
    TooLong = "too_long", "Longer than the port's MTU allows.";
    MultiSegment = "multi_segment", "Spread over several buffers.";
    LinkDown = "link_down", "Sent by the guest of a link that is administratively down, or meant for a passthru link that is.";
    LowerDown = "lower_down", "The lower is down or has no carrier.";
    Spoofed = "spoofed", "From a link with spoof_check, and not from an address of its own.";
    PrivateStrict = "private_strict", "Unicast between two links, reflected by an external switch, of which one is private, on a lower with private_strict.";
    LinkLocal = "link_local", "To a link-local group (01:80:c2:00:00:0x), on a lower with drop_link_local.";
    SourceNodst = "source_nodst", "Consumed by the source list of a nodst link that is down.";
    UnknownUnicast = "unknown_unicast", "From the wire to a MAC address that no link here has, and there is no host port.";
    NoMember = "no_member", "A group frame that nobody here may receive, and there is no host port.";
    BcQueueFull = "bc_queue_full", "A group frame from the wire that found the broadcast queue (bcqueuelen) full.";
    PeerAbsent = "peer_absent", "No guest is connected to the port, or its queue is disabled.";
    NoBuffer = "no_buffer", "No buffer was free for the copy that gets a VLAN tag.";
    RingFull = "ring_full", "The peer's ring or the device's transmit queue was full.";
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The reason's counter index, 0 to [`DropReason::COUNT`] - 1.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
