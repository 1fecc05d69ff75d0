/* SPDX-License-Identifier: BSD-3-Clause */
/* zsblkctl doctor: what on this machine is in the way of swap (machine/doctor.h), printed. It asks no server, and changes nothing. */
#include "ctl/colour.h"
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/member.h"
#include "ctl/terminal.h"
#include "ctl/verbs.h"
#include "machine/doctor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where sentences begin: below what was found. */
#define INDENT 9u

/* ------------------------------------------------------------------ for people */

struct page {
	unsigned width; /* 0: lines are as long as they are */
};

/* A paragraph, with lines that are no wider than the page. `column`: where it begins. */
static void print_words(const struct page *page, const char *text, unsigned column)
{
	bool is_first = true;

	while (*text) {
		unsigned length = (unsigned)strcspn(text, " ");

		if (!is_first && page->width && column + 1 + length > page->width) {
			printf("\n%*s", (int)INDENT, "");
			column = INDENT;
		} else if (!is_first) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)length, text);
		column += length;
		text += length + (text[length] == ' ');
		is_first = false;
	}
	putchar('\n');
}

static void print_severity(enum doctor_severity severity)
{
	static const enum colour colours[] = {COLOUR_GOOD, COLOUR_NONE, COLOUR_DOUBTFUL, COLOUR_BAD};

	printf("%s%-*s%s", colour_on(colours[severity]), (int)INDENT, doctor_severity_name(severity),
	       colour_off(colours[severity]));
}

/* Commands and remarks are lines to copy: they stay as long as they are. */
static void print_remedy(const char *remedy)
{
	while (*remedy) {
		size_t length = strcspn(remedy, "\n");

		printf("%*s%s%.*s\n", (int)INDENT, "", remedy[0] == '#' ? "  " : "$ ", (int)length, remedy);
		remedy += length + (remedy[length] == '\n');
	}
}

static void print_finding(const struct page *page, const struct doctor_finding *finding)
{
	char text[sizeof finding->what + 40];

	print_severity(finding->severity);
	snprintf(text, sizeof text, "%s: %s", finding->check, finding->what);
	print_words(page, text, INDENT);
	printf("%*s", (int)INDENT, "");
	print_words(page, finding->why, INDENT);
	print_remedy(finding->remedy);
	putchar('\n');
}

static void print_well(const struct page *page, const struct doctor_report *report)
{
	char text[600] = "";
	size_t length = 0;

	for (unsigned i = 0; i < doctor_count(report); i++) {
		const struct doctor_finding *finding = doctor_finding(report, i);

		if (finding->severity == DOCTOR_WELL && length < sizeof text)
			length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", length ? ", " : "",
						   finding->check);
	}
	if (!length)
		return;
	print_severity(DOCTOR_WELL);
	print_words(page, text, INDENT);
}

static void print_count(const struct doctor_report *report, enum doctor_severity severity, const char *end)
{
	unsigned n = doctor_count_of(report, severity);

	printf("%u %s%s%s", n, doctor_severity_name(severity), n == 1 ? "" : "s", end);
}

/* The worst come first. */
static void print_report(const struct doctor_report *report)
{
	const struct page page = {terminal_width(STDOUT_FILENO)};

	for (enum doctor_severity severity = DOCTOR_PROBLEM; severity > DOCTOR_WELL; severity--)
		for (unsigned i = 0; i < doctor_count(report); i++)
			if (doctor_finding(report, i)->severity == severity)
				print_finding(&page, doctor_finding(report, i));
	print_well(&page, report);
	print_count(report, DOCTOR_PROBLEM, ", ");
	print_count(report, DOCTOR_WARNING, ", ");
	print_count(report, DOCTOR_NOTE, "\n");
}

/* ------------------------------------------------------------------ JSON */

static struct json_object *lines_of(const char *text)
{
	struct json_object *lines = json_object_new_array();

	while (*text) {
		size_t length = strcspn(text, "\n");

		json_object_array_add(lines, json_object_new_string_len(text, (int)length));
		text += length + (text[length] == '\n');
	}
	return lines;
}

static void print_json(const struct doctor_report *report)
{
	struct json_object *all = json_object_new_object(), *findings = json_object_new_array();

	for (unsigned i = 0; i < doctor_count(report); i++) {
		const struct doctor_finding *finding = doctor_finding(report, i);
		struct json_object *one = json_object_new_object();

		member_put_text(one, "check", finding->check);
		member_put_text(one, "severity", doctor_severity_name(finding->severity));
		if (finding->severity != DOCTOR_WELL) {
			member_put_text(one, "what", finding->what);
			member_put_text(one, "why", finding->why);
			json_object_object_add(one, "remedy", lines_of(finding->remedy));
		}
		json_object_array_add(findings, one);
	}
	json_object_object_add(all, "findings", findings);
	member_put_number(all, "problems", doctor_count_of(report, DOCTOR_PROBLEM));
	member_put_number(all, "warnings", doctor_count_of(report, DOCTOR_WARNING));
	member_put_number(all, "notes", doctor_count_of(report, DOCTOR_NOTE));
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
}

int verb_doctor(const struct call *call)
{
	struct doctor_machine machine;
	struct doctor_report *report;
	char path[DOCTOR_PATH];
	int code;

	doctor_init(&machine, path);
	if (doctor_look(&report, &machine) < 0)
		return complain(EXIT_FAILED, "no memory");
	if (options_has(call->options, OPTION_JSON))
		print_json(report);
	else
		print_report(report);
	code = doctor_count_of(report, DOCTOR_PROBLEM)   ? EXIT_FAILED
	       : doctor_count_of(report, DOCTOR_WARNING) ? EXIT_WARNED
							 : EXIT_DONE;
	doctor_free(report);
	return code;
}
