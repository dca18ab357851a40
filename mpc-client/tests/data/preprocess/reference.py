"""Writes reference.json: log-mel and MFCC features of a synthetic signal, computed with numpy alone.

The filterbank follows Slaney's Auditory Toolbox: linear below 1 kHz (200/3 Hz per mel), above it 27 mel per factor 6.4.
"""

import json

import numpy as np

RATE, FRAME, HOP, BANDS, LOW, HIGH, FLOOR_DB, COEFFICIENTS = 16000, 400, 160, 26, 80.0, 7000.0, -80.0, 13


def signal(n: int) -> np.ndarray:
    """A tone and a chirp, loud from the first sample to the last."""
    t = np.arange(n) / RATE
    return (0.5 * np.sin(2 * np.pi * 440 * t) + 0.25 * np.sin(2 * np.pi * (900 + 20000 * t) * t)).astype(np.float32)


def mel_points() -> np.ndarray:
    """Corner frequencies in Hz."""
    step = np.log(6.4) / 27

    def to_mel(hz: float) -> float:
        return 3 * hz / 200 if hz < 1000 else 15 + np.log(hz / 1000) / step

    mels = np.linspace(to_mel(LOW), to_mel(HIGH), BANDS + 2)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * step))


def log_mel(x: np.ndarray) -> np.ndarray:
    """Decibels, [bands, frames]."""
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(FRAME) / FRAME))
    starts = range(0, len(x) - FRAME + 1, HOP)
    power = np.stack([np.abs(np.fft.rfft(x[s : s + FRAME].astype(np.float64) * window)) ** 2 for s in starts], 1)
    hz, corners = np.fft.rfftfreq(FRAME, 1 / RATE), mel_points()
    rows = []
    for left, centre, right in zip(corners, corners[1:], corners[2:]):
        triangle = np.interp(hz, [left, centre, right], [0, 1, 0], left=0, right=0)
        rows.append(2 / (right - left) * triangle @ power)
    return 10 * np.log10(np.maximum(np.stack(rows), 10 ** (FLOOR_DB / 10)))


def dct(x: np.ndarray) -> np.ndarray:
    """Orthonormal DCT-II over the first axis, through an FFT of the mirrored signal."""
    n = len(x)
    spectrum = np.fft.fft(np.concatenate([x, x[::-1]]), axis=0)[:n]
    out = (spectrum * np.exp(-1j * np.pi * np.arange(n) / (2 * n))[:, None]).real / 2
    out *= np.sqrt(2 / n)
    out[0] /= np.sqrt(2)
    return out


if __name__ == "__main__":
    features = log_mel(signal(FRAME + 3 * HOP))
    reference = {"log_mel": features.round(5).tolist(), "mfcc": dct(features)[:COEFFICIENTS].round(5).tolist()}
    with open("reference.json", "w", encoding="ascii") as file:
        json.dump(reference, file)
        file.write("\n")
