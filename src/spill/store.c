/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making, opening and closing a store. See spill.h and parts.h.
 *
 * A store is written to only after it was recognised: by its identity, or, when it is made, as blank or as one that
 * nobody uses. "Cannot be told" is never "nobody".
 */
#include "process/system_page.h"
#include "spill/parts.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* How long the claim may take to come off a store that is closed. */
#define CLOSE_NS UINT64_C(2000000000)
#define MOVED    1024u

void spill_params_init(struct spill_params *params)
{
	*params = (struct spill_params){.depth = SPILL_DEPTH_DEFAULT, .deadline_ms = SPILL_DEADLINE_MS};
}

int spill_kind_of(const char *location)
{
	static const char *const schemes[] = {"nbd", "nbds", "nbd+unix", "nbds+unix", "nbd+vsock", "nbds+vsock"};
	const char *end = strstr(location, "://");
	struct stat st;

	for (size_t i = 0; end && i < sizeof schemes / sizeof schemes[0]; i++)
		if (strlen(schemes[i]) == (size_t)(end - location) &&
		    memcmp(schemes[i], location, strlen(schemes[i])) == 0)
			return SPILL_NBD;
	if (end || !location[0])
		return -EINVAL;
	if (stat(location, &st) < 0)
		return errno == ENOENT ? SPILL_FILE : -errno;
	return S_ISREG(st.st_mode) ? SPILL_FILE : S_ISBLK(st.st_mode) ? SPILL_BLOCK_DEVICE : -EINVAL;
}

/* ------------------------------------------------------------------ whose it is */

const char *spill_store_differs(struct spill_store *store, const uint8_t *page)
{
	struct spill_identity found;

	if (spill_identity_read(page, &found) != SPILL_PAGE_OURS)
		return "what is there now is not a store of zsblk";
	if (memcmp(found.bytes, store->identity.bytes, SPILL_IDENTITY_BYTES))
		return "what is there now is another store";
	if (memcmp(&found.holder, &store->identity.holder, sizeof found.holder))
		return "another process has claimed it meanwhile";
	return NULL;
}

/* Read a part of the store from its start or near its end; what is not there is blank. */
static int read_part(struct spill_store *store, uint64_t offset, size_t length)
{
	int r;

	memset(store->clean_buffer, 0, length);
	r = spill_io_run(store, &store->clean_io, SPILL_IO_READ, offset, length, store->clean_buffer);
	if (!r)
		memset(store->clean_buffer + store->clean_io.got, 0, length - store->clean_io.got);
	return r;
}

static int refuse_foreign(const struct spill_params *params, const char *what, struct spill_why *why)
{
	spill_why_set(why, "%s is not a store of zsblk and is not touched: there is %s", params->location, what);
	return -EMEDIUMTYPE;
}

/* Nobody's: a new file, or blank at both ends, where every kind of contents has something. */
static int check_blank(struct spill_store *store, const struct spill_params *params, struct spill_why *why)
{
	uint64_t end = store->dirty_end / SPILL_PAGE * SPILL_PAGE;
	const char *foreign;
	char text[60];
	int r;

	if (store->was_created)
		return 0;
	foreign = spill_identity_foreign(store->clean_buffer, SPILL_BUCKET, text, sizeof text);
	if (foreign)
		return refuse_foreign(params, foreign, why);
	if (end >= SPILL_BUCKET + SPILL_TAIL) {
		r = read_part(store, end - SPILL_TAIL, SPILL_TAIL + (store->dirty_end > end ? SPILL_PAGE : 0));
		if (r)
			return r;
		if (spill_identity_foreign(store->clean_buffer, SPILL_TAIL + SPILL_PAGE, text, sizeof text))
			return refuse_foreign(params, "data near its end", why);
	}
	if (params->existing)
		return 0;
	spill_why_set(why, "%s is there already; it is blank, and becomes a store only if that is asked for",
		      params->location);
	return -EMEDIUMTYPE;
}

static int check_use(const struct spill_identity *found, const struct spill_holder *self, bool make,
		     const char *location, struct spill_why *why)
{
	enum spill_use use = spill_holder_use(&found->holder, self);

	if (use == SPILL_USE_NONE || (use == SPILL_USE_OURS && !make))
		return 0;
	if (use == SPILL_USE_UNKNOWN)
		spill_why_set(
			why,
			"%s may be in use by a process of another machine or container: that cannot be told from here",
			location);
	else
		spill_why_set(why, "%s is in use by process %u", location, (unsigned)found->holder.pid);
	return -EBUSY;
}

static int check_to_make(struct spill_store *store, const struct spill_params *params, const struct spill_holder *self,
			 struct spill_why *why)
{
	struct spill_identity found;
	int r = read_part(store, 0, SPILL_BUCKET);

	if (r)
		return r;
	if (spill_identity_read(store->clean_buffer, &found) != SPILL_PAGE_OURS)
		return check_blank(store, params, why);
	r = check_use(&found, self, true, params->location, why);
	if (r)
		return r;
	if (params->take_over)
		return 0;
	spill_why_set(why, "%s is a store of zsblk already; what is in it is lost if it is made anew",
		      params->location);
	return -EEXIST;
}

static int check_to_open(struct spill_store *store, const struct spill_params *params, const struct spill_holder *self,
			 struct spill_why *why)
{
	struct spill_identity found;
	char text[60];
	int r = read_part(store, 0, SPILL_BUCKET);

	if (r)
		return r;
	if (spill_identity_read(store->clean_buffer, &found) != SPILL_PAGE_OURS) {
		const char *foreign = spill_identity_foreign(store->clean_buffer, SPILL_BUCKET, text, sizeof text);

		return refuse_foreign(params, foreign ? foreign : "nothing", why);
	}
	if (memcmp(found.bytes, params->identity, SPILL_IDENTITY_BYTES) || found.encrypted != !params->plain) {
		spill_why_set(why, "%s is the store of another device, or was made anew", params->location);
		return -ESTALE;
	}
	return check_use(&found, self, false, params->location, why);
}

/* Write the first page, with this process as the holder or with nobody, and see that it is there. */
static int write_identity(struct spill_store *store)
{
	uint8_t page[SPILL_PAGE];
	int r;

	spill_identity_write(&store->identity, page);
	memcpy(store->clean_buffer, page, SPILL_PAGE);
	r = spill_io_run(store, &store->clean_io, SPILL_IO_WRITE, 0, SPILL_PAGE, store->clean_buffer);
	if (!r)
		r = read_part(store, 0, SPILL_PAGE);
	if (!r && memcmp(store->clean_buffer, page, SPILL_PAGE))
		r = -EIO;
	return r;
}

int spill_store_identify(struct spill_store *store, struct spill_params *params, bool make, struct spill_why *why)
{
	struct spill_holder self;
	int r;

	spill_holder_self(&self);
	r = make ? check_to_make(store, params, &self, why) : check_to_open(store, params, &self, why);
	if (r)
		return r;
	if (make) {
		randombytes_buf(params->identity, sizeof params->identity);
		randombytes_buf(params->key, sizeof params->key);
		params->sequence = params->floor = 0;
		memset(store->busy, 0, sizeof store->busy);
	}
	store->identity = (struct spill_identity){.encrypted = !params->plain, .holder = self};
	memcpy(store->identity.bytes, params->identity, SPILL_IDENTITY_BYTES);
	if (store->key && make)
		memcpy(store->key, params->key, SPILL_KEY_BYTES);
	store->sequence = store->raised = params->sequence;
	r = make && store->owner.made ? store->owner.made(store->owner.opaque, params->identity, params->key) : 0;
	if (!r)
		r = write_identity(store);
	pthread_mutex_lock(&store->lock);
	store->is_identified = r == 0;
	pthread_mutex_unlock(&store->lock);
	return r;
}

/* ------------------------------------------------------------------ memory */

/* All of it in memory now, and none of it in core dumps: it has what others have stored. */
static int take_memory(struct spill_store *store)
{
	size_t slots = (size_t)store->depth * SPILL_SLOT_BYTES, moved = MOVED * 16,
	       all = slots + 2 * SPILL_BUCKET + moved;
	void *memory;

	all = (size_t)system_page_ceil(all);
	memory = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	madvise(memory, all, MADV_DONTDUMP);
	memset(memory, 0, all);
	store->memory = memory;
	store->memory_bytes = all;
	store->log_buffer = store->memory + slots;
	store->clean_buffer = store->log_buffer + SPILL_BUCKET;
	store->moved = (void *)(store->clean_buffer + SPILL_BUCKET);
	store->slots = calloc(store->depth, sizeof store->slots[0]);
	if (!store->slots)
		return -ENOMEM;
	spill_read_init(store);
	return 0;
}

/* That of spill_make() is not known yet. */
static int take_key(struct spill_store *store, const struct spill_params *params)
{
	if (sodium_init() < 0)
		return -ENOSYS;
	if (params->plain)
		return 0;
	store->key = sodium_malloc(SPILL_KEY_BYTES);
	store->seal.key = store->key;
	if (!store->key)
		return -ENOMEM;
	memcpy(store->key, params->key, SPILL_KEY_BYTES);
	return 0;
}

static void free_store(struct spill_store *store)
{
	spill_buckets_free(&store->buckets);
	free(store->slots);
	if (store->memory) {
		sodium_memzero(store->memory, store->memory_bytes);
		munmap(store->memory, store->memory_bytes);
	}
	sodium_free(store->key);
	pthread_cond_destroy(&store->work);
	pthread_cond_destroy(&store->ended);
	pthread_cond_destroy(&store->clock);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

static struct spill_store *new_store(const struct spill_params *params, int kind)
{
	struct spill_store *store = calloc(1, sizeof *store);

	if (!store)
		return NULL;
	pthread_mutex_init(&store->lock, NULL);
	spill_cond_init(&store->work);
	spill_cond_init(&store->ended);
	spill_cond_init(&store->clock);
	spill_queue_init(store);
	store->kind = (enum spill_kind)kind;
	store->backend = kind == SPILL_NBD ? &spill_nbd_backend : &spill_file_backend;
	store->depth = params->depth;
	store->deadline_ns = (uint64_t)params->deadline_ms * 1000000u;
	store->device = params->device;
	store->begun_ns = spill_now_ns();
	store->owner = params->owner;
	memcpy(store->busy, params->busy, sizeof store->busy);
	return store;
}

/* ------------------------------------------------------------------ life */

static int check_params(const struct spill_params *params, struct spill_why *why)
{
	int kind = params->kind ? params->kind : spill_kind_of(params->location);

	if (kind < 0)
		spill_why_set(why, "%s is neither a file, a block device nor an NBD URI (nbd://HOST/EXPORT)%s%s",
			      params->location, kind == -EINVAL ? "" : ": ", kind == -EINVAL ? "" : strerror(-kind));
	if (params->kind < 0 || params->kind > SPILL_NBD ||
	    (params->may_be_away && (!params->kind || params->capacity < SPILL_LEAST)))
		return -EINVAL;
	if (params->depth == 0 || params->depth > SPILL_DEPTH_MOST || params->deadline_ms == 0)
		return -EINVAL;
	if (params->limit && params->limit < SPILL_LEAST) {
		spill_why_set(why, "a limit of %llu bytes is too small: a store has %u MiB at least",
			      (unsigned long long)params->limit, SPILL_LEAST >> 20);
		return -EINVAL;
	}
	return kind;
}

static int set_up(struct spill_store *store, struct spill_params *params, bool make, struct spill_why *why)
{
	int r = take_key(store, params);

	if (!r)
		r = take_memory(store);
	if (!r)
		r = spill_clock_start(store);
	if (r)
		return r;
	return !make && params->may_be_away ? spill_open_behind(store, params)
					    : spill_open_now(store, params, make, why);
}

static void shut_down(struct spill_store *store, bool remove)
{
	pthread_mutex_lock(&store->lock);
	store->is_closing = true;
	pthread_mutex_unlock(&store->lock);
	spill_clock_stop(store);
	store->backend->close(store, remove);
	free_store(store);
}

static int begin(struct spill_params *params, bool make, struct spill_store **made, struct spill_why *why)
{
	struct spill_store *store;
	struct spill_why ignored;
	int kind, r;

	*made = NULL;
	why = why ? why : &ignored;
	why->text[0] = '\0';
	kind = check_params(params, why);
	if (kind < 0)
		return kind;
	store = new_store(params, kind);
	if (!store)
		return -ENOMEM;
	r = set_up(store, params, make, why);
	if (r) {
		if (!why->text[0])
			spill_why_set(why, "%s: %s", params->location, strerror(-r));
		shut_down(store, true);
		return r;
	}
	*made = store;
	return 0;
}

int spill_make(struct spill_params *params, struct spill_store **store, struct spill_why *why)
{
	return begin(params, true, store, why);
}

int spill_open(const struct spill_params *params, struct spill_store **store, struct spill_why *why)
{
	struct spill_params copy = *params;
	int r = begin(&copy, false, store, why);

	sodium_memzero(&copy, sizeof copy);
	return r;
}

int spill_note_live(struct spill_store *store, uint64_t place, size_t bytes)
{
	int r;

	pthread_mutex_lock(&store->lock);
	r = spill_bucket_note(&store->buckets, place, bytes);
	pthread_mutex_unlock(&store->lock);
	return r;
}

void spill_start(struct spill_store *store)
{
	pthread_mutex_lock(&store->lock);
	if (store->is_open)
		spill_buckets_noted(&store->buckets, store->dirty_end);
	for (unsigned i = 0; i < SPILL_BUSY_KINDS; i++)
		spill_buckets_lose(&store->buckets, store->busy[i].first, store->busy[i].count);
	store->is_started = true;
	pthread_mutex_unlock(&store->lock);
	spill_open_wait(store);
}

void spill_close(struct spill_store *store)
{
	bool may_write;

	if (!store)
		return;
	spill_cancel(store);
	spill_open_stop(store);
	pthread_mutex_lock(&store->lock);
	store->is_cancelled = false;
	may_write = store->is_open && !store->is_away && store->clean_io.state == SPILL_IO_IDLE;
	pthread_mutex_unlock(&store->lock);
	if (may_write) {
		store->deadline_ns = CLOSE_NS;
		memset(&store->identity.holder, 0, sizeof store->identity.holder);
		write_identity(store);
	}
	spill_log_close(store);
	shut_down(store, false);
}
