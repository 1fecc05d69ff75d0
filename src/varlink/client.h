/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The caller's side of Varlink: one connection, one call at a time, which waits for its reply. One thread at a time uses a
 * client.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>

struct json_object;
struct varlink_client;

/* An error that the service has replied with. */
struct varlink_failure {
	char error[128]; /* "org.zsblk.Device.Busy" */
	char text[400];  /* its reason, for people: one line without a newline, never empty */
};

/*
 * Connect to the socket at `path`. `ms`: how long to wait for that, and for each reply; -1: as long as it takes. 0, or a
 * negative errno: -ENOENT or -ECONNREFUSED (nobody listens), -EACCES (the socket is closed to us), -ETIMEDOUT (too many others
 * wait), -ENAMETOOLONG, -ENOMEM.
 */
int varlink_client_open(struct varlink_client **client, const char *path, int ms);
/*
 * The same over a stream socket that is connected already, by a caller who had to look at who listens there. The descriptor is the client's from
 * then on, also on failure: -ENOMEM.
 */
int varlink_client_take(struct varlink_client **client, int fd, int ms);
/* How long to wait for each reply from now on. */
void varlink_client_set_patience(struct varlink_client *client, int ms);
/* NULL is allowed. */
void varlink_client_close(struct varlink_client *client);

/*
 * Call a method, such as "org.zsblk.Device.GetClasses", with these parameters, which the client takes; NULL: none. 0 with
 * *out, which the caller puts; or a negative errno:
 *
 *   -EREMOTEIO   an error, which is in *failure
 *   -ETIMEDOUT   there was no reply in time
 *   -ECONNRESET  the service has closed the connection, or has ended
 *   -EBADMSG     what came is no reply, or has more than VARLINK_REPLY_MAX bytes
 *   -ENOMEM
 *
 * After any other error than -EREMOTEIO the client can only be closed. *failure has a text in every case.
 */
int varlink_client_call(struct varlink_client *client, const char *method, struct json_object *in,
			struct json_object **out, struct varlink_failure *failure);

/*
 * The same in two steps, for a call with several replies: *continues says that there will be another. For the replies of such a call
 * the client waits as long as it takes if `patient`.
 */
int varlink_client_send(struct varlink_client *client, const char *method, struct json_object *in, bool more,
			struct varlink_failure *failure);
int varlink_client_receive(struct varlink_client *client, bool patient, struct json_object **out, bool *continues,
			   struct varlink_failure *failure);

#endif
