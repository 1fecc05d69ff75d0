/* SPDX-License-Identifier: BSD-3-Clause */
/* GetMemory of org.zsblk.Device: where all memory of the server is. */
#include "host/control_errand.h"
#include "host/control_methods.h"

#include <json-c/json.h>
#include <stddef.h>

_Static_assert(sizeof(struct zsblk_memory) <= JOBS_ERRAND_BYTES, "an errand brings it");

/* In the order of struct zsblk_memory: the parts of a sum come before it. */
#define FIGURE(name)                                                                                                   \
	{                                                                                                              \
#name, offsetof(struct zsblk_memory, name)                                                             \
	}
static const struct {
	const char *name;
	size_t offset; /* of a uint64_t */
} figures[] = {
	FIGURE(objects),     FIGURE(rounding),   FIGURE(free_slots), FIGURE(headers),     FIGURE(tails),
	FIGURE(magazines),   FIGURE(free_pages), FIGURE(table),      FIGURE(map),         FIGURE(ages),
	FIGURE(superblock),  FIGURE(other),      FIGURE(segment),    FIGURE(descriptors), FIGURE(contexts),
	FIGURE(stripes),     FIGURE(aging),      FIGURE(process),    FIGURE(files),       FIGURE(total),
	FIGURE(page_tables),
};
_Static_assert(sizeof figures / sizeof figures[0] == sizeof(struct zsblk_memory) / sizeof(uint64_t),
	       "every member is there");

static int look(struct zsblk *dev, void *memory, struct zsblk_why *why)
{
	(void)why;
	return zsblk_get_memory(dev, memory);
}

/* An errand, since it asks the system about every page of the table. */
enum varlink_result control_get_memory(void *opaque, struct varlink_call *call)
{
	struct json_object *out, *all;
	struct zsblk_memory memory = {0};
	bool done;
	enum varlink_result result = control_errand_look(opaque, call, look, &memory, sizeof memory, &done);

	if (!done)
		return result;
	out = json_object_new_object();
	all = json_object_new_object();
	for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
		varlink_add_int(all, figures[i].name,
				*(const uint64_t *)(const void *)((const char *)&memory + figures[i].offset));
	varlink_add(out, "memory", all);
	varlink_reply(call, out);
	return result;
}
