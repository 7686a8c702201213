//! Eight clients at once on a few names: what they are answered, and what comes
//! of it, is what one after another would have been.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::client::{Line, errno, files};
use super::common::Switch;
use super::history::{Done, Link, Op, Search, State, Told, name_of};

const CLIENTS: u64 = 8;
/// Operations of each.
const OPERATIONS: usize = 3000;
const NAMES: u64 = 4;

const CONFIG: &str = "\
[eal]
memory = \"4k\"
[[lower]]
name = \"lan0\"
device = \"net_null0,no-rx=1\"
";

/// Random enough, and the same for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn op(&mut self) -> Op {
        let name = usize::try_from(self.below(NAMES)).unwrap();
        let flip = self.below(2) == 0;
        // Few enough that links want each other's.
        let number = self.below(6);
        let address = |prefix: &str| format!("{prefix}:00:00:00:00:{number:02x}");
        match self.below(12) {
            0..=2 => Op::Add { name, address: address("02"), source: flip },
            3 | 4 => Op::Del { name },
            5 => Op::Mtu { name, mtu: 1400 + u32::try_from(number).unwrap() },
            6 => Op::Address { name, address: address("02") },
            7 | 8 => Op::Up { name, up: flip },
            9 | 10 => Op::Source { name, address: address("06"), add: flip },
            _ => Op::Group { name, address: address("03"), add: flip },
        }
    }
}

fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(time.as_micros()).unwrap()
}

fn client(switch: &Switch, seed: u64) -> Vec<Done> {
    let mut line = Line::open(switch);
    let mut random = Random(seed);
    let one = |_| {
        let op = random.op();
        let (method, params) = op.request();
        let asked = now();
        let refused = line.call(method, params).err().map(|error| errno(&error).to_owned());
        Done { op, refused, asked, answered: now() }
    };
    (0..OPERATIONS).map(one).collect()
}

fn number(shown: &Value) -> usize {
    shown["ifname"].as_str().unwrap().trim_start_matches('r').parse().unwrap()
}

/// Events until none has come for a while after `is_over`.
fn listen(mut line: Line, first: u64, is_over: &dyn Fn() -> bool) -> Vec<Told> {
    let mut told = Vec::new();
    let mut sequence = first;
    loop {
        let over = is_over();
        let Some(event) = line.hear_within(Duration::from_millis(300)) else {
            if over {
                return told;
            }
            continue;
        };
        let event = &event["params"];
        sequence += 1;
        assert_eq!(event["sequence"], sequence, "events were lost: {event}");
        let shown = &event["link"];
        let link = (event["change"] != "del").then(|| Link::of(shown));
        told.push(Told { name: number(shown), link, at: event["time_us"].as_u64().unwrap() });
    }
}

#[test]
fn some_serial_order_explains_what_eight_clients_saw() {
    let switch = Switch::start(CONFIG);
    let seed: u64 = std::env::var("MVSWITCH_SEED").ok().map_or_else(now, |it| it.parse().unwrap());
    println!("MVSWITCH_SEED={seed}");
    let mut monitor = Line::open(&switch);
    let first = monitor.call("monitor", json!({})).unwrap()["sequence"].as_u64().unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    let (clients, events) = std::thread::scope(|scope| {
        let is_over = || over.load(std::sync::atomic::Ordering::SeqCst);
        let events = scope.spawn(move || listen(monitor, first, &is_over));
        let switch = &switch;
        let seeds = (1..=CLIENTS).map(|client| seed.wrapping_mul(client) | 1);
        let clients: Vec<_> = seeds.map(|seed| scope.spawn(move || client(switch, seed))).collect();
        let clients: Vec<Vec<Done>> =
            clients.into_iter().map(|client| client.join().unwrap()).collect();
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        (clients, events.join().unwrap())
    });
    // It was a race: all that can come of an operation came of some.
    let came = |why: Option<&str>| {
        clients.iter().flatten().filter(|done| done.refused.as_deref() == why).count()
    };
    for why in ["EEXIST", "ENODEV", "EADDRINUSE", "EINVAL", "ENOENT"] {
        assert!(came(Some(why)) > 10, "{why} came {} times", came(Some(why)));
    }
    assert!(came(None) > 1000 && events.len() > 1000, "{} changes", events.len());

    let order = Search::new(&clients, &events).order();
    let end = order.unwrap_or_else(|stuck| panic!("no order explains it, seed {seed}: {stuck}"));
    let shown = switch.rpc("link.show", json!({}));
    let shown: State =
        shown.as_array().unwrap().iter().map(|shown| (number(shown), Link::of(shown))).collect();
    assert_eq!(shown, end);
    let sockets: Vec<String> =
        files(&switch).into_iter().filter(|name| name.starts_with('r')).collect();
    let names: Vec<String> = end.keys().map(|&name| format!("{}.sock", name_of(name))).collect();
    assert_eq!(sockets, names);
    switch.stop();
}

/// Of those who ask for the same, one gets it.
#[test]
fn of_many_who_want_a_name_one_gets_it() {
    let switch = Switch::start(CONFIG);
    for _ in 0..50 {
        let all = |method: &'static str, params: Value, errno_wanted: &str| {
            let barrier = std::sync::Barrier::new(8);
            let outcomes: Vec<Result<Value, Value>> = std::thread::scope(|scope| {
                let one = || {
                    let mut line = Line::open(&switch);
                    barrier.wait();
                    line.call(method, params.clone())
                };
                let clients: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
                clients.into_iter().map(|client| client.join().unwrap()).collect()
            });
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            for error in outcomes.into_iter().filter_map(Result::err) {
                assert_eq!(errno(&error), errno_wanted, "{error}");
            }
        };
        all("link.add", json!({"name": "r0", "link": "lan0"}), "EEXIST");
        all("link.del", json!({"name": "r0"}), "ENODEV");
    }
    assert_eq!(switch.rpc("link.show", json!({})), json!([]));
    switch.stop();
}
