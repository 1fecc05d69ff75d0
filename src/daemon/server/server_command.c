/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of servers. See server_command.h. */
#include "daemon/server/server_command.h"

#include "daemon/child/errand.h"
#include "daemon/transport/arguments.h"
#include "daemon/transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A server that is started from kept files finds them open as these descriptors. */
#define KEPT_PROGRAM_FD   3
#define KEPT_MODULE_FD    4
#define KEPT_PROGRAM_PATH "/proc/self/fd/3"
#define KEPT_MODULE_PATH  "/proc/self/fd/4"

/* host_params.h */
#define VARIABLE "ZSBLK_PARAMETERS="

struct server_command {
	const struct transport *transport;
	struct arguments arguments;
	struct errand *errand; /* to ask servers by */
	struct kept kept;
	server_kept_fn *kept_changed; /* NULL: nobody is told */
	char *program;
	char *parameters; /* further ones, in the environment */
	char **environment;
};

/* ------------------------------------------------------------------ the command line */

/*
 * What servers of older versions do not know, and would refuse on their command line: a server may be one of the version before, from
 * files that were kept or after a package was taken back.
 */
static int make_parameters(char **parameters, const struct settings *settings, const char *control)
{
	char group[80] = "", cpu[40] = "";

	if (settings->control_group)
		snprintf(group, sizeof group, "\ncontrol-group=%.60s", settings->control_group);
	if (settings->background_cpu)
		snprintf(cpu, sizeof cpu, "\nbackground-cpu=%u", settings->background_cpu);
	return asprintf(parameters, VARIABLE "control=%s%s%s%s", control, group, cpu,
			settings->cold ? settings->cold : "") < 0
		       ? -ENOMEM
		       : 0;
}

/* The daemon's environment, without what systemd meant for the daemon alone. */
static int make_environment(struct server_command *command)
{
	static const char *const ours[] = {"LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_", "MALLOC_ARENA_MAX=", VARIABLE};
	static char arenas[] = "MALLOC_ARENA_MAX=1";
	size_t n = 0, kept = 0;

	while (environ[n])
		n++;
	command->environment = calloc(n + 3, sizeof *command->environment);
	if (!command->environment)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		bool keep = true;

		for (size_t j = 0; j < sizeof ours / sizeof ours[0]; j++)
			keep &= strncmp(environ[i], ours[j], strlen(ours[j])) != 0;
		if (keep)
			command->environment[kept++] = environ[i];
	}
	command->environment[kept++] = arenas;
	command->environment[kept] = command->parameters;
	return 0;
}

/* Look a program up as execvp(3) does, which allocates. */
static int find_program(const char *name, char **program)
{
	const char *path = getenv("PATH");
	char candidate[4096];
	struct stat st;

	if (strchr(name, '/')) {
		*program = strdup(name);
		if (!*program)
			return -ENOMEM;
		if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
			return -EISDIR;
		return access(name, X_OK) < 0 ? -errno : 0;
	}
	path = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
	while (*path) {
		size_t length = strcspn(path, ":");

		snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, name);
		if (length && access(candidate, X_OK) == 0) {
			*program = strdup(candidate);
			return *program ? 0 : -ENOMEM;
		}
		path += length + (path[length] == ':');
	}
	return -ENOENT;
}

int server_command_make(struct server_command **result, const struct transport *transport,
			const struct settings *settings, const char *memory, const char *stats, const char *control)
{
	struct server_command *command = calloc(1, sizeof *command);
	int r = command ? find_program(transport->program(settings), &command->program) : -ENOMEM;

	if (command) {
		command->transport = transport;
		kept_init(&command->kept);
	}
	if (!r)
		r = transport->arguments(&command->arguments, settings, memory, stats);
	if (!r)
		r = make_parameters(&command->parameters, settings, control);
	if (!r)
		r = make_environment(command);
	if (!r)
		r = errand_create(&command->errand);
	if (r) {
		server_command_free(command);
		return r;
	}
	*result = command;
	return 0;
}

void server_command_inherit(struct server_command *command, const struct kept *kept, server_kept_fn *changed)
{
	kept_close(&command->kept);
	command->kept = *kept;
	command->kept_changed = changed;
}

static void kept_has_changed(const struct server_command *command)
{
	if (command->kept_changed)
		command->kept_changed(&command->kept);
}

bool server_command_kept_runs(const struct server_command *command, const struct server *server)
{
	return command->kept.of && command->kept.user == server->pid && command->kept.user_start == server->start;
}

bool server_command_kept_is_of(const struct server_command *command, const struct server *server)
{
	return command->kept.of && command->kept.of == server->pid && command->kept.of_start == server->start;
}

struct search {
	const struct server_command *command;
	const struct server *server;
	const struct stat *held;
	int socket;
};

/* In the child, for errand_run(). The files go over the socket. The text is the child's process number, as the sender to expect. */
static ssize_t find_and_send(void *what, char *text)
{
	const struct search *search = what;
	const struct server_command *command = search->command;
	const struct arguments *arguments = &command->arguments;
	pid_t self = getpid();
	char module[NAME_MAX + 1];
	struct kept found;
	int r;

	if (arguments->module)
		command->transport->module_file(arguments->list[arguments->module], module, sizeof module);
	r = kept_find(&found, search->server->pid, search->server->start, command->program,
		      arguments->module ? module : NULL, search->held);
	memcpy(text, &self, sizeof self);
	if (!r)
		r = kept_send(&found, search->socket);
	return r ? r : (ssize_t)sizeof self;
}

int server_command_keep(struct server_command *command, const struct server *server)
{
	struct kept *kept = &command->kept;
	struct stat held;
	struct search search = {.command = command, .server = server};
	int ends[2], r;
	const char *text;
	pid_t child;

	if (server->from_kept || server_command_kept_is_of(command, server))
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	search.held = kept->program >= 0 && fstat(kept->program, &held) == 0 ? &held : NULL;
	search.socket = ends[1];
	r = setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
	if (!r)
		r = (int)errand_run(command->errand, find_and_send, &search, ends[1], SERVER_ASK_MS, &text);
	if (r > 0) {
		memcpy(&child, text, sizeof child);
		r = kept_receive(kept, ends[0], child);
		if (!r)
			kept_has_changed(command);
	}
	close(ends[0]);
	close(ends[1]);
	return r;
}

int server_command_programs(struct server_command *command, const struct server *server, const char **lines)
{
	pid_t pid = server->pid;
	ssize_t got = errand_run(command->errand, errand_programs, &pid, -1, SERVER_ASK_MS, lines);

	return got < 0 ? (int)got : 0;
}

bool server_command_matches(const struct server_command *command, const char *text, size_t bytes)
{
	return arguments_match(&command->arguments, KEPT_MODULE_PATH, text, bytes);
}

bool server_command_is_of(struct server_command *command, pid_t pid)
{
	const char *text;
	ssize_t got = errand_run(command->errand, errand_command_line, &pid, -1, SERVER_ASK_MS, &text);

	return got >= 0 && server_command_matches(command, text, (size_t)got);
}

void server_command_set_size(struct server_command *command, uint64_t bytes)
{
	arguments_set_size(&command->arguments, bytes);
}

void server_command_free(struct server_command *command)
{
	if (!command)
		return;
	arguments_free(&command->arguments);
	kept_close(&command->kept);
	errand_free(command->errand);
	free(command->program);
	free(command->parameters);
	free(command->environment);
	free(command);
}

/* ------------------------------------------------------------------ what becomes of it */

bool server_command_has_kept(const struct server_command *command)
{
	return command->kept.of;
}

void server_command_used_kept(struct server_command *command, const struct server *server)
{
	command->kept.user = server->pid;
	command->kept.user_start = server->start;
	kept_has_changed(command);
}

/*
 * Put the kept files where the server finds them. Returns the program to run, perhaps in *program. If the kept server's
 * program was not ours (a script ran it), what is installed is run.
 */
static const char *place_kept(const struct server_command *command, const struct folder *folder, char *program)
{
	/* Duplicate both beyond the places first: one may be in the place of the other. */
	int program_fd = fcntl(command->kept.program, F_DUPFD, KEPT_MODULE_FD + 1);
	int module_fd = fcntl(command->kept.module, F_DUPFD, KEPT_MODULE_FD + 1);

	dup3(program_fd, KEPT_PROGRAM_FD, O_CLOEXEC);
	close(KEPT_MODULE_FD);
	if (module_fd >= 0)
		dup2(module_fd, KEPT_MODULE_FD);
	if (command->kept.program < 0)
		return command->program;
	/* The link's name is what the process is called. Without the folder there is no link. */
	if (folder_note(folder, command->transport->server_name, KEPT_PROGRAM_PATH))
		return KEPT_PROGRAM_PATH;
	folder_file(folder, command->transport->server_name, program);
	return program;
}

/* Put each server's own arguments into their places. */
static void place_own(const struct server_command *command, char *contact, const char *device, char **arguments)
{
	const struct arguments *all = &command->arguments;

	arguments[all->contact] = contact;
	if (!all->device)
		return;
	arguments[all->device] = (char *)device;
	if (!device[0])
		memmove(&arguments[all->device], &arguments[all->device + 1],
			(all->n - all->device) * sizeof arguments[0]);
}

void server_command_exec(const struct server_command *command, const struct folder *folder, uint64_t start,
			 const char *device, bool from_kept)
{
	static char module[] = KEPT_MODULE_PATH;
	const struct arguments *all = &command->arguments;
	char *arguments[ARGUMENTS_MAX + 1], program_path[FOLDER_PATH_MAX + 60];
	char path[FOLDER_PATH_MAX + 60], contact[ARGUMENTS_CONTACT_START + sizeof path];
	const char *program = command->program;

	memcpy(arguments, all->list, sizeof arguments);
	folder_server_contact(folder, getpid(), start, command->transport->contact, path);
	snprintf(contact, sizeof contact, "%s%s", all->list[all->contact], path);
	if (from_kept)
		program = place_kept(command, folder, program_path);
	if (from_kept && all->module)
		arguments[all->module] = module;
	place_own(command, contact, device, arguments);
	syscall(SYS_close_range, from_kept ? KEPT_MODULE_FD + 1 : STDERR_FILENO + 1, ~0u, 0);
	execve(program, arguments, command->environment);
	dprintf(STDERR_FILENO, "%s: cannot be run: %s\n", program, strerror(errno));
	_exit(127);
}
