#define _GNU_SOURCE
#include <stdio.h>

#include "shim.h"

int mv_errno(void) { return rte_errno; }

void mv_errno_clear(void) { rte_errno = 0; }

uint64_t mv_rdtsc(void) { return rte_rdtsc(); }

void mv_pause(void) { rte_pause(); }

uint16_t mv_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t room)
{
	return rte_eth_rx_burst(port, queue, frames, room);
}

uint16_t mv_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, frames, count);
}

int mv_link_get(uint16_t port, struct mv_link *link)
{
	struct rte_eth_link raw = { 0 };
	int code = rte_eth_link_get_nowait(port, &raw);

	link->speed = raw.link_speed;
	link->up = raw.link_status == RTE_ETH_LINK_UP;
	link->full_duplex = raw.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	return code;
}

void mv_mbuf_free(struct rte_mbuf *frame) { rte_pktmbuf_free(frame); }

void mv_mbuf_share(struct rte_mbuf *frame, uint16_t more)
{
	rte_mbuf_refcnt_update(frame, (int16_t)more);
}

void mv_mbuf_unshare(struct rte_mbuf *frame, uint16_t fewer)
{
	rte_mbuf_refcnt_update(frame, -(int16_t)fewer);
}

struct rte_mbuf *mv_mbuf_from(struct rte_mempool *pool, const void *data, uint16_t len)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(pool);
	char *room = frame ? rte_pktmbuf_append(frame, len) : NULL;

	if (!room) {
		rte_pktmbuf_free(frame);
		return NULL;
	}
	rte_memcpy(room, data, len);
	return frame;
}

int mv_mbuf_is_shared(const struct rte_mbuf *frame)
{
	return rte_mbuf_refcnt_read(frame) != 1 || !RTE_MBUF_DIRECT(frame);
}

void *mv_mbuf_prepend(struct rte_mbuf *frame, uint16_t len)
{
	return rte_pktmbuf_prepend(frame, len);
}

void mv_mbuf_trim_front(struct rte_mbuf *frame, uint16_t len) { rte_pktmbuf_adj(frame, len); }

void mv_ring_free(struct rte_ring *ring)
{
	void *frame;

	while (rte_ring_dequeue(ring, &frame) == 0)
		rte_pktmbuf_free(frame);
	rte_ring_free(ring);
}

static mv_log_sink sink_of_log;

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	(void)cookie;
	sink_of_log((uint32_t)rte_log_cur_msg_loglevel(), text, len);
	return (ssize_t)len;
}

int mv_log_open(mv_log_sink sink)
{
	cookie_io_functions_t io = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", io);

	if (!stream)
		return -1;
	sink_of_log = sink;
	return rte_openlog_stream(stream);
}
