//! What can be typed: the daemon's commands and options, nothing else.
//!
//! Parsed once by `main`. Values are checked as far as a text alone allows;
//! files, sockets and cores are other modules' business. A usage error is
//! clap's to print and exits with 2.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Parser, Subcommand};
use macvlan::mac::MacAddr;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("MVSWITCH_REVISION"),
    ", DPDK ",
    env!("MVSWITCH_DPDK"),
    ")"
);

/// Shown with usage errors too, so it carries the example.
const USAGE: &str =
    "mvswitch -c FILE [OPTIONS] [-- EAL ARGS]     for example: mvswitch -c config/two-ports.toml
       mvswitch check -c FILE
       mvswitch doctor [-j] [-c FILE]
       mvswitch import IFACE
       mvswitch schema
       mvswitch demo [OPTIONS]";

const NOTES: &str = "\
A link without a mode is in bridge mode, as container tools have it; the kernel's default is vepa.
Everything after -- goes to EAL as it is.

Runtime directory: --runtime-dir, else runtime_dir of the config, else $RUNTIME_DIRECTORY,
else /run/mvswitch for root, else $XDG_RUNTIME_DIR/mvswitch, else mvswitch-UID in the
directory for temporary files.

Exit codes: 0 fine, 1 a failure at run time, 2 a usage or config error.";

const DOCTOR_NOTES: &str = "\
It changes nothing and starts nothing. Each line is ok, a note (a switch starts, with less than it
could have) or a problem (it does not start), and says what mends it.

Exit codes: 0 nothing stands in the way of a start, 1 something does, 2 a usage or config error.";

const IMPORT_NOTES: &str = "\
The config goes to standard output; what has no equivalent is a comment in it. macvtap links, links on
VLANs of the interface, and (as root) links in other network namespaces are found, too.

For example: mvswitch import eth0 >eth0.toml && mvswitch check -c eth0.toml";

/// The Linux macvlan driver rebuilt in user space on DPDK
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mvswitch",
    version = VERSION,
    override_usage = USAGE,
    after_help = NOTES,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub struct Args {
    /// What to do instead of running a switch.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The switch to run; means nothing beside a command.
    #[command(flatten)]
    pub run: RunArgs,

    /// What to log on standard error: error, warn, info, debug, trace, or a filter such as info,dpdk=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_filter, global = true)]
    pub log_level: String,
}

/// Options of the plain form: run a switch.
#[derive(Clone, Debug, clap::Args)]
// Required as a group: a command lifts that, whereas a required argument would
// still be asked for when the fields are filled. Hence the default, never used.
#[command(group(ArgGroup::new("which config").required(true).args(["config"])))]
pub struct RunArgs {
    /// The config to run, such as config/two-ports.toml
    #[arg(short, long, value_name = "FILE", default_value = ".", hide_default_value = true)]
    pub config: PathBuf,

    /// Where sockets live
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,

    /// Print a table of all ports this often
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub stats_period: Option<Duration>,

    /// Further arguments for DPDK's EAL
    #[arg(last = true, value_name = "EAL ARGS")]
    pub eal: Vec<String>,
}

/// The commands beside the plain form.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Validate a config without starting anything
    Check(CheckArgs),
    /// Look at this machine: what a switch finds here, and what mends what is missing
    #[command(after_help = DOCTOR_NOTES)]
    Doctor(DoctorArgs),
    /// Print the config that does what the kernel's macvlan links on an interface do
    #[command(after_help = IMPORT_NOTES)]
    Import(ImportArgs),
    /// Print the JSON Schema of the config, for editors
    Schema,
    /// Attach two tiny guests to a running switch and let them ping
    Demo(DemoArgs),
    /// One guest of the demo
    #[command(hide = true)]
    DemoGuest(DemoGuestArgs),
}

/// Options of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The config to validate
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Options of `doctor`.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print a JSON array of objects with check, state, found and mend
    #[arg(short, long)]
    pub json: bool,

    /// Look at what this config needs, its devices and sockets included
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where sockets are to live
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,
}

/// Options of `import`.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// The interface below the links, such as eth0
    #[arg(value_name = "IFACE")]
    pub interface: String,
}

/// Options of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Runtime directory of the running switch
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,

    /// Pings per pair
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: u32,
}

/// Options of `demo-guest`, which the demo starts and people do not.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoGuestArgs {
    /// The link's socket
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,

    /// The guest's address
    #[arg(long, value_name = "IPV4/PREFIX")]
    pub address: Ipv4Prefix,

    /// The guest's Ethernet address
    #[arg(long)]
    pub mac: MacAddr,

    /// Memory of its own, in MiB
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub memory_mb: u32,
}

/// An IPv4 address and the length of its network's prefix: `10.0.0.10/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Prefix {
    /// The host's address.
    pub address: Ipv4Addr,
    /// Bits of the prefix, 0 to 32.
    pub prefix: u8,
}

impl FromStr for Ipv4Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(address, prefix)| {
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Self { address: address.parse().ok()?, prefix })
        });
        parsed.ok_or_else(|| "write an address and a prefix such as 10.0.0.10/24".to_owned())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let period = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let period = period.filter(|period| !period.is_zero());
    period.ok_or_else(|| "write a number of seconds greater than 0, such as 1 or 0.5".to_owned())
}

/// The log's own reader takes an unknown level for a target's name, in silence.
fn log_filter(text: &str) -> Result<String, String> {
    let level = |word: &str| {
        ["error", "warn", "info", "debug", "trace", "off"]
            .iter()
            .any(|name| word.eq_ignore_ascii_case(name))
    };
    let good = |part: &str| match part.rsplit_once('=') {
        Some((target, word)) => !target.is_empty() && level(word),
        None => level(part),
    };
    if text.split(',').all(good) {
        return Ok(text.to_owned());
    }
    Err("write error, warn, info, debug or trace, or a filter such as info,dpdk=debug".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn clap_accepts_the_definitions() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_plain_form_runs_a_switch() {
        let args = parse(
            "mvswitch -c a.toml --runtime-dir /run/x --stats-period 0.5 --log-level debug -- -a 0000:8a:00.0 --x=y",
        )
        .unwrap();
        assert!(args.command.is_none());
        assert_eq!(args.log_level, "debug");
        let RunArgs { config, runtime_dir, stats_period, eal } = args.run;
        assert_eq!(config, PathBuf::from("a.toml"));
        assert_eq!(runtime_dir, Some("/run/x".into()));
        assert_eq!(stats_period, Some(Duration::from_millis(500)));
        assert_eq!(eal, ["-a", "0000:8a:00.0", "--x=y"]);
        assert_eq!(parse("mvswitch -c a.toml").unwrap().log_level, "info");
    }

    #[test]
    fn commands_need_no_config_of_the_plain_form() {
        let check = parse("mvswitch check -c a.toml").unwrap();
        assert!(matches!(check.command, Some(Command::Check(args)) if args.config == *"a.toml"));
        let demo = parse("mvswitch demo --runtime-dir d --log-level warn").unwrap();
        assert_eq!(demo.log_level, "warn");
        assert!(matches!(
            demo.command,
            Some(Command::Demo(DemoArgs { runtime_dir: Some(_), count: 5 }))
        ));
        let guest = parse(
            "mvswitch demo-guest --socket s --address 10.0.0.10/24 --mac 02:00:00:00:00:01 --memory-mb 64",
        );
        let Some(Command::DemoGuest(guest)) = guest.unwrap().command else { panic!("not a guest") };
        assert_eq!(guest.address, Ipv4Prefix { address: Ipv4Addr::new(10, 0, 0, 10), prefix: 24 });
        assert_eq!((guest.mac.to_string().as_str(), guest.memory_mb), ("02:00:00:00:00:01", 64));
    }

    #[test]
    fn start_up_helpers_take_their_options_and_no_config_but_doctor() {
        let doctor = parse("mvswitch doctor -j -c a.toml --runtime-dir d");
        let Some(Command::Doctor(doctor)) = doctor.unwrap().command else { panic!("no doctor") };
        assert_eq!((doctor.json, doctor.config), (true, Some("a.toml".into())));
        assert_eq!(doctor.runtime_dir, Some("d".into()));
        let bare = parse("mvswitch doctor").unwrap().command;
        assert!(matches!(bare, Some(Command::Doctor(args)) if !args.json && args.config.is_none()));
        let import = parse("mvswitch import eth0").unwrap().command;
        assert!(matches!(import, Some(Command::Import(args)) if args.interface == "eth0"));
        assert!(matches!(parse("mvswitch schema").unwrap().command, Some(Command::Schema)));
        for line in
            ["mvswitch import", "mvswitch import a b", "mvswitch schema x", "mvswitch doctor x"]
        {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn without_a_config_the_error_names_an_example() {
        for line in ["mvswitch", "mvswitch --stats-period 1", "mvswitch -- --no-shconf"] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{line}");
            assert_eq!(error.exit_code(), 2);
            let said = error.to_string();
            assert!(
                said.contains("--config <FILE>") && said.contains("config/two-ports.toml"),
                "{said}"
            );
        }
        assert_eq!(parse("mvswitch check").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn bad_values_are_usage_errors_that_say_what_to_write() {
        for (line, needle) in [
            ("mvswitch -c a --stats-period 0", "greater than 0"),
            ("mvswitch -c a --stats-period=-1", "greater than 0"),
            ("mvswitch -c a --stats-period nan", "greater than 0"),
            ("mvswitch -c a --stats-period 1e300", "greater than 0"),
            ("mvswitch -c a --log-level loud", "error, warn, info"),
            ("mvswitch -c a --log-level info,dpdk=", "error, warn, info"),
            ("mvswitch demo --count 0", "1..=10000"),
            ("mvswitch -c a check -c b", "check"),
            ("mvswitch -c a stray", "stray"),
            (
                "mvswitch demo-guest --socket s --address 10.0.0.1 --mac 02:0:0:0:0:1 --memory-mb 1",
                "10.0.0.10/24",
            ),
            (
                "mvswitch demo-guest --socket s --address 10.0.0.1/33 --mac 02:0:0:0:0:1 --memory-mb 1",
                "10.0.0.10/24",
            ),
            (
                "mvswitch demo-guest --socket s --address 10.0.0.1/8 --mac x --memory-mb 1",
                "not a MAC address",
            ),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(needle), "{line}: {error}");
        }
    }

    #[test]
    fn help_says_what_differs_from_the_kernel_and_hides_the_guest() {
        let help = parse("mvswitch --help").unwrap_err();
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
        let help = help.to_string();
        assert!(
            help.contains("bridge mode") && help.contains("the kernel's default is vepa"),
            "{help}"
        );
        assert!(!help.contains("demo-guest"), "{help}");
        for usage in ["doctor [-j] [-c FILE]", "import IFACE", "schema", "check -c FILE"] {
            assert!(help.contains(&format!("       mvswitch {usage}\n")), "{usage}: {help}");
        }
        let version = parse("mvswitch --version").unwrap_err();
        assert_eq!(version.exit_code(), 0);
        let version = version.to_string();
        assert!(
            version.contains(env!("MVSWITCH_REVISION")) && version.contains(env!("MVSWITCH_DPDK")),
            "{version}"
        );
    }
}
