/*
 * Gives the frames of net_null0 an Ethernet header, in any DPDK application.
 *
 * net_null hands out buffers with whatever they held before. Loaded as an EAL
 * plugin (-d FILE), this waits until the port has a receive queue and installs a
 * callback there that writes destinations 02:00:00:00:00:01 to :10 in turn, so
 * that a switch and testpmd are fed the same frames at the same cost.
 */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define ADDRESSES 16

/* 30 seconds of milliseconds: an application without the port is left alone. */
#define PATIENCE 30000

static uint16_t write_heads(uint16_t port, uint16_t queue, struct rte_mbuf *frames[],
			    uint16_t count, uint16_t room, void *state)
{
	static const uint8_t head[14] = { 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0x88, 0xb5 };
	unsigned int *next = state;
	uint16_t i;

	(void)port, (void)queue, (void)room;
	for (i = 0; i < count; i++) {
		uint8_t *data = rte_pktmbuf_mtod(frames[i], uint8_t *);

		memcpy(data, head, sizeof(head));
		data[5] = 1 + (*next)++ % ADDRESSES;
	}
	return count;
}

static void *install(void *unused)
{
	static unsigned int next;
	struct rte_eth_dev_info info;
	uint16_t port;
	int tries;

	(void)unused;
	for (tries = 0; tries < PATIENCE; tries++) {
		usleep(1000);
		if (rte_eth_dev_get_port_by_name("net_null0", &port) != 0 ||
		    rte_eth_dev_info_get(port, &info) != 0 || info.nb_rx_queues == 0)
			continue;
		rte_eth_add_rx_callback(port, 0, write_heads, &next);
		break;
	}
	return NULL;
}

RTE_INIT(start_filling)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, install, NULL) == 0)
		pthread_detach(thread);
}
