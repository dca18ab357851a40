#!/bin/sh
# Makes the sample recording with espeak-ng and sox.
set -eu
cd "$(dirname "$0")/samples"
speech=$(mktemp)
trap 'rm -f "$speech"' EXIT
espeak-ng -v en-us+m3 -s 205 -p 75 -a 190 -w "$speech" "Get out of my house, right now!"
sox -D -t wav "$speech" -r 16000 -c 1 -b 16 angry.wav gain -n -1 overdrive 6 gain -n -1
