/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands in for the kernel's nbd client in zsblkd-faults, so that recovery can be driven into faults that cannot be had of
 * a kernel when a test wants them: a connection that is refused, requests that nobody completes, a device in use
 * that looks detached. The device is a struct in a file, which the test writes as well. All else is real: supervisor, daemon,
 * keeper, probe, control socket, nbdkit, plugin, segment. With a real kernel: tests/vm.
 *
 * Rights are not taken either, so that the test needs none.
 */
#include "daemon/kernel/device.h"
#include "daemon/resources/rights.h"
#include "daemon/transport/nbd/backing.h"
#include "daemon/transport/nbd/netlink.h"
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The only one, a file in the test's folder. */
#define DEVICE "nbd0"

/*
 * ZSBLK_TEST_FORK_DELAY, in milliseconds: so long each child waits before it does anything. It has copies of all descriptors
 * meanwhile, as a child has that waits for memory.
 */
static void delay_child(void)
{
	const char *delay = getenv("ZSBLK_TEST_FORK_DELAY");

	if (delay)
		usleep((useconds_t)atoi(delay) * 1000);
}

__attribute__((constructor)) static void delay_children(void)
{
	pthread_atfork(NULL, NULL, delay_child);
}

/* As zsblkdtest.py has it. */
struct world {
	uint32_t attached;
	uint32_t is_swap;
	uint32_t refuse;  /* error with which sockets are refused */
	uint32_t offered; /* times that sockets were */
	uint32_t stuck;   /* requests in flight that nobody completes */
	uint32_t slow;    /* milliseconds that a detach goes on for, once the device is detached */
	uint32_t timer_ms;
	uint32_t cut;  /* give the connections up that were taken last */
	uint64_t size; /* bytes */
	char backend[64];
	uint32_t swapped; /* KiB swapped out to it */
};

static struct world *world(void)
{
	static struct world *it;
	/* Not open(): that one is made to fail (faulty.c), and it is not us who are tested. */
	int fd = it ? -1 : (int)syscall(SYS_openat, AT_FDCWD, getenv("ZSBLK_TEST_WORLD"), O_RDWR | O_CLOEXEC);

	if (it)
		return it;
	it = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *it, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (it == MAP_FAILED) {
		perror("ZSBLK_TEST_WORLD");
		abort();
	}
	close(fd);
	return it;
}

/* ------------------------------------------------------------------ rights.h */

int rights_check(struct wrong *wrong)
{
	world();
	return 0;
}

int rights_take(struct wrong *wrong)
{
	return 0;
}

void rights_drop(void)
{
}

void rights_own_memory(void)
{
}

void rights_for_server(void)
{
}

void rights_let_servers_end(void)
{
}

void rights_go_on(void)
{
}

/* ------------------------------------------------------------------ netlink.h */

static int events = -1;

/* The connection that was taken last; -1: none. */
static int taken = -1;

static void take(const struct netlink_setup *setup)
{
	if (taken >= 0)
		close(taken);
	taken = setup->n_sockets ? fcntl(setup->sockets[0], F_DUPFD_CLOEXEC, 0) : -1;
}

/* As the kernel does with a connection on which a request timed out. */
static void cut_if_told(void)
{
	if (!world()->cut || taken < 0)
		return;
	shutdown(taken, SHUT_RDWR);
	world()->cut = 0;
}

/*
 * A test that has the kernel tell of dead links has a FIFO for that. ZSBLK_TEST_NO_MEMORY: there is none, and so no text that
 * says so.
 */
int netlink_open(struct netlink *netlink, struct wrong *wrong)
{
	if (getenv("ZSBLK_TEST_NO_MEMORY"))
		return -ENOMEM;
	if (events < 0)
		events = open("links", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (events < 0)
		events = eventfd(0, EFD_CLOEXEC);
	return events < 0 ? -errno : 0;
}

void netlink_close(struct netlink *netlink)
{
}

int netlink_connect(struct netlink *netlink, const struct netlink_setup *setup, int *index)
{
	world()->offered++;
	if (world()->refuse)
		return -(int)world()->refuse;
	*index = 0;
	/* A kernel before Linux 5.14 takes no identifier. */
	snprintf(world()->backend, sizeof world()->backend, "%s",
		 getenv("ZSBLK_TEST_NO_BACKEND") ? "" : setup->backend);
	world()->size = setup->size;
	world()->attached = 1;
	take(setup);
	return 0;
}

int netlink_reconfigure(struct netlink *netlink, const struct netlink_setup *setup)
{
	world()->offered++;
	if (!world()->refuse)
		take(setup);
	return -(int)world()->refuse;
}

int netlink_resize(struct netlink *netlink, int index, const char *backend, uint64_t size)
{
	world()->size = size;
	return 0;
}

int netlink_disconnect(struct netlink *netlink, int index)
{
	world()->attached = 0;
	usleep(world()->slow * 1000);
	return 0;
}

int netlink_events_fd(const struct netlink *netlink)
{
	return events;
}

bool netlink_link_died(struct netlink *netlink, int index)
{
	char told[64];

	cut_if_told();
	return read(events, told, sizeof told) > 0;
}

/* ------------------------------------------------------------------ backing.h */

bool backing_is_attached(const struct device *device)
{
	return !device_is_none(device) && world()->attached;
}

enum transport_backing backing_of(const struct device *device, const char *backend)
{
	return !backing_is_attached(device)             ? TRANSPORT_BACKING_NONE
	       : !world()->backend[0]                   ? TRANSPORT_BACKING_UNNAMED
	       : world()->backend[0] == '?'             ? TRANSPORT_BACKING_UNKNOWN
	       : strcmp(world()->backend, backend) == 0 ? TRANSPORT_BACKING_OURS
							: TRANSPORT_BACKING_OTHER;
}

int backing_find(const char *backend, struct device *device)
{
	struct device only;
	enum transport_backing backing;

	device_init(&only, DEVICE);
	backing = backing_of(&only, backend);
	if (backing != TRANSPORT_BACKING_OURS)
		return backing == TRANSPORT_BACKING_UNKNOWN ? -EAGAIN : -ENODEV;
	*device = only;
	return 0;
}

bool backing_has_others(const struct device *device)
{
	return true;
}

/* ------------------------------------------------------------------ device.h */

/* A file that the test has made: it is opened, and locked. */
void device_init(struct device *device, const char *path)
{
	*device = (struct device){.stat = -1, .inflight = -1};
	snprintf(device->path, sizeof device->path, "%s", path[0] ? DEVICE : "");
}

void device_close(struct device *device)
{
	device_init(device, "");
}

bool device_is_none(const struct device *device)
{
	return !device->path[0];
}

const char *device_name(const struct device *device)
{
	return device->path;
}

int device_number(const char *path, const char *start)
{
	return path[0] ? 0 : -1;
}

int device_attribute(const struct device *device, const char *name, char *text, size_t size)
{
	return -ENOENT;
}

bool device_is_absent(int r)
{
	return r == -ENOENT;
}

int device_sequence(const struct device *device, uint64_t *sequence)
{
	*sequence = 0;
	return -ENOENT;
}

int device_each(const char *start, int (*each)(void *opaque, const struct device *device), void *opaque)
{
	return 0;
}

int device_tune(const struct device *device, unsigned timer_ms, struct wrong *wrong)
{
	world()->timer_ms = timer_ms;
	return 0;
}

void device_hide_node(const struct device *device)
{
}

int device_show_node(const struct device *device)
{
	return 0;
}

void device_lose_links(const struct device *device)
{
}

unsigned device_timer_ms(const struct device *device)
{
	return world()->timer_ms;
}

uint64_t device_size(const struct device *device)
{
	return world()->size;
}

int device_progress(struct device *device, uint64_t *in_flight, uint64_t *completed)
{
	cut_if_told();
	*in_flight = world()->stuck;
	*completed = 0;
	return 0;
}

enum device_user device_user(const struct device *device)
{
	return world()->is_swap ? DEVICE_USER_SWAP : DEVICE_USER_NOBODY;
}

bool device_holders(const struct device *device, char *text, size_t size)
{
	return false;
}

bool device_swap_area(const struct device *device, char path[DEVICE_PATH_MAX])
{
	snprintf(path, DEVICE_PATH_MAX, "%s", device->path);
	return world()->is_swap;
}

bool device_is_swap(const struct device *device)
{
	return world()->is_swap;
}

bool device_is_mounted(const struct device *device)
{
	return false;
}

uint64_t device_swapped_kib(const struct device *device)
{
	return world()->swapped;
}

uint64_t device_other_swap_kib(const struct device *device)
{
	return 0;
}
