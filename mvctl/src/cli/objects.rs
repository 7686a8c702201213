//! mvctl's command line as clap sees it: options, objects, commands, and their help.
//!
//! Only [`super`] reads it. Must know no grammar: what stands behind a command
//! is words here.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::failure::EXIT_CODES;
use crate::options::Options;

/// Shows and changes the links and lowers of a running mvswitch.
///
/// The words are those of `ip link`, and so are the options: one dash will do, they
/// may stand before or after the object, and both may be abbreviated as ip's may.
#[derive(Debug, Parser)]
#[command(name = "mvctl", version, arg_required_else_help = true, args_override_self = true, after_long_help = EXIT_CODES,
          override_usage = "mvctl [OPTIONS] OBJECT [COMMAND] [WORDS]\n       mvctl [-force | -atomic] -batch FILE")]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) options: Options,
    #[command(subcommand)]
    pub(super) object: Option<Object>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Object {
    /// Links: what guests see as their network interface
    Link {
        #[command(subcommand)]
        command: LinkCommand,
    },
    /// Lowers: the devices below links, and VLANs of them
    Lower {
        #[command(subcommand)]
        command: LowerCommand,
    },
    /// Hosts: where lowers hand over what their host would hear
    Host {
        #[command(subcommand)]
        command: HostCommand,
    },
    /// Groups a link hears, and further addresses of a passthru link
    Fdb {
        #[command(subcommand)]
        command: FilterCommand,
    },
    /// The same as fdb, in the words of `ip maddress`
    Maddress {
        #[command(subcommand)]
        command: FilterCommand,
    },
    /// Announce the addresses of a link, of a lower's links, or of all
    Announce {
        /// A link or a lower; all links if left out
        name: Option<String>,
    },
    /// Print changes as they happen, until interrupted
    Monitor,
    /// Counters of ports, as the switch sees them
    Stats {
        #[command(subcommand)]
        command: StatsCommand,
    },
    /// Workers, and what they do with their time
    Worker {
        #[command(subcommand)]
        command: WorkerCommand,
    },
    /// The running state as a config file, and a config file as the running state
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Say what would happen to a frame, and by which rules
    #[command(
        override_usage = "mvctl explain from {LINK | LOWER | host@LOWER} dst MAC [src MAC]\n              \
                      [type {ipv4 | ipv6 | arp | NUMBER}] [vlan ID]"
    )]
    Explain(Words),
    /// Which mvswitch and which mvctl this is
    Version,
    /// End the switch
    Shutdown,
    /// Call a method of the control socket, such as link.set '{"name": "mv0", "up": false}'
    Call {
        /// The method
        method: String,
        /// Its parameters: a JSON object
        #[arg(default_value = "{}")]
        params: String,
    },
    /// Print a JSON Schema: of the control socket's methods, or of the config file
    Schema {
        /// Which
        #[arg(default_value = "control")]
        of: Schema,
    },
}

/// The words that a command's grammar reads.
#[derive(Debug, Args)]
pub(super) struct Words {
    /// What the usage line says, in any order
    pub(super) words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum LinkCommand {
    /// Add a link to a lower; its mode is bridge unless another is named
    #[command(after_help = MACVLAN, override_usage = "mvctl link add link LOWER [name] NAME [address {MAC | auto | random}] [mtu BYTES]\n               \
        [up | down] [promisc {on | off}] [allmulticast {on | off}]\n               \
        [type {macvlan | macvtap}] [MACVLAN-WORDS]")]
    Add(Words),
    /// Change a link: only what is named
    #[command(after_help = MACVLAN, override_usage = "mvctl link set [dev] NAME [up | down] [address MAC] [mtu BYTES]\n               \
        [promisc {on | off}] [allmulticast {on | off}]\n               \
        [type {macvlan | macvtap}] [MACVLAN-WORDS]")]
    Set(Words),
    /// Delete a link
    #[command(visible_alias = "delete", override_usage = "mvctl link del [dev] NAME")]
    Del(Words),
    /// Show links
    #[command(
        visible_alias = "list",
        override_usage = "mvctl [-s] [-d] [-br] [-o] [-j [-p]] link show [[dev] NAME] [up | down]\n               \
        [link LOWER] [type TYPE] [group GROUP]\n       \
        mvctl link show [dev] NAME {--qemu | --libvirt | --cloud-hypervisor | --testpmd}"
    )]
    Show(LinkShowing),
}

const MACVLAN: &str = "\
MACVLAN-WORDS, after type macvlan or without it:
  mode {bridge | vepa | private | passthru | source}   bridge by default
  [flag {null | nopromisc | nodst}] [nopromisc] [nodst]
                      nopromisc with mode passthru only; nodst for source mode
  macaddr {add MAC | del MAC | set [MAC ...] | flush}  senders of source mode
  bcqueuelen FRAMES   broadcast queue, 0 to 4294967295
  bclim MEMBERS       a group of more goes through that queue; below 0 none does
and mvswitch's own:
  socket PATH  role {server | client}   or   device VDEV   when a link is added;
                      a relative PATH begins in mvswitch's runtime directory
  addresses {MAC,MAC... | none}         further addresses
  spoof_check {on | off}                drop what comes from other addresses";

#[derive(Debug, Args)]
pub(super) struct LinkShowing {
    #[command(flatten)]
    pub(super) attach: Attaching,
    /// What the usage line says, in any order
    pub(super) words: Vec<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Attaching {
    /// How to attach QEMU to the link
    #[arg(long)]
    pub(super) qemu: bool,
    /// How to attach a libvirt domain to it
    #[arg(long)]
    pub(super) libvirt: bool,
    /// How to attach Cloud Hypervisor to it
    #[arg(long)]
    pub(super) cloud_hypervisor: bool,
    /// How to attach testpmd to it
    #[arg(long)]
    pub(super) testpmd: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum LowerCommand {
    /// Add a lower: a device, or a VLAN of another lower
    #[command(
        override_usage = "mvctl lower add [name] NAME {device DEVICE | lower LOWER vlan ID [vlan_protocol {802.1q | 802.1ad}]}\n                \
        [address MAC] [mtu BYTES] [up | down] [private_strict {on | off}] [drop_link_local {on | off}]"
    )]
    Add(Words),
    /// Change a lower: only what is named
    #[command(
        override_usage = "mvctl lower set [dev] NAME [up | down] [address MAC] [mtu BYTES]\n                \
        [private_strict {on | off}] [drop_link_local {on | off}]"
    )]
    Set(Words),
    /// Delete a lower, its links and the VLANs on it
    #[command(visible_alias = "delete", override_usage = "mvctl lower del [dev] NAME")]
    Del(Words),
    /// Show lowers
    #[command(
        visible_alias = "list",
        override_usage = "mvctl [-s] [-br] [-o] [-j [-p]] lower show [[dev] NAME]"
    )]
    Show(Words),
}

#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    /// Give a lower a host
    #[command(override_usage = "mvctl host add link LOWER device DEVICE [reachable {on | off}]")]
    Add(Words),
    /// Change whether the host and the links reach each other
    #[command(override_usage = "mvctl host set link LOWER reachable {on | off}")]
    Set(Words),
    /// Take a lower's host away
    #[command(visible_alias = "delete", override_usage = "mvctl host del link LOWER")]
    Del(Words),
}

#[derive(Debug, Subcommand)]
pub(super) enum FilterCommand {
    /// Let a link hear a group, or a passthru link a further address
    #[command(override_usage = "mvctl {fdb | maddress} add MAC dev LINK")]
    Add(Words),
    /// End that
    #[command(visible_alias = "delete", override_usage = "mvctl {fdb | maddress} del MAC dev LINK")]
    Del(Words),
}

#[derive(Debug, Subcommand)]
pub(super) enum StatsCommand {
    /// Show counters since the last `stats clear`
    Show {
        /// A link, a lower or host@LOWER; all if left out
        name: Option<String>,
        /// Count from the start of the switch
        #[arg(long)]
        since_start: bool,
    },
    /// Count from now on; other readers' counters stay as they are
    Clear,
}

#[derive(Debug, Subcommand)]
pub(super) enum WorkerCommand {
    /// Show all workers: what they poll, and how busy they are with it
    Show,
    /// Spread receive queues and links over the workers by their load of the last seconds
    Rebalance,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the running state as a config file
    Show,
    /// Say what `config apply` would change
    Diff {
        /// A config file, or - for standard input
        file: String,
    },
    /// Make the running state that of a config file: all of it, or nothing
    Apply {
        /// A config file, or - for standard input
        file: String,
        /// Check everything and say what would change, but change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write the running state into a file
    Save {
        /// The file, written with your rights; without it mvswitch writes the one it was started with
        file: Option<String>,
    },
}

/// What there is a JSON Schema of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schema {
    /// The control socket's methods
    Control,
    /// The config file
    Config,
}
