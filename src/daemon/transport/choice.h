/* SPDX-License-Identifier: BSD-3-Clause */
/* Which transport is it to be? */
#ifndef CHOICE_H
#define CHOICE_H

#include "daemon/transport/transport.h"

struct choice {
	const struct transport *transport;
	char fallback[200]; /* why it is not the other one, which would be better; empty: none would */
};

/* What the decision is made from. No side effects; tested by a table. */
struct choice_facts {
	enum settings_transport wanted;
	const struct transport *of_attached; /* of the device that is attached; NULL: none is */
	const struct transport *of_device;   /* of the device that was asked for; NULL: none was */
	bool ublk_is_good;                   /* asked only if choice_depends_on_ublk() */
};
/* Does it depend on whether ublk can be used? */
bool choice_depends_on_ublk(const struct choice_facts *facts);
/* NULL: it is to be ublk, and that cannot be used. */
const struct transport *choice_decide(const struct choice_facts *facts);

/*
 * Decide, and ask whether ublk can be used if that matters. `attached`: the device that is attached, or NULL: it goes on over its own
 * transport, whatever is asked for. 0, or a negative errno with the reason: what was asked for cannot be used. May run a program, for some
 * seconds at most.
 */
int choice_make(struct choice *choice, const struct settings *settings, const struct device *attached,
		struct wrong *wrong);

#endif
