# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # variables of contrib/run and common.sh
# The part of contrib/run that needs a kernel with nbd or ublk, and root.

# What runs is a copy, which outlives the build folder's next build; and here, on a disk, it is not swapped out.
swap_state=/var/lib/zsblk-run
swap_name=run
# Where systemd runs: a unit of this boot, which brings swap back before the machine goes down.
swap_unit=zsblk-run.service
swap_unit_file=/run/systemd/system/$swap_unit

systemd_runs()
{
	[[ -d /run/systemd/system ]] && have systemctl
}

# Whichever of the two there is; zsblkd chooses.
swap_possible()
{
	((EUID == 0)) && have modprobe || return 1
	[[ -e /dev/ublk-control ]] || modprobe ublk_drv 2>/dev/null || true
	[[ -e /sys/module/nbd ]] || modprobe nbd max_part=0 2>/dev/null || true
	[[ -e /sys/module/nbd || -e /dev/ublk-control ]]
}

# Why swap cannot be had here, for people.
swap_missing()
{
	local why=()
	((EUID == 0)) || why+=("you are not root")
	[[ -e /sys/module/nbd ]] || modinfo nbd >/dev/null 2>&1 || why+=("this kernel ($(uname -r)) has neither the module nbd nor ublk_drv")
	((${#why[@]})) || why+=("neither nbd nor ublk_drv can be loaded")
	local IFS=,
	printf '%s\n' "${why[*]}" | sed 's/,/, /g'
}

swap_status()
{
	[[ -x $swap_state/zsblkd ]] && "$swap_state/zsblkd" --status "$swap_name" 2>/dev/null
}

# The process that serves, which --status names.
server_number()
{
	swap_status | sed -n 's/.*server \([0-9]*\).*/\1/p'
}

# What zsblkd does at its start has time limits of its own; this one is longer than they are together.
ready_seconds=180

# wait_until_ready PID: until that zsblkd serves.
wait_until_ready()
{
	local pid=$1 until=$((SECONDS + ready_seconds))
	until grep -q 'ready: ' "$swap_state/log"; do
		kill -0 "$pid" 2>/dev/null || { cat "$swap_state/log" >&2; die "zsblkd did not start"; }
		if ((SECONDS >= until)); then
			cat "$swap_state/log" >&2
			die "zsblkd (process $pid) was not ready after $ready_seconds s; it goes on trying. To end it: contrib/run --undo"
		fi
		sleep 0.1
	done
}

# unit_words WORD...: a command line as units have it.
unit_words()
{
	local word
	for word; do
		word=${word//\\/\\\\}
		word=${word//\"/\\\"}
		word=${word//%/%%}
		printf '"%s" ' "${word//\$/\$\$}"
	done
}

# write_unit COMMAND...: zsblk@.service, with this command, for this boot only. Its own part about swap comes with it.
write_unit()
{
	local units=$top/contrib/systemd
	mkdir -p "$swap_unit_file.d"
	# What the command says goes where it goes without systemd, too. The unit is not for the next boot, so nothing wants it.
	start=$(unit_words "$@") reload=$(unit_words "$swap_state/zsblkd" --upgrade "$swap_name") folder=$swap_state awk '
		/^\[Install\]/ { exit }
		/^ExecStart=/ { print "ExecStart=" ENVIRON["start"]; print "StandardError=append:" ENVIRON["folder"] "/log"; next }
		/^ExecReload=/ { print "ExecReload=" ENVIRON["reload"]; next }
		/^AppArmorProfile=|zsblk-apparmor/ { next } # a profile is for what is installed
		/^RequiresMountsFor=/ { print "RequiresMountsFor=" ENVIRON["folder"]; next }
		{ gsub(/%i/, "of contrib/run"); print }' "$units/zsblk@.service.in" >"$swap_unit_file"
	# Process 1 is executed anew by a unit that may not be installed.
	grep -v '^Wants=zsblk-reexec' "$units/swap-order.conf" >"$swap_unit_file.d/10-swap-order.conf"
	systemctl daemon-reload
}

# start_daemon COMMAND...: a zsblkd that outlives this script.
start_daemon()
{
	# Empty before it is looked at: what an earlier run said is not this one's word.
	: >"$swap_state/log"
	if systemd_runs; then
		write_unit "$@"
		systemctl start "$swap_unit" || { cat "$swap_state/log" >&2; die "zsblkd did not start; see also systemctl status $swap_unit"; }
	else
		# A session of its own, so that it stays when the terminal goes.
		setsid "$@" </dev/null >"$swap_state/log" 2>&1 &
		wait_until_ready "$!"
	fi
}

# swap_on DAEMON PLUGIN SIZE ALGORITHM
swap_on()
{
	local daemon=$1 plugin=$2 size=$3 algorithm=$4 ublk
	if swap_status >/dev/null; then
		say "already active"
	else
		chrt --rr 1 true 2>/dev/null ||
			die "real-time scheduling cannot be had (chrt --rr 1); without it a server of swap hangs the machine when memory runs out"
		install -d -m 700 "$swap_state"
		install -m 755 "$daemon" "$swap_state/zsblkd"
		install -m 644 "$plugin" "$swap_state/nbdkit-zsblk-plugin.so"
		# Beside it, if it is built; without it zsblkd says why it is NBD.
		ublk=$(dirname "$daemon")/../ublk/zsblk-ublk
		[[ ! -x $ublk ]] || install -m 755 "$ublk" "$swap_state/zsblk-ublk"
		say "zsblkd --name $swap_name --swapon size=$size algorithm=$algorithm"
		start_daemon "$swap_state/zsblkd" --name "$swap_name" --swapon --plugin "$swap_state/nbdkit-zsblk-plugin.so" \
			--ublk-server "$swap_state/zsblk-ublk" size="$size" algorithm="$algorithm"
	fi
	swapon --show
	swap_status
	say ""
	say "This machine now swaps to compressed memory; zsblkd keeps it so if the server dies. Try it: kill -KILL $(server_number)"
	say "How it is doing: $swap_state/zsblkd --status $swap_name; what happened: $swap_state/log"
	if [[ -e $swap_unit_file ]]; then
		say "To undo it: contrib/run --undo; after a reboot it is gone anyway"
	else
		say "To undo it: contrib/run --undo. Do that before the machine goes down: without systemd, nobody else sees to it"
	fi
	say "For good, as a service: README.md, \"Use it as swap\""
}

# Undo swap_on.
swap_off()
{
	[[ -e $swap_state ]] || { say "nothing to undo"; return 0; }
	if swap_status >/dev/null; then
		say "bringing back what was swapped out"
		"$swap_state/zsblkd" --stop "$swap_name" || die "it goes on; free some memory and try again"
	elif [[ -e /run/zsblk/$swap_name ]]; then
		die "there is no zsblkd for what is in /run/zsblk/$swap_name; run contrib/run once more, and it is taken over"
	fi
	if [[ -e $swap_unit_file ]]; then
		rm -rf "$swap_unit_file" "$swap_unit_file.d"
		systemctl daemon-reload
	fi
	rm -rf "$swap_state"
	say "undone: swap is off, the device is free again, and the server has ended"
}
