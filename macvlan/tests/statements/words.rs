//! The words of the link kind: IP, as far as they are words of this crate.

use macvlan::mode::{Flags, MacaddrMode, Mode};

use super::switch::{GROUP, Switch, data, mac};

#[test]
fn ip_01_mode_words_are_exact() {
    for mode in Mode::ALL {
        let word = mode.name();
        assert_eq!(word.parse::<Mode>(), Ok(mode));
        assert_eq!(Mode::from_value(mode.value()), Some(mode));
        for part in 1..word.len() {
            assert!(word[..part].parse::<Mode>().is_err(), "{}", &word[..part]);
        }
        assert!(word.to_uppercase().parse::<Mode>().is_err());
    }
    // The one other spelling: what people know from elsewhere.
    assert_eq!("passthrough".parse(), Ok(Mode::Passthru));
}

#[test]
fn ip_03_flags_are_set_as_a_whole() {
    let mut switch = Switch::new(&[Mode::Source]);
    for bits in [2, 1, 3, 0] {
        switch.set("mv0", |r| data(r).flags = Some(bits)).unwrap();
        assert_eq!(switch.info("mv0").flags.bits(), bits);
    }
    assert_eq!(Flags::NOPROMISC.union(Flags::NODST).bits(), 3);
    switch.set("mv0", |r| data(r).mode = Some(4)).unwrap();
    assert_eq!(switch.info("mv0").flags, Flags::NONE, "not said, not changed");
}

#[test]
fn ip_04_an_unknown_word_is_answered_with_the_known_ones() {
    let text = "brige".parse::<Mode>().unwrap_err().to_string();
    assert!(text.contains("brige"), "{text}");
    for mode in Mode::ALL {
        assert!(text.contains(mode.name()), "{text}");
    }
}

#[test]
fn list_operations_have_the_kernels_numbers() {
    let all = [MacaddrMode::Add, MacaddrMode::Del, MacaddrMode::Flush, MacaddrMode::Set];
    assert_eq!(all.map(MacaddrMode::value), [0, 1, 2, 3]);
    assert_eq!([0, 1, 2, 3, 4].map(MacaddrMode::from_value)[4], None);
}

#[test]
fn ip_08_groups_can_be_joined_and_unicast_only_on_passthru() {
    let mut switch = Switch::new(&[Mode::Bridge]);
    switch.fdb_add("mv0", GROUP).unwrap();
    assert_eq!(switch.fdb_add("mv0", mac(9)), Err("EOPNOTSUPP"));
    Switch::new(&[Mode::Passthru]).fdb_add("mv0", mac(9)).unwrap();
}
