//! Operations and events in any order: what is refused changes nothing, and
//! whatever state is reached can be compiled.

use std::collections::BTreeSet;

use macvlan::driver::{Driver, Lower};
use macvlan::mode::Mode;
use macvlan::rules::compile;

use super::bytes::Bytes;
use super::operation::{Operation, picture, start};

/// Runs the operations that `input` spells.
pub fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let (mut chain, mut context) = start();
    while !bytes.is_empty() {
        let operation = Operation::read(&mut bytes);
        let before = picture(&context.driver);
        if let Err(refusal) = operation.run(&chain, &mut context) {
            assert_eq!(picture(&context.driver), before, "{operation:?} was refused: {refusal}");
            assert!(!refusal.message.is_empty(), "{operation:?} was refused without a word");
        }
        context.announce.clear();
        context.driver.lowers().for_each(|lower| check_lower(&context.driver, lower, &operation));
        check_names(&context.driver, &operation);
    }
    chain.unload(&mut context);
    assert_eq!(context.driver.links().count(), 0);
    context.driver.lowers().for_each(|lower| assert!(!lower.is_passthru(), "{lower:?}"));
}

fn check_lower(driver: &Driver, lower: &Lower, after: &Operation) {
    let links: Vec<_> = driver.links_of(lower.index).collect();
    let compiled = compile(driver, lower.index);
    assert!(compiled.is_ok(), "after {after:?}: {compiled:?}");
    let passthru = links.iter().any(|link| link.mode == Mode::Passthru);
    assert_eq!(lower.is_passthru(), passthru, "after {after:?}");
    assert!(!passthru || links.len() == 1, "after {after:?}: {links:?}");
    let mut addresses = BTreeSet::new();
    for link in &links {
        assert_eq!(link.lower, lower.index, "after {after:?}");
        assert!(link.mtu <= lower.spec.mtu, "after {after:?}: {link:?} on {lower:?}");
        assert!(link.mode == Mode::Source || link.sources.is_empty(), "after {after:?}: {link:?}");
        assert!(driver.fill_info(link.index).is_some(), "after {after:?}: {link:?}");
        for address in link.own_addresses().filter(|_| link.up && !passthru) {
            assert!(addresses.insert(address), "after {after:?}: {address} is there twice");
            assert_ne!(address, lower.spec.address, "after {after:?}");
        }
    }
    let filters = driver.rx_mode(lower.index).unwrap_or_default();
    let needed: BTreeSet<_> = filters.unicast.intersection(&addresses).copied().collect();
    assert_eq!(needed, addresses, "after {after:?}: the filters keep links' frames out");
}

fn check_names(driver: &Driver, after: &Operation) {
    let mut names = BTreeSet::new();
    let lowers = driver.lowers().map(|lower| (&lower.spec.name, lower.index));
    let links = driver.links().map(|link| (&link.name, link.index));
    for (name, index) in lowers.chain(links) {
        assert!(names.insert(name), "after {after:?}: two are called {name}");
        assert_eq!(driver.by_name(name), Some(index), "after {after:?}");
    }
    let of_lowers: usize = driver.lowers().map(|lower| driver.links_of(lower.index).count()).sum();
    assert_eq!(of_lowers, driver.links().count(), "after {after:?}: a link is on no lower");
}
