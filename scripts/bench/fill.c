/*
 * The same traffic for any DPDK application: loaded as an EAL plugin (-d FILE).
 *
 * net_null hands out buffers with whatever they held before. This writes
 * Ethernet, IPv4 and UDP headers into them: a callback per receive queue of one
 * port takes addresses in turn from a table that was shuffled beforehand, so
 * that a frame costs a few stores. The other use is for guests: frames that
 * virtio-user ports send get one of the other guests' addresses.
 *
 * Ports are looked for until the application ends: one attaches them at start,
 * another minutes later, and sets up more queues whenever it likes.
 *
 * Link L has the addresses 02:00:00:LL:AA:AA, L from 1, A from 0. Variables:
 *
 *   FILL_RECEIVE     the port whose received frames are written, such as net_null0
 *   FILL_QUEUES      how many of its queues have frames (8): others stay empty
 *   FILL_TRANSMIT    instead: how the names of the ports begin whose sent frames
 *                    are addressed; port N of them is link N + 1
 *   FILL_LINKS       how many links are addressed (1), from FILL_FIRST (1) on
 *   FILL_ADDRESSES   addresses per link (1)
 *   FILL_FLOWS       flows per address, by UDP source port (1)
 *   FILL_MISSES      share of frames for addresses that no link has (0)
 *   FILL_BROADCASTS  share of broadcasts (0)
 *   FILL_ZIPF        exponent of Zipf's distribution over addresses (0: uniform)
 */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

/* Entries of the smallest table: 16 KiB, half a level 1 cache. */
#define SMALLEST 2048
#define LARGEST (1u << 22)
#define QUEUES 8
/* UDP source port of the first flow. */
#define FIRST_PORT 1024

/* How a frame begins: whom it is for, and two bytes of whom it is from. */
struct entry {
	uint8_t dst[6], src[2];
};

struct table {
	struct entry *entries;
	uint32_t mask;
};

/* Where a queue is in its table. Each has a cache line, each may have a core. */
struct cursor {
	const struct entry *entries;
	uint32_t mask;
	uint32_t next;
} __rte_cache_aligned;

static struct {
	const char *receive, *transmit;
	uint32_t first, links, addresses, flows, queues;
	double misses, broadcasts, zipf;
} want;

/* From somebody on the wire, 64 bytes in all, no UDP checksum. */
static const uint8_t head[48] __rte_aligned(64) = {
	2, 0, 0, 0, 0, 0, 2, 0xff, 0, 0, 0, 1, 8, 0,                            /* Ethernet */
	0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0xee, 0x93, 198, 18, 0, 1, 198, 18, 0, 2, /* IPv4 */
	0, 0, 0, 9, 0, 30, 0, 0,                                                /* UDP */
};

/* Sixteen bytes of a frame. Written at once: a program that reads an address
 * of which a part was written just before waits for that part, which frames of
 * a NIC do not make it do. */
typedef uint64_t block __attribute__((vector_size(16)));

static uint16_t write_heads(uint16_t port, uint16_t queue, struct rte_mbuf *frames[],
			    uint16_t count, uint16_t room, void *state)
{
	struct cursor *cursor = state;
	const struct entry *entries = cursor->entries;
	uint32_t next = cursor->next, mask = cursor->mask, flows = want.flows;
	block blocks[3];
	uint16_t i;

	(void)port, (void)queue, (void)room;
	memcpy(blocks, head, sizeof(head));
	/* A line per eight frames is too rare for the CPU to see the stream. */
	for (i = 0; i < count; i += 8)
		rte_prefetch0(&entries[(next + count + i) & mask]);
	for (i = 0; i < count; i++) {
		uint8_t *data = rte_pktmbuf_mtod(frames[i], uint8_t *);
		/* Flows take no memory, so that the source's cost does not know them. */
		uint16_t flow = (next * 2654435761u >> 16) * flows >> 16;
		uint64_t sport = rte_cpu_to_be_16(FIRST_PORT + flow), first;
		block addresses, ports = blocks[2];

		memcpy(&first, &entries[next++ & mask], sizeof(first));
		addresses = (block){ first, blocks[0][1] };
		/* Bytes 34 and 35, on a machine that has the low ones first. */
		ports[0] |= sport << 16;
		memcpy(data, &addresses, 16);
		memcpy(data + 16, &blocks[1], 16);
		memcpy(data + 32, &ports, 16);
	}
	cursor->next = next;
	return count;
}

/* For a queue that shall be empty: what the driver made goes back at once. */
static uint16_t take_away(uint16_t port, uint16_t queue, struct rte_mbuf *frames[],
			  uint16_t count, uint16_t room, void *state)
{
	(void)port, (void)queue, (void)room, (void)state;
	rte_pktmbuf_free_bulk(frames, count);
	return 0;
}

static uint16_t write_destinations(uint16_t port, uint16_t queue, struct rte_mbuf *frames[],
				   uint16_t count, void *state)
{
	struct cursor *cursor = state;
	uint16_t i;

	(void)port, (void)queue;
	for (i = 0; i < count; i++)
		memcpy(rte_pktmbuf_mtod(frames[i], uint8_t *),
		       cursor->entries[cursor->next++ & cursor->mask].dst, 6);
	return count;
}

/* The same sequence in every run. */
static uint64_t draw(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void set_address(struct entry *entry, uint32_t link, uint32_t address)
{
	const uint8_t dst[6] = { 2, 0, 0, link, address >> 8, address };

	memcpy(entry->dst, dst, sizeof(dst));
	memcpy(entry->src, head + 6, sizeof(entry->src));
}

/* How often the addresses up to each come, of 1. */
static double *zipf_of(uint32_t macs)
{
	double *up_to = malloc(macs * sizeof(*up_to)), sum = 0;
	uint32_t i;

	for (i = 0; up_to != NULL && i < macs; i++)
		up_to[i] = sum += pow(i + 1, -want.zipf);
	for (i = 0; up_to != NULL && i < macs; i++)
		up_to[i] /= sum;
	return up_to;
}

static uint32_t drawn(const double *up_to, uint32_t macs)
{
	double at = (draw() >> 11) * 0x1p-53;
	uint32_t low = 0, high = macs - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (up_to[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Every address equally often (or by Zipf), in no order. `own`: the
 * link that sends, which does not send to itself; 0 if none does. */
static struct table make_table(uint32_t own)
{
	uint32_t links = want.links - (own != 0), macs = links * want.addresses;
	uint32_t length = SMALLEST, misses, broadcasts, i;
	struct table table = { 0 };
	double *up_to = NULL;

	while (length < macs && length < LARGEST)
		length *= 2;
	misses = length * want.misses;
	broadcasts = length * want.broadcasts + 0.5;
	table.entries = calloc(length, sizeof(*table.entries));
	if (want.zipf > 0)
		up_to = zipf_of(macs);
	if (table.entries == NULL || (want.zipf > 0 && up_to == NULL)) {
		fprintf(stderr, "fill: no memory for the table of addresses\n");
		exit(1);
	}
	for (i = 0; i < length; i++) {
		struct entry *entry = &table.entries[i];
		uint32_t mac = up_to != NULL ? drawn(up_to, macs) : i % macs;
		uint32_t link = mac % links;

		link = own != 0 ? (own - want.first + 1 + link) % want.links : link;
		set_address(entry, want.first + link, mac / links);
		if (i < misses)
			entry->dst[2] = 0xff;
		else if (i < misses + broadcasts)
			memset(entry->dst, 0xff, 6);
	}
	for (i = length - 1; i > 0; i--) {
		uint32_t other = draw() % (i + 1);
		struct entry entry = table.entries[i];

		table.entries[i] = table.entries[other];
		table.entries[other] = entry;
	}
	free(up_to);
	table.mask = length - 1;
	return table;
}

static struct cursor *cursor_in(struct table table, uint16_t queue)
{
	struct cursor *cursor = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*cursor));

	if (cursor == NULL) {
		fprintf(stderr, "fill: no memory\n");
		exit(1);
	}
	/* Queues are in different places, lest they send to the same links at once. */
	*cursor = (struct cursor){ table.entries, table.mask, queue * 977 };
	return cursor;
}

static void *install(void *unused)
{
	static uint16_t done[RTE_MAX_ETHPORTS];
	struct table table = { 0 };
	size_t prefix = want.transmit != NULL ? strlen(want.transmit) : 0;

	(void)unused;
	if (want.receive != NULL)
		table = make_table(0);
	for (;; usleep(10000)) {
		char name[RTE_ETH_NAME_MAX_LEN];
		struct rte_eth_dev_info info;
		uint16_t port;

		RTE_ETH_FOREACH_DEV(port) {
			if (rte_eth_dev_get_name_by_port(port, name) != 0 ||
			    rte_eth_dev_info_get(port, &info) != 0)
				continue;
			if (want.receive != NULL && strcmp(name, want.receive) == 0)
				for (; done[port] < RTE_MIN(info.nb_rx_queues, QUEUES); done[port]++)
					rte_eth_add_rx_callback(port, done[port],
								done[port] < want.queues ?
									write_heads : take_away,
								cursor_in(table, done[port]));
			if (prefix != 0 && strncmp(name, want.transmit, prefix) == 0 &&
			    done[port] == 0 && info.nb_tx_queues != 0) {
				table = make_table(want.first + atoi(name + prefix));
				rte_eth_add_tx_callback(port, 0, write_destinations,
							cursor_in(table, 0));
				done[port] = 1;
			}
		}
	}
	return NULL;
}

static double number(const char *name, double otherwise, double low, double high)
{
	const char *text = getenv(name);
	char *end;
	double value = otherwise;

	if (text != NULL) {
		value = strtod(text, &end);
		if (end == text || *end != '\0' || !(value >= low && value <= high)) {
			fprintf(stderr, "fill: %s=%s is not a number from %g to %g\n", name, text,
				low, high);
			exit(2);
		}
	}
	return value;
}

RTE_INIT(start_filling)
{
	pthread_t thread;

	want.receive = getenv("FILL_RECEIVE");
	want.transmit = getenv("FILL_TRANSMIT");
	want.first = number("FILL_FIRST", 1, 1, 255);
	want.links = number("FILL_LINKS", 1, want.transmit != NULL ? 2 : 1, 256 - want.first);
	want.addresses = number("FILL_ADDRESSES", 1, 1, 65536);
	want.flows = number("FILL_FLOWS", 1, 1, 64511);
	want.queues = number("FILL_QUEUES", QUEUES, 1, QUEUES);
	want.misses = number("FILL_MISSES", 0, 0, 1);
	want.broadcasts = number("FILL_BROADCASTS", 0, 0, 1 - want.misses);
	want.zipf = number("FILL_ZIPF", 0, 0, 4);
	if (pthread_create(&thread, NULL, install, NULL) == 0)
		pthread_detach(thread);
}
