"""What is measured, and what mvswitch must reach. No program is named in how a scenario is built:
each makes the same ports and rules of it in its own words."""

from __future__ import annotations

from dataclasses import dataclass, field

SOURCE = "net_null0"
"""The device whose frames fill.c writes."""


@dataclass(frozen=True)
class Guests:
    """One testpmd on the control core that is the guests of all links."""

    mode: str = "io"
    """testpmd's forwarding mode."""
    bursts: tuple[tuple[int, int], ...] = ((64, 12),)
    """What each guest starts with: bytes and bursts of 32. No ring on the way overflows by it."""
    all_to_all: bool = False
    """Each frame a guest sends is for another of the others; else guests go in pairs."""


@dataclass(frozen=True)
class Goal:
    """A ratio of cycles per frame that mvswitch must or wants to reach."""

    than: str
    """Of which program; or, if it is a scenario's name, of mvswitch itself there."""
    must: float | None
    aim: float | None

    @property
    def times_faster(self) -> bool:
        """Of OVS it is said how many times as much it takes; of the others how much of theirs mvswitch does."""
        return self.than == "ovs"


@dataclass(frozen=True)
class Scenario:
    """Ports, traffic and goals."""

    name: str
    title: str
    wire: str = "sink"
    """What the lower is: "source", or "sink", which only swallows."""
    links: tuple[str, ...] = ()
    """What each link is: "source", "sink" or "guest"."""
    addresses: int = 1
    """MAC addresses of each link."""
    fill: dict[str, str] = field(default_factory=dict)
    """Variables of fill.c."""
    guests: Guests | None = None
    counts: str = "received"
    """What a frame is here: "received" by the switch, "sent" by it (copies), or got by the "guest"."""
    workers: int = 1
    """Worker cores of mvswitch, with a queue of the source each; the others have one."""
    unqueued: bool = False
    """mvswitch replicates broadcasts at once, as OVS does, however many there are (`bclim`)."""
    without: dict[str, str] = field(default_factory=dict)
    """Programs that cannot, and why."""
    goals: tuple[Goal, ...] = ()

    @property
    def crosses_cores(self) -> bool:
        """Frames go from core to core: the machine's near and far state show."""
        return self.guests is not None

    @property
    def replicates(self) -> bool:
        return "FILL_BROADCASTS" in self.fill

    def devices(self) -> tuple[str | None, list[str | None]]:
        """The DPDK devices of wire and links; None for a guest's socket."""
        number = 0

        def device(kind: str) -> str | None:
            nonlocal number
            if kind == "guest":
                return None
            if kind == "source":
                return SOURCE
            number += 1
            return f"net_null{number},no-rx=1"

        wire = device(self.wire)
        return wire, [device(link) for link in self.links]


def mac(link: int, address: int = 0) -> str:
    """Address number `address` of link `link`, from 1; as fill.c has it."""
    return f"02:00:00:{link:02x}:{address >> 8:02x}:{address & 255:02x}"


STRANGER = "02:00:ff:01:00:00"
"""Nobody's address: it is somewhere on the wire."""


def wire_to_links(name: str, title: str, links: int = 16, addresses: int = 1, **more) -> Scenario:
    fill = {"FILL_LINKS": str(links), "FILL_ADDRESSES": str(addresses)} | more.pop("fill", {})
    return Scenario(name, title, "source", ("sink",) * links, addresses, fill, **more)


def between_guests(name: str, title: str, *bursts: tuple[int, int], **more) -> Scenario:
    return Scenario(name, title, links=("guest",) * 2, guests=Guests(bursts=bursts), **more)


ONE_PORT = {"testpmd": "io mode sends a frame to one port"}
ONE_CORE = {"testpmd": "compared with mvswitch on one core", "ovs": "compared with mvswitch on one core"}

SCENARIOS = (
    wire_to_links("W1", "wire → 1 link", 1),
    wire_to_links("W16", "wire → 16 links, a MAC each", goals=(Goal("testpmd", 1.7, 1.4), Goal("ovs", 3.5, 5))),
    wire_to_links("W30", "wire → 30 links, a MAC each", 30),
    wire_to_links("W16x512", "wire → 16 links, 512 MACs each", addresses=512,
                  goals=(Goal("testpmd", 2.0, 1.6), Goal("ovs", 6, 8))),
    wire_to_links("W16x4096", "wire → 16 links, 4,096 MACs each", addresses=4096),
    wire_to_links("W16+flows", "100,000 flows over 16 MACs", fill={"FILL_FLOWS": "6250"},
                  goals=(Goal("W16", 1.03, 1.0), Goal("ovs", None, 8))),
    wire_to_links("W16-zipf", "wire → 16 links, 512 MACs each, by Zipf", addresses=512, fill={"FILL_ZIPF": "1"}),
    wire_to_links("MISS", "half the frames for nobody", fill={"FILL_MISSES": "0.5"}),
    wire_to_links("BC1", "1 % broadcasts to 16 links", fill={"FILL_BROADCASTS": "0.01"}, without=ONE_PORT),
    wire_to_links("BC100", "broadcasts to 16 links, per copy", fill={"FILL_BROADCASTS": "1"}, without=ONE_PORT,
                  counts="sent", unqueued=True, goals=(Goal("W16", 1.2, 1.0),)),
    Scenario("L2L", "link → link", links=("source", "sink"), fill={"FILL_FIRST": "2"}),
    Scenario("L2W", "link → wire", links=("source",), fill={"FILL_MISSES": "1"}),
    between_guests("V2V-64", "vhost ↔ vhost, 64 bytes", (64, 12),
                   goals=(Goal("testpmd", 1.10, 1.05), Goal("ovs", 1.35, 1.45))),
    between_guests("V2V-1518", "vhost ↔ vhost, 1,518 bytes", (1514, 12)),
    between_guests("V2V-IMIX", "vhost ↔ vhost, 7 : 4 : 1 of 64, 570, 1,518 bytes", (64, 7), (566, 4), (1514, 1)),
    Scenario("W2V", "wire → vhost, per frame that arrives", "source", ("guest",), fill={"FILL_LINKS": "1"},
             guests=Guests("rxonly", ()), counts="guest"),
    Scenario("V2W", "vhost → wire", links=("guest",), guests=Guests("txonly", ())),
    Scenario("V16", "16 vhost guests, all to all", links=("guest",) * 16, guests=Guests(all_to_all=True)),
    wire_to_links("W16-1of2", "W16 by 1 worker, while another one polls an empty queue", workers=2, without=ONE_CORE,
                  fill={"FILL_QUEUES": "1"}),
    wire_to_links("W16-2w", "W16 by 2 workers, a source queue each", workers=2, without=ONE_CORE,
                  goals=(Goal("W16-1of2", 1.05, 1.01),)),
)

BY_NAME = {scenario.name.lower(): scenario for scenario in SCENARIOS}


def choose(names: list[str]) -> list[Scenario]:
    """The scenarios of these names, or all; with those that their goals compare with.

    Raises KeyError for a name that none has."""
    wanted = {BY_NAME[name.lower()].name for name in names} or {it.name for it in SCENARIOS}
    chosen = [it for it in SCENARIOS if it.name in wanted]
    wanted |= {goal.than for it in chosen for goal in it.goals if goal.than.lower() in BY_NAME}
    return [it for it in SCENARIOS if it.name in wanted]
