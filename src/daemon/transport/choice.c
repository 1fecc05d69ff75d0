/* SPDX-License-Identifier: BSD-3-Clause */
/* Which transport. See choice.h. */
#include "daemon/transport/choice.h"

#include <stdio.h>
#include <string.h>

static bool is_fixed(const struct choice_facts *facts)
{
	return facts->of_attached || facts->of_device || facts->wanted != SETTINGS_TRANSPORT_AUTO;
}

/* The one that was asked for, by what there is or by name; with `auto` the better one. */
static const struct transport *wanted(const struct choice_facts *facts)
{
	if (facts->of_attached)
		return facts->of_attached;
	if (facts->of_device)
		return facts->of_device;
	return facts->wanted == SETTINGS_TRANSPORT_NBD ? &nbd_transport : &ublk_transport;
}

bool choice_depends_on_ublk(const struct choice_facts *facts)
{
	return !facts->of_attached && wanted(facts) == &ublk_transport;
}

const struct transport *choice_decide(const struct choice_facts *facts)
{
	if (!choice_depends_on_ublk(facts) || facts->ublk_is_good)
		return wanted(facts);
	return is_fixed(facts) ? NULL : &nbd_transport;
}

int choice_make(struct choice *choice, const struct settings *settings, const struct device *attached,
		struct wrong *wrong)
{
	struct choice_facts facts = {.wanted = settings->transport};
	struct device device;
	struct wrong why = {""};
	int r = 0;

	*choice = (struct choice){.fallback = ""};
	device_init(&device, settings->device ? settings->device : "");
	facts.of_attached = attached ? transport_of(attached) : NULL;
	facts.of_device = transport_of(&device);
	if (choice_depends_on_ublk(&facts))
		r = ublk_transport.may_be_used(settings, &why);
	facts.ublk_is_good = !r;
	choice->transport = choice_decide(&facts);
	if (!choice->transport) {
		wrong_say(wrong, "transport = ublk: %.400s", why.text);
		return r;
	}
	if (r)
		snprintf(choice->fallback, sizeof choice->fallback, "%.199s", why.text);
	return 0;
}
