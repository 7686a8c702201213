//! Traffic that must not notice what the control plane does.
//!
//! Two guests hand the same frames back and forth for ever: fewer than any ring
//! on the way holds, so that not one may be dropped, whatever happens beside them.

use super::common::{Need, Switch, Testpmd, Vdev, wait_until};

use std::time::Duration;

pub(crate) const NEEDS: &[Need] = &[Need::Program("dpdk-testpmd"), Need::Program("stdbuf")];

/// The addresses of mv0 and mv1.
pub(crate) const A: &str = "02:00:00:00:00:10";
pub(crate) const B: &str = "02:00:00:00:00:11";

/// Bursts of 32 frames that each guest begins with.
const BURSTS: u32 = 3;

/// A lower that swallows everything, and the two links.
pub(crate) const CONFIG: &str = "\
# The switch of this test.
[cores]
control = 0
workers = \"1\"
[eal]
memory = \"4k\"
[[lower]]
name = \"lan0\"
device = \"net_null0,no-rx=1\" # swallows everything
[[macvlan]]
name = \"mv0\"
link = \"lan0\"
address = \"02:00:00:00:00:10\"
[[macvlan]]
name = \"mv1\"
link = \"lan0\"
address = \"02:00:00:00:00:11\"
";

/// The guests of mv0 and mv1, and those of `more` links.
#[derive(Debug)]
pub(crate) struct Flow(Testpmd);

impl Flow {
    #[track_caller]
    pub(crate) fn start(switch: &Switch, more: &[Vdev]) -> Self {
        let pair = [
            Vdev::virtio_user(&switch.socket("mv0.sock"), A).to(B),
            Vdev::virtio_user(&switch.socket("mv1.sock"), B).to(A),
        ];
        let mut guests = Testpmd::start("guests", "mac", &[&pair, more].concat());
        switch.wait_up(&["mv0", "mv1"], true);
        guests.go_with_bursts(BURSTS);
        let mut flow = Self(guests);
        flow.goes_on();
        flow
    }

    /// Waits until frames have gone round many times more.
    #[track_caller]
    pub(crate) fn goes_on(&mut self) {
        let before = [0, 1].map(|port| self.0.stats(port).rx_packets);
        wait_until("the frames go round", Duration::from_secs(20), || {
            [0, 1].iter().all(|&port| self.0.stats(port).rx_packets >= before[port] + 10_000)
        });
    }

    /// Ends it: every frame that was sent was received, by the switch's count and
    /// by the guests', and both guests were connected all the time.
    #[track_caller]
    pub(crate) fn finish(mut self, switch: &Switch) {
        self.goes_on();
        self.0.halt();
        self.0.forward("rxonly");
        self.0.go();
        let ports = switch.ports_at_rest(["mv0", "mv1"]);
        for (index, port) in ports.iter().enumerate() {
            let guest = self.0.stats(index);
            assert_eq!(guest.tx_packets, port.received, "sent by guest {index}: {port:?}");
            assert_eq!(guest.rx_packets, port.transmitted, "got by guest {index}: {port:?}");
            assert_eq!(port.received, ports[1 - index].transmitted, "{ports:?}");
            assert_eq!(port.all_dropped(), 0, "guest {index} lost frames: {port:?}");
        }
        for name in ["mv0", "mv1"] {
            let shown = super::client::link(switch, name);
            assert_eq!(shown["mvswitch"]["connections"], 1, "{name} was cut off: {shown}");
        }
        self.0.quit();
    }
}
