//! `-batch` of both: the same lines fail, and the same ones are not reached.

use std::io::Write;

use super::ip_is_here;
use super::pair::{Pair, Said};

const LINES: &str = "\
# a comment, an empty line, a continued one

link add link lan0 mv0 address 02:00:00:00:00:10 \\
    type macvlan mode bridge
link set mv0 up # another comment
link add link lan0 mv0 type macvlan mode bridge
link add link lan0 'mv1' address \"02:00:00:00:00:11\" type macvlan mode vepa
link set mv1 mtu 9000
link set mv0 mtu 1400
";

/// The lines that a batch says have failed.
fn failed(said: &Said) -> Vec<String> {
    let named = said.err.lines().filter_map(|line| line.strip_prefix("Command failed "));
    named.map(|place| place.rsplit_once(':').unwrap().1.to_owned()).collect()
}

#[test]
fn batches_fail_at_the_same_line() {
    if !ip_is_here("batches_fail_at_the_same_line") {
        return;
    }
    let mut pair = Pair::new();
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let ours: Vec<String> = LINES
        .lines()
        .map(|line| line.replace("link add", "link add down allmulticast off"))
        .collect();
    let (theirs, ours) = (file(LINES), file(&(ours.join("\n") + "\n")));
    for (option, wanted) in [("", &["6"][..]), ("-force ", &["6", "8"])] {
        let batch =
            |file: &tempfile::NamedTempFile| format!("{option}-batch {}", file.path().display());
        let (ip, mvctl) = (pair.ip(&batch(&theirs)), pair.mvctl(&batch(&ours)));
        assert!(!ip.ok && !mvctl.ok, "{ip:?} {mvctl:?}");
        assert_eq!(failed(&ip), wanted, "{ip:?}");
        assert_eq!(failed(&mvctl), wanted, "{mvctl:?}");
        let named = format!("Command failed {}:6\n", ours.path().display());
        assert!(mvctl.err.contains(&named), "{mvctl:?}");
        // A show that changes nothing compares what the batches have left.
        pair.must("link show mv0");
        pair.clear();
    }
    // Without a mistake nothing is said, and a batch may come from standard input.
    let good: String = LINES.lines().take(5).map(|line| format!("{line}\n")).collect();
    let good = [file(&good), file(&good.replace("link add", "link add down allmulticast off"))];
    let said = pair.ip(&format!("-batch {}", good[0].path().display()));
    assert!(said.ok && said.err.is_empty(), "{said:?}");
    let said = pair.mvctl_with("-b -", &std::fs::read_to_string(good[1].path()).unwrap());
    assert!(said.ok && said.err.is_empty(), "{said:?}");
    pair.must("link show mv0");
    pair.must_not("-batch /there/is/no/such/file");
    pair.clear();
    pair.stop();
}
