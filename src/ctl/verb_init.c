/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zsblkctl init: a configuration for swap on this machine. Pages are measured, the file is shown, and written once that was agreed to. Nothing is
 * started. The file is there as a whole or not at all, and takes the place of none unless that was asked for.
 */
#include "ctl/complain.h"
#include "ctl/exit.h"
#include "ctl/init/beside.h"
#include "ctl/init/machine_pages.h"
#include "ctl/init/proposal.h"
#include "ctl/verbs.h"
#include "machine/doctor.h"
#include "text/name.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Tests have their own. */
#ifndef INIT_FOLDER
#define INIT_FOLDER "/etc/zsblk"
#define INIT_RUN    "/run/zsblk"
#define INIT_LIB    "/usr/lib/zsblk"
#endif

#define USUAL_NAME "swap0"

/* ------------------------------------------------------------------ the machine */

/* Of other swap: an instance that runs already is not in its own way. */
static int highest_priority(void)
{
	struct doctor_machine machine;
	char path[DOCTOR_PATH];

	doctor_init(&machine, path);
	return doctor_other_priority(&machine);
}

static void find_facts(struct proposal_facts *facts)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (isatty(STDERR_FILENO))
		fputs("measuring pages of the largest processes ...\n", stderr);
	machine_pages_measure(&facts->pages, "zsblk-bench");
	facts->processors = processors < 1 ? 1 : (unsigned)processors;
	facts->highest_priority = highest_priority();
}

/* ------------------------------------------------------------------ the file */

struct target {
	int folder;
	char name[NAME_MAX_CHARS + sizeof ".conf"];
	bool replace;
};

/* The file begins to be there with all of its contents. EXIT_*. */
static int put_in_place(const struct target *target, const char *temporary)
{
	int r = target->replace ? renameat(target->folder, temporary, target->folder, target->name)
				: linkat(target->folder, temporary, target->folder, target->name, 0);

	if (r < 0 && errno == EEXIST)
		return complain(EXIT_FAILED, INIT_FOLDER "/%s exists already; --force replaces it", target->name);
	if (r < 0)
		return complain(EXIT_FAILED, INIT_FOLDER "/%s cannot be made: %s", target->name, strerror(errno));
	(void)fsync(target->folder);
	return EXIT_DONE;
}

static int write_file(const struct target *target, const char *text)
{
	char temporary[sizeof target->name + 20];
	size_t length = strlen(text);
	int fd, r = EXIT_DONE;

	/* Not a drop-in, nor the file of an instance. */
	snprintf(temporary, sizeof temporary, ".%s.%d", target->name, (int)getpid());
	fd = openat(target->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(errno == EACCES ? EXIT_NOT_ALLOWED : EXIT_FAILED,
				INIT_FOLDER "/%s cannot be made: %s%s", target->name, strerror(errno),
				errno == EACCES ? "; run zsblkctl as root, or with --dry-run" : "");
	/* A short write says nothing of why. */
	errno = ENOSPC;
	if (write(fd, text, length) != (ssize_t)length || fchmod(fd, 0644) < 0 || fsync(fd) < 0)
		r = complain(EXIT_FAILED, INIT_FOLDER "/%s cannot be written: %s", target->name, strerror(errno));
	close(fd);
	if (!r)
		r = put_in_place(target, temporary);
	/* Gone already if it was renamed. */
	(void)unlinkat(target->folder, temporary, 0);
	return r;
}

/* Made if it is not there. What others could change in it is not ours to trust. EXIT_*. */
static int open_folder(int *folder)
{
	struct stat st;

	if (mkdir(INIT_FOLDER, 0755) < 0 && errno != EEXIST)
		return complain(errno == EACCES ? EXIT_NOT_ALLOWED : EXIT_FAILED, INIT_FOLDER " cannot be made: %s",
				strerror(errno));
	*folder = open(INIT_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*folder < 0 || fstat(*folder, &st) < 0)
		return complain(EXIT_FAILED, INIT_FOLDER " cannot be opened: %s", strerror(errno));
	if ((st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return EXIT_DONE;
	return complain(
		EXIT_NOT_ALLOWED,
		INIT_FOLDER
		" has mode %04o and belongs to user %u: others could change what is in it; nothing is written there",
		(unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
}

static int write_target(struct target *target, const char *text)
{
	int r = open_folder(&target->folder);

	if (!r)
		r = write_file(target, text);
	if (target->folder >= 0)
		close(target->folder);
	return r;
}

/* ------------------------------------------------------------------ people */

/* EXIT_DONE if they agree. */
static int ask(const struct options *options, const char *name)
{
	char answer[20] = "";

	if (options_has(options, OPTION_YES))
		return EXIT_DONE;
	printf("\nWrite " INIT_FOLDER "/%s.conf? [y/N] ", name);
	fflush(stdout);
	if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return EXIT_DONE;
	return complain(EXIT_FAILED, "nothing was written");
}

static void tell_next(const char *name)
{
	printf("\nWritten to " INIT_FOLDER "/%s.conf. What comes next:\n"
	       "  zsblkctl doctor                         what on this machine is in the way of swap\n"
	       "  zsblkd --check %s\n",
	       name, name);
	/* As sd_booted(3) tells it: in containers, and with another process 1, there is nobody to call. */
	if (access("/run/systemd/system", F_OK) == 0)
		printf("  systemctl daemon-reexec\n"
		       "  systemctl enable --now zsblk@%s\n",
		       name);
	else
		printf("  zsblkd --config " INIT_FOLDER "/%s.conf\n", name);
}

/* As far as can be told without making anything. EXIT_*. */
static int check_rights(const char *name)
{
	char folder[] = INIT_FOLDER;
	int r = faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS);

	/* The folder is made then. */
	if (r < 0 && errno == ENOENT)
		r = faccessat(AT_FDCWD, dirname(folder), W_OK | X_OK, AT_EACCESS);
	if (r == 0 || errno != EACCES)
		return EXIT_DONE;
	return complain(EXIT_NOT_ALLOWED,
			INIT_FOLDER "/%s.conf cannot be made: %s; run zsblkctl as root, or with --dry-run", name,
			strerror(errno));
}

/* Measuring takes seconds: what is refused in the end is refused at once. */
static int check_first(const struct options *options, const char *name)
{
	char path[sizeof INIT_FOLDER "/.conf" + NAME_MAX_CHARS];
	struct stat st;

	if (!name_is_good(name))
		return complain(
			EXIT_WRONG_USE,
			"init: '%.60s' cannot be a name: at most %d letters, digits, '.', '_' and '-' are needed", name,
			NAME_MAX_CHARS);
	snprintf(path, sizeof path, INIT_FOLDER "/%s.conf", name);
	if (options_has(options, OPTION_DRY_RUN))
		return EXIT_DONE;
	if (!options_has(options, OPTION_YES) && !isatty(STDIN_FILENO))
		return complain(EXIT_WRONG_USE,
				"init: nobody can be asked; give --yes to write " INIT_FOLDER "/%s.conf, or --dry-run",
				name);
	if (options_has(options, OPTION_FORCE) || lstat(path, &st) < 0)
		return check_rights(name);
	return complain(EXIT_FAILED,
			"%s exists already; --force replaces it, and --dry-run only shows what would be in it", path);
}

int verb_init(const struct call *call)
{
	const char *name = call->n_words ? call->words[0] : USUAL_NAME;
	struct target target = {.folder = -1, .replace = options_has(call->options, OPTION_FORCE)};
	struct proposal_facts facts;
	char text[PROPOSAL_BYTES];
	int r = check_first(call->options, name);

	if (r)
		return r;
	find_facts(&facts);
	proposal_write(text, &facts);
	fputs(text, stdout);
	beside_tell(name, &(struct beside_folders){.etc = INIT_FOLDER, .run = INIT_RUN, .lib = INIT_LIB});
	if (options_has(call->options, OPTION_DRY_RUN))
		return EXIT_DONE;
	r = ask(call->options, name);
	snprintf(target.name, sizeof target.name, "%.*s.conf", NAME_MAX_CHARS, name);
	if (!r)
		r = write_target(&target, text);
	if (!r)
		tell_next(name);
	return r;
}
