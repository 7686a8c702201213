//! The compiled rules against a naive model that knows nothing of tables: the
//! statements as sentences, one `if` each. And a named test per statement.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use macvlan::drop::DropReason;
use macvlan::fib::{Fib, GroupId, Head, Output, Target, Verdict};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{self, Bridge, Private, Vepa};
use macvlan::rules::{CompileError, LinkRule, LowerRules, compile};
use proptest::prelude::*;

fn mac(number: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 0, number])
}

const OUTSIDE: MacAddr = MacAddr::new([2, 9, 9, 9, 9, 9]);
const GROUP: MacAddr = MacAddr::new([1, 0, 0x5e, 0, 0, 5]);

fn head(dst: MacAddr, src: MacAddr) -> Head {
    let bytes = [&dst.bytes()[..], &src.bytes(), &[0x88, 0xb5]].concat();
    Head::read(bytes[..].try_into().unwrap())
}

/// Receivers in order, or the reason for there being none.
type Delivery = Result<Vec<Output>, DropReason>;

fn expand(fib: &Fib, verdict: Verdict) -> Delivery {
    match verdict.target() {
        Target::Output(output) => Ok(vec![output]),
        Target::Drop(reason) => Err(reason),
        Target::Group(group) => {
            let mut members: Vec<Output> = fib.group(group).into_iter().collect();
            assert!(members.len() >= 2, "a group of {members:?} is an output or a drop");
            assert!(!fib.group(group).is_empty());
            members.sort();
            Ok(members)
        }
    }
}

fn classify(
    links: &[LinkRule],
    host: bool,
    from: Output,
    frames: &[(MacAddr, MacAddr)],
) -> Vec<Delivery> {
    let fib = compile(&LowerRules { links, host }).unwrap();
    let heads: Vec<Head> = frames.iter().map(|&(dst, src)| head(dst, src)).collect();
    let mut verdicts = vec![Verdict::default(); heads.len()];
    fib.classify(from, &heads, &mut verdicts);
    verdicts.into_iter().map(|verdict| expand(&fib, verdict)).collect()
}

/// Links with addresses `mac(1)`, `mac(2)` … in slots 0, 1 …
fn up(modes: &[Mode]) -> Vec<LinkRule> {
    modes.iter().zip(1..).map(|(&mode, last)| LinkRule { mac: mac(last), mode, up: true }).collect()
}

fn one(links: &[LinkRule], host: bool, from: Output, dst: MacAddr, src: MacAddr) -> Delivery {
    classify(links, host, from, &[(dst, src)]).remove(0)
}

const WIRE: Output = Output::WIRE;
const HOST: Output = Output::HOST;

fn link(slot: u16) -> Output {
    Output::link(slot)
}

#[test]
fn rxu_02_unicast_goes_to_the_link_with_the_address_whatever_its_mode() {
    let links = up(&[Private, Vepa, Bridge]);
    for slot in 0..3 {
        let last = u8::try_from(slot).unwrap() + 1;
        assert_eq!(one(&links, true, WIRE, mac(last), OUTSIDE), Ok(vec![link(slot)]));
    }
}

#[test]
fn rxu_04_unknown_unicast_goes_to_the_host() {
    let mut links = up(&[Bridge]);
    assert_eq!(one(&links, true, WIRE, OUTSIDE, mac(7)), Ok(vec![HOST]));
    assert_eq!(one(&links, false, WIRE, OUTSIDE, mac(7)), Err(DropReason::UnknownUnicast));
    links[0].up = false;
    assert_eq!(one(&links, true, WIRE, mac(1), OUTSIDE), Ok(vec![HOST]));
}

#[test]
fn rxu_06_hairpinned_unicast_reaches_private_links_too() {
    let links = up(&[Private, Private]);
    assert_eq!(one(&links, false, WIRE, mac(2), mac(1)), Ok(vec![link(1)]));
}

#[test]
fn rxu_07_the_source_of_unicast_does_not_matter() {
    let links = up(&[Bridge, Vepa]);
    for src in [OUTSIDE, mac(1), mac(2), MacAddr::ZERO, GROUP] {
        assert_eq!(one(&links, false, WIRE, mac(1), src), Ok(vec![link(0)]));
    }
}

#[test]
fn rxm_01_groups_from_outside_reach_all_links_and_the_host() {
    let links = up(&[Private, Vepa, Bridge]);
    let all = vec![HOST, link(0), link(1), link(2)];
    for src in [OUTSIDE, GROUP, MacAddr::ZERO, MacAddr::BROADCAST] {
        assert_eq!(one(&links, true, WIRE, MacAddr::BROADCAST, src), Ok(all.clone()), "from {src}");
        assert_eq!(one(&links, true, WIRE, GROUP, src), Ok(all.clone()), "from {src}");
    }
    assert_eq!(one(&[], false, WIRE, GROUP, OUTSIDE), Err(DropReason::NoMember));
}

#[test]
fn rxm_02_reflected_from_vepa() {
    let links = up(&[Vepa, Vepa, Bridge, Private]);
    let expected = vec![HOST, link(1), link(2)];
    assert_eq!(one(&links, true, WIRE, GROUP, mac(1)), Ok(expected));
}

#[test]
fn rxm_03_reflected_from_bridge() {
    let links = up(&[Bridge, Bridge, Vepa, Private]);
    assert_eq!(one(&links, true, WIRE, GROUP, mac(1)), Ok(vec![HOST, link(2)]));
    assert_eq!(one(&links[..2], false, WIRE, GROUP, mac(1)), Err(DropReason::NoMember));
}

#[test]
fn rxm_04_reflected_from_private() {
    let links = up(&[Private, Private, Vepa, Bridge]);
    assert_eq!(one(&links, true, WIRE, GROUP, mac(2)), Ok(vec![link(1)]));
}

#[test]
fn tx_01_private_and_vepa_send_to_the_wire_only() {
    let links = up(&[Private, Vepa, Bridge, Private]);
    for from in [0, 1, 3] {
        for dst in [mac(1), mac(2), mac(3), OUTSIDE, GROUP, MacAddr::BROADCAST] {
            assert_eq!(one(&links, true, link(from), dst, mac(9)), Ok(vec![WIRE]));
        }
    }
}

#[test]
fn tx_02_bridge_to_bridge_is_direct() {
    assert_eq!(one(&up(&[Bridge, Bridge]), true, link(0), mac(2), mac(1)), Ok(vec![link(1)]));
}

#[test]
fn tx_03_bridge_to_a_sibling_of_another_mode_goes_to_the_wire() {
    let links = up(&[Bridge, Private, Vepa]);
    for dst in [mac(2), mac(3)] {
        assert_eq!(one(&links, true, link(0), dst, mac(1)), Ok(vec![WIRE]));
    }
}

#[test]
fn tx_04_bridge_to_a_sibling_that_is_down_goes_to_the_wire() {
    let mut links = up(&[Bridge, Bridge]);
    links[1].up = false;
    assert_eq!(one(&links, true, link(0), mac(2), mac(1)), Ok(vec![WIRE]));
}

#[test]
fn tx_05_bridge_to_itself_loops() {
    assert_eq!(one(&up(&[Bridge]), true, link(0), mac(1), mac(1)), Ok(vec![link(0)]));
}

#[test]
fn tx_06_and_07_bridge_to_the_lower_or_to_nobody_goes_to_the_wire() {
    assert_eq!(one(&up(&[Bridge, Bridge]), true, link(0), OUTSIDE, mac(1)), Ok(vec![WIRE]));
}

#[test]
fn tx_08_bridge_groups_reach_bridge_siblings_and_the_wire() {
    let links = up(&[Bridge, Bridge, Vepa, Private, Bridge]);
    let expected = vec![WIRE, link(1), link(4)];
    assert_eq!(one(&links, true, link(0), MacAddr::BROADCAST, mac(1)), Ok(expected.clone()));
    // TX-14: whatever the source is said to be.
    assert_eq!(one(&links, true, link(0), GROUP, mac(2)), Ok(expected));
    assert_eq!(one(&links[..1], true, link(0), GROUP, mac(1)), Ok(vec![WIRE]));
}

#[test]
fn tx_10_the_host_sends_to_the_wire_only() {
    for dst in [mac(1), GROUP, OUTSIDE] {
        assert_eq!(one(&up(&[Bridge]), true, HOST, dst, OUTSIDE), Ok(vec![WIRE]));
    }
}

#[test]
fn a_link_that_is_down_sends_nothing() {
    let mut links = up(&[Bridge, Vepa]);
    links.iter_mut().for_each(|link| link.up = false);
    for slot in 0..2 {
        for dst in [mac(2), GROUP, OUTSIDE] {
            assert_eq!(one(&links, true, link(slot), dst, mac(1)), Err(DropReason::LinkDown));
        }
    }
}

#[test]
fn a_link_that_is_down_receives_nothing() {
    let mut links = up(&[Private, Vepa, Bridge, Bridge]);
    links[..3].iter_mut().for_each(|link| link.up = false);
    assert_eq!(one(&links, false, WIRE, GROUP, OUTSIDE), Ok(vec![link(3)]));
    assert_eq!(one(&links, false, link(3), GROUP, mac(4)), Ok(vec![WIRE]));
    // Nor is it anybody as a source: not a private link's frame coming back.
    assert_eq!(one(&links, false, WIRE, GROUP, mac(1)), Ok(vec![link(3)]));
}

#[test]
fn a_lower_without_links_leaves_everything_to_the_host() {
    for dst in [mac(1), GROUP, MacAddr::BROADCAST] {
        assert_eq!(one(&[], true, WIRE, dst, OUTSIDE), Ok(vec![HOST]));
        assert_eq!(one(&[], true, HOST, dst, OUTSIDE), Ok(vec![WIRE]));
    }
    assert_eq!(one(&[], false, WIRE, mac(1), OUTSIDE), Err(DropReason::UnknownUnicast));
}

#[test]
fn numbers_that_nobody_gave_out_are_harmless() {
    let fib = compile(&LowerRules { links: &up(&[Bridge]), host: false }).unwrap();
    assert!(fib.group(GroupId::new(7)).is_empty());
    let mut verdicts = [Verdict::output(WIRE)];
    fib.classify(link(7), &[head(mac(1), OUTSIDE)], &mut verdicts);
    assert!(matches!(verdicts[0].target(), Target::Drop(_)));
}

#[test]
fn workers_may_share_a_fib() {
    fn shared<T: Send + Sync>() {}
    shared::<Fib>();
}

#[test]
fn er_22_two_links_that_are_up_have_different_addresses() {
    let mut links = up(&[Bridge, Bridge, Bridge]);
    links[2].mac = mac(1);
    let error = compile(&LowerRules { links: &links, host: false }).unwrap_err();
    assert!(
        matches!(error, CompileError::Clash { mac: m, slots: (0, 2) | (2, 0) } if m == mac(1)),
        "{error}"
    );
    // LC-14: while one of them is down there is no clash.
    links[0].up = false;
    assert_eq!(one(&links, false, WIRE, mac(1), OUTSIDE), Ok(vec![link(2)]));
}

#[test]
fn er_02_a_links_address_is_unicast() {
    for bad in [MacAddr::ZERO, GROUP, MacAddr::BROADCAST] {
        let links = [LinkRule { mac: bad, mode: Bridge, up: true }];
        let error = compile(&LowerRules { links: &links, host: false }).unwrap_err();
        assert_eq!(error, CompileError::Address { mac: bad });
    }
}

#[test]
fn a_thousand_bridge_links_share_one_member_list() {
    let links: Vec<LinkRule> = (0..1000_u16)
        .map(|n| LinkRule {
            mac: MacAddr::new([2, 0, 0, 0, (n >> 8) as u8, n as u8]),
            mode: Bridge,
            up: true,
        })
        .collect();
    let fib = compile(&LowerRules { links: &links, host: false }).unwrap();
    let mut verdicts = [Verdict::default()];
    for slot in [0, 500, 999] {
        fib.classify(link(slot), &[head(GROUP, OUTSIDE)], &mut verdicts);
        let members = expand(&fib, verdicts[0]).unwrap();
        assert_eq!(members.len(), 1000, "999 siblings and the wire");
        assert!(!members.contains(&link(slot)));
    }
}

#[test]
fn as_many_links_as_the_error_says() {
    // Alternating modes need the most groups; the last link is a bridge's.
    let rule = |n: usize| LinkRule {
        mac: MacAddr::new([2, 0, 0, 0, (n >> 8) as u8, n as u8]),
        mode: if (Output::MAX_LINKS - n) % 2 == 1 { Bridge } else { Vepa },
        up: true,
    };
    let mut links: Vec<LinkRule> = (0..Output::MAX_LINKS).map(rule).collect();
    let last = Output::MAX_LINKS - 1;
    let reflected = one(&links, false, WIRE, GROUP, links[last - 1].mac).unwrap();
    assert_eq!(reflected.len(), last, "all but the vepa link itself");
    let sent = one(&links, false, link(last as u16), GROUP, links[last].mac).unwrap();
    assert_eq!(sent.len(), Output::MAX_LINKS.div_ceil(2), "its siblings and the wire");

    links.push(LinkRule { mac: OUTSIDE, mode: Bridge, up: true });
    let error = compile(&LowerRules { links: &links, host: false }).unwrap_err();
    assert_eq!(error, CompileError::TooMany);
    assert_eq!(error.to_string(), format!("a lower can have {} links", Output::MAX_LINKS));
}

/// The statements of RX and TX, read aloud.
fn model(links: &[LinkRule], host: bool, from: Output, dst: MacAddr, src: MacAddr) -> Delivery {
    let up_with = |mac: MacAddr| links.iter().position(|link| link.up && link.mac == mac);
    let slot_output = |slot: usize| link(u16::try_from(slot).unwrap());
    let to_host = if host { Ok(vec![HOST]) } else { Err(DropReason::UnknownUnicast) };
    if from == HOST {
        return Ok(vec![WIRE]);
    }
    let mut receivers = Vec::new();
    let sender = from.slot().map(usize::from);
    if let Some(sender) = sender {
        if !links[sender].up {
            return Err(DropReason::LinkDown);
        }
        if links[sender].mode != Bridge {
            return Ok(vec![WIRE]);
        }
        if !dst.is_multicast() {
            return match up_with(dst) {
                Some(slot) if links[slot].mode == Bridge => Ok(vec![slot_output(slot)]),
                _ => Ok(vec![WIRE]),
            };
        }
        receivers.push(WIRE);
        for (slot, link) in links.iter().enumerate() {
            if link.up && link.mode == Bridge && slot != sender {
                receivers.push(slot_output(slot));
            }
        }
        return Ok(receivers);
    }
    if !dst.is_multicast() {
        return up_with(dst).map_or(to_host, |slot| Ok(vec![slot_output(slot)]));
    }
    let origin = if src.is_multicast() { None } else { up_with(src) };
    if let Some(origin) = origin
        && links[origin].mode == Private
    {
        return Ok(vec![slot_output(origin)]);
    }
    if host {
        receivers.push(HOST);
    }
    for (slot, link) in links.iter().enumerate() {
        let wanted = match origin.map(|origin| links[origin].mode) {
            None => true,
            Some(Vepa) => Some(slot) != origin && link.mode != Private,
            Some(_) => link.mode == Vepa,
        };
        if link.up && wanted {
            receivers.push(slot_output(slot));
        }
    }
    if receivers.is_empty() { Err(DropReason::NoMember) } else { Ok(receivers) }
}

fn links() -> impl Strategy<Value = Vec<LinkRule>> {
    let mode = prop_oneof![Just(Private), Just(Vepa), Just(Bridge)];
    // Mostly an address each; sometimes one that another link has, which only
    // one of them can be up with (LC-14).
    let shared = prop::option::weighted(0.2, 1_u8..=12);
    prop::collection::vec((mode, prop::bool::weighted(0.8), shared), 0..=12).prop_map(|links| {
        let mut rules: Vec<LinkRule> = Vec::new();
        for ((mode, up, shared), last) in links.into_iter().zip(1..) {
            let mac = mac(shared.unwrap_or(last));
            let up = up && !rules.iter().any(|other| other.up && other.mac == mac);
            rules.push(LinkRule { mac, mode, up });
        }
        rules
    })
}

fn address() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        8 => (1_u8..=14).prop_map(mac),
        2 => Just(OUTSIDE),
        3 => Just(MacAddr::BROADCAST),
        3 => Just(GROUP),
        1 => Just(MacAddr::ZERO),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn compiled_rules_equal_the_model(
        links in links(),
        host: bool,
        from in 0_usize..14,
        frames in prop::collection::vec((address(), address()), 1..200),
    ) {
        let ingresses = [WIRE, HOST].into_iter().chain((0..).map(link)).take(links.len() + 2);
        let ingresses: Vec<Output> = ingresses.collect();
        let from = ingresses[from % ingresses.len()];
        let got = classify(&links, host, from, &frames);
        for (&(dst, src), got) in frames.iter().zip(got) {
            prop_assert_eq!(got, model(&links, host, from, dst, src), "{:?}: {} from {}", from, dst, src);
        }
    }
}
