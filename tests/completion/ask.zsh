#!/bin/zsh -f
# What becomes of command lines when TAB is pressed at their end, in a shell of its own at a
# terminal: ask.zsh LINE..., one line of answer each.
zmodload zsh/zpty
zmodload zsh/datetime

folder=$(mktemp -d) || exit
trap 'zpty -d shell 2>/dev/null; rm -rf $folder' EXIT
zpty shell "TERM=dumb ZDOTDIR=$folder zsh -f -i"

type() {
    zpty -w -n shell "$1"
}

# The shell's own output must be read, or it waits for ever.
await() {
    local noise start=$EPOCHREALTIME
    while [[ ! -e $folder/$1 ]]; do
        zpty -r -t shell noise || sleep 0.02
        if (( EPOCHREALTIME - start > 30 )); then
            print -u2 "no answer: $noise"
            exit 1
        fi
    done
}

cat >$folder/setup <<SETUP
fpath=($PWD/completion \$fpath)
autoload -Uz compinit && compinit -u -d $folder/dump
show() { print -r -- "\$BUFFER" >$folder/new; mv $folder/new $folder/answer; BUFFER=; }
zle -N show
bindkey '^X' show
bindkey '^I' complete-word
unsetopt list_beep beep
LISTMAX=10000
touch $folder/ready
SETUP
type ". $folder/setup"$'\n'
await ready
for line in "$@"; do
    type "$line"$'\t\x18'
    await answer
    cat $folder/answer
    rm $folder/answer
done
