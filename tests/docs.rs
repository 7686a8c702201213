//! Man pages and completions are those of the programs: generated from the
//! commands' definitions, and kept beside them.
//!
//! `scripts/docs.sh` writes them anew (it sets `MVSWITCH_BLESS=1`); without that
//! a test fails where one differs. What clap does not know (exit status, files,
//! environment, examples) is written by hand in `man/sections`; keys of the config,
//! methods of the control socket and reasons of drops come from the types. That
//! the examples run is for `tests/commands.rs` to say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use macvlan::drop::DropReason;
use mvctl::proto::{Access, METHODS};
use mvswitch::cli::args::Args;
use mvswitch::config::{Config, schema};
use serde_json::Value;

/// Pages that are of no command: name, section, what it is.
const PAGES: &[(&str, &str, &str)] = &[
    ("mvswitch.toml", "5", "config of mvswitch"),
    ("mvswitch-control", "7", "control socket of mvswitch"),
];

/// Sections of the config, what everybody needs first.
const SECTIONS: &[&str] =
    &["lower", "macvlan", "host", "switch", "cores", "eal", "control", "metrics"];

/// The programs that have pages and completions.
fn programs() -> Vec<Command> {
    vec![Args::command(), mvctl::cli::command()]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All generated files: path below the root, and text.
fn generated() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for program in programs() {
        let name = program.get_name().to_owned();
        // The revision in a version changes with every commit.
        let program = visible(program.version(env!("CARGO_PKG_VERSION")));
        for (shell, file) in [
            (Shell::Bash, format!("bash/{name}")),
            (Shell::Zsh, format!("zsh/_{name}")),
            (Shell::Fish, format!("fish/{name}.fish")),
        ] {
            let mut text = Vec::new();
            generate(shell, &mut program.clone(), &name, &mut text);
            files.insert(Path::new("completions").join(file), tidy(text));
        }
        let mut pages = program.disable_help_subcommand(true);
        pages.build();
        page(&pages, &name, &mut files);
    }
    for (name, section, about) in PAGES {
        let version = env!("CARGO_PKG_VERSION");
        let head =
            format!(".TH {name} {section} \"\" \"mvswitch {version}\" \"mvswitch manual\"\n");
        let text = head
            + &format!(".SH NAME\n{} \\- {about}\n", plain(name))
            + &by_hand(&format!("{name}.{section}")).unwrap();
        files.insert(PathBuf::from(format!("man/{name}.{section}")), tidy(text.into_bytes()));
    }
    files
}

/// What is written by hand for a page, and in it what is not.
fn by_hand(page: &str) -> Option<String> {
    let text = fs::read_to_string(root().join(format!("man/sections/{page}.roff"))).ok()?;
    let mut filled = String::new();
    for line in text.lines() {
        match line {
            ".\\\" KEYS" => filled += &keys(),
            ".\\\" METHODS" => filled += &methods(),
            ".\\\" REASONS" => filled += &reasons(),
            line => filled += &format!("{line}\n"),
        }
    }
    Some(filled)
}

/// The config's sections and keys, as its schema has them.
fn keys() -> String {
    let schema = schema();
    let definitions = schema["definitions"].as_object().unwrap();
    assert_eq!(definitions.len(), SECTIONS.len(), "{:?}", definitions.keys());
    let mut roff = String::new();
    for name in SECTIONS {
        let section = &definitions[*name];
        let array = schema["properties"][name]["type"] == "array";
        let heading = if array { format!("[[{name}]]") } else { format!("[{name}]") };
        roff += &format!(".SH \"{heading}\"\n{}\n", prose(&section["description"]));
        let required = section["required"].as_array().cloned().unwrap_or_default();
        let mut keys: Vec<_> = section["properties"].as_object().unwrap().iter().collect();
        keys.sort_by_key(|(key, _)| {
            required.iter().position(|it| it == *key).unwrap_or(usize::MAX)
        });
        for (key, value) in keys {
            let needed = if required.iter().any(|it| it == key) { ", required" } else { "" };
            let default = match &value["default"] {
                Value::Null => String::new(),
                default => format!(", default {}", plain(&default.to_string())),
            };
            let about = prose(&value["description"]);
            roff += &format!(
                ".TP\n.B {}\n{}{needed}{default}\n.br\n{about}\n",
                plain(key),
                kind(value)
            );
        }
    }
    roff
}

/// What may stand for a key.
fn kind(value: &Value) -> String {
    if let Some(words) = value["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| plain(&word.to_string())).collect();
        return words.join(" | ");
    }
    match (value["type"].as_str().unwrap(), &value["minimum"], &value["maximum"]) {
        ("array", ..) => "array of strings".to_owned(),
        ("integer", least, most) => plain(&format!("integer from {least} to {most}")),
        (kind, ..) => kind.to_owned(),
    }
}

/// The control socket's methods, as its types have them.
fn methods() -> String {
    let schema = mvctl::schema::control();
    let mut roff = String::new();
    for (method, schema) in METHODS.iter().zip(schema["methods"].as_array().unwrap()) {
        let params = match schema["params"]["$ref"].as_str() {
            Some(name) => &schema_of(name),
            None => &schema["params"],
        };
        let required = params["required"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<&str> = required.iter().filter_map(Value::as_str).collect();
        let all = params["properties"].as_object().into_iter().flat_map(|it| it.keys());
        let others: Vec<&str> = all.map(|it| &**it).filter(|it| !names.contains(it)).collect();
        let others: Vec<String> = others.iter().map(|name| format!("[{name}]")).collect();
        names.extend(others.iter().map(|name| &**name));
        let read = if method.access == Access::Read { " (read)" } else { "" };
        roff += &format!(".TP\n.B {}\n", plain(method.name));
        if !names.is_empty() {
            roff += &format!(".I {}\n.br\n", names.join(" "));
        }
        roff += &format!("{}{read}\n", prose(&method.about.into()));
    }
    roff
}

fn schema_of(reference: &str) -> Value {
    let name = reference.rsplit('/').next().unwrap();
    mvctl::schema::control()["$defs"][name].clone()
}

/// Why frames are dropped, as the counters have it.
fn reasons() -> String {
    let reason = |reason: &DropReason| {
        format!(".TP\n.B {}\n{}\n", plain(reason.name()), prose(&reason.help().into()))
    };
    DropReason::ALL.iter().map(reason).collect()
}

/// Words that roff leaves alone.
fn plain(words: &str) -> String {
    words.replace('\\', "\\e").replace('-', "\\-")
}

/// A sentence of a doc comment: what is between backquotes is bold.
fn prose(text: &Value) -> String {
    let text = plain(text.as_str().unwrap());
    let spans = text.split('`').enumerate();
    spans
        .map(|(at, span)| if at % 2 == 1 { format!("\\fB{span}\\fR") } else { span.to_owned() })
        .collect()
}

/// The command as users see it: without what is hidden.
fn visible(command: Command) -> Command {
    let shown: Vec<Command> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
    if shown.len() == command.get_subcommands().count() {
        return command.mut_subcommands(visible);
    }
    // clap takes no subcommand back: its shell is built again with the others.
    let name: &str = command.get_name().to_owned().leak();
    let mut bare = Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage(command.clone().render_usage().to_string().replacen("Usage: ", "", 1))
        .subcommand_negates_reqs(command.is_subcommand_negates_reqs_set())
        .args_conflicts_with_subcommands(command.is_args_conflicts_with_subcommands_set())
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned());
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    bare.subcommands(shown.into_iter().map(visible))
}

/// The page of a command that is built, and those of its subcommands.
fn page(command: &Command, program: &str, files: &mut BTreeMap<PathBuf, String>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let man = Man::new(command.clone());
    let version = env!("CARGO_PKG_VERSION");
    // The library's own line leaves a date out where a place for it is needed.
    let mut text =
        format!(".TH {name} 1 \"\" \"{program} {version}\" \"mvswitch manual\"\n").into_bytes();
    man.render_name_section(&mut text).unwrap();
    text.extend(section("SYNOPSIS", &synopsis(command)).into_bytes());
    let by_hand = by_hand(&name);
    // What comes before its first heading is the description.
    let by_hand = by_hand.as_deref().and_then(|text| text.split_once(".SH "));
    match by_hand {
        Some((description, _)) => text.extend(format!(".SH DESCRIPTION\n{description}").bytes()),
        None => man.render_description_section(&mut text).unwrap(),
    }
    man.render_options_section(&mut text).unwrap();
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        man.render_subcommands_section(&mut text).unwrap();
    }
    if let Some((_, sections)) = by_hand {
        text.extend(format!(".SH {sections}").bytes());
    } else {
        if let Some(notes) = command.get_after_help() {
            text.extend(section("NOTES", &notes.to_string()).into_bytes());
        }
        text.extend(format!(".SH \"SEE ALSO\"\n.BR {program} (1)\n").into_bytes());
    }
    files.insert(PathBuf::from(format!("man/{name}.1")), tidy(text));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        page(sub, program, files);
    }
}

fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.replacen("Usage: ", "", 1);
    usage.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

/// A section whose lines stay lines.
fn section(heading: &str, text: &str) -> String {
    let mut roff = format!(".SH {heading}\n.nf\n");
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A dot or a quote in front would be a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        roff += &format!("{guard}{line}\n");
    }
    roff + ".fi\n"
}

/// One line feed at the end, no space before any, and the definition of an
/// apostrophe, which comes with each generated section, once.
fn tidy(text: Vec<u8>) -> String {
    let text = String::from_utf8(text).unwrap();
    let mut tidied = String::new();
    for line in text.lines().map(str::trim_end) {
        if !line.contains(".ds Aq ") || !tidied.contains(line) {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

/// Files below a directory of the root that a generator owns.
fn present(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("sections") => {}
                true => directories.push(path),
                false => found.push(path.strip_prefix(root()).unwrap().to_owned()),
            }
        }
    }
    found
}

#[test]
fn pages_and_completions_are_those_of_the_programs() {
    let files = generated();
    let bless = std::env::var_os("MVSWITCH_BLESS").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for (path, text) in &files {
        let full = root().join(path);
        if fs::read_to_string(&full).is_ok_and(|there| there == *text) {
            continue;
        }
        if bless {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(&full, text).unwrap();
        } else {
            wrong.push(format!("{} differs", path.display()));
        }
    }
    for path in ["man", "completions"].into_iter().flat_map(present) {
        if files.contains_key(&path) {
            continue;
        }
        if bless {
            fs::remove_file(root().join(&path)).unwrap();
        } else {
            wrong.push(format!("{} is of no command", path.display()));
        }
    }
    assert!(wrong.is_empty(), "type scripts/docs.sh: {}", wrong.join(", "));
}

#[test]
fn every_command_has_a_page_and_hidden_ones_have_none() {
    let files = generated();
    for name in ["", "-check", "-doctor", "-import", "-schema", "-demo"] {
        let page = &files[Path::new(&format!("man/mvswitch{name}.1"))];
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS"), "{name}: {page}");
        let usage = format!("\nmvswitch{} ", name.replace('-', " "));
        assert!(name.is_empty() || page.contains(&usage), "{usage}: {page}");
    }
    let link = &files[Path::new("man/mvctl-link-add.1")];
    assert!(link.contains("\nmvctl link add link LOWER "), "{link}");
    for (path, text) in &files {
        assert!(!text.contains("demo-guest") && !text.contains("demo\\-guest"), "{path:?}");
        assert!(!text.contains(env!("MVSWITCH_REVISION")), "{path:?} changes with every commit");
    }
}

#[test]
fn pages_have_the_sections_that_readers_look_for() {
    let files = generated();
    for (page, headings) in [
        ("mvctl.1", &["\"EXIT STATUS\"", "FILES", "ENVIRONMENT", "EXAMPLES"][..]),
        (
            "mvswitch.1",
            &["\"EXIT STATUS\"", "FILES", "ENVIRONMENT", "SIGNALS", "\"DROP REASONS\"", "EXAMPLES"],
        ),
        ("mvswitch.toml.5", &["NAME", "\"[[macvlan]]\"", "\"[control]\"", "EXAMPLES"]),
        ("mvswitch-control.7", &["NAME", "ERRORS", "BATCHES", "EVENTS", "METHODS"]),
    ] {
        let text = &files[&Path::new("man").join(page)];
        for heading in headings {
            assert!(text.contains(&format!(".SH {heading}\n")), "{page}: {heading}");
        }
    }
    // What stands for something else has been filled in.
    for (path, text) in &files {
        assert!(!text.contains(".\\\" "), "{path:?}");
    }
}

#[test]
fn configs_that_the_page_shows_are_good() {
    let page = &generated()[Path::new("man/mvswitch.toml.5")];
    let mut seen = 0;
    for block in page.split(".EX\n").skip(1) {
        let text = block.split(".EE").next().unwrap().replace("\\-", "-");
        if let Err(error) = Config::parse(&text, Path::new("example.toml")) {
            panic!("{error}: {text}");
        }
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn bash_completes_commands_and_options() {
    let complete = |words: &str| {
        let file = root().join("completions/bash/mvswitch");
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _mvswitch mvswitch \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let output = Program::new("bash").args(["-c", &script]).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("mvswitch doc"), "doctor");
    assert_eq!(complete("mvswitch doctor --js"), "--json");
    assert_eq!(complete("mvswitch --stat"), "--stats-period");
    assert_eq!(complete("mvswitch demo-"), "");
}
