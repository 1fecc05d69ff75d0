# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared between the files
#
# Messages, the cache, and how a thing gets into the cache.
#
# Invariants:
#  C1  A path in the cache without ".tmp" in its name is complete: it was renamed into place.
#  C2  Whoever writes entry X holds the lock X.lock, so a leftover X.tmp belongs to nobody and is
#      removed by the next writer.

say() {
	printf '%s\n' "$*" >&2
}

# Everything fatal ends here; `vm` turns the message into a failed test.
die() {
	say "vm: $*"
	exit 1
}

# Missing tools are a reason to skip, not to fail: exit status 77 says so to meson.
skip() {
	skip_reason=$*
	say "vm: skipped: $*"
	exit 77
}

# need TOOL PACKAGE: a tool that tests/vm/packages.txt should have brought.
need() {
	command -v "$1" >/dev/null || skip "$1 is not installed (Debian package $2)"
}

cache=${ZSBLK_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/zsblk/vm}

# cached ENTRY COMMAND [ARG...]: make sure $cache/ENTRY exists. If it does not, COMMAND gets the
# name of an empty folder to fill, as its last argument; the folder becomes the entry when COMMAND
# succeeds. Safe against other runs and against being killed (C1, C2). A failure ends the script,
# through errexit: so never call this from a condition, which would switch errexit off.
cached() {
	local entry=$cache/$1
	shift
	[ ! -d "$entry" ] || return 0
	mkdir -p "$(dirname "$entry")"
	(
		flock 9
		[ ! -d "$entry" ] || exit 0
		rm -rf "$entry.tmp"
		mkdir "$entry.tmp"
		"$@" "$entry.tmp" 9>&-
		mv -T "$entry.tmp" "$entry"
	) 9>"$entry.lock"
}
