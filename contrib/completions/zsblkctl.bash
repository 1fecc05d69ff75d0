# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Completion of zsblkctl(8) for bash.

# Names of the instances that run.
_zsblkctl_names()
{
	zsblkctl --timeout 1 --noheadings --raw --output INSTANCE list 2>/dev/null
}

# Columns of a verb, as its --help lists them.
_zsblkctl_columns()
{
	zsblkctl "$1" --help 2>/dev/null | sed -n '/^Columns$/,$s/^ *\([A-Z0-9%_-]*\)  .*/\1/p'
}

# Options of a verb, with their dashes.
_zsblkctl_options()
{
	local table='--json --raw --noheadings --bytes --output --output-all' job='--wait --cancel --json'
	printf '%s\n' --control --timeout --help --version
	case $1 in
	'' | list) echo "$table" ;;
	classes) echo '--json --raw --noheadings --output --output-all' ;;
	jobs) echo "$table --wait --cancel" ;;
	status | doctor | cold) echo --json ;;
	stat) echo '--json --format' ;;
	blocks) echo '--json --noheadings --bytes --format' ;;
	compact | check) echo "$job" ;;
	recompress) echo "$job --type --algorithm --level --threshold --max-pages" ;;
	group) echo "$job --older-than --algorithm --level" ;;
	idle) echo --older-than ;;
	init) echo '--yes --dry-run --force' ;;
	stop) echo --unless-used ;;
	top) echo '--batch --count --interval --view' ;;
	esac
}

# The values of the option before the cursor; fails if it takes none, or none that are known.
_zsblkctl_value()
{
	case $1 in
	--control) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	--type) mapfile -t COMPREPLY < <(compgen -W 'idle huge huge_idle all' -- "$2") ;;
	--algorithm)
		local algorithms='lz4 lz4hc zstd lzma'
		[[ $3 == group ]] && algorithms='zstd lzma'
		mapfile -t COMPREPLY < <(compgen -W "$algorithms" -- "$2")
		;;
	--format)
		local formats='zram'
		[[ $3 == stat ]] && formats='zram mm_stat io_stat'
		mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$2")
		;;
	--view) mapfile -t COMPREPLY < <(compgen -W 'devices latency memory classes ages' -- "$2") ;;
	--output | -o)
		# Of a list the last one.
		local before=''
		[[ $2 == *,* ]] && before=${2%,*},
		mapfile -t COMPREPLY < <(compgen -P "$before" -W "$(_zsblkctl_columns "${3:-list}")" -- "${2##*,}")
		;;
	--timeout | --older-than | --level | --threshold | --max-pages | --count | --interval | -d) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_zsblkctl()
{
	local verbs='list status stat classes blocks limit reserve algorithm background-cpu cold resize idle recompress group compact check jobs trace reset-peak reset upgrade stop metrics top doctor init convert'
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb='' by_socket='' words=0 i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--control) by_socket=1 ; ((i++)) ;;
		--timeout | --output | -o | --format | --older-than | --type | --algorithm | --level | --threshold | --max-pages | --count | --interval | -d | --view) ((i++)) ;;
		-*) ;;
		*) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; else ((words++)); fi ;;
		esac
	done
	_zsblkctl_value "$previous" "$current" "$verb" && return
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_zsblkctl_options "$verb")" -- "$current")
		return
	fi
	[[ $by_socket ]] && ((words++))
	case $verb in
	'') mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current") ;;
	doctor | init) ;;
	convert) ((words == 0)) && mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	list | status | stat | jobs | metrics | top) [[ $by_socket ]] || mapfile -t COMPREPLY < <(compgen -W "$(_zsblkctl_names)" -- "$current") ;;
	*)
		if ((words == 0)); then
			mapfile -t COMPREPLY < <(compgen -W "$(_zsblkctl_names)" -- "$current")
		elif [[ $verb == algorithm ]] && ((words == 1)); then
			mapfile -t COMPREPLY < <(compgen -W 'lz4 lz4hc zstd lzma' -- "$current")
		elif [[ $verb == limit ]] && ((words == 1)); then
			mapfile -t COMPREPLY < <(compgen -W none -- "$current")
		elif [[ $verb == cold ]]; then
			mapfile -t COMPREPLY < <(compgen -W 'yes no cold-after= cold-algorithm= frozen-after= frozen-algorithm= cold-rate= cold-budget=' -- "$current")
			# A value is typed right behind it.
			[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
			return 0
		fi
		;;
	esac
}

complete -F _zsblkctl zsblkctl
