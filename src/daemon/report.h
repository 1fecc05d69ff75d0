/* SPDX-License-Identifier: BSD-3-Clause */
/* How the instance is doing, for programs: the members of the reply to org.zsblk.Daemon.GetStatus. In words: status.h. */
#ifndef REPORT_H
#define REPORT_H

#include "daemon/instance.h"

struct json_object;

/* But for the sentence. NULL: no memory. Reads what sysfs and /proc tell of the device, and waits for nothing. */
struct json_object *report_status(const struct instance *instance, bool is_stopping);

#endif
