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

static void mv_pool_memory_free(struct rte_mempool_memhdr *chunk, void *zone)
{
	(void)chunk;
	rte_memzone_free(zone);
}

/* Like rte_mempool_populate_default(), but buffers may cross pages. */
static int mv_pool_populate(struct rte_mempool *pool)
{
	char name[RTE_MEMZONE_NAMESIZE];
	const struct rte_memzone *zone;
	size_t least, align;
	ssize_t size;
	int added;

	size = rte_mempool_op_calc_mem_size_default(pool, pool->size, 0, &least, &align);
	if (size < 0)
		return (int)size;
	snprintf(name, sizeof(name), "MV_%s", pool->name);
	zone = rte_memzone_reserve_aligned(name, (size_t)size, pool->socket_id, 0, (unsigned int)align);
	if (!zone)
		return -rte_errno;
	added = rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len,
					  mv_pool_memory_free, (void *)(uintptr_t)zone);
	/* A chunk that was listed frees its zone with the pool. */
	if (added <= 0 && pool->nb_mem_chunks == 0)
		rte_memzone_free(zone);
	if (added != (int)pool->size)
		return added < 0 ? added : -ENOMEM;
	/* That only said that pages do not matter: to devices the memory is one piece all the same. */
	pool->flags &= ~(RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NON_IO);
	return 0;
}

/*
 * Where pages are of 4 KiB, rte_pktmbuf_pool_create() gives each buffer a page
 * of its own. All then begin at the same offset and have the same few sets of
 * the first-level cache to share, which costs more than the whole switch does.
 * No buffer has to stay within a page where a device sees the addresses that
 * the process sees.
 */
struct rte_mempool *mv_pool_create(const char *name, uint32_t count, uint32_t cache, uint16_t room)
{
	struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = room };
	struct rte_mempool *pool;
	int code;

	if (rte_eal_has_hugepages() || rte_eal_iova_mode() != RTE_IOVA_VA)
		return rte_pktmbuf_pool_create(name, count, cache, 0, room, SOCKET_ID_ANY);
	pool = rte_mempool_create_empty(name, count, sizeof(struct rte_mbuf) + room, cache,
					sizeof(private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (!pool)
		return NULL;
	code = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
	if (code == 0) {
		rte_pktmbuf_pool_init(pool, &private);
		code = mv_pool_populate(pool);
	}
	if (code < 0) {
		rte_mempool_free(pool);
		rte_errno = -code;
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
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
