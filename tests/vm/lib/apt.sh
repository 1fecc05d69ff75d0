# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared between the files
#
# Packages of another Debian release, through the machine's own apt: its mirror, its proxies, its
# signature checks, but with lists and caches of our own, so that the machine's apt never notices.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The address of a Debian mirror: the first that the machine's own apt has an index of.
apt_mirror() {
	if [ -n "${ZSBLK_VM_MIRROR:-}" ]; then
		printf '%s\n' "$ZSBLK_VM_MIRROR"
		return
	fi
	local mirror
	# shellcheck disable=SC2016 # apt's own variable
	mirror=$(apt-get indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' | head -n 1)
	[ -n "$mirror" ] || die "apt knows no Debian mirror: run apt-get update," \
		"or name one in ZSBLK_VM_MIRROR"
	printf '%s\n' "$mirror"
}

# apt_conf: how the machine reaches its mirror (proxies, time-outs, checks), and nothing else of
# its configuration: no hooks, no preferences.
apt_conf() {
	apt-config dump | grep '^Acquire::' || true
}

# apt_state RELEASE FOLDER [ARCHITECTURE]: package lists of RELEASE below FOLDER, and FOLDER/apt.conf to use them.
apt_state() {
	local release=$1 dir=$2 arch=${3:-amd64} mirror
	[ -r "$keyring" ] || skip "$keyring is missing (Debian package debian-archive-keyring)"
	mirror=$(apt_mirror)
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/etc"
	: >"$dir/status"
	printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$release" >"$dir/etc/sources.list"
	{
		apt_conf
		cat <<-CONF
			Dir::Etc::main "/dev/null";
			Dir::Etc::parts "/dev/null";
			Dir::Etc::preferences "/dev/null";
			Dir::Etc::preferencesparts "/dev/null";
			Dir::Etc::sourceparts "/dev/null";
			Dir::Etc::sourcelist "$dir/etc/sources.list";
			Dir::State::lists "$dir/lists";
			Dir::State::status "$dir/status";
			Dir::Cache "$dir/cache";
			APT::Architecture "$arch";
			APT::Architectures { "$arch"; };
			APT::Sandbox::User "";
			Acquire::Retries "3";
		CONF
	} >"$dir/apt.conf"
	APT_CONFIG=$dir/apt.conf apt-get -qq --error-on=any update >&2 ||
		die "apt-get update of $release failed; see above"
}

# apt_fetch FOLDER PACKAGE: the package file, downloaded into the current folder.
apt_fetch() {
	APT_CONFIG=$1/apt.conf apt-get -qq download "$2" >&2 || die "download of $2 failed; see above"
}

# apt_newest FOLDER PATTERN: of the packages whose names match, the one of the highest version in its name.
apt_newest() {
	APT_CONFIG=$1/apt.conf apt-cache search --names-only -- "$2" | cut -d ' ' -f 1 | sort -V | tail -n 1 | grep .
}

# apt_depends FOLDER PACKAGE PATTERN: the dependencies of PACKAGE that match, one a line.
apt_depends() {
	APT_CONFIG=$1/apt.conf apt-cache depends --important "$2" |
		sed -n 's/^ *Depends: //p' | grep -E -- "$3"
}
