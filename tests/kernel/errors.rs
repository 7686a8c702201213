//! The error table: every refusal the driver knows, by its id, on both sides.

use super::deviations::Deviations;
use super::kernel::Kernel;
use super::run::{Run, name};
use super::scenario::{Data, Mac, Parent, Request, Scenario, Step, lower_address};

/// What must be there first, the request, and the answer.
struct Row {
    id: &'static str,
    before: Vec<Step>,
    step: Step,
    answer: &'static str,
}

fn data(data: Data) -> Request {
    Request { data: Some(data), ..Request::default() }
}

fn mode(mode: u32) -> Data {
    Data { mode: Some(mode), ..Data::default() }
}

fn add(link: u8, request: Request) -> Step {
    Step::NewLink { link, parent: Parent::Lower(0), request }
}

fn set(link: u8, request: Request) -> Step {
    Step::SetLink { link, request }
}

fn address(bytes: &[u8]) -> Request {
    Request { address: Some(bytes.to_vec()), ..Request::default() }
}

fn up(request: Request) -> Request {
    Request { up: Some(true), ..request }
}

fn list(macaddr_mode: u32, macaddr: Option<&[u8]>, entries: &[(u16, &[u8])]) -> Data {
    let entries: Vec<_> = entries.iter().map(|(kind, bytes)| (*kind, bytes.to_vec())).collect();
    Data {
        macaddr_mode: Some(macaddr_mode),
        macaddr: macaddr.map(<[u8]>::to_vec),
        macaddr_data: (!entries.is_empty()).then_some(entries),
        ..mode(16)
    }
}

const ONE: [u8; 6] = [2, 0, 0, 0, 1, 1];
const GROUP: [u8; 6] = [1, 0, 0x5e, 1, 2, 3];

/// Rows that are about the attributes alone, on create and on change alike.
fn attributes() -> Vec<(&'static str, Request, &'static str)> {
    let flags = |flags| data(Data { flags: Some(flags), ..mode(4) });
    vec![
        ("ER-01", Request { data: Some(mode(4)), ..address(&ONE[..5]) }, "EINVAL"),
        ("ER-01", Request { data: Some(mode(4)), ..address(&[2; 8]) }, "EINVAL"),
        ("ER-02", Request { data: Some(mode(4)), ..address(&GROUP) }, "EADDRNOTAVAIL"),
        ("ER-02", Request { data: Some(mode(4)), ..address(&[0; 6]) }, "EADDRNOTAVAIL"),
        ("ER-03", data(mode(0)), "EINVAL"),
        ("ER-03", data(mode(3)), "EINVAL"),
        ("ER-03", data(mode(32)), "EINVAL"),
        ("ER-04", flags(4), "EINVAL"),
        ("ER-04", flags(0x8001), "EINVAL"),
        ("ER-05", flags(1), "success"),
        ("ER-06", data(list(4, Some(&ONE), &[])), "EINVAL"),
        ("ER-07", data(list(0, Some(&ONE[..5]), &[])), "EINVAL"),
        ("ER-07", data(list(0, Some(&GROUP), &[])), "EADDRNOTAVAIL"),
        ("ER-07", data(list(0, Some(&[0; 6]), &[])), "EADDRNOTAVAIL"),
        ("ER-08", data(list(3, None, &[(3, &ONE)])), "EINVAL"),
        ("ER-08", data(list(3, None, &[(4, &ONE), (4, &[2; 7])])), "EINVAL"),
        ("ER-08", data(list(3, None, &[(4, &ONE), (4, &GROUP)])), "EADDRNOTAVAIL"),
        ("ER-09", data(Data { macaddr_count: Some(0), ..mode(16) }), "EINVAL"),
        ("ER-09", data(Data { bc_queue_len_used: Some(1000), ..mode(4) }), "EINVAL"),
        ("ER-10", data(list(0, None, &[])), "EINVAL"),
        ("ER-10", data(list(1, None, &[])), "EINVAL"),
        ("ER-11", data(Data { mode: Some(4), ..list(0, Some(&ONE), &[]) }), "EINVAL"),
        ("ER-14", Request { mtu: Some(1501), ..data(mode(4)) }, "EINVAL"),
        ("ER-15", Request { mtu: Some(67), ..data(mode(4)) }, "EINVAL"),
        ("MT-01", Request { mtu: Some(68), ..data(mode(4)) }, "success"),
    ]
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (id, request, answer) in attributes() {
        let step = add(0, request.clone());
        rows.push(Row { id, before: Vec::new(), step, answer });
        let before = vec![add(0, data(mode(16)))];
        rows.push(Row { id, before, step: set(0, request), answer });
    }
    let on = |parent| Step::NewLink { link: 0, parent, request: data(mode(4)) };
    let passthru = || vec![add(0, data(mode(8)))];
    let bridge = || vec![add(0, data(mode(4)))];
    let at = |bytes: [u8; 6]| Request { data: Some(mode(4)), ..address(&bytes) };
    let lower = lower_address(0).bytes();
    let fdb = |add, replace, bytes| Step::Fdb { link: 0, add, replace, address: Mac::new(bytes) };
    let mut row = |id, before, step, answer| rows.push(Row { id, before, step, answer });
    row("ER-12", vec![], on(Parent::Nothing), "EINVAL");
    row("ER-13", vec![], on(Parent::Missing), "ENODEV");
    row("ER-16", vec![], on(Parent::Loopback), "EINVAL");
    row("ER-19", passthru(), add(1, data(mode(4))), "EINVAL");
    row("ER-19", passthru(), add(1, data(mode(8))), "EINVAL");
    row("ER-20", bridge(), add(1, data(mode(8))), "EINVAL");
    row("ER-21", bridge(), add(0, data(mode(4))), "EEXIST");
    row("ER-21", bridge(), add(0, data(mode(3))), "EINVAL");
    row("ER-22", vec![], add(0, up(at(lower))), "EADDRINUSE");
    row("LC-14", vec![], add(0, at(lower)), "success");
    row("ER-22", vec![add(0, at(lower))], set(0, up(Request::default())), "EADDRINUSE");
    row("ER-22", vec![add(0, up(at(ONE)))], add(1, up(at(ONE))), "EADDRINUSE");
    row("ER-23", bridge(), set(0, address(&GROUP)), "EADDRNOTAVAIL");
    row("ER-23", bridge(), set(0, address(&[0; 6])), "EADDRNOTAVAIL");
    row("ER-24", bridge(), set(0, address(&lower)), "EADDRINUSE");
    row(
        "ER-24",
        vec![add(0, up(at(ONE))), add(1, data(mode(4)))],
        set(1, address(&ONE)),
        "EADDRINUSE",
    );
    row("ER-25", vec![add(0, at(ONE)), add(1, data(mode(4)))], set(1, address(&ONE)), "success");
    row(
        "ER-25",
        vec![add(0, at(ONE)), add(1, up(data(mode(4)))), set(1, address(&ONE))],
        set(0, up(Request::default())),
        "EADDRINUSE",
    );
    row("ER-26", vec![add(0, up(at(ONE)))], set(0, address(&ONE)), "success");
    row("ER-27", bridge(), fdb(true, false, ONE), "EOPNOTSUPP");
    row("ER-27", bridge(), fdb(false, false, ONE), "EOPNOTSUPP");
    row("ER-27", passthru(), fdb(true, false, ONE), "success");
    row("ER-28", bridge(), fdb(true, true, GROUP), "EOPNOTSUPP");
    row("ER-29", bridge(), fdb(true, false, GROUP), "success");
    row(
        "ER-29",
        vec![add(0, data(mode(4))), fdb(true, false, GROUP)],
        fdb(true, false, GROUP),
        "EEXIST",
    );
    row("LC-41", bridge(), set(0, data(mode(8))), "EINVAL");
    row("LC-41", passthru(), set(0, data(mode(4))), "EINVAL");
    row("LC-41", passthru(), set(0, data(mode(8))), "success");
    row(
        "LC-46",
        bridge(),
        set(0, data(Data { macaddr: Some(ONE.to_vec()), ..Data::default() })),
        "success",
    );
    rows
}

/// Every row on both sides, and the answer is the one in the table.
pub(crate) fn prove(kernel: &mut Kernel, deviations: &mut Deviations) {
    for Row { id, before, step, answer } in rows() {
        let steps: Vec<Step> = std::iter::once(Step::AddLower { lower: 0 }).chain(before).collect();
        let mut run = Run::new(kernel, deviations);
        for (at, earlier) in steps.iter().enumerate() {
            run.operate(earlier, at).unwrap_or_else(|difference| panic!("{id}: {difference}"));
            assert_eq!(run.answer, 0, "{id}: {earlier}");
        }
        run.operate(&step, steps.len()).unwrap_or_else(|difference| panic!("{id}: {difference}"));
        assert_eq!(
            name(run.answer),
            answer,
            "{id}: {}",
            Scenario { seed: 0, steps: [steps, vec![step]].concat() }
        );
        kernel.clear();
    }
}
