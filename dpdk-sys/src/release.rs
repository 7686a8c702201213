//! Which DPDK releases are fit to face a guest.
//!
//! Shared by the build script and, through the library, by start-up: the
//! library is loaded at run time and can be another one than was built against.
//! The floor of each line is the release that fixed the double fetch in
//! librte_vhost's offload parser.

/// First fit patch of each maintained line: (year, month, patch).
const FLOORS: &[(u32, u32, u32)] = &[(22, 11, 11), (23, 11, 6), (24, 11, 4), (25, 11, 0)];

/// Whether `version` (such as `22.11.11` or `DPDK 22.11.11`) is fit.
///
/// # Errors
/// One sentence that says what is wrong with it and what to install.
pub fn check(version: &str) -> Result<(), String> {
    let number = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = number.split(['.', '-', '~']).map(|part| part.parse::<u32>().ok());
    let (Some(Some(year)), Some(Some(month))) = (parts.next(), parts.next()) else {
        return Err(format!("cannot read the DPDK release number \"{version}\""));
    };
    let patch = parts.next().flatten().unwrap_or(0);
    let fit = match FLOORS.iter().find(|floor| (floor.0, floor.1) == (year, month)) {
        Some(floor) => patch >= floor.2,
        None => (year, month) > (25, 11),
    };
    if fit || std::env::var_os("MVSWITCH_ALLOW_OLD_DPDK").is_some_and(|value| value == "1") {
        return Ok(());
    }
    Err(format!(
        "DPDK {number} is refused: its vhost library lacks fixes for holes that a guest can use. \
         Install 22.11.11, 23.11.6, 24.11.4, 25.11 or later of one of these lines \
         (MVSWITCH_ALLOW_OLD_DPDK=1 accepts it for a trial without untrusted guests)."
    ))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_patched_releases_pass() {
        for fit in
            ["22.11.11", "DPDK 22.11.11", "23.11.6", "24.11.4", "25.11.0", "25.11", "26.03.0"]
        {
            assert_eq!(check(fit), Ok(()), "{fit}");
        }
        for unfit in [
            "22.11.10",
            "22.11.7",
            "21.11.9",
            "23.11.5",
            "24.11.3",
            "24.07.0",
            "25.07.1",
            "22.11.0-rc1",
            "x",
        ] {
            assert!(check(unfit).is_err(), "{unfit}");
        }
    }
}
