//! What a human reads: `link show` of both, word for word.

use super::ip_is_here;
use super::pair::Pair;

/// Words that only the kernel's links have; each has a value.
const NOT_OURS: &[&str] = &[
    "addrgenmode",
    "gso_max_size",
    "gso_max_segs",
    "gso_ipv4_max_size",
    "gro_max_size",
    "gro_ipv4_max_size",
    "tso_max_size",
    "tso_max_segs",
];

/// The lines of a text, without what cannot be equal.
fn lines(text: &str) -> Vec<String> {
    // With -o a backslash stands where a line would end.
    let text = text.replace('\\', "\n");
    // Where the guest is, is a line of ours alone.
    let lines = text.lines().filter(|line| !line.starts_with("    socket "));
    lines.map(plain).collect()
}

fn plain(line: &str) -> String {
    let mut words = Vec::new();
    let mut rest = line.split(' ');
    while let Some(word) = rest.next() {
        if NOT_OURS.contains(&word) {
            rest.next();
            continue;
        }
        words.push(word);
        if word == "maxmtu" {
            words.push(rest.next().map_or("", |_| "N"));
        }
    }
    if words[0].strip_suffix(':').is_some_and(|number| number.parse::<u32>().is_ok()) {
        words[0] = "N:";
    }
    words.join(" ").trim_end().to_owned()
}

#[test]
fn text_is_ip_s() {
    if !ip_is_here("text_is_ip_s") {
        return;
    }
    let mut pair = Pair::new();
    let address = "address 02:00:00:00:00:1";
    let source = "mode source nodst macaddr set 02:00:00:00:00:81";
    for line in [
        format!("link add link lan0 mv0 {address}0 type macvlan mode bridge"),
        format!("link add link lan0 mv1 {address}1 mtu 1400 type macvlan {source} bcqueuelen 2000"),
        "link add link lan1 a-longer-name up promisc on type macvlan mode passthru nopromisc"
            .to_owned(),
        "link set mv1 up".to_owned(),
    ] {
        pair.must(&line);
    }
    let links = ["mv0", "mv1", "a-longer-name"];
    let forms = ["", "-d", "-o", "-o -d", "-br", "-br -o", "-d -s", "-details -statistics"];
    for line in ["link show", "link set a-longer-name promisc off", "link set mv0 up"] {
        pair.must(line);
        for options in forms {
            for name in links {
                let line = format!("{options} link show {name}");
                let (ip, mvctl) = (pair.ip(&line), pair.mvctl(&line));
                assert!(ip.ok && mvctl.ok, "{line}");
                assert_eq!(lines(&mvctl.out), lines(&ip.out), "{line}: mvctl, and ip");
                let one_line = options.starts_with("-o") || options.starts_with("-br");
                assert!(!one_line || mvctl.out.lines().count() == 1, "{line}: {}", mvctl.out);
            }
        }
    }
    // JSON has ip's keys in ip's order, and then one of ours.
    for (line, first) in [("-j link show mv1", "\"link\":"), ("-j -br link show mv1", "[{")] {
        let after = |text: &str| text.split_once(first).unwrap().1.to_owned();
        let (ip, mvctl) = (after(&pair.ip(line).out), after(&pair.mvctl(line).out));
        let (common, own) = mvctl.split_once(",\"mvswitch\":{").unwrap();
        assert_eq!(format!("{common}}}]\n"), ip, "{line}: mvctl {own}");
    }
    // Lists of links, in the order in which they were made.
    for line in ["-br link show type macvlan", "-br link show up type macvlan"] {
        let mine = lines(&pair.mvctl(line).out);
        assert_eq!(mine, lines(&pair.ip(line).out), "{line}");
        assert!(!mine.is_empty());
    }
    // Colours are the same, too; whether a blank is coloured, nobody sees.
    for line in
        ["-c=always link show mv1", "-c=always -d link show mv0", "-c=always -br link show mv1"]
    {
        let coloured = |text: &str| {
            let words = lines(text).join("\n").replace("\u{1b}[0m", " \u{1b}[0m ");
            words.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(coloured(&pair.mvctl(line).out), coloured(&pair.ip(line).out), "{line}");
    }
    for line in ["link show mv7", "-j link show mv7", "link show mv0 mv1", "link frobnicate mv0"] {
        let step = pair.must_not(line);
        assert!(!step.mvctl.err.is_empty() && step.mvctl.out.is_empty(), "{step:?}");
    }
    pair.clear();
    pair.stop();
}
