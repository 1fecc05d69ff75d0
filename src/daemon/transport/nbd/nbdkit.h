/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server of NBD is started by: nbdkit with the zsblk plugin. The functions are those of struct transport (transport.h). */
#ifndef NBDKIT_H
#define NBDKIT_H

#include "daemon/transport/arguments.h"

const char *nbdkit_program(const struct settings *settings);
void nbdkit_module_file(const char *module, char *name, size_t size);
int nbdkit_arguments(struct arguments *arguments, const struct settings *settings, const char *memory,
		     const char *stats);

#endif
