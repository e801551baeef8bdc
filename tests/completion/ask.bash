#!/bin/bash
# What completion/bash offers for a command line whose end the cursor is at: ask.bash LINE [WORDBREAKS]
set -u
cd "$(dirname "$0")/../.." || exit
compopt() { :; } # it works in the midst of a completion alone
# shellcheck source=completion/bash
. completion/bash

COMP_WORDBREAKS=${2-$' \t\n"\'><=;|&(:'}
COMP_LINE=$1
COMP_POINT=${#1}
COMP_WORDS=()
read -ra parts <<<"$1"
[[ $1 != *' ' ]] || parts+=('')
for part in "${parts[@]}"; do
    while [[ $COMP_WORDBREAKS == *=* && $part == *[=:]* ]]; do
        before=${part%%[=:]*}
        [[ -z $before ]] || COMP_WORDS+=("$before")
        COMP_WORDS+=("${part:${#before}:1}")
        part=${part:${#before}+1}
        [[ -n $part ]] || continue 2
    done
    COMP_WORDS+=("$part")
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_closewait
printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
