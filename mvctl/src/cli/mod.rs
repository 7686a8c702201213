//! mvctl's command line: objects and commands for clap, and what each asks for.
//!
//! [`command`] is for generators of completions and man pages, `parse` for
//! `main` and for batches. Must not talk to mvswitch.

mod objects;

use clap::{CommandFactory, FromArgMatches};
use serde_json::Value;

use crate::attach::Program;
use crate::failure::{Failure, usage};
use crate::grammar::{self, LinkFilter};
use crate::options::{Options, translate};
use crate::proto::{Explain, Name, Nothing, Request, StatsShow};
pub(crate) use objects::Schema;
use objects::{
    Attaching, ConfigCommand, FilterCommand, HostCommand, Line, LinkCommand, LinkShowing,
    LowerCommand, Object, StatsCommand, Words, WorkerCommand,
};

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
    /// Workers get other sources; which is printed.
    Rebalance,
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
            return usage("an object is missing, such as link: try mvctl --help");
        }
        object => object.map(asks_for).transpose()?,
    };
    Ok((line.options, command))
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
        Object::Worker { command } => Ok(match command {
            WorkerCommand::Show => Command::Workers,
            WorkerCommand::Rebalance => Command::Rebalance,
        }),
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
            ("worker rebalance", Command::Rebalance),
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

    #[test]
    fn no_words_are_too_odd() {
        let words = "link set add del show lower host fdb config explain type macvlan mode source flag \
                     null macaddr flush dev name mv0 up mtu 0x -1 1500 2:0:0:0:0:1 zz bclim vlan device \
                     -s -j -c= --qemu --x -- - help from dst promisc on é \u{0}";
        let words: Vec<&str> = words.split_whitespace().collect();
        // Numbers that follow no pattern, the same in every run.
        let mut state = 1_u64;
        let mut below = |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % limit
        };
        for _ in 0..2000 {
            let line: Vec<String> =
                (0..below(9)).map(|_| words[below(words.len())].to_owned()).collect();
            if let Err(failure) = parse_line(line.clone()) {
                assert!(matches!(failure.code(), 0 | 2), "{line:?}: {failure}");
            }
        }
    }
}
