//! Any frames on any topology: a burst is classified as its frames are one by
//! one, and nobody who is down hears anything.

use macvlan::fib::{Decisions, Fib, Head, Output, Receiver, Target};
use macvlan::rules::compile;

use super::bytes::Bytes;
use super::operation::{Operation, address, start};

/// Builds what the first part of `input` spells, and sends the rest through it.
pub fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let (chain, mut context) = start();
    for _ in 0..bytes.byte() % 24 {
        // What is refused is of no interest here.
        _ = Operation::read(&mut bytes).run(&chain, &mut context);
    }
    let mut heads = Vec::new();
    while !bytes.is_empty() && heads.len() < 200 {
        heads.push(head(&mut bytes));
    }
    for lower in context.driver.lowers() {
        let Ok(fib) = compile(&context.driver, lower.index) else { continue };
        let up: Vec<bool> = context.driver.links_of(lower.index).map(|link| link.up).collect();
        let links = u16::try_from(up.len()).unwrap_or(0);
        let mut decisions = Decisions::new(heads.len());
        // One more than there are: its frames go nowhere.
        for ingress in [Output::WIRE, Output::HOST].into_iter().chain((0..=links).map(Output::link))
        {
            fib.classify(ingress, &heads, &mut decisions);
            for (&head, frame) in heads.iter().zip(0..) {
                let found = receivers(&fib, &decisions, frame);
                assert_eq!(found, fib.receivers(ingress, head), "{ingress:?} {head:?}");
                check_receivers(ingress, &found, &up);
            }
        }
    }
}

/// An EtherType that matters, or any; addresses as operations have them.
fn head(bytes: &mut Bytes<'_>) -> Head {
    let (to, from) = (address(bytes).bytes(), address(bytes).bytes());
    let [high, low] = match bytes.byte() {
        0..0x80 => [0x08, 0x00],
        0x80..0xe0 => [0x88, 0x08],
        0xe0.. => bytes.array(),
    };
    let [a, b, c, d, e, f] = to;
    let [g, h, i, j, k, l] = from;
    Head::read(&[a, b, c, d, e, f, g, h, i, j, k, l, high, low])
}

/// Who gets a frame of the burst, read as the workers read it.
fn receivers(fib: &Fib, decisions: &Decisions, frame: u16) -> Vec<Receiver> {
    let mut all: Vec<Receiver> = fib
        .sources_of(decisions, frame)
        .iter()
        .map(|&output| Receiver { output, multicast: false })
        .collect();
    match decisions.target(frame) {
        Target::Output(output) => all.push(Receiver { output, multicast: false }),
        Target::Group(group) => {
            let members = fib.members(group, fib.list_of(decisions, frame)).into_iter();
            all.extend(
                members.map(|output| Receiver { output, multicast: output.slot().is_some() }),
            );
        }
        Target::Drop(_) => {}
    }
    all.sort_unstable();
    all
}

fn check_receivers(ingress: Output, receivers: &[Receiver], up: &[bool]) {
    for receiver in receivers {
        let Some(slot) = receiver.output.slot() else { continue };
        assert_eq!(up.get(usize::from(slot)), Some(&true), "{receiver:?} hears {ingress:?}");
    }
    let groups = receivers.iter().filter(|receiver| receiver.multicast);
    let copies: Vec<Output> = groups.map(|receiver| receiver.output).collect();
    assert!(copies.is_sorted_by(|a, b| a < b), "{copies:?}: somebody gets two copies");
}
