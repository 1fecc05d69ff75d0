# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# shellcheck disable=SC2154 # me is the sourcing script's
# What the scripts in contrib/ share. Source it after setting `me` to the script's name.

# The source tree, and where builds go: beside the sources, or in the cache where those are read-only.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [[ -n ${ZSBLK_BUILD_ROOT:-} ]]; then
	build_root=$ZSBLK_BUILD_ROOT
elif [[ -w $top ]]; then
	build_root=$top
else
	# Not below /tmp: others could have put programs there.
	build_root=${XDG_CACHE_HOME:-${HOME:?is not set, and says where builds go; or set ZSBLK_BUILD_ROOT}/.cache}/zsblk
fi
mkdir -p "$build_root"

# Debian's Python: the one that Debian's packages (meson, matplotlib) are installed for.
python=/usr/bin/python3
[[ -x $python ]] || python=python3

say()
{
	printf '%s\n' "$*"
}

step()
{
	printf '\n== %s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$me" "$*" >&2
	exit 1
}

have()
{
	command -v "$1" >/dev/null 2>&1
}

# The comment block at the top of a script is its help.
show_help()
{
	sed -n '/^# Usage:/,/^[^#]/ { /^#/ s/^# \{0,1\}//p }' "$1"
}

# first_of FILE...: the first that there is.
first_of()
{
	local file
	for file; do
		if [[ -e $file ]]; then
			printf '%s\n' "$file"
			return 0
		fi
	done
	return 1
}

# What there is in a build directory.
plugin_in()
{
	first_of "$1/zsblk.so" "$1/plugin/zsblk.so" "$1/plugin/nbdkit-zsblk-plugin.so"
}

bench_in()
{
	first_of "$1/zsblk-bench" "$1/src/bench/zsblk-bench"
}

# Nothing where liburing is missing.
ublk_in()
{
	first_of "$1/zsblk-ublk" "$1/src/ublk/zsblk-ublk"
}

daemon_in()
{
	first_of "$1/zsblkd" "$1/src/daemon/zsblkd"
}

# The build that people use: optimised, without tests. build_user DIR
build_user()
{
	local dir=$1
	step "building into ${dir#"$top"/}"
	if [[ ! -e $dir/build.ninja ]]; then
		meson setup "$dir" "$top" --buildtype=release -Dtests=false >"$dir.log" 2>&1 ||
			{ tail -n 30 "$dir.log" >&2; die "meson setup failed; all of its output is in $dir.log"; }
		rm -f "$dir.log"
	fi
	ninja -C "$dir" --quiet || die "the build failed"
}
