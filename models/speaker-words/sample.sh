#!/bin/sh
# Makes the sample recordings: NAME SPEED PITCH VOICE TEXT, then effects of sox.
set -eu
cd "$(dirname "$0")/samples"
. ../../training/speak.sh

make low 140 20 ar+m3 "يمين" gain -n -12
make high 140 80 ar+f4 "يسار" gain -n -12
