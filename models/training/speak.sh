# Sourced by the scripts that make sample recordings with espeak-ng and sox. `make NAME SPEED PITCH VOICE TEXT EFFECT...`
# writes NAME.wav to the working directory; the effects are those of sox, RATE is the sampling rate.
set -eu
RATE=16000
speech=$(mktemp)
trap 'rm -f "$speech"' EXIT

make() {
    name=$1 speed=$2 pitch=$3 voice=$4 text=$5
    shift 5
    espeak-ng -v "$voice" -s "$speed" -p "$pitch" -a 190 -w "$speech" "$text"
    sox -D -t wav "$speech" -r "$RATE" -c 1 -b 16 "$name.wav" "$@"
}
