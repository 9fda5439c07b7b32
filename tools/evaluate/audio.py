# A log-mel front end in numpy.
# Never here: reading files, labels.
"""Waveform to log-mel image."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_FRAME_SECONDS = 0.032
_HOP_SECONDS = 0.016


def log_mel(clip: NDArray[np.int16], rate_hz: int, seconds: float, n_mels: int) -> NDArray[np.float32]:
    """Logarithm of the mel power spectrum, (n_mels, frames) float32.

    Args:
        clip: int16 samples, one channel; cut or padded with silence at both ends to `seconds`.
        rate_hz: samples a second.
        seconds: length of the window that is kept.
        n_mels: mel bands, from 20 Hz to half the rate.

    Frames of 32 ms every 16 ms, Hann window. mel = 2595 log10(1 + f / 700) (O'Shaughnessy 1987).
    """
    n = round(seconds * rate_hz)
    samples = clip[:n].astype(np.float32) / np.float32(32768)
    before = (n - len(samples)) // 2
    samples = np.pad(samples, (before, n - len(samples) - before))
    frame, hop = round(_FRAME_SECONDS * rate_hz), round(_HOP_SECONDS * rate_hz)
    starts = np.arange(0, n - frame + 1, hop)
    frames = samples[starts[:, None] + np.arange(frame)] * np.hanning(frame).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    mel: NDArray[np.float32] = np.log(_mel_filters(rate_hz, frame, n_mels) @ power.T + 1e-6).astype(np.float32)
    return mel


@functools.lru_cache(maxsize=4)
def _mel_filters(rate_hz: int, frame: int, n_mels: int) -> NDArray[np.float64]:
    def to_mel(f: float) -> float:
        return float(2595 * np.log10(1 + f / 700))

    edges = 700 * (10 ** (np.linspace(to_mel(20), to_mel(rate_hz / 2), n_mels + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(frame, 1 / rate_hz)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
