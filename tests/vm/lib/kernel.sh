# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared between the files
#
# Debian's cloud kernels, as packages: $cache/kernel/VERSION/{vmlinuz,release,lib/modules/RELEASE}.

# kernel_release VERSION: the Debian release that ships this kernel.
kernel_release() {
	case $1 in
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	*) die "no such kernel: $1 (6.1 or 6.12)" ;;
	esac
}

kernel_fetch() {
	local version=$1 dir=$2 release package
	release=$(kernel_release "$version")
	say "vm: fetching the kernel of Debian $release"
	apt_state "$release" "$dir/apt"
	package=$(apt_depends "$dir/apt" linux-image-cloud-amd64 '^linux-image-[0-9]') ||
		die "Debian $release has no linux-image-cloud-amd64"
	case $package in
	linux-image-"$version".*) ;;
	*) die "Debian $release has $package, where Linux $version was expected" ;;
	esac
	(cd "$dir" && apt_fetch "$dir/apt" "$package")
	dpkg-deb -x "$dir"/linux-image-*.deb "$dir/root"
	mv "$dir"/root/boot/vmlinuz-* "$dir/vmlinuz"
	if [ -d "$dir/root/usr/lib/modules" ]; then
		mv "$dir/root/usr/lib" "$dir/lib"
	else
		mv "$dir/root/lib" "$dir/lib"
	fi
	basename "$dir"/lib/modules/* >"$dir/release"
	depmod -b "$dir" "$(cat "$dir/release")"
	rm -rf "$dir/apt" "$dir/root" "$dir"/*.deb
}

# kernel_ensure VERSION
kernel_ensure() {
	cached "kernel/$1" kernel_fetch "$1"
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
