/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first page of a store. See identity.h.
 *
 *     0  magic 8 "zsblkspl"
 *     8  version 4 | flags 4         1; bit 0: objects are encrypted
 *    16  identity 16                 random
 *    32  0
 *   504  checksum 8                  XXH64 of 0 to 503
 *   512  machine 16 | boot 16        the holder: a hash of /etc/machine-id, and the identifier of the boot
 *   544  pid space 8 | start 8       the inode of the PID namespace, and when the process started, in clock ticks
 *   560  pid 4 | 0 4                 pid 0: nobody
 *   568  checksum 8                  XXH64 of 512 to 567
 *   576  0, to 4095
 *
 * All numbers are little-endian. The key of the objects is not here.
 */
#include "spill/identity.h"

#include "process/proc.h"
#include "process/process.h"
#include "spill/little.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define VERSION         1u
#define FLAG_ENCRYPTED  1u
#define AT_CHECKSUM     504u
#define AT_HOLDER       512u
#define HOLDER_CHECKSUM 56u /* from AT_HOLDER */
/* So that the hash of a machine's identifier, which is to be kept secret, is of no use to others. */
#define MACHINE_SEED UINT64_C(0x7a73626c6b73706c)

static const uint8_t magic[8] = {'z', 's', 'b', 'l', 'k', 's', 'p', 'l'};

static void write_holder(const struct spill_holder *holder, uint8_t *at)
{
	memcpy(at, holder->machine, 16);
	memcpy(at + 16, holder->boot, 16);
	little_put64(at + 32, holder->pid_space);
	little_put64(at + 40, holder->start);
	little_put32(at + 48, holder->pid);
	little_put64(at + HOLDER_CHECKSUM, XXH64(at, HOLDER_CHECKSUM, 0));
}

static void read_holder(const uint8_t *at, struct spill_holder *holder)
{
	memset(holder, 0, sizeof *holder);
	if (little_get64(at + HOLDER_CHECKSUM) != XXH64(at, HOLDER_CHECKSUM, 0)) {
		holder->pid = UINT32_MAX;
		return;
	}
	memcpy(holder->machine, at, 16);
	memcpy(holder->boot, at + 16, 16);
	holder->pid_space = little_get64(at + 32);
	holder->start = little_get64(at + 40);
	holder->pid = little_get32(at + 48);
}

void spill_identity_write(const struct spill_identity *identity, uint8_t *page)
{
	memset(page, 0, SPILL_PAGE);
	memcpy(page, magic, sizeof magic);
	little_put32(page + 8, VERSION);
	little_put32(page + 12, identity->encrypted ? FLAG_ENCRYPTED : 0);
	memcpy(page + 16, identity->bytes, SPILL_IDENTITY_BYTES);
	little_put64(page + AT_CHECKSUM, XXH64(page, AT_CHECKSUM, 0));
	write_holder(&identity->holder, page + AT_HOLDER);
}

enum spill_page spill_identity_read(const uint8_t *page, struct spill_identity *identity)
{
	if (memcmp(page, magic, sizeof magic) || little_get32(page + 8) != VERSION ||
	    little_get32(page + 12) & ~FLAG_ENCRYPTED ||
	    little_get64(page + AT_CHECKSUM) != XXH64(page, AT_CHECKSUM, 0))
		return SPILL_PAGE_OTHER;
	memcpy(identity->bytes, page + 16, SPILL_IDENTITY_BYTES);
	identity->encrypted = little_get32(page + 12) & FLAG_ENCRYPTED;
	read_holder(page + AT_HOLDER, &identity->holder);
	return SPILL_PAGE_OURS;
}

/* What is often found, from the documentation of each. The message is all that they are for. */
static const struct {
	uint32_t at;
	const char *bytes;
	const char *what;
} signatures[] = {
	{0, "zsblkspl", "a store of another version of zsblk, or a damaged one"},
	{0, "zsblkseg", "a segment of zsblk"},
	{0, "XFSB", "an XFS file system"},
	{0, "LUKS\xba\xbe", "a LUKS volume"},
	{0, "QFI\xfb", "a qcow2 image"},
	{512, "LABELONE", "an LVM physical volume"},
	{512, "EFI PART", "a partition table (GPT)"},
	{1080, "\x53\xef", "an ext file system"},
	{4086, "SWAPSPACE2", "a swap area"},
	{4096, "\xfc\x4e\x2b\xa9", "an md array"},
	{0x10040, "_BHRfS_M", "a btrfs file system"},
	{510, "\x55\xaa", "a partition table or a boot sector"},
};

const char *spill_identity_foreign(const uint8_t *start, size_t size, char *text, size_t text_size)
{
	for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
		size_t length = strlen(signatures[i].bytes);

		if (signatures[i].at + length <= size &&
		    memcmp(start + signatures[i].at, signatures[i].bytes, length) == 0)
			return signatures[i].what;
	}
	for (size_t i = 0; i < size; i++)
		if (start[i]) {
			snprintf(text, text_size, "data at byte %zu", i);
			return text;
		}
	return NULL;
}

/* ------------------------------------------------------------------ who uses it */

/* The hexadecimal digits of a file, hyphens left out; all 0 if it cannot be read. */
static void read_hexadecimal(const char *path, uint8_t bytes[16])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned digits = 0;
	char text[64] = "";

	memset(bytes, 0, 16);
	if (fd < 0)
		return;
	proc_read(fd, text, sizeof text);
	close(fd);
	for (const char *c = text; *c && digits < 32; c++) {
		int value = *c >= '0' && *c <= '9' ? *c - '0' : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10 : -1;

		if (value < 0)
			continue;
		bytes[digits / 2] |= (uint8_t)(digits % 2 ? value : value << 4);
		digits++;
	}
	if (digits < 32)
		memset(bytes, 0, 16);
}

static bool is_known(const uint8_t bytes[16])
{
	static const uint8_t none[16];

	return memcmp(bytes, none, 16) != 0;
}

void spill_holder_self(struct spill_holder *self)
{
	XXH128_canonical_t canonical;
	struct stat st;

	memset(self, 0, sizeof *self);
	read_hexadecimal("/etc/machine-id", self->machine);
	if (is_known(self->machine)) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(self->machine, 16, MACHINE_SEED));
		memcpy(self->machine, canonical.digest, 16);
	}
	read_hexadecimal("/proc/sys/kernel/random/boot_id", self->boot);
	self->pid_space = stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
	self->pid = (uint32_t)getpid();
	process_start_time(getpid(), &self->start);
}

/* "Cannot be told" is never taken for "nobody": two processes that use one store destroy what is in it. */
enum spill_use spill_holder_use(const struct spill_holder *holder, const struct spill_holder *self)
{
	bool same_boot;

	if (holder->pid == 0)
		return SPILL_USE_NONE;
	if (holder->pid > INT32_MAX || !is_known(holder->boot) || !is_known(self->boot))
		return SPILL_USE_UNKNOWN;
	same_boot = memcmp(holder->boot, self->boot, 16) == 0;
	if (!same_boot)
		/* A process of this machine ended with its boot. */
		return is_known(self->machine) && memcmp(holder->machine, self->machine, 16) == 0 ? SPILL_USE_NONE
												  : SPILL_USE_UNKNOWN;
	if (!holder->pid_space || holder->pid_space != self->pid_space)
		return SPILL_USE_UNKNOWN;
	if (holder->pid == self->pid && holder->start == self->start)
		return SPILL_USE_OURS;
	return process_may_be((pid_t)holder->pid, holder->start) ? SPILL_USE_LIVES : SPILL_USE_NONE;
}
