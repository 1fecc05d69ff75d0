/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What on a machine is in the way of swap to zsblk, or will be once memory is short. Each finding says what there is, with its value, why
 * it matters, and what to do about it. Nothing on the machine is changed; programs are run only to ask for their versions and for what they
 * find out about the kernel.
 *
 * One thread, since programs are run (program.h). A look takes milliseconds, or 25 s if a driver never answers.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>

enum doctor_severity {
	DOCTOR_WELL,    /* nothing was found */
	DOCTOR_NOTE,    /* worth knowing; zsblk works */
	DOCTOR_WARNING, /* zsblk works, and not as well or as safely as it could */
	DOCTOR_PROBLEM, /* swap to zsblk does not start, or data would be lost */
};

struct doctor_finding {
	const char *check; /* what was looked at, in a word or two: "zswap"; static */
	enum doctor_severity severity;
	/* Sentences for people. Empty if all is well. */
	char what[400];
	char why[500];
	char remedy[500]; /* commands, one a line; a line that begins with # is a remark. Empty: there is none */
};

/* Where to look. */
struct doctor_machine {
	const char *root;   /* a folder that has /proc, /sys, /dev and so on in it; "" is this machine */
	const char *path;   /* folders of programs below it, with colons between them */
	unsigned page_size; /* bytes */
};

/* This machine, with the folders of PATH and those that root's PATH has. `path` lends the memory for them. */
#define DOCTOR_PATH 4096
void doctor_init(struct doctor_machine *machine, char path[DOCTOR_PATH]);

/*
 * The highest priority of swap in use that is no zsblkd's; -1 if there is none, or only such that the kernel has given a lower one. Takes
 * no more than a few reads of files.
 */
int doctor_other_priority(const struct doctor_machine *machine);

struct doctor_report;

/* Look at everything. 0 or -ENOMEM. The report is the caller's. */
int doctor_look(struct doctor_report **report, const struct doctor_machine *machine);
void doctor_free(struct doctor_report *report);

/* Findings in the order of the checks; a check that finds nothing has one, DOCTOR_WELL. */
unsigned doctor_count(const struct doctor_report *report);
const struct doctor_finding *doctor_finding(const struct doctor_report *report, unsigned index);
/* Findings of this severity. */
unsigned doctor_count_of(const struct doctor_report *report, enum doctor_severity severity);

/* "problem"; static. */
const char *doctor_severity_name(enum doctor_severity severity);

#endif
