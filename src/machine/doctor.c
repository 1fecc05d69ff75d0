/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What on a machine is in the way of swap to zsblk. See doctor.h.
 *
 *   doctor.c           the list of checks, and the report
 *   doctor_read.c      files of the machine                doctor_kernel.c    kernel, nbd, ublk
 *   doctor_rights.c    rights, locks, sandboxes            doctor_groups.c    control groups, and who ends programs
 *   doctor_settings.c  /proc/sys, pages                    doctor_swap.c      zswap, other swap, hibernation
 *   doctor_layers.c    configurations of several files
 *   doctor_nbdkit.c    nbdkit and the plugin               doctor_zram.c      zram-generator, zramswap
 */
#include "machine/doctor.h"

#include "machine/doctor_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct doctor_report {
	struct doctor_finding *findings;
	unsigned n;
};

/* Those that others build on come before these. */
static const struct {
	const char *name;
	void (*run)(struct doctor *doctor);
} checks[] = {
	{"kernel", doctor_check_kernel},
	{"sandbox", doctor_check_sandbox},
	{"rights", doctor_check_rights},
	{"memory locks", doctor_check_locking},
	{"real-time class", doctor_check_realtime},
	{"nbd", doctor_check_nbd},
	{"nbdkit", doctor_check_nbdkit},
	{"plugin", doctor_check_plugin},
	{"ublk", doctor_check_ublk},
	{"transport", doctor_check_transport},
	{"memory limit", doctor_check_limit},
	{"swap limit", doctor_check_swap_limit},
	{"process 1", doctor_check_controller},
	{"page size", doctor_check_page_size},
	{"kernel settings", doctor_check_settings},
	{"shared memory", doctor_check_segments},
	{"overcommit", doctor_check_overcommit},
	{"zswap", doctor_check_zswap},
	{"zram", doctor_check_zram},
	{"other swap", doctor_check_other_swap},
	{"hibernation", doctor_check_hibernation},
	{"resume", doctor_check_resume},
	{"OOM daemons", doctor_check_killers},
};

/* ------------------------------------------------------------------ the report */

static struct doctor_finding *add_finding(struct doctor *doctor, enum doctor_severity severity)
{
	struct doctor_report *report = doctor->report;
	struct doctor_finding *more = reallocarray(report->findings, report->n + 1, sizeof *more);

	if (!more) {
		doctor->no_memory = true;
		return NULL;
	}
	report->findings = more;
	more += report->n++;
	*more = (struct doctor_finding){.check = doctor->check, .severity = severity};
	return more;
}

void doctor_find(struct doctor *doctor, enum doctor_severity severity, const char *why, const char *what, ...)
{
	struct doctor_finding *finding = add_finding(doctor, severity);
	va_list args;

	if (!finding)
		return;
	va_start(args, what);
	vsnprintf(finding->what, sizeof finding->what, what, args);
	va_end(args);
	snprintf(finding->why, sizeof finding->why, "%s", why);
}

void doctor_remedy(struct doctor *doctor, const char *format, ...)
{
	struct doctor_report *report = doctor->report;
	char *text;
	size_t length;
	va_list args;

	if (doctor->no_memory || !report->n)
		return;
	text = report->findings[report->n - 1].remedy;
	length = strlen(text);
	if (length)
		length += (size_t)snprintf(text + length, sizeof report->findings->remedy - length, "\n");
	if (length >= sizeof report->findings->remedy)
		return;
	va_start(args, format);
	vsnprintf(text + length, sizeof report->findings->remedy - length, format, args);
	va_end(args);
}

/* ------------------------------------------------------------------ for callers */

void doctor_init(struct doctor_machine *machine, char path[DOCTOR_PATH])
{
	const char *own = getenv("PATH");

	/* Of an ordinary user, too, whose PATH has no sbin. */
	snprintf(path, DOCTOR_PATH, "%.3900s%s/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
		 own ? own : "", own ? ":" : "");
	*machine = (struct doctor_machine){.root = "", .path = path, .page_size = (unsigned)sysconf(_SC_PAGESIZE)};
}

int doctor_look(struct doctor_report **result, const struct doctor_machine *machine)
{
	struct doctor doctor = {.machine = machine, .report = calloc(1, sizeof *doctor.report)};

	*result = NULL;
	if (!doctor.report)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
		unsigned before = doctor.report->n;

		doctor.check = checks[i].name;
		checks[i].run(&doctor);
		if (doctor.report->n == before)
			add_finding(&doctor, DOCTOR_WELL);
	}
	if (doctor.no_memory) {
		doctor_free(doctor.report);
		return -ENOMEM;
	}
	*result = doctor.report;
	return 0;
}

void doctor_free(struct doctor_report *report)
{
	if (!report)
		return;
	free(report->findings);
	free(report);
}

unsigned doctor_count(const struct doctor_report *report)
{
	return report->n;
}

const struct doctor_finding *doctor_finding(const struct doctor_report *report, unsigned index)
{
	return index < report->n ? &report->findings[index] : NULL;
}

unsigned doctor_count_of(const struct doctor_report *report, enum doctor_severity severity)
{
	unsigned n = 0;

	for (unsigned i = 0; i < report->n; i++)
		n += report->findings[i].severity == severity;
	return n;
}

const char *doctor_severity_name(enum doctor_severity severity)
{
	static const char *const names[] = {"well", "note", "warning", "problem"};

	return names[severity];
}
