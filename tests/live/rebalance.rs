//! Sources that go from worker to worker while frames move.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::mvctl;
use super::common::{Switch, Testpmd, Vdev, have, pause, wait_for, wait_until};
use super::flow;

const PATIENCE: Duration = Duration::from_secs(20);

/// The load that is said to be lately is of so long at most.
const WINDOW: Duration = Duration::from_secs(5);

/// Two workers on the two cores that every machine of ours has, the second one
/// with the control thread; `endpoints` of links mv0, mv1 ... go to them in turn.
fn switch(endpoints: &[&str]) -> Switch {
    let mut config = "\
[cores]
control = 0
workers = \"1,0\"
[eal]
memory = \"4k\"
[[lower]]
name = \"lan0\"
device = \"net_null0,no-rx=1\"
"
    .to_owned();
    for (number, endpoint) in endpoints.iter().enumerate() {
        config.push_str(&format!(
            "[[macvlan]]\nname = \"mv{number}\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:1{number}\"\n{endpoint}\n"
        ));
    }
    let mut switch = Switch::start(&config);
    switch.allow("core 0 has a worker and the control thread");
    switch
}

fn loads(switch: &Switch) -> Vec<f64> {
    let workers = switch.rpc("worker.show", json!({}));
    workers.as_array().unwrap().iter().map(|worker| worker["load"].as_f64().unwrap()).collect()
}

/// What worker `number` polls, and how much of its time that takes.
fn polled(switch: &Switch, number: usize) -> Vec<(String, f64)> {
    let workers = switch.rpc("worker.show", json!({}));
    let show =
        |port: &Value| (port["port"].as_str().unwrap().to_owned(), port["load"].as_f64().unwrap());
    workers[number]["ports"].as_array().unwrap().iter().map(show).collect()
}

fn names(polled: &[(String, f64)]) -> Vec<&str> {
    polled.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn busy_links_of_one_worker_are_shared_out() {
    // Endless sources on the first worker, silence on the second.
    let [source, silence] = ["device = \"net_null#\"", "device = \"net_null#,no-rx=1\""];
    let endpoint = |number: usize| {
        let kind = if number.is_multiple_of(2) { source } else { silence };
        kind.replace('#', &(number + 1).to_string())
    };
    let endpoints: Vec<String> = (0..4).map(endpoint).collect();
    let switch = switch(&endpoints.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(names(&polled(&switch, 0)), ["lan0", "mv0", "mv2"]);
    assert_eq!(names(&polled(&switch, 1)), ["lan0", "mv1", "mv3"]);
    wait_until("both sources are seen", PATIENCE, || {
        let polled = polled(&switch, 0);
        polled.iter().filter(|(_, load)| *load > 20.0).count() == 2
    });
    let told = mvctl(&switch, &["worker", "rebalance"]).good();
    let moved = ["mv0", "mv2"].map(|name| told.contains(&format!("{name}: worker 0 -> 1\n")));
    assert!(moved[0] != moved[1], "{told}");
    assert!(told.contains("worker 1: load 0.") && told.lines().count() == 3, "{told}");
    let stayed = if moved[0] { "mv2" } else { "mv0" };
    assert_eq!(names(&polled(&switch, 0)), ["lan0", stayed]);

    // Each goes on, by its own worker.
    let before = ["mv0", "mv2"].map(|name| switch.port(name).received);
    wait_until("both go on", PATIENCE, || {
        let now = ["mv0", "mv2"].map(|name| switch.port(name).received);
        before.iter().zip(now).all(|(before, now)| now > before + 1_000_000)
    });
    wait_until("both workers are busy", PATIENCE, || loads(&switch).iter().all(|it| *it > 80.0));
    pause(WINDOW);
    let again = mvctl(&switch, &["worker", "rebalance"]).good();
    assert!(again.starts_with("nothing is moved"), "{again}");
    switch.stop();
}

#[test]
fn guests_do_not_notice_and_wake_their_new_worker() {
    if !have("guests_do_not_notice_and_wake_their_new_worker", flow::NEEDS) {
        return;
    }
    let switch = switch(&["", "", ""]);
    let macs = [0, 1, 2].map(|number| format!("02:00:00:00:00:1{number}"));
    let vdev = |number: usize, to: usize| {
        Vdev::virtio_user(&switch.socket(&format!("mv{number}.sock")), &macs[number]).to(&macs[to])
    };
    // Frames go round between mv0 and mv2, both of the first worker.
    let mut guests = Testpmd::start("guests", "mac", &[vdev(0, 2), vdev(2, 0)]);
    switch.wait_up(&["mv0", "mv2"], true);
    guests.go_with_bursts(3);
    let rebalanced = wait_for("a move", PATIENCE, || {
        let answer = switch.rpc("worker.rebalance", json!({}));
        (answer["moved"] != json!([])).then_some(answer)
    });
    assert_eq!(rebalanced["moved"].as_array().unwrap().len(), 1, "{rebalanced}");
    let moved = rebalanced["moved"][0]["port"].as_str().unwrap();
    wait_until("it is the other's", PATIENCE, || names(&polled(&switch, 1)).contains(&moved));
    // They go round as before; and again after both workers have slept.
    for _ in 0..3 {
        let before = [0, 1].map(|port| guests.stats(port).rx_packets);
        wait_until("the frames go round", PATIENCE, || {
            [0, 1].iter().all(|&port| guests.stats(port).rx_packets >= before[port] + 10_000)
        });
        guests.halt();
        pause(Duration::from_millis(100));
        // What lay in the rings is thrown away with the start.
        guests.go_with_bursts(3);
    }
    guests.halt();
    guests.forward("rxonly");
    guests.go();
    let ports = switch.ports_at_rest(["mv0", "mv2"]);
    for (index, port) in ports.iter().enumerate() {
        let guest = guests.stats(index);
        assert_eq!((guest.tx_packets, guest.rx_packets), (port.received, port.transmitted));
        assert_eq!(port.all_dropped(), 0, "{port:?}");
    }
    guests.quit();
    switch.stop();
}
