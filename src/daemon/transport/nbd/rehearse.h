/* SPDX-License-Identifier: BSD-3-Clause */
/* The trial of a new server of NBD: rehearse() of struct transport (transport.h). */
#ifndef REHEARSE_H
#define REHEARSE_H

#include "daemon/settings/settings.h"

struct zsblk_segment;

int rehearse_server(const struct settings *settings, const struct zsblk_segment *segment, const char *socket,
		    struct wrong *wrong);

#endif
