//! EAL arguments that cannot work beside those mvswitch gives itself.
//!
//! Pure text. Facts are of DPDK 22.11, each tried with testpmd. Arguments that
//! are merely unusual are none of our business.

use super::Memory;

/// An argument that EAL refuses, or never comes back from; the page kind with
/// which it is harmless after all; and what to do instead.
type Refused = (&'static str, Option<Memory>, &'static str);

const REFUSED: [Refused; 8] = [
    // --no-huge implies --legacy-mem, which is refused beside --in-memory, and
    // mvswitch gives one of the two.
    ("--no-huge", Some(Memory::Small), "write memory = \"4k\" in [eal] instead"),
    ("--in-memory", Some(Memory::Huge), "write memory = \"huge\" in [eal] instead"),
    ("--legacy-mem", Some(Memory::Small), "leave it out, or write memory = \"4k\" in [eal]"),
    // Refused beside -m.
    ("--socket-mem", None, "write memory_mb in [eal] instead"),
    // Refused beside --lcores, which is given already.
    ("-l", None, "write control and workers in [cores] instead"),
    ("-c", None, "write control and workers in [cores] instead"),
    ("--lcores", None, "write control and workers in [cores] instead"),
    // A secondary waits for a primary for ever.
    ("--proc-type", None, "leave it out: mvswitch is always a process of its own"),
];

/// One EAL argument, from the config or from the command line.
///
/// # Errors
/// One sentence.
pub fn check_eal_arg(memory: Memory, arg: &str) -> Result<(), String> {
    if arg.is_empty() || arg.contains(char::is_control) {
        return Err(format!(
            "EAL argument \"{arg}\" is empty or has control characters; leave it out"
        ));
    }
    let name = match arg.get(..2) {
        // A short option may have its value attached: -l0-3.
        Some(short) if !arg.starts_with("--") => short,
        _ => arg.split('=').next().unwrap_or_default(),
    };
    match REFUSED.iter().find(|(refused, ..)| *refused == name) {
        Some((_, harmless, advice)) if *harmless != Some(memory) => {
            Err(format!("EAL argument {name} cannot work here; {advice}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_eal_refuses_are_refused_first() {
        for arg in [
            "--no-huge",
            "--in-memory",
            "--socket-mem=64,64",
            "-l",
            "-l0-3",
            "--proc-type=secondary",
            "",
        ] {
            assert!(check_eal_arg(Memory::Auto, arg).is_err(), "{arg}");
        }
        assert!(check_eal_arg(Memory::Huge, "--no-huge").unwrap_err().contains("memory = \"4k\""));
        assert!(
            check_eal_arg(Memory::Small, "--in-memory").unwrap_err().contains("memory = \"huge\"")
        );
    }

    #[test]
    fn others_pass() {
        assert_eq!(check_eal_arg(Memory::Small, "--no-huge"), Ok(()));
        assert_eq!(check_eal_arg(Memory::Huge, "--in-memory"), Ok(()));
        for arg in
            ["--log-level=pmd.net.vhost:debug", "--vdev=net_null3,copy=1", "0-1", "--no-shconf"]
        {
            assert_eq!(check_eal_arg(Memory::Auto, arg), Ok(()), "{arg}");
        }
    }
}
