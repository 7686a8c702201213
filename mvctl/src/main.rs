//! mvctl: talks to a running mvswitch. Exit codes: 0 fine, 1 refused, 2 usage,
//! 3 the daemon is not reachable, 4 no such device.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mvctl::client::{Client, ClientError};
use mvctl::proto::{LinkShow, LowerShow, Name, Request, RpcError};
use mvctl::{render, runtime_dir};

/// Shows and changes the links and lowers of a running mvswitch.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The daemon's control socket; control.sock in the default runtime directory if left out
    #[arg(long, env = "MVSWITCH_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON with the keys of `ip -j link show`
    #[arg(short, long, global = true)]
    json: bool,
    /// Print counters, too
    #[arg(short, long, global = true)]
    statistics: bool,
    #[command(subcommand)]
    object: Object,
}

#[derive(Debug, Subcommand)]
enum Object {
    /// macvlan links
    Link {
        #[command(subcommand)]
        command: ShowCommand,
    },
    /// Call a method of the control socket, such as link.set '{"name": "mv0", "up": false}'
    Call {
        /// The method
        method: String,
        /// Its parameters: a JSON object
        #[arg(default_value = "{}")]
        params: String,
    },
    /// Devices below links
    Lower {
        #[command(subcommand)]
        command: ShowCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ShowCommand {
    /// Show all, or one
    Show {
        /// Its name
        name: Option<String>,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(text) => {
            let mut out = std::io::stdout().lock();
            // A reader that has gone away is no failure.
            _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("mvctl: {error}");
            ExitCode::from(match &error {
                ClientError::Unreachable(_) => 3,
                ClientError::Refused(error) if error.errno() == Some("ENODEV") => 4,
                ClientError::Refused(_) => 1,
            })
        }
    }
}

fn run(args: &Args) -> Result<String, ClientError> {
    let default = || runtime_dir::resolve(None, None).join(runtime_dir::CONTROL_SOCKET);
    let socket = args.socket.clone().unwrap_or_else(default);
    let mut client = Client::connect(&socket)?;
    let mut show = |request: Request| client.call(&request);
    let another = |error: serde_json::Error| {
        ClientError::Unreachable(format!(
            "the daemon at {} speaks another version: {error}",
            socket.display()
        ))
    };
    let which = |command: &ShowCommand| {
        let ShowCommand::Show { name } = command;
        Name { name: name.clone() }
    };
    match &args.object {
        Object::Call { method, params } => {
            let params = serde_json::from_str(params).map_err(|error| {
                let why = format!("the parameters are no JSON object: {error}");
                ClientError::Refused(RpcError::refused("EINVAL", why))
            })?;
            let request = Request::new(method, Some(params)).map_err(ClientError::Refused)?;
            Ok(format!("{}\n", show(request)?))
        }
        Object::Link { command } => {
            let result = show(Request::LinkShow(which(command)))?;
            if args.json {
                return Ok(format!("{result}\n"));
            }
            let links: Vec<LinkShow> = serde_json::from_value(result).map_err(another)?;
            Ok(render::links(&links, args.statistics))
        }
        Object::Lower { command } => {
            let result = show(Request::LowerShow(which(command)))?;
            if args.json {
                return Ok(format!("{result}\n"));
            }
            let lowers: Vec<LowerShow> = serde_json::from_value(result).map_err(another)?;
            Ok(render::lowers(&lowers, args.statistics))
        }
    }
}
