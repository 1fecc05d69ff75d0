/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <zsblk.h>

#define MIB (1024 * 1024)

static int
print_extent(void *opaque, uint64_t offset, uint64_t len, bool hole)
{
	printf("%10llu %10llu %s\n", (unsigned long long)offset,
	    (unsigned long long)len, hole ? "hole" : "data");
	return 0;
}

int
main(void)
{
	static char text[64 * 1024], back[sizeof text];
	struct zsblk_params params;
	struct zsblk_stats stats;
	struct zsblk_why why;
	struct zsblk *dev;
	int r;

	zsblk_params_init(&params);
	params.size = 64 * MIB;
	params.algorithm = "zstd";
	params.mem_limit = 16 * MIB;
	r = zsblk_open(&params, &dev, &why);
	if (r == 0)
		r = zsblk_start(dev, &why);
	if (r < 0) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = "compressed memory "[i % 18];
	/* Any offset and length will do. */
	r = zsblk_write(dev, text, sizeof text, MIB + 512);
	if (r == 0)
		r = zsblk_read(dev, back, sizeof back, MIB + 512);
	if (r == 0)
		r = zsblk_discard(dev, 16 * 1024, MIB + 32 * 1024);
	if (r < 0) {
		fprintf(stderr, "%s\n", strerror(-r));
		return 1;
	}
	if (memcmp(text, back, sizeof text) != 0)
		return 1;

	zsblk_extents(dev, 2 * MIB, 0, print_extent, NULL);
	zsblk_get_stats(dev, &stats);
	printf("%llu bytes of blocks, %llu compressed\n",
	    (unsigned long long)stats.orig_data_size,
	    (unsigned long long)stats.compr_data_size);
	zsblk_close(dev);
	return 0;
}
