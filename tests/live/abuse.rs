//! Clients that are broken, or mean it: each gets an error or loses its
//! connection; nobody else notices, least of all a frame.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Line, errno, has_not_grown, memory, mvctl, request, state};
use super::common::{PATIENCE, Switch, have, pause, wait_until};
use super::flow::{self, Flow};

/// Places for clients, and how long a line or an answer may take.
const CLIENTS: usize = 64;
const FINISH: Duration = Duration::from_secs(5);

/// Whoever is not broken is served all the same.
#[track_caller]
fn mvctl_works(switch: &Switch) {
    let asked = Instant::now();
    mvctl(switch, &["link", "show"]).good();
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(1), "mvctl took {took:?}");
}

#[test]
fn a_line_that_is_no_request_gets_an_error_and_the_next_is_served() {
    let switch = Switch::start(flow::CONFIG);
    let before = state(&switch);
    let mut line = Line::open(&switch);
    let rpc = |rest: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":1,{rest}}}");
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let nested = rpc(&format!("\"method\":\"link.add\",\"params\":{}", deep("[", "]")));
    for (text, code) in [
        ("{", -32700),
        ("GET / HTTP/1.1", -32700),
        ("\u{0}", -32700),
        ("{\"jsonrpc\":\"2.0\"", -32700),
        (&deep("[", "]"), -32700),
        (&deep("{\"a\":", "}"), -32700),
        (&nested, -32700),
        ("[]", -32600),
        ("7", -32600),
        ("null", -32600),
        ("{}", -32600),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"version\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"version\"}", -32600),
        (&rpc("\"method\":7"), -32600),
        (&rpc("\"method\":\"link.frobnicate\""), -32601),
        (&rpc("\"method\":\"\""), -32601),
        (&rpc("\"method\":\"link.add\""), -32602),
        (&rpc("\"method\":\"link.add\",\"params\":[]"), -32602),
        (&rpc("\"method\":\"link.add\",\"params\":{\"name\":7,\"link\":\"lan0\"}"), -32602),
        (&rpc("\"method\":\"link.set\",\"params\":{\"name\":\"mv0\",\"mtu\":-1}"), -32602),
        (&rpc("\"method\":\"link.set\",\"params\":{\"name\":\"mv0\",\"mtu\":1e99}"), -32602),
        (&rpc("\"method\":\"link.set\",\"params\":{\"name\":\"mv0\",\"up\":\"yes\"}"), -32602),
        (&rpc("\"method\":\"link.set\",\"params\":{\"name\":\"mv0\",\"nmae\":1}"), -32602),
        (&rpc("\"method\":\"batch\",\"params\":{\"requests\":{}}"), -32602),
        (&rpc("\"method\":\"batch\",\"params\":{\"requests\":[7]}"), -32602),
        (&rpc("\"method\":\"explain\",\"params\":{\"from\":\"mv0\",\"dst\":[]}"), -32602),
        (&rpc("\"method\":\"version\",\"params\":{\"x\":1}"), -32602),
    ] {
        let error = line.ask(text).expect_err(text);
        assert_eq!(error["code"], code, "{text:.200}: {error}");
        let said = error["message"].as_str().unwrap();
        assert!(!said.is_empty() && said.len() < 1000, "{text:.200}: {error}");
    }
    // Bytes that are no text.
    line.write(b"\xff\xfe\x00\n").unwrap();
    assert_eq!(line.hear().unwrap()["error"]["code"], -32700);
    // Nothing, and a notification, have no answer; what follows has one.
    line.write(b"\n \r\n{\"jsonrpc\":\"2.0\",\"method\":\"nonsense\"}\n").unwrap();
    assert!(line.call("version", json!({})).is_ok());
    // Several in one write are answered in turn.
    let many: String = (0..100)
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"worker.show\"}}\n"))
        .collect();
    line.write(many.as_bytes()).unwrap();
    (0..100).for_each(|id| assert_eq!(line.hear().unwrap()["id"], id));
    drop(line);
    assert_eq!(state(&switch), before);
    switch.stop();
}

#[test]
fn lines_without_an_end_and_requests_without_measure_are_cut_off() {
    let switch = Switch::start(flow::CONFIG);
    let before = state(&switch);
    // The longest line there may be is served, one byte more is not.
    let padded = |length: usize| {
        let text = request("version", json!({})).to_string();
        " ".repeat(length - text.len() - 1) + &text
    };
    let mut line = Line::open(&switch);
    assert!(line.ask(&padded(64 << 10)).is_ok());
    line.write(format!("{}\n", padded((64 << 10) + 1)).as_bytes()).unwrap();
    is_cut_off(&mut line, "longer than 65536 bytes");
    // 65 KiB and more, without any end.
    let mut line = Line::open(&switch);
    _ = line.write(&vec![b'['; 65 << 10]);
    is_cut_off(&mut line, "longer than 65536 bytes");
    // Half a line, and silence; others are served meanwhile.
    let mut slow = Line::open(&switch);
    slow.write(b"{\"jsonrpc\":").unwrap();
    mvctl_works(&switch);
    let begun = Instant::now();
    is_cut_off(&mut slow, "not finished within");
    assert!(begun.elapsed() < FINISH + Duration::from_secs(2));
    // Half a line, and gone: it is no request.
    let mut line = Line::open(&switch);
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "link.del", "params": {"name": "mv0"}});
    line.write(request.to_string().as_bytes()).unwrap();
    drop(line);
    // A batch that never ends, and one that is not gone on with.
    let mut line = Line::open(&switch);
    let filler = "x".repeat(60 << 10);
    let part =
        json!({"requests": [{"method": "link.del", "params": {"name": filler}}], "more": true});
    let refused = (0..200).find_map(|_| line.call("batch", part.clone()).err()).unwrap();
    assert_eq!(errno(&refused), "EMSGSIZE", "{refused}");
    // What else it had sent of that batch is not taken for a whole one.
    let mut line = Line::open(&switch);
    line.call("batch", json!({"requests": [], "more": true})).unwrap();
    let refused = line.call("version", json!({})).unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("not finished"), "{refused}");
    drop(line);
    mvctl_works(&switch);
    assert_eq!(state(&switch), before);
    switch.stop();
}

/// The switch says why, and hangs up.
#[track_caller]
fn is_cut_off(line: &mut Line, why: &str) {
    let said = line.hear().unwrap();
    assert!(said["error"]["message"].as_str().unwrap().contains(why), "{said}");
    assert_eq!(said["id"], Value::Null);
    assert_eq!(line.hear(), None);
}

#[test]
fn a_crowd_of_bad_clients_disturbs_neither_mvctl_nor_the_frames() {
    if !have("a_crowd_of_bad_clients_disturbs_neither_mvctl_nor_the_frames", flow::NEEDS) {
        return;
    }
    let mut switch = Switch::start(flow::CONFIG);
    let mut flow = Flow::start(&switch, &[]);
    let connect = || UnixStream::connect(switch.socket("control.sock")).unwrap();
    // What is touched for the first time, of buffers and for a crowd, is no growth.
    let crowd: Vec<UnixStream> = (0..CLIENTS).map(|_| connect()).collect();
    mvctl_works(&switch);
    drop(crowd);
    (0..5).for_each(|_| flow.goes_on());
    pause(Duration::from_millis(500));
    let (before, descriptors, kilobytes) = (state(&switch), switch.open_files(), memory(&switch));
    let bounded = |what: &str| {
        let open = switch.open_files();
        assert!(open <= descriptors + CLIENTS + 2, "{what}: {descriptors} grew to {open}");
        has_not_grown(&switch, kilobytes);
    };

    // A thousand that say nothing: the newest stay.
    let silent: Vec<UnixStream> = (0..1000).map(|_| connect()).collect();
    mvctl_works(&switch);
    bounded("silent clients");
    wait_until("all but the newest are gone", PATIENCE, || {
        silent.iter().filter(|stream| is_open(stream)).count() <= CLIENTS
    });
    mvctl_works(&switch);
    drop(silent);
    flow.goes_on();

    // Those who ask and never read, for as long as they are let.
    for _ in 0..3 {
        let deaf: Vec<UnixStream> = (0..32).map(|_| connect()).collect();
        for stream in &deaf {
            fill(stream, "config.show");
        }
        mvctl_works(&switch);
        bounded("clients that never read");
        wait_until("they are cut off", PATIENCE, || {
            mvctl_works(&switch);
            deaf.iter().all(is_hung_up)
        });
    }
    flow.goes_on();

    // Killed in the middle of a line, again and again.
    for round in 0..500_usize {
        let mut stream = connect();
        let text = request("link.del", json!({"name": "mv0"})).to_string();
        let (part, _) = text.as_bytes().split_at(round % text.len());
        _ = stream.write_all(part);
    }
    mvctl_works(&switch);
    flow.goes_on();

    // Listeners who do not: every one is cut off once its events pile up.
    let mut monitors: Vec<Line> = (0..16).map(|_| Line::open(&switch)).collect();
    for monitor in &mut monitors {
        monitor.call("monitor", json!({})).unwrap();
    }
    let error = Line::open(&switch).call("monitor", json!({})).unwrap_err();
    assert_eq!(errno(&error), "EBUSY", "{error}");
    let mut line = Line::open(&switch);
    let deadline = Instant::now() + PATIENCE;
    while !monitors.iter().all(|monitor| is_hung_up(monitor.stream())) {
        assert!(Instant::now() < deadline, "a listener who does not read is still there");
        for mtu in [1400, 1500] {
            line.call("link.set", json!({"name": "mv1", "mtu": mtu})).unwrap();
        }
    }
    mvctl_works(&switch);
    bounded("monitors that never read");
    drop((monitors, line));

    wait_until("descriptors return", PATIENCE, || switch.open_files() <= descriptors);
    has_not_grown(&switch, kilobytes);
    assert_eq!(state(&switch), before);
    switch.allow("could not be accepted");
    flow.finish(&switch);
    switch.stop();
}

/// The switch has not hung up, as far as one can see without reading.
fn is_open(stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut stream = stream;
    let read = stream.read(&mut [0; 1]);
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// The switch has hung up, whatever still lies unread.
fn is_hung_up(stream: &UnixStream) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).unwrap();
    fds[0].revents().unwrap().contains(PollFlags::POLLHUP)
}

/// Asks until nobody takes it any more.
fn fill(stream: &UnixStream, method: &str) {
    stream.set_nonblocking(true).unwrap();
    let text = format!("{}\n", request(method, json!({})));
    let mut stream = stream;
    let full = Instant::now() + Duration::from_secs(2);
    let mut stuck = 0;
    while stuck < 3 && Instant::now() < full {
        match stream.write(text.as_bytes()) {
            Ok(_) => stuck = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stuck += 1;
                pause(Duration::from_millis(1));
            }
            Err(_) => return,
        }
    }
}
