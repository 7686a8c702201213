//! mvctl's command line: objects and commands for clap, and what each asks for.
//!
//! [`command`] is for generators of completions and man pages, [`parse`] for
//! `main` and for batches. Must not talk to mvswitch.

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::attach::Program;
use crate::failure::{EXIT_CODES, Failure, usage};
use crate::grammar::{self, LinkFilter};
use crate::options::{Options, translate};
use crate::proto::{Explain, Name, Nothing, Request, StatsShow};

/// Shows and changes the links and lowers of a running mvswitch.
///
/// The words are those of `ip link`, and so are the options: one dash will do, they
/// may stand before or after the object, and both may be abbreviated as ip's may.
#[derive(Debug, Parser)]
#[command(name = "mvctl", version, args_override_self = true, after_long_help = EXIT_CODES,
          override_usage = "mvctl [OPTIONS] OBJECT [COMMAND] [WORDS]\n       mvctl [-force | -atomic] -batch FILE")]
struct Line {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    object: Option<Object>,
}

#[derive(Debug, Subcommand)]
enum Object {
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
struct Words {
    /// What the usage line says, in any order
    words: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
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
  socket PATH  role {server | client}   or   device VDEV   when a link is added
  addresses {MAC,MAC... | none}         further addresses
  spoof_check {on | off}                drop what comes from other addresses";

#[derive(Debug, Args)]
struct LinkShowing {
    #[command(flatten)]
    attach: Attaching,
    /// What the usage line says, in any order
    words: Vec<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Attaching {
    /// How to attach QEMU to the link
    #[arg(long)]
    qemu: bool,
    /// How to attach a libvirt domain to it
    #[arg(long)]
    libvirt: bool,
    /// How to attach Cloud Hypervisor to it
    #[arg(long)]
    cloud_hypervisor: bool,
    /// How to attach testpmd to it
    #[arg(long)]
    testpmd: bool,
}

#[derive(Debug, Subcommand)]
enum LowerCommand {
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
enum HostCommand {
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
enum FilterCommand {
    /// Let a link hear a group, or a passthru link a further address
    #[command(override_usage = "mvctl {fdb | maddress} add MAC dev LINK")]
    Add(Words),
    /// End that
    #[command(visible_alias = "delete", override_usage = "mvctl {fdb | maddress} del MAC dev LINK")]
    Del(Words),
}

#[derive(Debug, Subcommand)]
enum StatsCommand {
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
enum WorkerCommand {
    /// Show all workers
    Show,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
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

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// A change; nothing is printed when it is made.
    Change(Request),
    /// A method's result, as it is.
    Call(Request),
    Links(LinkFilter, Option<Program>),
    Lowers(Name),
    Announce(Name),
    Stats(StatsShow),
    Workers,
    ConfigShow,
    ConfigDiff {
        file: String,
    },
    ConfigApply {
        file: String,
        dry_run: bool,
    },
    ConfigSave {
        file: Option<String>,
    },
    Explain(Explain),
    Version,
    Monitor,
    Schema(Schema),
}

/// mvctl's command line as clap sees it, for generators of completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    Line::command()
}

/// What these arguments (without the program's name) ask for. No command is the
/// case of a batch.
///
/// # Errors
/// They are no command line of mvctl, or ask for help.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
) -> Result<(Options, Option<Command>), Failure> {
    through_clap(translate(arguments)?)
}

/// The same for a line of a batch. Thousands of changes need no clap: their
/// words are read by their grammar alone.
///
/// # Errors
/// They are no command line of mvctl, or ask for help.
pub(crate) fn parse_line(
    arguments: impl IntoIterator<Item = String>,
) -> Result<(Options, Option<Command>), Failure> {
    let arguments = translate(arguments)?;
    if let [object, command, dashes, words @ ..] = &*arguments
        && dashes == "--"
        && let Some(grammar) = grammar::change(object, command)
    {
        return Ok((Options::default(), Some(Command::Change(grammar(words)?))));
    }
    through_clap(arguments)
}

fn through_clap(arguments: Vec<String>) -> Result<(Options, Option<Command>), Failure> {
    let clap = |error: clap::Error| Failure::Clap(Box::new(error));
    let arguments = std::iter::once("mvctl".to_owned()).chain(arguments);
    let matches = command().try_get_matches_from(arguments).map_err(clap)?;
    let line = Line::from_arg_matches(&matches).map_err(clap)?;
    let command = match line.object {
        Some(_) if line.options.batch.is_some() => {
            return usage("-batch takes commands from its file alone: leave the other out");
        }
        None if line.options.batch.is_none() => {
            let mut command = command();
            let kind = clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            let help = command.render_help();
            return Err(clap_error(command.error(kind, help)));
        }
        object => object.map(asks_for).transpose()?,
    };
    Ok((line.options, command))
}

fn clap_error(error: clap::Error) -> Failure {
    Failure::Clap(Box::new(error))
}

/// What an object with its command and words asks for.
fn asks_for(object: Object) -> Result<Command, Failure> {
    let change = |request: Result<Request, Failure>| request.map(Command::Change);
    match object {
        Object::Link { command } => match command {
            LinkCommand::Add(Words { words }) => change(grammar::link_add(&words)),
            LinkCommand::Set(Words { words }) => change(grammar::link_set(&words)),
            LinkCommand::Del(Words { words }) => change(grammar::link_del(&words)),
            LinkCommand::Show(LinkShowing { attach, words }) => {
                Ok(Command::Links(grammar::links(&words)?, program(&attach)))
            }
        },
        Object::Lower { command } => match command {
            LowerCommand::Add(Words { words }) => change(grammar::lower_add(&words)),
            LowerCommand::Set(Words { words }) => change(grammar::lower_set(&words)),
            LowerCommand::Del(Words { words }) => change(grammar::lower_del(&words)),
            LowerCommand::Show(Words { words }) => Ok(Command::Lowers(grammar::one_name(&words)?)),
        },
        Object::Host { command } => match command {
            HostCommand::Add(Words { words }) => change(grammar::host_add(&words)),
            HostCommand::Set(Words { words }) => change(grammar::host_set(&words)),
            HostCommand::Del(Words { words }) => change(grammar::host_del(&words)),
        },
        Object::Fdb { command } | Object::Maddress { command } => match command {
            FilterCommand::Add(Words { words }) => change(grammar::filter_add(&words)),
            FilterCommand::Del(Words { words }) => change(grammar::filter_del(&words)),
        },
        Object::Announce { name } => Ok(Command::Announce(Name { name })),
        Object::Monitor => Ok(Command::Monitor),
        Object::Stats { command: StatsCommand::Show { name, since_start } } => {
            Ok(Command::Stats(StatsShow { name, since_start }))
        }
        Object::Stats { command: StatsCommand::Clear } => {
            Ok(Command::Change(Request::StatsClear(Nothing {})))
        }
        Object::Worker { command: WorkerCommand::Show } => Ok(Command::Workers),
        Object::Config { command } => Ok(match command {
            ConfigCommand::Show => Command::ConfigShow,
            ConfigCommand::Diff { file } => Command::ConfigDiff { file },
            ConfigCommand::Apply { file, dry_run } => Command::ConfigApply { file, dry_run },
            ConfigCommand::Save { file } => Command::ConfigSave { file },
        }),
        Object::Explain(Words { words }) => Ok(Command::Explain(grammar::explain(&words)?)),
        Object::Version => Ok(Command::Version),
        Object::Shutdown => Ok(Command::Change(Request::Shutdown(Nothing {}))),
        Object::Call { method, params } => call(&method, &params),
        Object::Schema { of } => Ok(Command::Schema(of)),
    }
}

fn call(method: &str, params: &str) -> Result<Command, Failure> {
    let params: Value = match serde_json::from_str(params) {
        Ok(params) => params,
        Err(error) => return usage(format!("the parameters are no JSON object: {error}")),
    };
    match Request::new(method, Some(params)) {
        Ok(request) => Ok(Command::Call(request)),
        Err(error) => usage(error.message),
    }
}

fn program(attach: &Attaching) -> Option<Program> {
    let Attaching { qemu, libvirt, cloud_hypervisor, testpmd } = *attach;
    [
        (qemu, Program::Qemu),
        (libvirt, Program::Libvirt),
        (cloud_hypervisor, Program::CloudHypervisor),
        (testpmd, Program::Testpmd),
    ]
    .into_iter()
    .find_map(|(asked, program)| asked.then_some(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Options, Option<Command>), Failure> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn clap_finds_nothing_wrong() {
        command().debug_assert();
    }

    #[test]
    fn each_object_asks_for_what_it_says() {
        let name = |name: &str| Name { name: Some(name.to_owned()) };
        for (line, wanted) in [
            (
                "link show mv0 --qemu",
                Command::Links(
                    LinkFilter { name: Some("mv0".into()), ..LinkFilter::default() },
                    Some(Program::Qemu),
                ),
            ),
            ("l", Command::Links(LinkFilter::default(), None)),
            ("lower show lan0", Command::Lowers(name("lan0"))),
            ("announce mv0", Command::Announce(name("mv0"))),
            ("stats", Command::Stats(StatsShow::default())),
            (
                "stats show mv0 --since-start",
                Command::Stats(StatsShow { name: Some("mv0".into()), since_start: true }),
            ),
            ("stats clear", Command::Change(Request::StatsClear(Nothing {}))),
            ("w", Command::Workers),
            ("config", Command::ConfigShow),
            ("config diff -", Command::ConfigDiff { file: "-".into() }),
            ("config apply x --dry-run", Command::ConfigApply { file: "x".into(), dry_run: true }),
            ("config save", Command::ConfigSave { file: None }),
            ("version", Command::Version),
            ("shutdown", Command::Change(Request::Shutdown(Nothing {}))),
            ("monitor", Command::Monitor),
            ("call version", Command::Call(Request::Version(Nothing {}))),
            ("schema", Command::Schema(Schema::Control)),
            ("schema config", Command::Schema(Schema::Config)),
        ] {
            assert_eq!(parsed(line).unwrap().1, Some(wanted), "{line}");
        }
    }

    #[test]
    fn options_may_come_twice_and_last() {
        let (options, _) = parsed("-s -j link show -s -d -j -c=never").unwrap();
        assert_eq!((options.statistics, options.details, options.json), (2, true, true));
        assert_eq!(options.color, Some(crate::options::When::Never));
        let (options, command) = parsed("-b x -force").unwrap();
        assert_eq!((options.batch.as_deref(), options.force, command), (Some("x"), true, None));
    }

    #[test]
    fn what_is_no_command_is_a_usage_error() {
        for line in [
            "",
            "-force",
            "-b x -force -atomic",
            "-b x link show",
            "host",
            "announce a b",
            "link show --qemu --testpmd mv0",
            "call link.frob",
            "call link.del {",
            "call link.del {}",
            "schema x",
            "-c=x link",
            "-json=x link",
            "stats clear now",
        ] {
            let failure = parsed(line).unwrap_err();
            assert_eq!(failure.code(), 2, "{line}: {failure}");
        }
        for line in ["-h", "-V", "link help", "help", "help link", "link add -help"] {
            assert_eq!(parsed(line).unwrap_err().code(), 0, "{line}");
        }
    }
}
