# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # some variables are for the scenarios
#
# What scenarios are written with, inside the virtual machine: test points, the server, the devices,
# the load. Everything is said on standard output, which is the second serial port, as TAP; the plan
# is printed by the host, which adds a test point of its own.

# ---------------------------------------------------------------------- test points

points=$(cat /var/lib/scenario-points 2>/dev/null || echo 0) # of earlier boots

note() {
	printf '# %s\n' "$*"
}

# quote FILE: its lines as comments.
quote() {
	sed 's/^/#   /' "$1"
}

ok() {
	points=$((points + 1))
	printf 'ok %d - %s\n' "$points" "$*"
}

not_ok() {
	points=$((points + 1))
	printf 'not ok %d - %s\n' "$points" "$*"
}

# check DESCRIPTION COMMAND...: one test point; what COMMAND printed is shown when it fails.
check() {
	local description=$1 status=0
	shift
	"$@" >/run/check.log 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		ok "$description"
	else
		not_ok "$description"
		note "$* (status $status)"
		quote /run/check.log
	fi
	return "$status"
}

# must: a check without which there is no point in going on.
must() {
	check "$@" || {
		server_state
		exit 1
	}
}

# soon SECONDS COMMAND...: COMMAND succeeds before they have passed; on a host that is busy with other things, before six times as many.
soon() {
	local end=$((SECONDS + 6 * $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.5
	done
}

# compare LEFT OPERATOR RIGHT: test's comparison, saying what the numbers were when it fails.
compare() {
	echo "$1 $2 $3 is not so"
	test "$1" "$2" "$3"
}

# ---------------------------------------------------------------------- figures

vmstat() {
	awk -v name="$1" '$1 == name { print $2 }' /proc/vmstat
}

# field NAME FILE: the value of NAME=VALUE in a line of the hog.
field() {
	sed -n "s/.* $1=\([0-9]*\).*/\1/p" "$2" | tail -n 1
}

meminfo() {
	awk -v name="$1:" '$1 == name { print int($2 / 1024) }' /proc/meminfo
}

# ---------------------------------------------------------------------- the server

# use_transport NAME: the way from the kernel to the server, nbd or ublk; which device it is, and the name of the server's process.
use_transport() {
	TRANSPORT=$1
	case $TRANSPORT in
	nbd) device=/dev/nbd0 server_name=nbdkit ;;
	ublk) device=/dev/ublkb0 server_name=zsblk-ublk ;;
	esac
}

use_transport "${TRANSPORT:-nbd}"
socket=/run/zsblk.sock
server_pid=

# What it takes for a server of swap never to wait for memory, beside what lock=yes and reserve= do;
# README.md has the measurements behind each. Variables can take one away, to see what happens.
: "${SCHEDULER=chrt --rr 1}"
# docs/swap.md's: 64 MiB, or an eighth of memory where that is less.
: "${MIN_FREE_KBYTES=$(awk '$1 == "MemTotal:" { n = int($2 / 8); print n < 65536 ? n : 65536 }' /proc/meminfo)}"
: "${RESERVE=16M}"
: "${LOCK=yes}"

# zsblk_server [PARAMETER...]: nbdkit with the plugin, or zsblk-ublk, with what it needs to serve swap. With
# PEER=memory, what people use instead.
zsblk_server() {
	if [ "${PEER:-}" = memory ]; then
		server choom --adjust -1000 -- nbdkit --foreground --exit-with-parent --unix "$socket" \
			memory "${SIZE:-1G}" allocator=zstd
		return
	fi
	usual_sysctls=$(sysctl vm.watermark_boost_factor vm.min_free_kbytes | tr -d ' ')
	sysctl -q vm.watermark_boost_factor=0
	[ -z "$MIN_FREE_KBYTES" ] || sysctl -q vm.min_free_kbytes="$MIN_FREE_KBYTES"
	set -- size="${SIZE:-1G}" algorithm="${ALGORITHM:-lz4}" lock="$LOCK" reserve="$RESERVE" stats=/run/zsblk.stats "$@"
	# shellcheck disable=SC2086 # SCHEDULER and NBDKIT_OPTIONS are split on purpose
	case $TRANSPORT in
	nbd) server $SCHEDULER nbdkit --foreground --exit-with-parent --unix "$socket" --threads "${THREADS:-1}" \
		${NBDKIT_OPTIONS:-} zsblk "$@" ;;
	ublk) load_driver 1 && server $SCHEDULER zsblk-ublk "$@" ;;
	esac
}

# server COMMAND...: start it and wait until its socket is there, or until it says that its device is.
server() {
	local tries=0
	rm -f "$socket"
	note "$*"
	"$@" </dev/null >/run/server.log 2>&1 &
	server_pid=$!
	until [ -S "$socket" ] || grep -qx "$device" /run/server.log; do
		if ! kill -0 "$server_pid" || [ $((tries += 1)) -gt 300 ]; then
			cat /run/server.log
			return 1
		fi
		sleep 0.1
	done
}

# The end of a ublk server is the end of its device: detach() has told it.
server_stop() {
	local status=0
	[ "$TRANSPORT" = ublk ] || kill "$server_pid"
	wait "$server_pid" || status=$?
	server_pid=
	# shellcheck disable=SC2086 # NAME=VALUE...
	[ -z "${usual_sysctls:-}" ] || sysctl -q $usual_sysctls
	cat /run/server.log
	return "$status"
}

# is_protected PID: its memory is locked, the OOM killer looks elsewhere, every thread is an I/O flusher (0x180000 of its flags),
# and, unless SCHEDULER is taken away, in a real-time class (policy 2, SCHED_RR).
is_protected() {
	local task name flags policy wrong=0
	for task in /proc/"$1"/task/*; do
		name=$(<"$task/comm")
		read -r flags policy < <(sed 's/.*) //' "$task/stat" | cut -d' ' -f7,39)
		echo "$name: flags $flags, policy $policy"
		# The thread of the control socket serves no requests. It is an ordinary one on purpose: see src/host/control.c.
		[ "$name" != zsblk-control ] || { [ "$policy" = 0 ] && continue; }
		[ $((flags & 0x180000)) = $((0x180000)) ] || wrong=1
		[ -z "$SCHEDULER" ] || [ "$policy" = 2 ] || wrong=1
	done
	grep VmLck "/proc/$1/status"
	[ "$wrong" = 0 ] && ! grep -q 'VmLck:[[:space:]]*0 kB' "/proc/$1/status" &&
		compare "$(cat "/proc/$1/oom_score_adj")" -eq -1000
}

# server_state: what there is to know about the server, as comments.
server_state() {
	[ -n "$server_pid" ] || return 0
	note "server:"
	grep -E '^(State|VmRSS|RssAnon|RssShmem|VmLck|VmSwap|Threads)' "/proc/$server_pid/status" | sed 's/^/#   /'
	quote /run/server.log
	[ ! -e /run/zsblk.stats ] || note "$(server_statistics)"
}

# server_statistics: what the plugin says of itself, on one line.
server_statistics() {
	sleep 1.2 # the file is written once a second
	paste -sd' ' /run/zsblk.stats
}

statistics_file=/run/zsblk.stats

# statistic NAME: as of a second ago.
statistic() {
	sed -n "s/^$1=//p" "$statistics_file"
}

# cpu_use: which threads used the CPUs since the start, in seconds, the hungriest first, as comments.
cpu_use() {
	local hz
	hz=$(getconf CLK_TCK)
	awk -v hz="$hz" '$1 == "cpu" {
		printf "# CPU seconds: user %.1f system %.1f idle %.1f interrupts %.1f\n",
			($2 + $3) / hz, $4 / hz, ($5 + $6) / hz, ($7 + $8) / hz
	}' /proc/stat
	# Names may hold spaces: fields are counted from behind the closing parenthesis.
	cat /proc/[0-9]*/task/[0-9]*/stat 2>/dev/null | sed 's/^[0-9]* (\(.*\)) /\1\t/; s/ /\t/g' |
		awk -F '\t' -v hz="$hz" '{
			printf "%.1f user %.1f system %.1f %s\n", ($13 + $14) / hz, $13 / hz, $14 / hz, $1
		}' | sort -rn | head -n 8 | sed 's/^/#   /'
}

# server_mib: memory the server holds, in MiB.
server_mib() {
	awk '$1 == "VmRSS:" { print int($2 / 1024) }' "/proc/$server_pid/status"
}

# ---------------------------------------------------------------------- the daemon

instance=swap0

# daemon_start [OPTION...] [PARAMETER...]: zsblkd in the background, until it says that it is ready.
daemon_start() {
	local tries=0 before
	before=$(daemon_log | grep -c 'ready:')
	load_driver 2 || return
	# Into the kernel's log, so that the two are read together, also when the machine has to be stopped.
	sysctl -q kernel.printk_devkmsg=on
	# shellcheck disable=SC2086 # DAEMON_OPTIONS is split on purpose
	zsblkd --name "$instance" --device "$device" --swapon --priority 100 ${DAEMON_OPTIONS:-} "$@" \
		size="${SIZE:-1G}" algorithm="${ALGORITHM:-lz4}" </dev/null >/dev/kmsg 2>&1 &
	supervisor_pid=$!
	until [ "$(daemon_log | grep -c 'ready:')" -gt "$before" ]; do
		if ! kill -0 "$supervisor_pid" || [ $((tries += 1)) -gt 300 ]; then
			daemon_log
			return 1
		fi
		sleep 0.1
	done
}

# Of the size and priority asked for; the header takes a page.
is_swap() {
	cat /proc/swaps
	grep -Eq "^$device +partition[[:space:]]+$(($(numfmt --from=iec "${SIZE:-1G}") / 1024 - $(getconf PAGESIZE) / 1024))[[:space:]]+[0-9]+[[:space:]]+100$" \
		/proc/swaps
}

daemon_log() {
	dmesg | grep zsblkd
}

# The process that does the work; its parent, the supervisor, does nothing but wait for it.
daemon_pid() {
	pgrep -x -P "$supervisor_pid" zsblkd
}

# The server has none of the daemon's files open: neither its lock nor its loop. (One eventpoll is the server's own: its control socket's.)
server_has_no_stray_files() {
	ls -l "/proc/$(pgrep -x "$server_name")/fd"
	! find "/proc/$(pgrep -x "$server_name")/fd" -lname '*/lock' | grep . &&
		compare "$(find "/proc/$(pgrep -x "$server_name")/fd" -lname '*eventpoll*' | wc -l)" -le 1
}

# Harm that is done to swap while it is used. Each succeeds when there was somebody to do it to.
harm_server() {
	pkill -KILL -x "$server_name"
}

# What ends an ordinary nbdkit, with errors for the requests it has.
harm_term() {
	pkill -TERM -x "$server_name"
}

harm_hang() {
	pkill -STOP -x "$server_name"
}

# Each of its threads runs for ever, in its real-time class: the instruction that it comes to after the system call in which it waits becomes
# a jump to itself. (The kernel's own threads of an io_uring are left out: they have no instruction. Debian's
# Linux 7 lets only debuggers change instructions, unless proc_mem.force_override is given.)
harm_spin() {
	local pid address addresses
	pid=$(pgrep -x "$server_name") && addresses=$(awk '/^[0-9]/ && $NF != "0x0" { print $NF }' "/proc/$pid/task/"*/syscall | sort -u) || return
	for address in $addresses; do
		printf '\xeb\xfe' | dd of="/proc/$pid/mem" bs=2 oflag=seek_bytes seek=$((address)) conv=notrunc status=none 2>/dev/null || return
	done
}

harm_daemon() {
	kill -KILL "$(daemon_pid)"
}

harm_both() {
	kill -KILL "$(daemon_pid)" $(pgrep -x "$server_name")
}

# From the build that serves to the other one. /run/upgrades gets a line: FROM TO. An attempt that failed may have installed the other
# build already.
harm_upgrade() {
	local from to
	from=$(serving_version) || return
	[ "$from" != "$(installed_version)" ] || install_other_build || return
	zsblkd --upgrade "$instance" >/run/upgrade.log && to=$(serving_version) && [ "$to" = "$(installed_version)" ] || return
	echo "$from $to" >>/run/upgrades
}

# The file that an upgrade of the server installs.
installed_build() {
	case $TRANSPORT in
	nbd) find /usr -name nbdkit-zsblk-plugin.so ;;
	ublk) type -p zsblk-ublk ;;
	esac
}

# Install the other one of the server's two builds, as a package manager does: under a new name, then renamed.
install_other_build() {
	local installed kept=/var/tmp/kept-build other=/payload/other-plugin.so
	[ "$TRANSPORT" = nbd ] || other=/payload/other-ublk
	installed=$(installed_build)
	[ -e "$kept" ] || cp "$other" "$kept" || return
	cp -p "$kept" "$installed.new" && cp -p "$installed" "$kept" && mv "$installed.new" "$installed"
}

# version_of BUILD
version_of() {
	local version
	case $TRANSPORT in
	nbd) version=$(nbdkit --dump-plugin "$1" | sed -n 's/^zsblk_version=//p') ;;
	ublk) version=$("$1" --version | sed -n 's/^zsblk-ublk //p') ;;
	esac
	[ -n "$version" ] && echo "$version"
}

installed_version() {
	version_of "$(installed_build)"
}

# serving_version: of the server that the status names, which may run a file that is no longer installed. nbdkit loads no plugin from
# /proc/PID/map_files, so it gets a copy.
serving_version() {
	local pid
	pid=$(zsblkd --status "$instance" | sed -n '/being replaced/d; s/.* server \([0-9][0-9]*\).*/\1/p')
	[ -n "$pid" ] || return
	case $TRANSPORT in
	nbd)
		cp "/proc/$pid/map_files/$(sed -n '/plugin\.so/{s/ .*//p;q}' "/proc/$pid/maps")" /var/tmp/serving-plugin.so &&
			version_of /var/tmp/serving-plugin.so
		;;
	ublk) version_of "/proc/$pid/exe" ;;
	esac
}

runs_installed_plugin() {
	! grep -q 'plugin.so [(]deleted[)]' "/proc/$(pgrep -x "$server_name")/maps"
}

nothing_left() {
	swapon --show
	ls /run/zsblk
	pgrep -l "$server_name"
	ipcs -m
	[ "$(awk 'END { print NR }' /proc/swaps)" = 1 ] && [ ! -e "/run/zsblk/$instance" ] && ! pgrep -x "$server_name" &&
		! is_attached && ! ipcs -m | grep -q '^0x'
}

# ---------------------------------------------------------------------- devices

# load_driver DEVICES: of nbd; those of ublk are made when a server comes.
load_driver() {
	case $TRANSPORT in
	nbd) modprobe nbd nbds_max="$1" max_part=0 ;;
	ublk) modprobe ublk_drv ;;
	esac
}

is_attached() {
	case $TRANSPORT in
	nbd) [ -e "/sys/block/${device#/dev/}/pid" ] ;;
	ublk) [ -e "/sys/block/${device#/dev/}" ] ;;
	esac
}

# The queue's defaults are for disks: an I/O scheduler, and throttling of writes (wbt), which makes
# reclaim wait where it need not. Requests are kept to what the server has buffers for: they grow with the largest.
attach() {
	local queue=/sys/block/${device#/dev/}/queue
	if [ "$TRANSPORT" = nbd ]; then
		load_driver 1 &&
			nbd-client -unix "$socket" "$device" -block-size 4096 -connections "${CONNECTIONS:-$(nproc)}" || return
	fi
	blockdev --getsize64 "$device" || return
	if [ "${QUEUE:-tuned}" = tuned ]; then
		echo none >"$queue/scheduler"
		echo 0 >"$queue/wbt_lat_usec"
		echo 128 >"$queue/max_sectors_kb"
	fi
	grep . "$queue"/{scheduler,wbt_lat_usec,rotational,nr_requests,max_sectors_kb,max_hw_sectors_kb}
}

detach() {
	case $TRANSPORT in
	nbd) nbd-client -d "$device" ;;
	ublk) kill "$server_pid" && soon 10 eval '! is_attached' ;;
	esac
}

# reattach: what is stored stays. With nbd the server stays, too; a ublk server is killed, and another one takes its device over, with the
# same segment and the parameters given.
reattach() {
	case $TRANSPORT in
	nbd) detach && attach ;;
	ublk)
		kill -KILL "$server_pid"
		wait "$server_pid"
		zsblk_server --recover "${device#/dev/ublkb}" "$@"
		;;
	esac
}

# zram_up: kernel zram of the same size and algorithm as /dev/zram0.
zram_up() {
	modprobe zram num_devices=1 &&
		echo "${ALGORITHM:-lz4}" >/sys/block/zram0/comp_algorithm &&
		echo "${SIZE:-1G}" >/sys/block/zram0/disksize
}

zram_down() {
	echo 1 >/sys/block/zram0/reset
}

# swap_up DEVICE [OPTION...]
swap_up() {
	local device=$1
	shift
	mkswap "$device" && swapon "$@" "$device"
}

# ---------------------------------------------------------------------- the load

# hog OUTPUT [OPTION...]: the first to go when memory is short. HOG_NICE: what else runs gets the processors first.
hog() {
	local output=$1
	shift
	choom --adjust 1000 -- nice -n "${HOG_NICE:-0}" /payload/hog -s "${SEED:-1}" "$@" >"$output" 2>&1
}

# page_cache: files through the page cache without an end.
page_cache() {
	while :; do
		find /usr -xdev -type f -exec cat {} + >/dev/null
		dd if=/dev/zero of=/var/tmp/file bs=1M count=32 conv=fsync status=none
	done
}

# It is a ring: what was said in the beginning may be gone.
log_is_whole() {
	dmesg | head -n 1 | grep -F "] Linux version" || {
		echo "the kernel's log has lost its beginning"
		return 1
	}
}

# No message of the kernel about requests that the device failed.
# Onlookers (udev) may read a device that was just detached, when nobody depends on it any more, and get errors.
no_device_errors() {
	log_is_whole && dmesg | awk '
		BEGIN { attached = 1 }
		/nbd0: detected capacity change from 0/ { attached = 1 }
		/nbd0: NBD_DISCONNECT/ { attached = 0 }
		attached && /I\/O error|(Write|Read)-error on swap|Other side returned error|nbd0: .*(timed out|Connection)/ {
			print
			n++
		}
		END { exit n > 0 }'
}

# How much: half as much again as is free; in the long form (ZSBLK_VM_LONG=1 on the host) twice the
# memory there is.
if [ "${LONG:-}" = 1 ]; then
	: "${HOG_MIB:=$((2 * $(meminfo MemTotal)))}" "${HOG_PROCESSES:=4}" "${HOG_ROUNDS:=2}" "${HOLD_MIB:=48}"
	: "${PRESSURE_ROUNDS:=10}"
else
	: "${HOG_MIB:=$(($(meminfo MemTotal) * 4 / 5))}" "${HOG_PROCESSES:=2}" "${HOG_ROUNDS:=1}" "${HOLD_MIB:=16}"
	: "${PRESSURE_ROUNDS:=2}"
fi

modprobe -a lz4 zstd 2>/dev/null
sysctl -q vm.page-cluster="${PAGE_CLUSTER:-0}"
# shellcheck disable=SC2086 # NAME=VALUE...
[ -z "${SYSCTL:-}" ] || sysctl -q $SYSCTL
note "Linux $(uname -r), $(meminfo MemTotal) MiB, $(nproc) CPUs, $TRANSPORT, $(nbdkit --version)"
