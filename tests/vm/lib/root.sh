# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared between the files
#
# Root file systems: $cache/root/VARIANT-HASH/{root.img,busybox,packages}. Variants:
#   light    our own process 1 (guest/start): the scenario and nothing else; up in seconds
#   systemd  the same with systemd and udev
#   packages that one with what Debian's packages meet on a machine: needrestart and AppArmor
#   bench    the first one with fio and perf
# The plugin and the scenario are not in it: they come on a second disk at every boot.

# The guest runs programs built on this machine, so it is the same release where possible.
root_release() {
	local codename
	codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	case $codename in
	bookworm | trixie) printf '%s\n' "$codename" ;;
	*) echo bookworm ;;
	esac
}

root_packages() {
	local packages="busybox-static e2fsprogs kmod libjson-c5 liblzma5 libmnl0 libnbd-bin liblz4-1 libsystemd0 liburing2 libxxhash0
		libzstd1 nbd-client nbdkit procps
		util-linux"
	case $1 in
	light) ;;
	systemd) packages="$packages dbus systemd systemd-sysv udev" ;;
	packages) packages="$packages apparmor dbus libncursesw6 libsmartcols1 libsodium23 needrestart systemd systemd-sysv udev" ;;
	bench) packages="$packages fio linux-perf" ;;
	*) die "no such root: $1 (light, systemd, packages or bench)" ;;
	esac
	# shellcheck disable=SC2086 # split on purpose
	printf '%s\n' $packages
}

# mke2fs -d takes owners from the files. Without root, a user namespace in which everything is
# root's has to do.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		unshare --map-root-user "$@"
	fi
}

root_build() {
	local variant=$1 dir=$2 release mirror mode=root owner=--same-owner
	release=$(root_release)
	need mmdebstrap mmdebstrap
	[ -r "$keyring" ] || skip "$keyring is missing (Debian package debian-archive-keyring)"
	if [ "$(id -u)" != 0 ]; then
		unshare --map-root-user true || skip "neither root nor able to make a user namespace"
		mode=unshare
		owner=--no-same-owner
	fi
	mirror=$(apt_mirror)
	say "vm: building the $variant root of Debian $release"
	apt_conf >"$dir/apt.conf"
	# To standard output: in unshare mode the outer user writes the file, not a mapped one.
	mmdebstrap --quiet --mode="$mode" --variant=minbase --format=tar --keyring="$keyring" \
		--include="$(root_packages "$variant" | paste -sd,)" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--aptopt="$dir/apt.conf" \
		"$release" - "deb $mirror $release main" >"$dir/root.tar" ||
		die "mmdebstrap failed; see above"
	mkdir "$dir/root"
	as_root tar -x -p --numeric-owner "$owner" --exclude='./dev/*' -f "$dir/root.tar" -C "$dir/root"
	cp "$dir/root/usr/bin/busybox" "$dir/busybox"
	awk '/^Package:/ { p = $2 } /^Version:/ { print p, $2 }' "$dir/root/var/lib/dpkg/status" >"$dir/packages"
	as_root mke2fs -q -t ext4 -O ^has_journal -L root -d "$dir/root" "$dir/root.img" 1G >/dev/null
	as_root rm -rf "$dir/root" "$dir/root.tar" "$dir/apt.conf"
}

# root_ensure VARIANT: sets root_dir.
root_ensure() {
	local hash
	hash=$( { root_release; root_packages "$1"; declare -f root_build; } | sha256sum | cut -c 1-12)
	cached "root/$1-$hash" root_build "$1"
	root_dir=$cache/root/$1-$hash
}
