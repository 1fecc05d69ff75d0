# SPDX-License-Identifier: BSD-3-Clause
# Completion of zsblkctl(8) for fish.

# Names of the instances that run.
function __zsblkctl_names
    zsblkctl --timeout 1 --noheadings --raw --output INSTANCE list 2>/dev/null
end

# The words that are no options and no values of options, without the program's own name.
function __zsblkctl_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --control --timeout --output -o --format --older-than --type --algorithm --level --threshold --max-pages --count --interval -d --view
                set skip 1
            case '-*'
            case '*'
                echo -- $word
        end
    end
end

# Is the verb one of these?
function __zsblkctl_verb
    set -l words (__zsblkctl_words)
    contains -- "$words[1]" $argv
end

function __zsblkctl_no_verb
    test (count (__zsblkctl_words)) = 0
end

# Is the verb one of these, with so many words behind it?
function __zsblkctl_after
    set -l words (__zsblkctl_words)
    test (count $words) = (math $argv[1] + 1); and contains -- "$words[1]" $argv[2..-1]
end

# Columns of the verb, as its --help lists them.
function __zsblkctl_columns
    set -l words (__zsblkctl_words)
    set -q words[1]; or set words list
    zsblkctl $words[1] --help 2>/dev/null | sed -n '/^Columns$/,$s/^ *\([A-Z0-9%_-]*\)  \(.*\)/\1\t\2/p'
end

set -l many list status stat jobs metrics top
set -l one classes blocks limit reserve algorithm background-cpu cold resize idle recompress group compact check trace reset-peak reset upgrade stop
set -l table list classes jobs

complete -c zsblkctl -f
complete -c zsblkctl -n __zsblkctl_no_verb -a list -d 'list devices, as zramctl does'
complete -c zsblkctl -n __zsblkctl_no_verb -a status -d 'say what a device is, holds and did lately'
complete -c zsblkctl -n __zsblkctl_no_verb -a stat -d 'print the figures of mm_stat and io_stat'
complete -c zsblkctl -n __zsblkctl_no_verb -a classes -d 'print the size classes of the allocator'
complete -c zsblkctl -n __zsblkctl_no_verb -a blocks -d 'print what is stored of each block'
complete -c zsblkctl -n __zsblkctl_no_verb -a limit -d 'limit the memory of stored data'
complete -c zsblkctl -n __zsblkctl_no_verb -a reserve -d 'keep so much memory ready ahead of demand'
complete -c zsblkctl -n __zsblkctl_no_verb -a algorithm -d 'compress what is written from now on in another way'
complete -c zsblkctl -n __zsblkctl_no_verb -a background-cpu -d 'let jobs use this share of a processor'
complete -c zsblkctl -n __zsblkctl_no_verb -a cold -d 'show or change what is done with data that nobody uses'
complete -c zsblkctl -n __zsblkctl_no_verb -a resize -d 'change the size of the device'
complete -c zsblkctl -n __zsblkctl_no_verb -a idle -d 'mark blocks as idle'
complete -c zsblkctl -n __zsblkctl_no_verb -a recompress -d 'compress stored blocks again'
complete -c zsblkctl -n __zsblkctl_no_verb -a trace -d 'record which requests come'
complete -c zsblkctl -n __zsblkctl_no_verb -a group -d 'pack stored blocks into groups'
complete -c zsblkctl -n __zsblkctl_no_verb -a compact -d 'join zspages that are filled in part'
complete -c zsblkctl -n __zsblkctl_no_verb -a check -d 'verify all that is stored'
complete -c zsblkctl -n __zsblkctl_no_verb -a jobs -d 'list the work in the background'
complete -c zsblkctl -n __zsblkctl_no_verb -a metrics -d 'print all figures in the text format of Prometheus'
complete -c zsblkctl -n __zsblkctl_no_verb -a reset-peak -d 'set the most memory so far to what is taken now'
complete -c zsblkctl -n __zsblkctl_no_verb -a reset -d 'free all blocks of a device that nobody uses'
complete -c zsblkctl -n __zsblkctl_no_verb -a upgrade -d 'put what is installed now in the place of server and daemon'
complete -c zsblkctl -n __zsblkctl_no_verb -a stop -d 'bring everything back, remove the device, and end'
complete -c zsblkctl -n __zsblkctl_no_verb -a top -d 'show what devices do just now, again and again'
complete -c zsblkctl -n __zsblkctl_no_verb -a doctor -d 'look for what on this machine is in the way of swap'
complete -c zsblkctl -n __zsblkctl_no_verb -a init -d 'measure pages of this machine, and propose a configuration for swap'
complete -c zsblkctl -n __zsblkctl_no_verb -a convert -d 'print the configuration of zram-generator or zramswap as one of zsblk'

complete -c zsblkctl -n "__zsblkctl_verb $many; or __zsblkctl_after 0 $one" -a '(__zsblkctl_names)' -d instance
complete -c zsblkctl -n '__zsblkctl_after 1 algorithm' -a 'lz4 lz4hc zstd lzma'
complete -c zsblkctl -n '__zsblkctl_after 0 convert' -F
complete -c zsblkctl -n '__zsblkctl_after 1 limit' -a none
complete -c zsblkctl -n '__zsblkctl_verb cold; and not __zsblkctl_after 0 cold' -a 'yes no cold-after= cold-algorithm= frozen-after= frozen-algorithm= cold-rate= cold-budget='

complete -c zsblkctl -l control -r -F -d 'speak to the server behind this socket'
complete -c zsblkctl -l timeout -x -d 'wait so long for an answer, in seconds'
complete -c zsblkctl -s h -l help -d 'print help'
complete -c zsblkctl -s V -l version -d 'print the version'
complete -c zsblkctl -n "__zsblkctl_no_verb; or __zsblkctl_verb $table status stat blocks cold compact check recompress group doctor" -s J -l json -d 'print JSON'
complete -c zsblkctl -n "__zsblkctl_no_verb; or __zsblkctl_verb $table" -l raw -d 'print columns with one blank between them'
complete -c zsblkctl -n "__zsblkctl_no_verb; or __zsblkctl_verb $table blocks" -s n -l noheadings -d 'leave out the names of the columns'
complete -c zsblkctl -n "__zsblkctl_no_verb; or __zsblkctl_verb list jobs blocks" -s b -l bytes -d 'print sizes in bytes'
complete -c zsblkctl -n "__zsblkctl_no_verb; or __zsblkctl_verb $table" -s o -l output -x -a '(__fish_complete_list , __zsblkctl_columns)' -d 'print these columns'
complete -c zsblkctl -n "__zsblkctl_no_verb; or __zsblkctl_verb $table" -l output-all -d 'print all columns'
complete -c zsblkctl -n '__zsblkctl_verb stat' -l format -x -a 'zram mm_stat io_stat' -d 'print as the kernel does'
complete -c zsblkctl -n '__zsblkctl_verb blocks' -l format -x -a zram -d 'print as the kernel does'
complete -c zsblkctl -n '__zsblkctl_verb compact check recompress group jobs' -l wait -d 'wait for the end of the job'
complete -c zsblkctl -n '__zsblkctl_verb compact check recompress group jobs' -l cancel -d 'end the job that runs'
complete -c zsblkctl -n '__zsblkctl_verb idle group' -l older-than -x -d 'only what nobody has used for so long'
complete -c zsblkctl -n '__zsblkctl_verb recompress' -l type -x -a 'idle huge huge_idle all' -d 'which blocks'
complete -c zsblkctl -n '__zsblkctl_verb recompress' -l algorithm -x -a 'lz4 lz4hc zstd lzma' -d 'compress with this one'
complete -c zsblkctl -n '__zsblkctl_verb group' -l algorithm -x -a 'zstd lzma' -d 'compress with this one'
complete -c zsblkctl -n '__zsblkctl_verb recompress group' -l level -x -d 'compress at this level'
complete -c zsblkctl -n '__zsblkctl_verb recompress' -l threshold -x -d 'only blocks stored in this many bytes or more'
complete -c zsblkctl -n '__zsblkctl_verb recompress' -l max-pages -x -d 'try no more than this many blocks'
complete -c zsblkctl -n '__zsblkctl_verb stop' -l unless-used -d 'only if nothing uses the device'
complete -c zsblkctl -n '__zsblkctl_verb init' -s y -l yes -d 'write the file without a question'
complete -c zsblkctl -n '__zsblkctl_verb init' -l dry-run -d 'only show the file'
complete -c zsblkctl -n '__zsblkctl_verb init' -l force -d 'replace a file that is there'
complete -c zsblkctl -n '__zsblkctl_verb top' -l batch -d 'print text instead of a screen'
complete -c zsblkctl -n '__zsblkctl_verb top' -l count -x -d 'with --batch: end after so many times'
complete -c zsblkctl -n '__zsblkctl_verb top' -s d -l interval -x -d 'look so often, in seconds'
complete -c zsblkctl -n '__zsblkctl_verb top' -l view -x -a 'devices latency memory classes ages' -d 'begin with this view'
