# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared between the files
#
# Booting: an initramfs of busybox and a few modules, the root (written to only in memory of the
# run), and a payload disk with everything that changes from run to run.
#
#   ttyS0  the kernel log      -> $log/kernel.log
#   ttyS1  the scenario's TAP  -> $log/results.tap
#
# The two are kept apart because lines written by two sides to one serial port mix.

# What the initramfs loads; what the scenario may load.
boot_modules=(virtio_pci virtio_blk ext4)
payload_modules=(nbd zram lz4 lz4hc zstd mq-deadline)

# What in the kernel log means that the machine failed, whatever the scenario says.
kernel_failures='Kernel panic|BUG:|Oops:|blocked for more than|Killed process [0-9]+ \((nbdkit|zsblk-ublk)'

# copy_modules VERSION FOLDER NAME...: unpacked, below FOLDER/lib/modules/RELEASE, with the list of
# paths in load order in FOLDER/lib/modules/RELEASE/order.
copy_modules() {
	local version=$1 dir=$2 base file
	base=lib/modules/$(cat "$cache/kernel/$version/release")
	shift 2
	mkdir -p "$dir/$base"
	: >"$dir/$base/order"
	while read -r file; do
		mkdir -p "$dir/$base/$(dirname "$file")"
		case $file in
		*.xz) xz -dc "$cache/kernel/$version/$base/$file" >"$dir/$base/${file%.xz}" ;;
		*) cp "$cache/kernel/$version/$base/$file" "$dir/$base/$file" ;;
		esac
		printf '%s\n' "${file%.xz}" >>"$dir/$base/order"
	done < <(kernel_modules "$version" "$@")
	cp "$cache/kernel/$version/$base"/modules.builtin* "$cache/kernel/$version/$base/modules.order" \
		"$dir/$base/"
}

# make_initramfs VERSION FILE
make_initramfs() {
	local version=$1 file=$2
	local dir=$file.d
	mkdir -p "$dir/bin"
	cp "$root_dir/busybox" "$dir/bin/busybox"
	cp "$here/guest/init" "$dir/init"
	copy_modules "$version" "$dir" "${boot_modules[@]}"
	(cd "$dir" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$file"
	rm -rf "$dir"
}

# make_disk FOLDER FILE: an ext4 image just large enough.
make_disk() {
	local size
	size=$(du -sk --apparent-size "$1" | cut -f 1)
	as_root mke2fs -q -t ext4 -O ^has_journal -L payload -d "$1" "$2" \
		$((size * 5 / 4 + 4096))k >/dev/null
}

# began LOGS: the kernel has come to its first process. Before that nothing of ours has run.
began() {
	grep -qa 'as init process' "$1/kernel.log"
}

# look_at_processors: of the emulator's threads, processors_ran and processors_waited: seconds on a processor of the host, and seconds that
# they were ready to run and had none. A guest's clock goes on meanwhile, and the guest cannot tell.
processors_ran=0 processors_waited=0
look_at_processors() {
	local file ran waited all_ran=0 all_waited=0
	for file in /proc/"$qemu_pid"/task/*/schedstat; do
		{ read -r ran waited _ <"$file"; } 2>/dev/null || return 0 # it has just ended
		all_ran=$((all_ran + ran)) all_waited=$((all_waited + waited))
	done
	processors_ran=$((all_ran / 1000000000)) processors_waited=$((all_waited / 1000000000))
}

# allowed LIMIT: seconds in which a guest has to be done: longer by what its processors waited for some of the host's, three times as long at
# most. A guest that hangs, or goes round in a circle, does not wait for that long.
allowed() {
	local seconds=$(($1 + processors_waited / ${cpus:-1}))
	echo $((seconds < 3 * $1 ? seconds : 3 * $1))
}

# run_qemu LOGS LIMIT ARG...: qemu until it ends or is not done within LIMIT seconds of its own (allowed); then the guest gets an
# NMI, which makes it panic with backtraces of all CPUs in its log, and $grace seconds to do so.
# Result: 0, or 124 for a timeout; 125 if the kernel has not come to its first process after $boot_limit seconds,
# where that is set: emulators hang now and then, long before there is anything of ours.
run_qemu() {
	local logs=$1 limit=$2 start=$SECONDS status=0 stopped=''
	shift 2
	processors_ran=0 processors_waited=0
	rm -f "$logs"/monitor.{in,out}
	mkfifo "$logs"/monitor.{in,out}
	exec 7<>"$logs/monitor.in" 8<>"$logs/monitor.out"
	: >"$logs/kernel.log"
	: >"$logs/results.tap"
	setpriv --pdeathsig KILL qemu-system-x86_64 -nodefaults -no-reboot -display none \
		-chardev "pipe,id=monitor,path=$logs/monitor" -mon monitor \
		-serial "file:$logs/kernel.log" -serial "file:$logs/results.tap" \
		"$@" </dev/null >"$logs/qemu.log" 2>&1 7>&- 8>&- &
	qemu_pid=$!
	if [ -n "${follow:-}" ]; then
		tail --pid="$qemu_pid" -s 0.2 -n +1 -f "$logs/results.tap" | sed -u '/^# scenario ended/d' &
	fi
	while kill -0 "$qemu_pid" 2>/dev/null; do
		if [ -n "${boot_limit:-}" ] && [ $((SECONDS - start)) -ge "$boot_limit" ]; then
			if ! began "$logs"; then
				status=125
				kill -KILL "$qemu_pid"
				break
			fi
			boot_limit=''
		fi
		if [ -z "$stopped" ] && [ $((SECONDS - start)) -ge "$(allowed "$limit")" ]; then
			status=124 stopped=$SECONDS
			echo nmi >&7
		elif [ -n "$stopped" ] && [ $((SECONDS - stopped)) -ge "${grace:-15}" ]; then
			kill -KILL "$qemu_pid"
			break
		fi
		look_at_processors
		sleep 0.5
	done
	# The shell says "Killed" where it did so.
	wait "$qemu_pid" 2>/dev/null || true
	qemu_pid=
	wait
	exec 7>&- 8>&-
	rm -f "$logs"/monitor.{in,out}
	return "$status"
}

# run_qemu_again LOGS LIMIT ARG...: as run_qemu; but a guest in which nothing of ours has run is started again, twice at most: its emulator
# hung, or its kernel crashed before there was a first process. (TCG runs two processors of a guest as two threads, and early in boot Linux
# changes its own code under both.) What the kernel said stays in LOGS/kernel-N.log.
run_qemu_again() {
	local logs=$1 try status why
	for ((try = 1; ; try++)); do
		status=0
		boot_limit=${boot_limit:-60} run_qemu "$@" || status=$?
		why=''
		if [ "$status" = 125 ]; then
			why='the emulator hung before init'
		elif ! began "$logs" && grep -qaE "$kernel_failures" "$logs/kernel.log"; then
			why="the guest's kernel crashed before init: $(grep -aE -m 1 "$kernel_failures" "$logs/kernel.log" | tr -d '\r')"
		fi
		[ -n "$why" ] && [ "$try" -lt 3 ] || return "$status"
		cp "$logs/kernel.log" "$logs/kernel-$try.log"
		if [ -n "${raw:-}" ]; then
			echo "vm: $why; started again" >&2
		else
			echo "# $why; started again"
		fi
	done
}

# -cx16: qemu 7.2 gets cmpxchg16b wrong under TCG, and Linux 6.12 then panics at random.
# -erms, -fsrm: with them Linux clears and copies pages by the byte (rep stosb, rep movsb), and TCG takes these one at a time:
# up to 0.2 ms to clear a page.
# -la57: one level of page tables less to walk, which TCG does anew after each switch of address spaces.
accel_options() {
	case $1 in
	kvm) printf '%s\n' -accel kvm -cpu host ;;
	tcg) printf '%s\n' -accel tcg,thread=multi -cpu max,-cx16,-erms,-fsrm,-la57 ;;
	*) die "no such accelerator: $1 (kvm or tcg)" ;;
	esac
}

# probe_kvm FOLDER: whether a guest kernel really comes up, not whether /dev/kvm exists; on some
# machines it exists and guests hang. The verdict holds for this boot of this machine.
probe_kvm() {
	local dir=$1 verdict=tcg options
	if [ -w /dev/kvm ]; then
		mapfile -t options < <(accel_options kvm)
		make_initramfs 6.1 "$dir/initramfs"
		if grace=1 follow='' run_qemu "$dir" 10 "${options[@]}" -m 256 -smp 2 \
			-kernel "$cache/kernel/6.1/vmlinuz" -initrd "$dir/initramfs" \
			-append "console=ttyS0 panic=-1 zsblk.probe" && grep -q alive "$dir/results.tap"; then
			verdict=kvm
		fi
		rm -f "$dir"/{initramfs,kernel.log,results.tap,qemu.log}
	fi
	printf '%s\n' "$verdict" >"$dir/verdict"
}

# accel_ensure: sets accel.
accel_ensure() {
	local key
	accel=${ZSBLK_VM_ACCEL:-}
	[ -z "$accel" ] || return 0
	key=$({ cat /proc/sys/kernel/random/boot_id; qemu-system-x86_64 --version; } | sha256sum | cut -c 1-12)
	cached "kvm/$key" probe_kvm
	accel=$(cat "$cache/kvm/$key/verdict")
}
