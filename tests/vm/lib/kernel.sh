# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared between the files
#
# Debian's cloud kernels, as packages: $cache/kernel/VERSION/{vmlinuz,release,lib/modules/RELEASE}.

# kernel_release VERSION: the Debian release that ships this kernel.
kernel_release() {
	case $1 in
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	7 | 7.*) echo trixie-backports ;;
	*) die "no such kernel: $1 (6.1, 6.12 or 7)" ;;
	esac
}

# The newest kernel whose version begins with VERSION: a release may have more than one.
kernel_fetch() {
	local version=$1 dir=$2 release image parts deb
	release=$(kernel_release "$version")
	say "vm: fetching Linux $version of Debian $release"
	apt_state "$release" "$dir/apt"
	image=$(apt_newest "$dir/apt" "^linux-image-${version//./\\.}\\..*-cloud-amd64\$") ||
		die "Debian $release has no cloud kernel of Linux $version"
	# Since Linux 7.2 that package is empty, and depends on those with the kernel, its modules and the lists of these.
	mapfile -t parts < <(apt_depends "$dir/apt" "$image" '^linux-(base|binary|modules)-[0-9]')
	mkdir "$dir/root"
	for deb in "$image" "${parts[@]}"; do
		(cd "$dir" && apt_fetch "$dir/apt" "$deb")
	done
	for deb in "$dir"/*.deb; do
		dpkg-deb -x "$deb" "$dir/root"
	done
	# Where the two lie in their packages differs between releases.
	mkdir "$dir/lib"
	mv "$(find "$dir/root" -type d -path '*/lib/modules')" "$dir/lib/"
	mv "$(find "$dir/root" "$dir/lib" -type f -name 'vmlinuz*')" "$dir/vmlinuz"
	basename "$dir"/lib/modules/* >"$dir/release"
	depmod -b "$dir" "$(cat "$dir/release")"
	rm -rf "$dir/apt" "$dir/root" "$dir"/*.deb
}

# kernel_ensure VERSION
kernel_ensure() {
	cached "kernel/$1" kernel_fetch "$1"
}

# kernel_has VERSION NAME: it has that module, or what the module does built in.
kernel_has() {
	modprobe -d "$cache/kernel/$1" -S "$(cat "$cache/kernel/$1/release")" --show-depends "$2" >/dev/null 2>&1
}

# kernel_modules VERSION NAME...: paths of the module files to load, in order, below
# lib/modules/RELEASE. Built-in ones leave nothing.
kernel_modules() {
	local dir=$cache/kernel/$1 name
	shift
	for name; do
		modprobe -d "$dir" -S "$(cat "$dir/release")" --show-depends "$name" ||
			die "the kernel has no module $name"
	done | awk -v base="$dir/lib/modules/$(cat "$dir/release")/" \
		'$1 == "insmod" && !seen[$2]++ { print substr($2, length(base) + 1) }'
}
