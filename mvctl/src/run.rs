//! What mvctl does: carries out a command line, and prints what there is to print.
//!
//! Only `main` calls [`run`]. Knows of each command what is asked and how the
//! answer looks, and leaves both to others.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attach;
use crate::batch;
use crate::cli::{self, Command, Schema};
use crate::client::{Client, ClientError};
use crate::failure::{Failure, usage};
use crate::files;
use crate::monitor;
use crate::options::Options;
use crate::proto::{
    Announced, ConfigApply, ConfigShow, ConfigText, Difference, Explanation, LinkShow, LowerShow,
    Name, Nothing, PortStats, Rebalanced, Request, Saved, Version, WorkerShow,
};
use crate::render::{self, Style, table};
use crate::runtime_dir;
use crate::schema;

/// Carries out the command line of these arguments (without the program's name).
///
/// # Errors
/// Why it was not carried out, or not all of it.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let text = |argument: OsString| {
        let odd = |argument: OsString| Failure::Usage(format!("{argument:?} is not UTF-8"));
        argument.into_string().map_err(odd)
    };
    let arguments: Vec<String> = arguments.into_iter().map(text).collect::<Result<_, _>>()?;
    let (options, command) = cli::parse(arguments)?;
    let mut session = Session::new(&options);
    match command {
        Some(Command::Monitor) => monitor::run(session.connect()?, &options),
        Some(command) => session.carry_out(&command, &Style::new(&options)),
        None => batch::run(&mut session, &options),
    }
}

/// A connection to mvswitch, made when it is needed.
#[derive(Debug)]
pub(crate) struct Session {
    socket: PathBuf,
    client: Option<Client>,
}

impl Session {
    pub(crate) fn new(options: &Options) -> Self {
        let variable = || std::env::var_os("MVSWITCH_SOCKET").map(PathBuf::from);
        let said = options.socket.clone().or_else(variable);
        let said = said.filter(|socket| !socket.as_os_str().is_empty());
        let default = || runtime_dir::resolve(None, None).join(runtime_dir::CONTROL_SOCKET);
        Self { socket: said.unwrap_or_else(default), client: None }
    }

    /// The connection, for whoever goes on with it alone.
    fn connect(self) -> Result<Client, Failure> {
        match self.client {
            Some(client) => Ok(client),
            None => Ok(Client::connect(&self.socket)?),
        }
    }

    fn client(&mut self) -> Result<&mut Client, ClientError> {
        if self.client.is_none() {
            self.client = Some(Client::connect(&self.socket)?);
        }
        let gone = || ClientError::Unreachable("not connected".to_owned());
        self.client.as_mut().ok_or_else(gone)
    }

    /// The result of a request.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        Ok(self.client()?.ask(request)?)
    }

    /// Carries out one command, and prints its result.
    pub(crate) fn carry_out(&mut self, command: &Command, style: &Style) -> Result<(), Failure> {
        print(&self.result(command, style)?)
    }

    fn result(&mut self, command: &Command, style: &Style) -> Result<String, Failure> {
        let nothing = Nothing {};
        match command {
            Command::Change(request) => {
                self.client()?.ask_raw(request)?;
                Ok(String::new())
            }
            Command::Call(request) => {
                let result = self.client()?.ask_raw(request)?;
                match serde_json::from_str::<serde_json::Value>(result.get()) {
                    Ok(value) if style.pretty => Ok(render::json(&value, true)),
                    _ => Ok(format!("{}\n", result.get())),
                }
            }
            Command::Links(filter, program) => {
                let request = Request::LinkShow(Name { name: filter.name.clone() });
                let mut links: Vec<LinkShow> = self.ask(&request)?;
                links.retain(|link| filter.matches(link));
                match program {
                    Some(program) => {
                        let lines = links.iter().map(|link| attach::lines(link, *program));
                        Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
                    }
                    None => Ok(render::link::links(&links, style)),
                }
            }
            Command::Lowers(name) => {
                let lowers: Vec<LowerShow> = self.ask(&Request::LowerShow(name.clone()))?;
                Ok(render::lower::lowers(&lowers, style))
            }
            Command::Announce(name) => {
                let announced: Announced = self.ask(&Request::Announce(name.clone()))?;
                Ok(shown(&announced, style, |it| {
                    let links = if it.links == 1 { "link was" } else { "links were" };
                    format!("{} {links} told to announce themselves\n", it.links)
                }))
            }
            Command::Stats(which) => {
                let ports: Vec<PortStats> = self.ask(&Request::StatsShow(which.clone()))?;
                Ok(shown(&ports, style, |ports| table::ports(ports)))
            }
            Command::Workers => {
                let workers: Vec<WorkerShow> = self.ask(&Request::WorkerShow(nothing))?;
                Ok(shown(&workers, style, |workers| table::workers(workers)))
            }
            Command::Rebalance => {
                let answer: Rebalanced = self.ask(&Request::WorkerRebalance(nothing))?;
                Ok(shown(&answer, style, table::rebalanced))
            }
            Command::ConfigShow => {
                let config: ConfigShow = self.ask(&Request::ConfigShow(nothing))?;
                Ok(shown(&config, style, |config| match &config.wrong {
                    Some(why) => format!("# This would not start: {why}\n{}", config.text),
                    None => config.text.clone(),
                }))
            }
            Command::ConfigDiff { file } => self.config(file, style, |file, text, more| {
                Request::ConfigDiff(ConfigText { file, text, more })
            }),
            Command::ConfigApply { file, dry_run } => {
                self.config(file, style, |file, text, more| {
                    Request::ConfigApply(ConfigApply { file, text, more, dry_run: *dry_run })
                })
            }
            Command::ConfigSave { file: None } => {
                let saved: Saved = self.ask(&Request::ConfigSave(nothing))?;
                Ok(shown(&saved, style, |saved| format!("{} is written\n", saved.file)))
            }
            Command::ConfigSave { file: Some(file) } => {
                let config: ConfigShow = self.ask(&Request::ConfigShow(nothing))?;
                if let Some(why) = config.wrong {
                    let sentence = "what runs cannot be written as a config that starts";
                    return Err(Failure::Local(format!("{sentence}: {why}")));
                }
                if file == "-" {
                    return Ok(config.text);
                }
                files::write(file, &config.text)?;
                Ok(shown(&Saved { file: file.clone() }, style, |saved| {
                    format!("{} is written\n", saved.file)
                }))
            }
            Command::Explain(frame) => {
                let told: Explanation = self.ask(&Request::Explain(frame.clone()))?;
                Ok(shown(&told, style, |told| table::explanation(&frame.from, told)))
            }
            Command::Version => {
                let version: Version = self.ask(&Request::Version(nothing))?;
                Ok(shown(&version, style, table::version))
            }
            Command::Schema(Schema::Control) => Ok(render::json(&schema::control(), true)),
            Command::Schema(Schema::Config) => Ok(schema::config().to_owned()),
            Command::Monitor => usage("monitor does not end: it cannot stand in a batch"),
        }
    }

    /// Sends a config file, in parts if it must be, and shows the difference.
    fn config(
        &mut self,
        file: &str,
        style: &Style,
        request: impl Fn(Option<String>, String, bool) -> Request,
    ) -> Result<String, Failure> {
        let (text, called) = files::read(file)?;
        let parts = files::parts(&text);
        let Some((last, before)) = parts.split_last() else { return Ok(String::new()) };
        for part in before {
            self.client()?.ask_raw(&request(Some(called.clone()), (*part).to_owned(), true))?;
        }
        let difference: Difference = self.ask(&request(Some(called), (*last).to_owned(), false))?;
        Ok(shown(&difference, style, table::difference))
    }
}

/// `value` as JSON if that is asked for, else as `text`.
fn shown<T: Serialize>(value: &T, style: &Style, text: impl Fn(&T) -> String) -> String {
    if style.json { render::json(value, style.pretty) } else { text(value) }
}

/// Prints on standard output. A reader that has gone away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Local(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
