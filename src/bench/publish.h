/* SPDX-License-Identifier: BSD-3-Clause */
/* A report in a folder: there as a whole, or not at all, and never in place of somebody else's file. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "zsblk.h"

#include <stddef.h>

/* The file in the folder. */
#define PUBLISH_NAME "report.html"
/* What each report begins with. A file that does not is not ours. */
#define PUBLISH_MARK "<!DOCTYPE html>\n<!-- made by zsblk-bench with option report -->\n"

/*
 * Make the folder if it is missing, and see whether a report may be written there: before anything is measured. 0, or a negative errno with the
 * reason in *why: -EEXIST if a file of that name is not one that publish_report() made for this user.
 */
int publish_check(const char *folder, struct zsblk_why *why);
/*
 * Write a report, which begins with PUBLISH_MARK, in place of an older one. Its bytes have reached the disk when the file has its name. Errors as
 * above; an older report is as it was then.
 */
int publish_report(const char *folder, const char *report, size_t bytes, struct zsblk_why *why);

#endif
