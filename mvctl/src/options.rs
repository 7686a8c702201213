//! ip's options, before or after the object, made into clap's.
//!
//! [`translate`] takes a command line's arguments and gives clap the same with
//! long options in front, objects and commands written out, and `--` before the
//! words that belong to a command's grammar. Only [`crate::cli`] calls it. Must
//! not look at those words.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use crate::failure::{Failure, usage};
use crate::words::begins;

/// When text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// Always.
    Always,
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Never.
    Never,
}

/// What may stand before or after any object.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Print counters, too
    #[arg(short, long, action = ArgAction::Count, display_order = 1)]
    pub statistics: u8,
    /// Print details, too: type, mode, limits
    #[arg(short, long, display_order = 2)]
    pub details: bool,
    /// Print JSON, with the keys of `ip -j link show`
    #[arg(short, long, display_order = 3)]
    pub json: bool,
    /// Print JSON over several lines
    #[arg(short, long, display_order = 4)]
    pub pretty: bool,
    /// Print one short line for each [-br]
    #[arg(long, display_order = 5)]
    pub brief: bool,
    /// Print each on one line, a backslash where a new one would begin
    #[arg(short, long, display_order = 6)]
    pub oneline: bool,
    /// Colour the text; on a terminal by default
    #[arg(short, long, value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_missing_value = "always", display_order = 7)]
    pub color: Option<When>,
    /// Say when an event happened: monitor
    #[arg(short, long, display_order = 8)]
    pub timestamp: bool,
    /// The same, shorter [-ts]
    #[arg(long, display_order = 9)]
    pub tshort: bool,
    /// Carry out the commands of a file, or of standard input (-)
    #[arg(short, long, value_name = "FILE", display_order = 10)]
    pub batch: Option<String>,
    /// With --batch: go on after a command that failed
    #[arg(long, requires = "batch", display_order = 11)]
    pub force: bool,
    /// With --batch: all of its commands, or none
    #[arg(long, requires = "batch", conflicts_with = "force", display_order = 12)]
    pub atomic: bool,
    /// mvswitch's control socket; if left out, what MVSWITCH_SOCKET says, or else
    /// control.sock in the default runtime directory
    #[arg(long, value_name = "PATH", display_order = 13)]
    pub socket: Option<PathBuf>,
}

/// ip's options in ip's order, which decides what an abbreviation means: clap's
/// name for each, and whether a value follows.
const IP: &[(&str, &str, bool)] = &[
    ("family", "", false),
    ("stats", "statistics", false),
    ("statistics", "statistics", false),
    ("details", "details", false),
    ("oneline", "oneline", false),
    ("timestamp", "timestamp", false),
    ("tshort", "tshort", false),
    ("Version", "version", false),
    ("force", "force", false),
    ("batch", "batch", true),
    ("brief", "brief", false),
    ("json", "json", false),
    ("pretty", "pretty", false),
    ("color", "color", false),
    ("help", "help", false),
];

/// Options that ip does not have: never abbreviated.
const OWN: &[(&str, &str, bool)] =
    &[("socket", "socket", true), ("atomic", "atomic", false), ("version", "version", false)];

/// Options of single commands; they stay behind the command.
const COMMANDS: &[&str] =
    &["qemu", "libvirt", "cloud-hypervisor", "testpmd", "since-start", "dry-run"];

/// An object, its commands by the words that ip takes for them, and which is
/// meant if none is named. In order: the first that begins with a word is meant.
struct Object(&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

const SET: &[(&str, &str)] = &[
    ("add", "add"),
    ("set", "set"),
    ("change", "set"),
    ("delete", "del"),
    ("show", "show"),
    ("lst", "show"),
    ("list", "show"),
    ("help", "help"),
];
const HOST: &[(&str, &str)] =
    &[("add", "add"), ("set", "set"), ("change", "set"), ("delete", "del"), ("help", "help")];
const FDB: &[(&str, &str)] =
    &[("add", "add"), ("append", "add"), ("delete", "del"), ("help", "help")];
const WORKER: &[(&str, &str)] = &[
    ("show", "show"),
    ("lst", "show"),
    ("list", "show"),
    ("rebalance", "rebalance"),
    ("help", "help"),
];

const OBJECTS: &[Object] = &[
    Object("link", SET, Some("show")),
    Object("lower", SET, Some("show")),
    Object("host", HOST, None),
    Object("maddress", FDB, None),
    Object("monitor", &[], None),
    Object("fdb", FDB, None),
    Object("announce", &[], None),
    Object("stats", &[("show", "show"), ("clear", "clear"), ("help", "help")], Some("show")),
    Object("worker", WORKER, Some("show")),
    Object(
        "config",
        &[
            ("show", "show"),
            ("diff", "diff"),
            ("apply", "apply"),
            ("save", "save"),
            ("help", "help"),
        ],
        Some("show"),
    ),
    Object("explain", &[], None),
    Object("version", &[], None),
    Object("call", &[], None),
    Object("schema", &[], None),
];

/// Ends the switch, so that no abbreviation may mean it.
const SHUTDOWN: &str = "shutdown";

/// The same command line for clap.
///
/// # Errors
/// An option, an object or a command is not known.
pub(crate) fn translate(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Vec<String>, Failure> {
    let (mut options, mut own, mut words) = (Vec::new(), Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            words.extend(arguments.by_ref());
        } else if let Some(name) = name_of(&argument) {
            if let Some(known) =
                COMMANDS.iter().find(|known| argument.strip_prefix("--") == Some(known))
            {
                own.push(format!("--{known}"));
                continue;
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            match (option(&argument, name)?, value) {
                (("help", _), None) => own.push("--help".to_owned()),
                ((long, true), None) => match arguments.next() {
                    Some(value) => options.push(format!("--{long}={value}")),
                    None => return usage(format!("the command ends after \"{argument}\"")),
                },
                ((long, _), None) => options.push(format!("--{long}")),
                ((long, _), Some(value)) => options.push(format!("--{long}={value}")),
            }
        } else {
            words.push(argument);
        }
    }
    let mut words = words.into_iter();
    let mut first = words.next();
    if first.as_deref() == Some("help") {
        own.push("--help".to_owned());
        first = words.next();
    }
    if let Some(word) = first {
        let Named { object, command } = named(&word, &mut words)?;
        options.push(object.to_owned());
        match command {
            Said::Command(command) => options.push(command.to_owned()),
            Said::Help => own.push("--help".to_owned()),
            // Help without a command is about all of them.
            Said::Nothing(Some(default)) if !own.iter().any(|option| option == "--help") => {
                options.push(default.to_owned());
            }
            Said::Nothing(_) => {}
        }
    }
    // As with ip: instead of other words, or after a type.
    if let ["help"] | ["type", _, "help"] =
        &*words.as_slice().iter().map(String::as_str).collect::<Vec<_>>()
    {
        own.push("--help".to_owned());
        words = Vec::new().into_iter();
    }
    options.append(&mut own);
    if words.len() > 0 {
        options.push("--".to_owned());
        options.extend(words);
    }
    Ok(options)
}

/// The option's name, if it is one: neither a number, nor a lone dash.
fn name_of(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    name.starts_with(|first: char| !first.is_ascii_digit()).then_some(name)
}

fn option(argument: &str, name: &str) -> Result<(&'static str, bool), Failure> {
    let own = OWN.iter().find(|known| known.0 == name);
    let ip = || IP.iter().find(|known| begins(known.0, name));
    match own.or_else(ip) {
        Some(&(_, long, valued)) if !long.is_empty() => Ok((long, valued)),
        _ => usage(format!("there is no option \"{argument}\": try mvctl --help")),
    }
}

/// Object and command, written out.
struct Named {
    object: &'static str,
    command: Said,
}

/// What stands behind an object.
enum Said {
    Command(&'static str),
    Help,
    /// No command; the one that is meant.
    Nothing(Option<&'static str>),
}

fn named(word: &str, words: &mut std::vec::IntoIter<String>) -> Result<Named, Failure> {
    if word == SHUTDOWN {
        return Ok(Named { object: SHUTDOWN, command: Said::Nothing(None) });
    }
    let Some(&Object(object, commands, default)) =
        OBJECTS.iter().find(|object| begins(object.0, word))
    else {
        if word.starts_with('-') {
            return usage(format!("there is no option \"{word}\": try mvctl --help"));
        }
        let known: Vec<&str> = OBJECTS.iter().map(|object| object.0).collect();
        let known = known.join(", ");
        return usage(format!("there is no object \"{word}\": there are {known} and {SHUTDOWN}"));
    };
    if commands.is_empty() {
        return Ok(Named { object, command: Said::Nothing(None) });
    }
    let Some(word) = words.next() else {
        return Ok(Named { object, command: Said::Nothing(default) });
    };
    match commands.iter().find(|command| begins(command.0, &word)) {
        Some((_, "help")) => Ok(Named { object, command: Said::Help }),
        Some((_, command)) => Ok(Named { object, command: Said::Command(command) }),
        None => {
            let known: Vec<&str> = commands.iter().map(|command| command.0).collect();
            let known = known.join(", ");
            usage(format!("{object} has no command \"{word}\": there are {known}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        match translate(line.split_whitespace().map(str::to_owned)) {
            Ok(arguments) => arguments.join(" "),
            Err(failure) => format!("! {failure}"),
        }
    }

    #[test]
    fn options_stand_anywhere_and_values_are_none() {
        for (line, wanted) in [
            ("l sh", "link show"),
            ("l", "link show"),
            ("li set mv0 up", "link set -- mv0 up"),
            ("l s mv0 up", "link set -- mv0 up"),
            ("l a link lan0 mv0", "link add -- link lan0 mv0"),
            ("link lst", "link show"),
            ("link d mv0", "link del -- mv0"),
            ("link change mv0 up", "link set -- mv0 up"),
            ("-s -d link show", "--statistics --details link show"),
            ("link show mv0 -s -s", "--statistics --statistics link show -- mv0"),
            ("--stats --j l", "--statistics --json link show"),
            ("-br -o -p l", "--brief --oneline --pretty link show"),
            ("-t mon", "--timestamp monitor"),
            ("-ts mon -j", "--tshort --json monitor"),
            ("-c l", "--color link show"),
            ("-color=never l", "--color=never link show"),
            ("-b FILE -fo", "--batch=FILE --force"),
            ("-batch -", "--batch=-"),
            ("-batch=x -atomic", "--batch=x --atomic"),
            ("-V", "--version"),
            ("-h", "--help"),
            ("link help", "link --help"),
            ("link add -h", "link add --help"),
            ("link add help", "link add --help"),
            ("link add type macvlan help", "link add --help"),
            ("link add link lan0 help", "link add -- link lan0 help"),
            ("help", "--help"),
            ("help link", "link --help"),
            ("help link add", "link add --help"),
            ("config -h", "config --help"),
            ("config show -h", "config show --help"),
            ("--socket /run/x link", "--socket=/run/x link show"),
            ("link set mv0 type macvlan bclim -1", "link set -- mv0 type macvlan bclim -1"),
            ("link set mv0 bclim -0x1 -j", "--json link set -- mv0 bclim -0x1"),
            ("link show -- -odd", "link show -- -odd"),
            ("link show mv0 --qemu -j", "--json link show --qemu -- mv0"),
            ("stats --since-start", "stats show --since-start"),
            ("c apply - --dry-run", "config apply --dry-run -- -"),
            ("m add 33:33:00:00:00:01 dev mv0", "maddress add -- 33:33:00:00:00:01 dev mv0"),
            ("shutdown", "shutdown"),
            ("call x {}", "call -- x {}"),
            ("", ""),
        ] {
            assert_eq!(translated(line), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (line, wanted) in [
            ("-x l", "no option \"-x\""),
            ("-4 l", "no option \"-4\""),
            ("-f l", "no option \"-f\""),
            ("-so x l", "no option \"-so\""),
            ("-batch", "ends after \"-batch\""),
            ("frob", "no object \"frob\": there are link, lower"),
            ("shut", "no object \"shut\""),
            ("link frob", "link has no command \"frob\": there are add, set"),
            ("host show", "host has no command \"show\""),
        ] {
            let text = translated(line);
            assert!(text.starts_with("! ") && text.contains(wanted), "{line}: {text}");
        }
    }
}
