/*
 * Everything mvswitch uses of DPDK: the headers bindgen reads, and the
 * prototypes of the few functions that exist only as static inlines.
 *
 * This file is the contract: Rust declarations are generated from it, never
 * written by hand. Fields whose place differs between DPDK releases are reached
 * through the offsets below.
 */
#ifndef MVSWITCH_SHIM_H
#define MVSWITCH_SHIM_H

#include <rte_config.h>

#include <stddef.h>
#include <stdint.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_eth_ring.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_memzone.h>
#include <rte_ring.h>
#include <rte_version.h>
#include <rte_vhost.h>

/* struct rte_mbuf is opaque to Rust: 24.11 moved its fields into anonymous structs. */
static const size_t MV_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr);
static const size_t MV_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off);
static const size_t MV_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs);
static const size_t MV_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len);
static const size_t MV_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len);

/* RTE_BIT64 macros are beyond bindgen. */
static const uint64_t MV_RSS_HASHES = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
static const uint32_t MV_ETH_LINK_EVENTS = RTE_ETH_DEV_INTR_LSC;
static const uint32_t MV_ETH_REMOVAL_EVENTS = RTE_ETH_DEV_INTR_RMV;
static const uint64_t MV_VHOST_CLIENT = RTE_VHOST_USER_CLIENT;
static const uint64_t MV_VHOST_LINEARBUF = RTE_VHOST_USER_LINEARBUF_SUPPORT;
static const uint64_t MV_VHOST_COMPLIANT_OL_FLAGS = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;

int mv_errno(void);
void mv_errno_clear(void);
uint64_t mv_rdtsc(void);
void mv_pause(void);

uint16_t mv_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t room);
uint16_t mv_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count);

/* struct rte_eth_link without its bit fields, which 24.11 moved. */
struct mv_link {
	/* In Mbit/s; 0 or RTE_ETH_SPEED_NUM_UNKNOWN if not known. */
	uint32_t speed;
	uint8_t up;
	uint8_t full_duplex;
};
/* 0, or a negative errno. Never waits for the device. */
int mv_link_get(uint16_t port, struct mv_link *link);

/* As rte_pktmbuf_pool_create(), with the buffers close together where that is possible. */
struct rte_mempool *mv_pool_create(const char *name, uint32_t count, uint32_t cache, uint16_t room);

void mv_mbuf_free(struct rte_mbuf *frame);
void mv_mbuf_share(struct rte_mbuf *frame, uint16_t more);
void mv_mbuf_unshare(struct rte_mbuf *frame, uint16_t fewer);
/* A frame of `len` bytes copied from `data`; NULL if the pool is empty or the room too small. */
struct rte_mbuf *mv_mbuf_from(struct rte_mempool *pool, const void *data, uint16_t len);
/* Somebody else may read the first buffer: it has several references, or its bytes belong to another. */
int mv_mbuf_is_shared(const struct rte_mbuf *frame);
/* Room for `len` more bytes in front of an unshared frame; NULL if the headroom is too small. */
void *mv_mbuf_prepend(struct rte_mbuf *frame, uint16_t len);
/* Takes `len` bytes, which the first buffer has, off the front of an unshared frame. */
void mv_mbuf_trim_front(struct rte_mbuf *frame, uint16_t len);

/* Frees the ring and every frame still in it. */
void mv_ring_free(struct rte_ring *ring);

/* One call per message of DPDK's log, on the thread that logs. `level` is an RTE_LOG_* value. */
typedef void (*mv_log_sink)(uint32_t level, const char *text, size_t len);
int mv_log_open(mv_log_sink sink);

#endif
