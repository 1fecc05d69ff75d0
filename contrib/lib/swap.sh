# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of contrib/run and common.sh
# The part of contrib/run that needs a kernel with nbd, and root.

# What is running is remembered here, so that --undo and a second run find it.
swap_state=/run/zsblk-run

nbd_possible()
{
	((EUID == 0)) && have nbd-client && have modprobe || return 1
	[[ -e /sys/block/nbd0 ]] || modprobe nbd max_part=0 2>/dev/null
	[[ -e /sys/block/nbd0 && -b /dev/nbd0 ]]
}

# Why swap cannot be had here, for people.
nbd_missing()
{
	local why=()
	((EUID == 0)) || why+=("you are not root")
	[[ -e /sys/block/nbd0 ]] || modinfo nbd >/dev/null 2>&1 || why+=("this kernel ($(uname -r)) has no nbd module")
	have nbd-client || why+=("nbd-client is not installed")
	((${#why[@]})) || why+=("/dev/nbd0 is not there")
	local IFS=,
	printf '%s\n' "${why[*]}" | sed 's/,/, /g'
}

first_free_nbd()
{
	local dir
	for dir in $(printf '%s\n' /sys/block/nbd* | sort -V); do
		if [[ ! -e $dir/pid && $(<"$dir/size") == 0 && -b /dev/${dir##*/} ]]; then
			printf '/dev/%s\n' "${dir##*/}"
			return 0
		fi
	done
	return 1
}

swap_active()
{
	[[ -e $swap_state/device ]] && grep -q "^$(<"$swap_state/device") " /proc/swaps
}

server_alive()
{
	[[ -e $swap_state/pid && $(cat "/proc/$(<"$swap_state/pid")/comm" 2>/dev/null) == nbdkit ]]
}

# swap_on PLUGIN SIZE ALGORITHM
swap_on()
{
	local plugin=$1 size=$2 algorithm=$3 device
	if swap_active; then
		server_alive || die "the server of $(<"$swap_state/device") has died; contrib/run --undo clears up what it can"
		say "already active on $(<"$swap_state/device")"
	else
		chrt --rr 1 true 2>/dev/null ||
			die "real-time scheduling cannot be had (chrt --rr 1); without it a server of swap hangs the machine when memory runs out"
		[[ -e $swap_state ]] && swap_off
		device=$(first_free_nbd) || die "every /dev/nbdN is in use; modprobe nbd with a higher nbds_max"
		install -d -m 700 "$swap_state"
		# The plugin must outlive the build folder's next build.
		install -m 644 "$plugin" "$swap_state/nbdkit-zsblk-plugin.so"
		printf '%s\n' "$device" >"$swap_state/device"
		# Not to be chosen when memory is short; for the buffers of its replies it may take of what the kernel
		# holds back from others; and each connection, of which there is one for every CPU, is served by one
		# thread, since handing requests from one to the next costs more than it gains.
		choom --adjust -1000 -- chrt --rr 1 nbdkit --unix "$swap_state/socket" \
			--pidfile "$swap_state/pid" --threads 1 "$swap_state/nbdkit-zsblk-plugin.so" size="$size" algorithm="$algorithm" \
			lock=yes reserve=32M stats="$swap_state/stats" ||
			{ rm -rf "$swap_state"; die "nbdkit did not start"; }
		nbd-client -unix "$swap_state/socket" "$device" -block-size 4096 -connections "$(nproc)" \
			>"$swap_state/log" 2>&1 ||
			{ cat "$swap_state/log" >&2; swap_off; die "nbd-client could not attach $device"; }
		echo 128 >"/sys/block/${device##*/}/queue/max_sectors_kb"
		mkswap --label zsblk "$device" >/dev/null
		swapon --discard --priority 100 "$device"
	fi
	swapon --show
	say ""
	say "This machine now swaps to compressed memory. The server's figures: $swap_state/stats"
	say "Less readahead suits it: sysctl vm.page-cluster=0; more for bad times: sysctl vm.min_free_kbytes=16384"
	say "To undo it: contrib/run --undo"
	say "If the server should die, what was swapped out is lost with it; do not rely on this for a machine that matters."
}

# Undo swap_on, also one that got stuck half-way.
swap_off()
{
	local device pid
	[[ -e $swap_state ]] || { say "nothing to undo"; return 0; }
	device=$(<"$swap_state/device")
	if swap_active; then
		say "swapoff $device: bringing back what was swapped out"
		swapoff "$device" || die "swapoff $device failed; free some memory and try again"
	fi
	if [[ -e /sys/block/${device##*/}/pid ]]; then
		nbd-client -d "$device" >/dev/null || die "nbd-client could not detach $device"
	fi
	if server_alive; then
		pid=$(<"$swap_state/pid")
		kill "$pid"
		for _ in {1..100}; do
			[[ -e /proc/$pid ]] || break
			sleep 0.1
		done
	fi
	rm -rf "$swap_state"
	say "undone: $device is free again and the server has ended"
}
