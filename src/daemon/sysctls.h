/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's settings for a system that swaps to memory, behind a server that needs memory itself: made when swap is
 * switched on, and undone when it ends. sysctl(8) shows them.
 *
 *   vm.page-cluster = 0            readahead of swap is for disks
 *   vm.watermark_boost_factor = 0  the kernel raises its watermarks for a while when memory is fragmented: what was enough
 *                                  for the server to reply suddenly is not
 *   vm.min_free_kbytes             at least 64 MiB, or an eighth of memory if that is less: nobody but real-time tasks, as our
 *                                  server is one, may take of what is below that mark, and they only down to a half of
 *                                  it (Linux 6.12; three quarters on 6.1). A server has to start from that. With 14 MiB one
 *                                  came half the way, and hung: tests/vm/README.md, "Harm".
 */
#ifndef SYSCTLS_H
#define SYSCTLS_H

/* Where it is written down what they were; for all instances. No instance can have that name. */
#define SYSCTLS_RECORD "/run/zsblk/~sysctls"

/*
 * Make the settings, those that are not made already, and write down in `file` what they were. Nothing if the
 * file exists: then it was done before. What cannot be set is said, and no reason to fail.
 */
void sysctls_make(const char *file);

/*
 * Undo what `file` says, except where somebody has changed a setting since. Nothing if there is no such file. For the last
 * instance to call.
 */
void sysctls_undo(const char *file);

/* The folder of the settings: "/proc/sys/vm". Tests have their own. */
void sysctls_use_folder(const char *folder);

#endif
