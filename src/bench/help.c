/* SPDX-License-Identifier: BSD-3-Clause */
/* What --help says. */
#include "bench/bench.h"

#include <stdlib.h>

static const char help[] =
	"Usage: zsblk-bench [OPTION]... FILE\n"
	"       zsblk-bench [OPTION]... --pid PID\n"
	"       zsblk-bench [OPTION]... --synthetic[=SIZE]\n"
	"       zsblk-bench --report DIR [OPTION]... [FILE]\n"
	"       zsblk-bench --replay TRACE [OPTION]... [FILE]\n"
	"       zsblk-bench --capture-swap FILE [OPTION]... [-- COMMAND [ARGUMENT]...]\n"
	"       zsblk-bench --plot JSON\n"
	"Would compressed memory help on this machine, and with which algorithm?\n"
	"\n"
	"Pages come from\n"
	"  FILE                    a file of 4096-byte pages, such as --save makes; - is standard input\n"
	"  -p, --pid PID           the resident anonymous pages of a running process\n"
	"      --synthetic[=SIZE]  pages made up, always the same for a seed (default 256M)\n"
	"\n"
	"A report for everybody\n"
	"      --report DIR        one page of HTML, DIR/report.html, for people who have never heard\n"
	"                          of zsblk: memory in each tier beside the kernel's zram (root),\n"
	"                          latencies, and a day with the default policy. Without FILE, --pid\n"
	"                          and --synthetic: pages of all processes that may be read. Takes\n"
	"                          --replay for a recorded day, -a, --cold, --frozen, --limit (128M)\n"
	"                          and --seed\n"
	"\n"
	"What is measured\n"
	"  -a, --algorithm LIST    NAME or NAME:LEVEL, separated by commas (default\n"
	"                          " DEFAULT_ALGORITHMS ")\n"
	"  -t, --threads LIST      numbers of threads, separated by commas (default 1)\n"
	"  -r, --repeat N          passes that the medians are taken of (default 5)\n"
	"      --request SIZE      bytes asked for at a time, a multiple of 4096 (default 4096)\n"
	"      --churn             then free a random half, and compact\n"
	"      --mix LIST          instead: how threads get on beside each other; of raw, same,\n"
	"                          hot-block, overwrite and read-beside-writer, separated by commas\n"
	"      --recompress NAME[:LEVEL]\n"
	"                          instead: blocks compressed again, with this algorithm\n"
	"      --cold NAME[:LEVEL], --frozen NAME[:LEVEL]\n"
	"                          instead: blocks in groups, such as zstd:9 and lzma:1, beside\n"
	"                          the kernel's zram where this is root\n"
	"      --limit SIZE        use at most so many bytes of pages, evenly picked (default 1G)\n"
	"      --seed N            for synthetic pages and random orders (default 1)\n"
	"\n"
	"What a policy would do\n"
	"      --replay TRACE      play a trace of requests against a model of cold memory; the next\n"
	"                          four are lists separated by commas, and each combination is tried\n"
	"      --cold-after LIST   ages from which blocks are put into groups, such as 90s or 4h\n"
	"                          (default 15m)\n"
	"      --group LIST        blocks of a group (default 16)\n"
	"      --cache LIST        decoded groups that are kept (default 16)\n"
	"      --read-rule LIST    when a block that is read comes out of its group: stay, second or\n"
	"                          out: never, at the second read, at the first (default stay)\n"
	"      --group-algorithm NAME[:LEVEL]\n"
	"                          how groups are compressed, if there are pages: what is written\n"
	"                          then has their contents (default zstd:9)\n"
	"\n"
	"Pages in the order of swap (root)\n"
	"      --capture-swap FILE let COMMAND run with less memory than it uses, and keep what was\n"
	"                          swapped out, at most --limit, in a new FILE, mode 0600; without\n"
	"                          COMMAND: python3 that parses its library\n"
	"      --seconds N         how long it runs (default 60)\n"
	"      --memory SIZE       memory that it has (default 128M)\n"
	"\n"
	"What comes out\n"
	"      --json              JSON on standard output instead of a table; implies --churn\n"
	"                          where there is no --mix, --recompress, --cold or --frozen\n"
	"      --plot JSON         draw what --json has printed to this file, as SVG on standard\n"
	"                          output: memory over time, percentiles of latencies\n"
	"      --save FILE         keep the pages in a new FILE, mode 0600: they are secrets\n"
	"  -h, --help              this text\n"
	"  -V, --version           the version\n"
	"\n"
	"SIZE is in bytes, or with the suffix K, M, G or T in powers of 1024.\n";

void help_print(void)
{
	fputs(help, stdout);
	printf("\nAlgorithms\n");
	for (unsigned i = 0; codec_at(i); i++)
		printf("  %-7s %d to %d, default %d: %s\n", codec_at(i)->name, codec_at(i)->level_min,
		       codec_at(i)->level_max, codec_at(i)->level_default, codec_at(i)->summary);
	exit(0);
}
