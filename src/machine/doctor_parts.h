/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the checks of the doctor share: reading the machine, and reporting. For doctor.c and doctor_*.c only.
 *
 * A check reads files below the machine's root and reports findings. What cannot be read is no finding: a kernel without the file has not
 * the trouble either, unless the check says otherwise.
 */
#ifndef DOCTOR_PARTS_H
#define DOCTOR_PARTS_H

#include "machine/doctor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOCTOR_PATH_BYTES 600u

/* How far the kernel can reach a server. */
enum doctor_module { DOCTOR_MODULE_ABSENT, DOCTOR_MODULE_LOADABLE, DOCTOR_MODULE_LOADED };

/* One look. */
struct doctor {
	const struct doctor_machine *machine;
	struct doctor_report *report;
	const char *check; /* the one that is running */
	bool no_memory;
	/* What checks tell those after them. */
	char release[100]; /* of the kernel */
	bool nbd_is_usable, ublk_is_usable;
};

/* The path of a file of the machine. */
void doctor_path(const struct doctor *doctor, const char *name, char path[DOCTOR_PATH_BYTES]);
bool doctor_has(const struct doctor *doctor, const char *name);
/* The beginning of a file, without the newline at its end. False, and an empty text, if it cannot be read. */
bool doctor_read(const struct doctor *doctor, const char *name, char *text, size_t size);
/* The number with which a file begins. */
bool doctor_number(const struct doctor *doctor, const char *name, int64_t *number);
/* Call `line` for each line of a file, without its newline, until it returns true. True if it did. */
typedef bool doctor_line_fn(void *opaque, char *line);
bool doctor_lines(const struct doctor *doctor, const char *name, doctor_line_fn *line, void *opaque);
/* Call `each` for the names in a folder, until it returns true. True if it did. */
typedef bool doctor_name_fn(void *opaque, const char *name);
bool doctor_names(const struct doctor *doctor, const char *folder, doctor_name_fn *each, void *opaque);
/*
 * Call `file` for each file of a configuration, in the order in which they are read: the main file of the first folder that has one, and then
 * the drop-ins NAME.d/X.conf of all folders, by their own names. Of drop-ins of one name only that of the first folder counts. `tops`: the
 * folders, the one that counts most first, each with a slash at its end.
 */
#define DOCTOR_TOPS 4u
typedef void doctor_file_fn(void *opaque, const char *path);
void doctor_layers(const struct doctor *doctor, const char *const tops[DOCTOR_TOPS], const char *name,
		   doctor_file_fn *file, void *opaque);
/* The rest of the first line of a file that begins with `key`, without blanks before it. */
bool doctor_field(const struct doctor *doctor, const char *name, const char *key, char *text, size_t size);
/* Is `word` one of the words of a text, with blanks between them? */
bool doctor_has_word(const char *text, const char *word);
/* Bytes of memory; 0: not known. */
uint64_t doctor_ram(const struct doctor *doctor);
/* Does a program exist? With its path on this machine, the root included. */
bool doctor_program(const struct doctor *doctor, const char *name, char path[DOCTOR_PATH_BYTES]);

/* Report a finding. `why`: a sentence or several. */
__attribute__((format(printf, 4, 5))) void doctor_find(struct doctor *doctor, enum doctor_severity severity,
						       const char *why, const char *what, ...);
/* A line of the remedy, for the finding before it. */
__attribute__((format(printf, 2, 3))) void doctor_remedy(struct doctor *doctor, const char *format, ...);

/* Swap areas that are in use, as /proc/swaps has them. */
struct doctor_swap {
	char name[64]; /* "/dev/nbd0" */
	int priority;
	bool is_ours; /* a device of zsblkd's */
};
/* Up to `most` of them; returns how many. */
unsigned doctor_swaps(const struct doctor *doctor, struct doctor_swap *swaps, unsigned most);
/* The priority of zsblk's own area, or the one that it has by default; and which of the two it is. */
int doctor_own_priority(const struct doctor *doctor, char name[64]);
bool doctor_is_in_use(const struct doctor *doctor);

/* ------------------------------------------------------------------ checks, by the file that has them */

void doctor_check_kernel(struct doctor *doctor);
void doctor_check_nbd(struct doctor *doctor);
void doctor_check_ublk(struct doctor *doctor);
void doctor_check_transport(struct doctor *doctor);

void doctor_check_rights(struct doctor *doctor);
void doctor_check_sandbox(struct doctor *doctor);
void doctor_check_locking(struct doctor *doctor);
void doctor_check_realtime(struct doctor *doctor);

void doctor_check_limit(struct doctor *doctor);
void doctor_check_swap_limit(struct doctor *doctor);
void doctor_check_controller(struct doctor *doctor);
void doctor_check_killers(struct doctor *doctor);

void doctor_check_settings(struct doctor *doctor);
void doctor_check_segments(struct doctor *doctor);
void doctor_check_overcommit(struct doctor *doctor);
void doctor_check_page_size(struct doctor *doctor);

void doctor_check_zswap(struct doctor *doctor);
void doctor_check_zram(struct doctor *doctor);
void doctor_check_other_swap(struct doctor *doctor);
void doctor_check_hibernation(struct doctor *doctor);
void doctor_check_resume(struct doctor *doctor);

void doctor_check_nbdkit(struct doctor *doctor);
void doctor_check_plugin(struct doctor *doctor);

#endif
