#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# zsblk_visits counts across runs, refuses what is not its own, and takes its segment away. Usage: visits.sh PROGRAM
program=$1
# A key of our own, apart from those of other runs at the same time.
key=$(printf '0x7a76%04x' $(($$ % 65536)))
n=0

result()
{
	n=$((n + 1))
	echo "$1 $n - $2"
}

is()
{
	if [ "$1" = "$2" ]; then
		result ok "$3"
	else
		result 'not ok' "$3"
		echo "# is '$1', should be '$2'"
	fi
}

if ! command -v ipcs >/dev/null || ! ipcs -m >/dev/null 2>&1; then
	echo '1..0 # SKIP no System V shared memory here'
	exit 0
fi
trap '"$program" shm:$key remove 2>/dev/null' EXIT
is "$("$program" "shm:$key")" 'visit 1' 'a new segment'
is "$("$program" "shm:$key")" 'visit 2' 'found again'
is "$("$program" "shm:$key")" 'visit 3' 'and again'
is "$("$program" "shm:$key" remove; echo $?)" 0 'removed'
is "$("$program" "shm:$key" remove 2>/dev/null; echo $?)" 1 'gone'
is "$("$program" "shm:$key")" 'visit 1' 'starts anew'
echo "1..$n"
