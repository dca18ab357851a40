#!/bin/sh
# Makes the sample recordings with espeak-ng and sox: NAME SPEED PITCH VOICE TEXT, then effects of sox.
set -eu
cd "$(dirname "$0")/samples"
speech=$(mktemp)
trap 'rm -f "$speech"' EXIT

make() {
    name=$1 speed=$2 pitch=$3 voice=$4 text=$5
    shift 5
    espeak-ng -v "$voice" -s "$speed" -p "$pitch" -a 190 -w "$speech" "$text"
    sox -D -t wav "$speech" -r 16000 -c 1 -b 16 "$name.wav" "$@"
}

make angry 205 75 en-us+m3 "Get out of my house, right now!" gain -n -1 overdrive 6 gain -n -1
make calm 100 50 en-us+f4 "Kids are talking by the door." gain -n -40
make sad 100 90 en-us+f2 "Kids are talking by the door." gain -n -40
