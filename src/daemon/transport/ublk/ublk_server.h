/* SPDX-License-Identifier: BSD-3-Clause */
/* What a server of ublk is started by: zsblk-ublk. The functions are those of struct transport (transport.h), but for the first two. */
#ifndef UBLK_SERVER_H
#define UBLK_SERVER_H

#include "daemon/transport/arguments.h"

struct device;
struct zsblk_segment;

const char *ublk_server_program(const struct settings *settings);
/* May this kernel be used? 0; or -EOPNOTSUPP with the reason. Runs the server's program, for some seconds at most. */
int ublk_server_check(const struct settings *settings, struct wrong *wrong);

int ublk_server_arguments(struct arguments *arguments, const struct settings *settings, const char *memory,
			  const char *stats);
void ublk_server_device_argument(const struct device *device, bool attached, char *text, size_t size);
int ublk_server_rehearse(const struct settings *settings, const struct zsblk_segment *segment, const char *contact,
			 struct wrong *wrong);
int ublk_server_detach(const struct settings *settings, const struct device *device, struct wrong *wrong);

#endif
