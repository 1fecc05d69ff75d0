/* SPDX-License-Identifier: BSD-3-Clause */
/* A configuration for swap on this machine. See proposal.h. */
#include "ctl/init/proposal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define USUAL_PRIORITY 100
#define MOST_PRIORITY  32767
/* What lz4 gives on most machines, if nothing was measured; in quarters. */
#define USUAL_QUARTERS 12u

__attribute__((format(printf, 2, 3))) static void add(char text[PROPOSAL_BYTES], const char *format, ...)
{
	size_t length = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + length, PROPOSAL_BYTES - length, format, args);
	va_end(args);
}

static bool takes_zstd(const struct proposal_facts *facts)
{
	return facts->pages.processes && facts->processors > 1 &&
	       facts->pages.zstd_bytes <= facts->pages.lz4_bytes - facts->pages.lz4_bytes / 5;
}

static double ratio_of(const struct machine_pages *pages, uint64_t bytes)
{
	return (double)pages->bytes / (double)(bytes ? bytes : 1);
}

static void add_measurement(char text[PROPOSAL_BYTES], const struct machine_pages *pages)
{
	if (!pages->processes) {
		add(text, "# Nothing was measured: %s.\n# The size is what fits on most machines.\n", pages->why_not);
		return;
	}
	add(text,
	    "# Measured: %.0f MiB of %u process%s. Compressed they take 1/%.2f of that with lz4, and 1/%.2f with zstd.\n",
	    (double)pages->bytes / (1 << 20), pages->processes, pages->processes == 1 ? "" : "es",
	    ratio_of(pages, pages->lz4_bytes), ratio_of(pages, pages->zstd_bytes));
}

/* In quarters of the memory: half the ratio, since half the memory holds it. */
static void add_size(char text[PROPOSAL_BYTES], const struct proposal_facts *facts)
{
	uint64_t bytes = takes_zstd(facts) ? facts->pages.zstd_bytes : facts->pages.lz4_bytes;
	unsigned quarters =
		facts->pages.processes && bytes ? (unsigned)(facts->pages.bytes * 4 / bytes) : USUAL_QUARTERS;

	quarters /= 2;
	quarters = quarters < 2 ? 2 : quarters > 8 ? 8 : quarters;
	add(text,
	    "\n# What may be swapped out, and the most memory that it may take. Beyond that, programs go on in memory.\n"
	    "size = ram * %u.%02u\nmem-limit = ram / 2\n",
	    quarters / 4, quarters % 4 * 25);
}

static void add_algorithm(char text[PROPOSAL_BYTES], const struct proposal_facts *facts)
{
	if (takes_zstd(facts))
		add(text,
		    "\n# zstd takes a fifth less memory than lz4 here, or even less; lz4 would be quicker.\nalgorithm = "
		    "zstd(level=%d)\n",
		    MACHINE_PAGES_ZSTD_LEVEL);
	else
		add(text, "\n# The quickest one%s.\nalgorithm = lz4\n",
		    facts->pages.processes && facts->processors > 1 ? "; zstd would save less than a fifth here" : "");
}

static void add_priority(char text[PROPOSAL_BYTES], int highest)
{
	bool is_high = highest >= USUAL_PRIORITY;

	add(text, "\n# %s\nswap-priority = %d\n",
	    is_high ? "Above the other swap that there is now." : "The highest one is filled first.",
	    !is_high                  ? USUAL_PRIORITY
	    : highest < MOST_PRIORITY ? highest + 1
				      : MOST_PRIORITY);
}

void proposal_write(char text[PROPOSAL_BYTES], const struct proposal_facts *facts)
{
	text[0] = '\0';
	add(text, "# Swap in compressed memory, as zsblkctl init has proposed it; see zsblk.conf(5).\n");
	add_measurement(text, &facts->pages);
	add_size(text, facts);
	add_algorithm(text, facts);
	add_priority(text, facts->highest_priority);
	if (facts->processors > 1)
		add(text,
		    "\n# What nobody has used for a quarter of an hour is packed more tightly, in the background.\ncold = yes\n");
}
