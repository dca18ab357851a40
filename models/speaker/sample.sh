#!/bin/sh
# Makes the sample recordings: NAME SPEED PITCH VOICE TEXT, then effects of sox.
set -eu
cd "$(dirname "$0")/samples"
. ../../training/speak.sh

make low 150 20 en-us+m3 "Kids are talking by the door." gain -n -25
make high 150 80 en-us+f4 "Dogs are sitting by the door." gain -n -25
