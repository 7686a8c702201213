//! What `ip` itself does with macvlan's words before anything is asked of the kernel.

use serde_json::{Value, json};

use super::ip_is_here;
use super::pair::Pair;

/// One thing of mv0's macvlan data, which is the same on both sides.
#[track_caller]
fn data(pair: &mut Pair, key: &str) -> Value {
    let pointer = format!("/linkinfo/info_data/{key}");
    let [theirs, ours] = pair.states().map(|state| state.get("mv0", &pointer));
    assert_eq!(ours, theirs, "{key}");
    ours
}

#[test]
fn ip_02_nopromisc_wants_passthru_in_the_same_command() {
    if !ip_is_here("ip_02_nopromisc_wants_passthru_in_the_same_command") {
        return;
    }
    let mut pair = Pair::new();
    for words in
        ["nopromisc", "flag nopromisc", "mode bridge nopromisc", "mode source flag nopromisc"]
    {
        let step = pair.must_not(&format!("link add link lan1 mv0 type macvlan {words}"));
        assert!(step.ip.err.contains("nopromisc"), "{step}");
        assert!(step.mvctl.err.contains("nopromisc is a flag only in passthru mode"), "{step}");
    }
    pair.must("link add link lan1 mv0 up type macvlan nopromisc mode passthru");
    assert_eq!(data(&mut pair, "nopromisc"), true);
    // Also where the link is in passthru mode already.
    pair.must_not("link set mv0 type macvlan nopromisc");
    pair.must("link set mv0 type macvlan flag null");
    assert_eq!(data(&mut pair, "nopromisc"), Value::Null);
    pair.must("link set mv0 type macvlan mode passthru nopromisc");
    assert_eq!(data(&mut pair, "nopromisc"), true);
    pair.clear();
    pair.stop();
}

#[test]
fn ip_05_macaddr_set_takes_what_looks_like_an_address() {
    if !ip_is_here("ip_05_macaddr_set_takes_what_looks_like_an_address") {
        return;
    }
    let mut pair = Pair::new();
    let [first, second] = ["02:00:00:00:00:81", "02:00:00:00:00:82"];
    pair.must(&format!(
        "link add link lan0 mv0 type macvlan macaddr set {first} 2:0:0:0:0:82 mode source nodst"
    ));
    assert_eq!(data(&mut pair, "macaddr_data"), json!([first, second]));
    assert_eq!(data(&mut pair, "nodst"), true);
    pair.must(&format!("link set mv0 type macvlan macaddr set {second} bcqueuelen 5 flag null"));
    assert_eq!(data(&mut pair, "macaddr_data"), json!([second]));
    assert_eq!(data(&mut pair, "bcqueuelen"), 5);
    // What does not look like one is the next keyword, and must be one.
    pair.must_not(&format!("link set mv0 type macvlan macaddr set {first} 02:00:00:00:00:zz"));
    pair.must_not(&format!("link set mv0 type macvlan macaddr set {first} frobnicate"));
    pair.must("link set mv0 type macvlan macaddr set bcqueuelen 6");
    assert_eq!(data(&mut pair, "macaddr_count"), 0);
    assert_eq!(data(&mut pair, "bcqueuelen"), 6);
    pair.clear();
    pair.stop();
}

#[test]
fn ip_06_numbers_are_c_s_and_have_a_range() {
    if !ip_is_here("ip_06_numbers_are_c_s_and_have_a_range") {
        return;
    }
    let mut pair = Pair::new();
    pair.must("link add link lan0 mv0 type macvlan mode bridge");
    for (word, number) in [
        ("2000", 2000_u32),
        ("0x7d0", 2000),
        ("0X7D0", 2000),
        ("03720", 2000),
        ("0", 0),
        ("+7", 7),
        ("0xffffffff", u32::MAX),
        ("037777777777", u32::MAX),
        ("4294967295", u32::MAX),
    ] {
        pair.must(&format!("link set mv0 type macvlan bcqueuelen {word}"));
        assert_eq!(data(&mut pair, "bcqueuelen"), number, "{word}");
    }
    for word in
        ["4294967296", "0x100000000", "99999999999999999999999", "-1", "1k", "0x", "09", "x"]
    {
        let step = pair.must_not(&format!("link set mv0 type macvlan bcqueuelen {word}"));
        for said in [&step.ip.err, &step.mvctl.err] {
            assert!(
                said.contains("\"bcqueuelen\"") && said.contains(&format!("\"{word}\"")),
                "{step}"
            );
        }
    }
    // bclim is younger than many an ip: asked of ours alone.
    for (word, limit) in
        [("5", json!(5)), ("-0x2", json!(-2)), ("010", json!(8)), ("1", Value::Null)]
    {
        assert!(pair.mvctl(&format!("link set mv0 type macvlan bclim {word}")).ok, "{word}");
        let [_, ours] = pair.states();
        assert_eq!(ours.get("mv0", "/linkinfo/info_data/bclim"), limit, "{word}");
    }
    for word in ["2147483648", "-2147483649", "x"] {
        assert!(!pair.mvctl(&format!("link set mv0 type macvlan bclim {word}")).ok, "{word}");
    }
    pair.clear();
    pair.stop();
}
