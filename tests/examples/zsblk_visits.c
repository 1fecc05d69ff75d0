/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <zsblk.h>

/* zsblk_visits shm:KEY [remove]: how often was I run? */
int
main(int argc, char **argv)
{
	struct zsblk_params params;
	struct zsblk_why why;
	struct zsblk *dev;
	uint64_t visits;
	int r;

	if (argc < 2) {
		fprintf(stderr, "usage: zsblk_visits shm:KEY [remove]\n");
		return 2;
	}
	if (argc > 2 && strcmp(argv[2], "remove") == 0) {
		r = zsblk_remove(argv[1], &why);
		if (r < 0)
			fprintf(stderr, "%s\n", why.text);
		return r < 0;
	}
	zsblk_params_init(&params);
	params.size = 1024 * 1024;
	params.memory = argv[1];
	params.lock_shared = false; /* needs no rights */
	r = zsblk_open(&params, &dev, &why);
	if (r == 0)
		r = zsblk_start(dev, &why);
	if (r < 0) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	/* A block never written reads as zeroes. */
	r = zsblk_read(dev, &visits, sizeof visits, 0);
	visits++;
	if (r == 0)
		r = zsblk_write(dev, &visits, sizeof visits, 0);
	if (r == 0)
		printf("visit %llu\n", (unsigned long long)visits);
	/* Exit without zsblk_close() would lose nothing either. */
	zsblk_close(dev);
	return r < 0;
}
