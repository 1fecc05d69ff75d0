/* SPDX-License-Identifier: BSD-3-Clause */
/* The trial of a new server: which formats its plugin has to know. In nbdkit's place is a script. */
#include "lib/device.h"
#include "lib/shm.h"
#include "lib/test.h"

#include "daemon/jobs/job_rehearse.h"
#include "segment/format.h"
#include "segment/super.h"
#include "segment/super_codecs.h"

#include <sys/stat.h>

/* Its plugin knows the formats, features and algorithms that are in the environment. As a server it makes what its daemon waits for. */
static const char script[] = "#!/bin/sh\n"
			     "if [ \"$1\" = --dump-plugin ]; then\n"
			     "	echo path=/nowhere\n"
			     "	for version in $VERSIONS; do echo \"zsblk_segment_version=$version\"; done\n"
			     "	for feature in $FEATURES; do echo \"zsblk_segment_feature=$feature\"; done\n"
			     "	echo \"zsblk_algorithms=$ALGORITHMS\"\n"
			     "	exit\n"
			     "fi\n"
			     ": >\"${2#--unix=}\"\n"
			     "exec sleep 60\n";

static char folder[] = "/tmp/zsblk-rehearse.XXXXXX", program[64], server_socket[64], plugin[] = "zsblk";
static const struct test_shm *shm;

static int set_up(void **state)
{
	struct zsblk_params params = device_params(1000);
	struct zsblk_why why = {""};
	FILE *f;
	int id;

	must(mkdtemp(folder));
	snprintf(program, sizeof program, "%s/nbdkit", folder);
	snprintf(server_socket, sizeof server_socket, "%s/socket", folder);
	must((f = fopen(program, "w")) && fputs(script, f) >= 0 && fclose(f) == 0 && chmod(program, 0700) == 0);
	shm = test_shm_new();
	params.memory = shm->memory;
	must(zsblk_create(&params, "rehearsed", &id, &why) == 0);
	return 0;
}

static int tear_down(void **state)
{
	test_shm_remove(shm);
	unlink(program);
	return rmdir(folder);
}

/* The segment as a build before format 2 makes it. */
static void become_format_1(void)
{
	struct segment seg = {.kind = SEGMENT_SHM};
	struct super *super;

	seg.base = test_shm_map(shm, &seg.bytes);
	super = super_of(&seg);
	super->version = 1;
	super->bytes = offsetof(struct super, checksum1);
	memset(seg.base + offsetof(struct super, state), 0, SEGMENT_PAGE - offsetof(struct super, state));
	super_seal(&seg);
	shmdt(seg.base);
}

/* As whoever stores what needs them does. */
static void set_features(uint32_t features)
{
	struct segment seg = {.kind = SEGMENT_SHM};
	struct super_layout layout;
	char text[200];

	seg.base = test_shm_map(shm, &seg.bytes);
	must(super_read(&seg, &layout, text, sizeof text) == 0);
	super_set_incompatible(&seg, &layout, UINT32_MAX, false);
	if (features)
		super_set_incompatible(&seg, &layout, features, true);
	shmdt(seg.base);
}

/* As whoever is about to store objects of it does. */
static void set_codec(unsigned id, const char *algorithm)
{
	struct segment seg = {.kind = SEGMENT_SHM};
	struct super_layout layout;
	char text[200];

	seg.base = test_shm_map(shm, &seg.bytes);
	must(super_read(&seg, &layout, text, sizeof text) == 0);
	super_codecs_begin(&seg, &layout, id, algorithm);
	shmdt(seg.base);
}

static int rehearse(const char *versions, struct wrong *wrong)
{
	struct settings settings = {.nbdkit = program, .plugin = plugin};
	const struct job_rehearsal rehearsal = {&nbd_transport, &settings, shm->memory, server_socket};

	wrong->text[0] = '\0';
	setenv("VERSIONS", versions, 1);
	return job_rehearse(&rehearsal, wrong);
}

static void test_formats(void **state)
{
	static const struct {
		unsigned format;
		const char *versions;
		bool may;
	} cases[] = {
		{2, "1 2", true},
		{2, "2", true},
		{2, "2 3", true},
		{2, "1", false},
		{2, "", false},
		{2, "12 21", false},
		/* The one that made the segment goes on with it; and whoever knows both. */
		{1, "1", true},
		{1, "1 2", true},
		{1, "2", false},
		{1, "", false},
	};
	struct wrong wrong;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char said[40];
		int r;

		if (cases[i].format == 1)
			become_format_1();
		r = rehearse(cases[i].versions, &wrong);
		snprintf(said, sizeof said, "segments of version %u,", cases[i].format);
		if (r != (cases[i].may ? 0 : -EINVAL) || (r && !strstr(wrong.text, said)))
			fail_msg("case %zu: %d: %s", i, r, wrong.text);
		/* It leaves nothing. */
		assert_int_equal(access(server_socket, F_OK), -1);
	}
}

/* What has been stored may need more than the format says. */
static void test_features(void **state)
{
	static const struct {
		uint32_t has;
		const char *known, *lacks;
	} cases[] = {
		{0, "", NULL},
		{0, "shared large", NULL},
		{SUPER_HAS_SHARED | SUPER_HAS_LARGE, "shared large", NULL},
		{SUPER_HAS_SHARED | SUPER_HAS_LARGE, "large shared further", NULL},
		{SUPER_HAS_SHARED | SUPER_HAS_LARGE, "shared", "the feature 'large' of segments"},
		{SUPER_HAS_SHARED | SUPER_HAS_LARGE, "large", "the feature 'shared' of segments"},
		{SUPER_HAS_SHARED, "", "the feature 'shared' of segments"},
		{SUPER_HAS_SHARED, "unshared shared2", "the feature 'shared' of segments"},
	};
	struct wrong wrong;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int r;

		set_features(cases[i].has);
		setenv("FEATURES", cases[i].known, 1);
		r = rehearse("1 2", &wrong);
		if (r != (cases[i].lacks ? -EINVAL : 0) || (r && !strstr(wrong.text, cases[i].lacks)))
			fail_msg("case %zu: %d: %s", i, r, wrong.text);
	}
	set_features(0);
	unsetenv("FEATURES");
}

/* A feature that this daemon does not know either has no name by which a plugin could be asked. */
static void test_unknown_feature(void **state)
{
	struct wrong wrong;

	set_features(1u << 5);
	setenv("FEATURES", "shared large backed codecs later", 1);
	assert_int_equal(rehearse("1 2", &wrong), -EINVAL);
	assert_non_null(strstr(wrong.text, "incompatible 0x20"));
	set_features(0);
	unsetenv("FEATURES");
}

/* Two programs of one version need not have the same algorithms: each is built with the libraries that there were. */
static void test_algorithms(void **state)
{
	static const struct {
		const char *known, *lacks;
	} cases[] = {
		{"lz4 lz4hc zstd lzma later", NULL},
		{"later lzma", NULL},
		{"lz4 lz4hc zstd", "the algorithm 'lzma', with which"},
		{"lz4 lz4hc zstd lzma", "the algorithm 'later', with which"},
		{"lz4 lz4hc zstd lzma2 xlzma later", "the algorithm 'lzma', with which"},
		{"", "the algorithm 'lzma', with which"},
	};
	struct wrong wrong;

	set_codec(4, "lzma");
	/* Numbers may be left out. */
	set_codec(6, "later");
	setenv("FEATURES", "codecs", 1);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int r;

		setenv("ALGORITHMS", cases[i].known, 1);
		r = rehearse("1 2", &wrong);
		if (r != (cases[i].lacks ? -EINVAL : 0) || (r && !strstr(wrong.text, cases[i].lacks)))
			fail_msg("case %zu: %d: %s", i, r, wrong.text);
	}
	set_features(0);
	unsetenv("ALGORITHMS");
	unsetenv("FEATURES");
}

static void test_without_a_segment(void **state)
{
	struct wrong wrong;

	test_shm_remove(shm);
	assert_int_equal(rehearse("1 2", &wrong), -ENOENT);
	assert_non_null(strstr(wrong.text, shm->memory));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before the segment becomes one of format 1. */
		cmocka_unit_test(test_features),          cmocka_unit_test(test_unknown_feature),
		cmocka_unit_test(test_algorithms),        cmocka_unit_test(test_formats),
		cmocka_unit_test(test_without_a_segment),
	};

	return cmocka_run_group_tests_name("job_rehearse", tests, set_up, tear_down);
}
