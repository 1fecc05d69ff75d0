#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: cli.sh ZSBLK-BENCH MAN-PAGE
# What zsblk-bench prints, keeps and refuses. Prints TAP.
set -u

bench=$1
man=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
number=0

# result STATUS NAME [DETAIL]
result() {
	number=$((number + 1))
	if (($1 == 0)); then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		printf '%s\n' "${3-}" | sed 's/^/# /'
	fi
}

# refuses NAME PATTERN ARGUMENT...: exit status 1, a message that has PATTERN, nothing on stdout.
refuses() {
	local name=$1 pattern=$2 out err status
	shift 2
	out=$("$bench" "$@" 2>"$dir/err" </dev/null)
	status=$?
	err=$(<"$dir/err")
	[[ $status == 1 && -z $out && $err =~ $pattern ]]
	result $? "refuses $name" "status $status, stdout '$out', stderr '$err'"
}

# Check the JSON in $1 with the Python expressions that follow.
json_holds() {
	local file=$1 name=$2 out
	shift 2
	out=$(python3 - "$file" "$@" 2>&1 <<-'PYTHON'
		import json, sys
		top = json.load(open(sys.argv[1]))
		rows = top["results"]
		for claim in sys.argv[2:]:
		    if not eval(claim):
		        sys.exit(f"does not hold: {claim}")
	PYTHON
	)
	result $? "$name" "$out"
}

fields="algorithm level threads pages zero_pages same_pages huge_pages compressed_bytes pool_bytes
metadata_bytes reserved_bytes rss_bytes ratio memory_ratio fill_store_mbps store_mbps load_mbps
codec_store_mbps codec_load_mbps store_ratio load_ratio store_scaling load_scaling codec_store_scaling
codec_load_scaling store_cpu_ns load_cpu_ns codec_store_cpu_ns codec_load_cpu_ns
store_p50_us store_p90_us store_p99_us store_p999_us store_max_us load_p50_us load_p90_us load_p99_us
load_p999_us load_max_us churn_blocks churn_pool_bytes churn_metadata_bytes churn_compressed_bytes
churn_rss_freed_bytes churn_pages_compacted churn_compact_ms"
mix_fields="algorithm level mix threads ops_per_s scaling"
recompress_fields="algorithm level blocks recompressed before_bytes after_bytes recompress_mbps codec_mbps recompress_ratio"
cold_fields="algorithm level blocks hot_bytes cold_groups cold_blocks cold_group_bytes cold_bytes cold_read_us_p50 cold_read_us_p99
cold_mbps cold_codec_mbps cold_ratio frozen_groups frozen_blocks frozen_group_bytes frozen_bytes frozen_read_us_p50 frozen_read_us_p99 frozen_mbps frozen_codec_mbps frozen_ratio"
replay_fields="cold_after_s group_blocks cache_groups read_rule cold_reads cache_hits decodes decodes_per_cold_read
groups_made blocks_grouped blocks_out groups_apart encode_ms decode_ms decode_p50_us decode_p90_us decode_p99_us
decode_p999_us decode_max_us memory"

# ---------------------------------------------------------------- figures

"$bench" --synthetic=8M -r 2 -t 1,2 -a lz4,lz4:8,lz4hc:1,zstd:-5,zstd:1 --json --save "$dir/pages" \
	>"$dir/json" 2>"$dir/err"
result $? "synthetic pages, five algorithms, one and two threads" "$(<"$dir/err")"
[[ ! -s $dir/err ]]
result $? "is silent where standard error is no terminal" "$(<"$dir/err")"
json_holds "$dir/json" "a row for each algorithm, level and number of threads" \
	'[(r["algorithm"], r["level"], r["threads"]) for r in rows] == [(a, l, t) for a, l in
	 [("lz4", 1), ("lz4", 8), ("lz4hc", 1), ("zstd", -5), ("zstd", 1)] for t in (1, 2)]'
json_holds "$dir/json" "every field is there, and all but the name are numbers" \
	"all(set('''$fields'''.split()) == set(r) for r in rows)" \
	'all(isinstance(v, (int, float)) for r in rows for k, v in r.items() if k != "algorithm")'
json_holds "$dir/json" "the figures make sense" \
	'top["synthetic"] and top["pages"] == 2048' \
	'all(r["pages"] == 2048 for r in rows)' \
	'all(0 < r["zero_pages"] < 500 and 0 < r["same_pages"] < 500 for r in rows)' \
	'all(r["compressed_bytes"] < r["pool_bytes"] < 2048 * 4096 for r in rows)' \
	'all(0 < r["metadata_bytes"] < r["pool_bytes"] / 5 for r in rows)' \
	'all(r["huge_pages"] * 4096 <= r["compressed_bytes"] for r in rows)' \
	'all(r[k] > 0 for r in rows for k in r if k.endswith(("_mbps", "_cpu_ns", "_scaling")))' \
	'all(r["store_p50_us"] <= r["store_p90_us"] <= r["store_p99_us"] <= r["store_p999_us"] <=
	 r["store_max_us"] for r in rows)' \
	'all(r["store_scaling"] == 1 for r in rows if r["threads"] == 1)'
json_holds "$dir/json" "memory is what the process grew by" \
	'all(abs(r["pool_bytes"] + r["metadata_bytes"] + r["reserved_bytes"] - r["rss_bytes"]) <
	 max(1 << 20, r["rss_bytes"] / 33) for r in rows)'
json_holds "$dir/json" "half of the blocks are left after churn" \
	'all(r["churn_blocks"] == 1024 for r in rows)' \
	'all(0.3 < r["churn_compressed_bytes"] / r["compressed_bytes"] < 0.7 for r in rows)' \
	'all(r["churn_compressed_bytes"] < r["churn_pool_bytes"] < r["pool_bytes"] for r in rows)'

"$bench" --synthetic=8M -r 1 -a lz4,zstd:1 >"$dir/table" 2>"$dir/err"
result $? "a table" "$(<"$dir/err")"
grep -q '^lz4:1 ' "$dir/table" && grep -q '^zstd:1 ' "$dir/table" && grep -q 'made up' "$dir/table"
result $? "names the algorithms, and says that synthetic pages are made up" "$(<"$dir/table")"
! grep -q churn "$dir/table" && "$bench" --synthetic=1M -r 1 -a lz4 --churn | grep -q 'after churn'
result $? "shows churn when it is asked for"
"$bench" --synthetic=1M -r 1 >"$dir/table" && [[ $(grep -c '^lz4:1 \|^zstd:' "$dir/table") -ge 12 ]]
result $? "has defaults"

# ---------------------------------------------------------------- pages

[[ $(stat -c %a "$dir/pages") == 600 && $(stat -c %s "$dir/pages") == $((8 << 20)) ]]
result $? "--save keeps all pages, for the owner only" "$(stat -c '%a %s' "$dir/pages")"
(umask 777 && "$bench" --synthetic=1M -r 1 -a lz4 --save "$dir/masked" >/dev/null)
[[ $(stat -c %a "$dir/masked") == 600 ]]
result $? "whatever the umask"
"$bench" --synthetic=8M --seed 1 -r 1 -a lz4 --save "$dir/again" >/dev/null
"$bench" --synthetic=8M --seed 2 -r 1 -a lz4 --save "$dir/other" >/dev/null
cmp -s "$dir/pages" "$dir/again" && ! cmp -s "$dir/pages" "$dir/other"
result $? "synthetic pages follow from the seed"

"$bench" "$dir/pages" -r 1 -a lz4 --json >"$dir/from_file" 2>&1
json_holds "$dir/from_file" "a saved file gives the same figures" \
	'rows[0]["compressed_bytes"] == json.load(open("'"$dir/json"'"))["results"][0]["compressed_bytes"]'
"$bench" - -r 1 -a lz4 --json <"$dir/pages" >"$dir/from_stdin" 2>&1
json_holds "$dir/from_stdin" "and so does standard input" 'top["pages"] == 2048'
"$bench" - -r 1 -a lz4 --json < <(cat "$dir/pages") >"$dir/from_pipe" 2>&1
json_holds "$dir/from_pipe" "a pipe too" 'top["pages"] == 2048'
"$bench" "$dir/pages" --limit 1M -r 1 -a lz4 --json --save "$dir/some" >"$dir/limited" 2>&1
json_holds "$dir/limited" "--limit takes some pages of all" \
	'240 <= top["pages"] <= 256 and top["pages_available"] == 2048'
head -c 4096 "$dir/pages" >"$dir/one"
head -c 1M /dev/urandom >"$dir/noise"
"$bench" "$dir/one" -r 1 --json >"$dir/single" 2>&1
json_holds "$dir/single" "one page is enough" 'all(r["pages"] == 1 for r in rows)'
"$bench" "$dir/pages" --request 128K -r 1 -a lz4 --json >"$dir/large" 2>&1
json_holds "$dir/large" "--request" 'top["request_bytes"] == 131072' 'rows[0]["store_mbps"] > 0'

python3 -c 'import time; a = bytes(range(256)) * (16 << 12); print("up", flush=True); time.sleep(60)' \
	>"$dir/up" &
target=$!
until [[ -s $dir/up ]]; do
	sleep 0.1
done
"$bench" --pid $target -r 1 -a lz4 --json >"$dir/process" 2>"$dir/err"
if [[ $? != 0 && $(<"$dir/err") == *"no right"* ]]; then
	number=$((number + 1))
	echo "ok $number - pages of a process # SKIP no right to read them"
else
	json_holds "$dir/process" "pages of a process" 'top["pages"] > 4096' \
		'rows[0]["ratio"] > 5' 'not top["synthetic"]'
fi
kill $target
wait $target 2>/dev/null

# ---------------------------------------------------------------- mixes

mixes=raw,same,hot-block,overwrite,read-beside-writer
"$bench" "$dir/pages" -r 2 -t 1,2 -a lz4,zstd:1 --mix $mixes --json >"$dir/mixes" 2>"$dir/err"
result $? "five mixes, two algorithms, one and two threads" "$(<"$dir/err")"
json_holds "$dir/mixes" "a row for each algorithm, mix and number of threads" \
	'[(r["algorithm"], r["mix"], r["threads"]) for r in rows] == [(a, m, t) for a in ("lz4", "zstd")
	 for m in "'$mixes'".split(",") for t in (1, 2)]' \
	"all(set('''$mix_fields'''.split()) == set(r) for r in rows)" \
	'all(r["ops_per_s"] > 100 and r["scaling"] > 0 for r in rows)' \
	'all(r["scaling"] == 1 for r in rows if r["threads"] == 1)'
"$bench" "$dir/pages" -r 1 -a lz4 --mix overwrite >"$dir/table" 2>"$dir/err" &&
	grep -qE '^lz4:1 +overwrite +1 +[0-9]+ +1\.00$' "$dir/table"
result $? "a table of one mix" "$(<"$dir/table")"
cp "$dir/pages" "$dir/compressible" && truncate -s 12288 "$dir/compressible"
"$bench" "$dir/compressible" -r 1 -a lz4 --mix $mixes -t 2 >/dev/null 2>"$dir/err"
result $? "three pages are enough" "$(<"$dir/err")"
refuses "a mix with no page that compresses" "none of these 256 pages smaller; --mix needs some" \
	"$dir/noise" -a lz4 --mix raw
refuses "a mix that does not exist" "--mix fast: there is no such mix; there are raw" --synthetic --mix raw,fast
refuses "a mix given twice" "--mix raw: once is enough" --synthetic --mix raw,raw
refuses "--mix with --churn" "--churn: not with --mix" --synthetic --mix raw --churn
refuses "--mix with --request" "--request: not with --mix" --synthetic --mix raw --request 8K

# ---------------------------------------------------------------- recompression

"$bench" "$dir/pages" -r 2 -a lz4,zstd:3 --recompress zstd:3 --json >"$dir/again" 2>"$dir/err"
result $? "blocks of two algorithms, compressed again" "$(<"$dir/err")"
json_holds "$dir/again" "a row for each algorithm" \
	'top["recompress_algorithm"] == "zstd" and top["recompress_level"] == 3' \
	'[(r["algorithm"], r["level"]) for r in rows] == [("lz4", 1), ("zstd", 3)]' \
	"all(set('''$recompress_fields'''.split()) == set(r) for r in rows)" \
	'all(r["recompress_mbps"] > 0 and r["codec_mbps"] > 0 and r["recompress_ratio"] > 0 for r in rows)'
json_holds "$dir/again" "lz4 gains, and zstd gains nothing by the same level" \
	'rows[0]["recompressed"] > rows[0]["blocks"] / 3 and rows[0]["after_bytes"] < rows[0]["before_bytes"]' \
	'rows[1]["recompressed"] == 0'
"$bench" "$dir/pages" -r 1 -a lz4 --recompress lz4hc >"$dir/table" 2>"$dir/err" && grep -q '^lz4:1 ' "$dir/table" &&
	grep -q 'again with lz4hc:9' "$dir/table"
result $? "a table of one algorithm" "$(<"$dir/table")"
refuses "an algorithm that does not exist" "--recompress lzo: there is no such algorithm" --synthetic --recompress lzo
refuses "--recompress with --mix" "--recompress: not with --mix" --synthetic --recompress zstd --mix raw
refuses "--recompress with --threads" "--threads: not with --recompress" --synthetic --recompress zstd -t 2
refuses "--recompress with --churn" "--churn: not with --recompress" --synthetic --recompress zstd --churn

# ---------------------------------------------------------------- groups

zrams=$(ls -d /sys/block/zram* 2>/dev/null || true)
# In a build without LZMA, the strongest that there is.
frozen=zstd:19
if "$bench" --synthetic -a none 2>&1 | grep -q lzma; then frozen=lzma:1; fi
"$bench" "$dir/pages" -r 2 --cold zstd:9 --frozen "$frozen" --json >"$dir/cold" 2>"$dir/err"
result $? "blocks in groups of two tiers" "$(<"$dir/err")"
json_holds "$dir/cold" "a row with every field" \
	'top["cold_algorithm"] == "zstd" and top["cold_level"] == 9' \
	'top["frozen_algorithm"] + ":" + str(top["frozen_level"])'" == '$frozen'" \
	'[(r["algorithm"], r["level"]) for r in rows] == [("lz4", 1)]' \
	"all(set('''$cold_fields'''.split()) == set(r) for r in rows)"
json_holds "$dir/cold" "groups take less than blocks one by one, and frozen ones less than cold ones" \
	'all(r["frozen_bytes"] < r["cold_bytes"] < r["hot_bytes"] for r in rows)' \
	'all(r[t + "_group_bytes"] < r[t + "_bytes"] for r in rows for t in ("cold", "frozen"))' \
	'all(0 < r[t + "_groups"] <= r[t + "_blocks"] / 2 <= r["blocks"] for r in rows for t in ("cold", "frozen"))' \
	'all(0 < r[t + "_read_us_p50"] <= r[t + "_read_us_p99"] for r in rows for t in ("cold", "frozen"))' \
	'all(r[t + "_mbps"] > 0 and r[t + "_codec_mbps"] > 0 and r[t + "_ratio"] > 0 for r in rows for t in ("cold", "frozen"))' \
	'top.get("zram_lz4_bytes", 1) > 0'
[[ $zrams == "$(ls -d /sys/block/zram* 2>/dev/null || true)" ]]
result $? "leaves the system's zram devices as they were" "$(ls -d /sys/block/zram* 2>&1)"
"$bench" "$dir/pages" -r 1 -a lz4,zstd:1 --cold zstd >"$dir/table" 2>"$dir/err" &&
	[[ $(grep -c '^cold zstd:3 ' "$dir/table") == 2 ]] && ! grep -q '^frozen' "$dir/table"
result $? "a table of one tier for two algorithms" "$(<"$dir/table")"
refuses "an algorithm without groups" "--cold lz4: it is for single blocks only; use zstd" --synthetic --cold lz4
refuses "a level that there is not" "--frozen ${frozen%:*}, level" --synthetic --frozen "${frozen%:*}:99"
refuses "--cold with --recompress" "--cold and --frozen: not with" --synthetic --cold zstd --recompress zstd
refuses "--frozen with --threads" "--threads: not with --cold" --synthetic --frozen "$frozen" -t 2
refuses "--cold with --churn" "--churn: not with --cold" --synthetic --cold zstd --churn

# ---------------------------------------------------------------- bad input

refuses "no pages" "--pid PID or --synthetic"
refuses "two sources" "several sources" --synthetic --pid 1
refuses "two files" "one file is enough" "$dir/one" "$dir/pages"
refuses "a file that does not exist" "/no/such/file: No such file" /no/such/file
refuses "a directory" "is a directory" "$dir"
: >"$dir/empty"
refuses "an empty file" "is empty" "$dir/empty"
head -c 5000 "$dir/pages" >"$dir/ragged"
refuses "a ragged file" "5000 bytes is not a whole number.*cut it to 4096" "$dir/ragged"
refuses "an empty standard input" "standard input is empty" -
refuses "a process that does not exist" "--pid 4194305: there is no such process" --pid 4194305
refuses "a process number that is none" "--pid abc: a number from 1" --pid abc
refuses "process 0" "--pid 0: a number from 1" --pid 0
refuses "a file to save to that exists" "one: it exists; remove it" --synthetic=1M --save "$dir/one"
refuses "a file to save to in no folder" "--save /no/such/file: No such file" --synthetic=1M \
	--save /no/such/file
refuses "an unknown algorithm" "--algorithm lzo: there is no such algorithm; there are lz4" \
	--synthetic -a lzo
refuses "no algorithm" "there is no such algorithm" --synthetic -a ''
refuses "a level out of range" "--algorithm zstd, level 23: a number from -100 to 22" --synthetic -a zstd:23
refuses "a level that is no number" "level fast: a number" --synthetic -a lz4:fast
refuses "an empty level" "--algorithm lz4, level : a number" --synthetic -a lz4:
refuses "no threads" "--threads 0: a number from 1 to 256" --synthetic -t 0
refuses "a gap in a list" "--threads : a number" --synthetic -t 1,,2
refuses "no repeat" "--repeat 0: a number from 1 to 1000" --synthetic -r 0
refuses "too large a number" "--repeat 99999999999999999999: a number" --synthetic -r 99999999999999999999
refuses "a size that is no multiple" "--request 1000: a multiple of 4096" --synthetic --request 1000
refuses "a size with a wrong suffix" "--limit 1X: a multiple of 4096" --synthetic --limit 1X
refuses "a size of nothing" "--synthetic 0: a multiple of 4096" --synthetic=0
refuses "too large a size" "--limit 2000T: .* at most 1048576 MiB" --synthetic --limit 2000T
refuses "an unknown option" "unrecognized option" --synthetic --fast
refuses "an option without its value" "requires an argument" --synthetic --save

"$bench" --synthetic=1M -r 1 -a lz4 >/dev/full 2>"$dir/err"
[[ $? == 1 && $(<"$dir/err") == *"No space left"* ]]
result $? "says when the report cannot be written" "$(<"$dir/err")"

# ---------------------------------------------------------------- help

# Option names in the text of --help, and in the man page's tags and synopsis.
options_in_help() { "$bench" --help | grep -oE '(^|[ ,])--[a-z]+' | grep -oE '[a-z]+' | sort -u; }
options_in_man() { grep -E '^\.It (Fl|Ar)' "$man" | grep -oE 'Fl -[a-z]+' | sed 's/Fl -//' | sort -u; }
"$bench" --help >"$dir/help" && diff <(options_in_help) <(options_in_man) >"$dir/diff"
result $? "--help and the man page have the same options" "$(<"$dir/diff")"
# shellcheck disable=SC2086 # one field each
diff <(printf '%s\n' $fields $mix_fields $recompress_fields $cold_fields $replay_fields | sort -u) \
	<(sed -n '/^\.Va results/,/^Fields may/p' "$man" | grep '^\.It Va' | sed 's/^\.It Va//' |
		grep -oE '[a-z0-9_]+' | sort -u) >"$dir/diff"
result $? "the man page has every field" "$(<"$dir/diff")"
"$bench" --version | grep -qE '^zsblk-bench [0-9]+\.[0-9]+'
result $? "--version"
grep -q 'zstd .*-100 to 22' "$dir/help"
result $? "--help lists algorithms and levels"

echo "1..$number"
