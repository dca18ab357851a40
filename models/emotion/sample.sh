#!/bin/sh
# Makes the sample recordings: NAME SPEED PITCH VOICE TEXT, then effects of sox.
set -eu
cd "$(dirname "$0")/samples"
. ../../training/speak.sh

make angry 205 75 en-us+m3 "Get out of my house, right now!" gain -n -1 overdrive 6 gain -n -1
make calm 100 50 en-us+f4 "Kids are talking by the door." gain -n -40
make sad 100 90 en-us+f2 "Kids are talking by the door." gain -n -40
