/* SPDX-License-Identifier: BSD-3-Clause */
/* Readiness, told to whoever started the program, by the protocol of sd_notify(3). */
#ifndef NOTIFY_H
#define NOTIFY_H

/* Send `text`, such as "READY=1", to the socket that NOTIFY_SOCKET names. Nothing happens if there is none. */
void notify_send(const char *text);

#endif
