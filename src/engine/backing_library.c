/* SPDX-License-Identifier: BSD-3-Clause */
/* The library of the backing store, which is loaded when the first store is opened. See backing.h. */
#include "engine/backing.h"

#include <dlfcn.h>
#include <errno.h>

/* Loaded once, and kept until the process ends: stores have threads that run in it. */
static _Atomic(const struct spill_functions *) library;

void backing_use_library(const struct spill_functions *functions)
{
	atomic_store(&library, functions);
}

int backing_load_library(const struct spill_functions **functions, struct zsblk_why *why)
{
	const struct spill_functions *found = atomic_load(&library);
	void *module;

	*functions = found;
	if (found)
		return 0;
	module = dlopen(ZSBLK_SPILL_MODULE, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		return why_fail(why, -EOPNOTSUPP, "there is no module for backing stores: %s", dlerror());
	found = dlsym(module, "spill_functions");
	if (!found || found->version != SPILL_VERSION) {
		dlclose(module);
		return why_fail(why, -EOPNOTSUPP, "%s is of another version of zsblk; install both from one build",
				ZSBLK_SPILL_MODULE);
	}
	*functions = found;
	atomic_store(&library, found);
	return 0;
}
