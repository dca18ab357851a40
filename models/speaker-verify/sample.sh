#!/bin/sh
# Makes the sample recordings: NAME SPEED PITCH VOICE TEXT, then effects of sox.
set -eu
cd "$(dirname "$0")/samples"
. ../../training/speak.sh

RATE=8000

# Each of two voices speaks twice, a third one once.
make anna-1 150 75 en-us+f4 "My voice is my password." gain -n -3
make anna-2 160 75 en-us+f4 "Open the door, please." gain -n -9
make bert-1 150 25 en-us+m3 "My voice is my password." gain -n -3
make bert-2 140 25 en-us+m3 "Seven, three, nine." gain -n -20
make carl-1 150 50 de+m7 "Guten Tag, wie geht es Ihnen?" gain -n -6
