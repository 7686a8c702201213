//! What `ip` does not have: ports' counters, workers, differences of configs,
//! what becomes of a frame, versions.

use crate::proto::{
    Change, Difference, Drops, Explanation, Keyed, Moved, PortStats, Rebalanced, Version,
    WorkerPort, WorkerShow,
};

/// Columns as wide as they must be: the first to the left, numbers to the right.
fn columns(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|name| name.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(head.to_vec())).chain(rows).collect()
}

fn ended(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Counters of ports, and under each what it dropped.
pub(crate) fn ports(ports: &[PortStats]) -> String {
    let head =
        ["port", "kind", "rx packets", "rx bytes", "tx packets", "tx bytes", "copies", "dropped"];
    let row = |port: &PortStats| {
        let dropped: u64 = port.drops.iter().map(|drops| drops.frames).sum();
        let counts = [
            port.receive_packets,
            port.receive_bytes,
            port.transmit_packets,
            port.transmit_bytes,
            port.copies,
            dropped,
        ];
        let names = [port.port.clone(), port.kind.clone()];
        names.into_iter().chain(counts.map(|count| count.to_string())).collect()
    };
    let rows: Vec<Vec<String>> = ports.iter().map(row).collect();
    let mut lines = columns(&head, &rows).into_iter();
    let mut shown: Vec<String> = lines.by_ref().take(1).collect();
    for (line, port) in lines.zip(ports) {
        shown.push(line);
        shown.extend(port.drops.iter().map(|Drops { direction, reason, frames }| {
            format!("    dropped {direction} {reason} {frames}")
        }));
    }
    ended(&shown)
}

/// Workers: how busy, how full their batches; under each what it polls.
pub(crate) fn workers(workers: &[WorkerShow]) -> String {
    let head =
        ["worker", "core", "load", "cycles/frame", "frames/batch", "turns", "frames", "sleeps"];
    let known = |number: Option<f64>| number.map_or("-".to_owned(), |it| format!("{it:.1}"));
    let row = |worker: &WorkerShow| {
        vec![
            worker.worker.to_string(),
            worker.core.map_or("-".to_owned(), |core| core.to_string()),
            percent(worker.load),
            known(worker.cycles_per_frame),
            known(worker.frames_per_batch),
            worker.turns.to_string(),
            worker.frames.to_string(),
            worker.sleeps.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = workers.iter().map(row).collect();
    let mut lines = columns(&head, &rows).into_iter();
    let mut shown: Vec<String> = lines.by_ref().take(1).collect();
    for (line, worker) in lines.zip(workers) {
        shown.push(line);
        let (busy, idle): (Vec<_>, Vec<_>) =
            worker.ports.iter().partition(|port| port.load >= 0.05);
        let name = |port: &&WorkerPort| queue(&port.port, port.queue);
        shown.extend(busy.iter().map(|port| format!("    {} {}", name(port), percent(port.load))));
        if !idle.is_empty() {
            let names: Vec<String> = idle.iter().map(name).collect();
            shown.push(format!("    idle: {}", names.join(", ")));
        }
    }
    ended(&shown)
}

/// What went from worker to worker, and what that does to them.
pub(crate) fn rebalanced(answer: &Rebalanced) -> String {
    let moved = answer.moved.iter().map(|Moved { port, queue: number, from, to }| {
        format!("{}: worker {from} -> {to}", queue(port, *number))
    });
    let mut lines: Vec<String> = moved.collect();
    if lines.is_empty() {
        lines.push("nothing is moved: that would not relieve the busiest worker".to_owned());
    } else {
        let loads = answer.before.iter().zip(&answer.after).enumerate();
        lines.extend(loads.map(|(worker, (before, after))| {
            format!("worker {worker}: load {} -> {}", percent(*before), percent(*after))
        }));
    }
    ended(&lines)
}

fn queue(port: &str, queue: Option<u16>) -> String {
    queue.map_or_else(|| port.to_owned(), |queue| format!("{port} queue {queue}"))
}

fn percent(share: f64) -> String {
    format!("{share:.1}%")
}

/// What differs between the running state and a config file.
pub(crate) fn difference(difference: &Difference) -> String {
    let mut lines = Vec::new();
    for Change { change, kind, name, keys } in &difference.changes {
        lines.push(format!("{change} {kind} {name}").trim_end().to_owned());
        lines.extend(keys.iter().map(|Keyed { key, from, to }| match (&**from, &**to) {
            ("", to) => format!("    {key} = {to}"),
            (from, "") => format!("    {key} = {from} no longer"),
            (from, to) => format!("    {key} = {from} becomes {to}"),
        }));
    }
    if lines.is_empty() {
        lines.push("nothing differs".to_owned());
    }
    ended(&lines)
}

/// What would become of a frame.
pub(crate) fn explanation(from: &str, explanation: &Explanation) -> String {
    let Explanation { lower, src, receivers, dropped, rules } = explanation;
    let mut lines = vec![format!("a frame from {from} on {lower}, source {src}")];
    lines.extend(receivers.iter().map(|receiver| {
        let queued = if receiver.queued { ", by way of the broadcast queue" } else { "" };
        format!("    reaches {}{queued}", receiver.port)
    }));
    lines.extend(dropped.iter().map(|reason| format!("    is dropped: {reason}")));
    lines.push("because of".to_owned());
    lines.extend(rules.iter().map(|rule| format!("    {:<8}{}", rule.id, rule.rule)));
    ended(&lines)
}

/// Both versions.
pub(crate) fn version(version: &Version) -> String {
    let Version { version, revision, dpdk, switch, pid, uptime_seconds } = version;
    let (hours, minutes) = (uptime_seconds / 3600, uptime_seconds / 60 % 60);
    let seconds = uptime_seconds % 60;
    format!(
        "mvctl {}\nmvswitch {version} ({revision}) with DPDK {dpdk}\nswitch {switch}, process {pid}, up \
         {hours}:{minutes:02}:{seconds:02}\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Receiver, Rule};

    #[test]
    fn ports_and_their_drops() {
        let port = PortStats {
            port: "mv0".into(),
            kind: "link".into(),
            receive_packets: 7,
            copies: 12_345_678,
            drops: vec![Drops { direction: "receive".into(), reason: "runt".into(), frames: 3 }],
            ..PortStats::default()
        };
        let host =
            PortStats { port: "host@lan0".into(), kind: "host".into(), ..PortStats::default() };
        assert_eq!(
            ports(&[port, host]),
            "port       kind  rx packets  rx bytes  tx packets  tx bytes    copies  dropped\n\
             mv0        link           7         0           0         0  12345678        3\n    \
             dropped receive runt 3\n\
             host@lan0  host           0         0           0         0         0        0\n"
        );
    }

    #[test]
    fn workers_and_their_time() {
        let port = |port: &str, queue, load| WorkerPort { port: port.into(), queue, load };
        let worker = WorkerShow {
            load: 25.0,
            frames_per_batch: Some(1.5),
            ports: vec![
                port("lan0", Some(1), 0.0),
                port("mv0", None, 25.0),
                port("mv1", None, 0.01),
            ],
            ..WorkerShow::default()
        };
        let text = workers(&[worker]);
        let ends = text.ends_with("\n    mv0 25.0%\n    idle: lan0 queue 1, mv1\n");
        assert!(text.contains(" 25.0% ") && text.contains(" 1.5 ") && ends, "{text}");
        assert!(workers(&[WorkerShow::default()]).contains(" 0.0%             -  "));
    }

    #[test]
    fn what_went_from_worker_to_worker() {
        let moved = |port: &str, queue| Moved { port: port.into(), queue, from: 0, to: 1 };
        let answer = Rebalanced {
            moved: vec![moved("mv0", None), moved("lan0", Some(3))],
            before: vec![99.95, 0.0],
            after: vec![50.0, 49.95],
        };
        assert_eq!(
            rebalanced(&answer),
            "mv0: worker 0 -> 1\nlan0 queue 3: worker 0 -> 1\n\
             worker 0: load 100.0% -> 50.0%\nworker 1: load 0.0% -> 50.0%\n"
        );
        assert!(rebalanced(&Rebalanced::default()).starts_with("nothing is moved"));
    }

    #[test]
    fn differences() {
        assert_eq!(difference(&Difference::default()), "nothing differs\n");
        let key = |key: &str, from: &str, to: &str| Keyed {
            key: key.into(),
            from: from.into(),
            to: to.into(),
        };
        let change = Change {
            change: "set".into(),
            kind: "link".into(),
            name: "mv0".into(),
            keys: vec![
                key("mtu", "1500", "1400"),
                key("mode", "", "\"vepa\""),
                key("up", "true", ""),
            ],
        };
        assert_eq!(
            difference(&Difference { changes: vec![change], applied: false }),
            "set link mv0\n    mtu = 1500 becomes 1400\n    mode = \"vepa\"\n    up = true no longer\n"
        );
    }

    #[test]
    fn frames_and_versions() {
        let told = Explanation {
            lower: "lan0".into(),
            src: "02:00:00:00:00:01".into(),
            receivers: vec![Receiver { port: "mv1".into(), queued: true }],
            rules: vec![Rule { id: "TX-02".into(), rule: "bridge links reach each other".into() }],
            ..Explanation::default()
        };
        assert_eq!(
            explanation("mv0", &told),
            "a frame from mv0 on lan0, source 02:00:00:00:00:01\n    reaches mv1, by way of the broadcast \
             queue\nbecause of\n    TX-02   bridge links reach each other\n"
        );
        let text = version(&Version { uptime_seconds: 3723, ..Version::default() });
        assert!(text.ends_with(", up 1:02:03\n"), "{text}");
    }
}
