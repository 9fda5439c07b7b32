# Pairs of data sets: one is learned, one must look strange. Embeddings are kept in a folder once computed.
# Never here: scores (novelty.py), groceries and keywords as streams of classes (heads_data.py).
"""`Pair` and the pairs of the data folder (EDGECL_DATA)."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from edgecl.evaluate.data_files import data_file
from edgecl.npz import read_npz
from heads_data import F32, SIDE, SILENCE, embed_groceries, folds, kept, middle, mobilenet, pooled, speech
from numpy.typing import NDArray

PICTURES = 3000  # of MNIST and Fashion-MNIST, of the training and of the test set each
BANDS = 16  # of the spectrum of a movement
FRUIT = 28  # the fine classes below are fruit, the others packages


@dataclass(frozen=True)
class Pair:
    """Rows that are learned with their classes, other rows like them, and rows of the other set. Figures of pairs of
    one name are averaged."""

    name: str
    features: str
    x_train: F32
    y_train: NDArray[np.int64]
    x_like: F32
    x_other: F32


def pair(
    name: str, features: str, x: F32, y: NDArray[Any], train: NDArray[Any], like: NDArray[Any], other: F32
) -> Pair:
    """Of rows x with labels y, those to learn and those like them; classes are numbered anew."""
    return Pair(name, features, x[train], np.unique(y[train], return_inverse=True)[1], x[like], other)


def digits_and_clothes(cache: Path) -> Iterator[Pair]:
    """MNIST and Fashion-MNIST, 256 features of MobileNetV1 0.25 at 128 x 128, both ways."""
    found = kept(cache, "digits_and_clothes", embed_small_pictures)
    names = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
    for learned, other in (("mnist", "fashion-mnist"), ("fashion-mnist", "mnist")):
        yield Pair(
            f"{names[learned]} / {names[other]}", "MobileNetV1 0.25", found[f"{learned} train x"],
            found[f"{learned} train y"].astype(np.int64), found[f"{learned} t10k x"], found[f"{other} t10k x"],
        )  # fmt: skip


def groceries(cache: Path) -> Iterator[Pair]:
    """Fruit and packages, both ways; pictures of products on their own, of which there is one a class."""
    found, iconic = kept(cache, f"grocery_{SIDE}", partial(embed_groceries, SIDE)), kept(cache, "iconic", embed_iconic)
    x, y, train, test = found["x"], found["y"], found["split"] == "train", found["split"] == "test"
    fruit = y < FRUIT
    for name, here in (("fruit / packages", fruit), ("packages / fruit", ~fruit)):
        yield pair(f"groceries, {name}", "MobileNetV2", x, y, train & here, test & here, x[test & ~here])
    yield pair("groceries, natural / iconic", "MobileNetV2", x, y, train, test, iconic["x"])


def movements(_: Path) -> Iterator[Pair]:
    """Phone and watch of the same people, of whom a fifth is not learned: logarithms of spectra, 96 features."""
    arrays = read_npz(data_file("har_phone_watch.npz"), ("x", "scale", "label", "subject", "device"))
    x = spectra(arrays["x"] * arrays["scale"])
    held_out = next(iter(folds(arrays["subject"])))
    for name, device in (("phone / watch", 0), ("watch / phone", 1)):
        here = arrays["device"] == device
        yield pair(f"movements, {name}", "spectra", x, arrays["label"], here & ~held_out, here & held_out, x[~here])


def spectra(x: NDArray[Any]) -> F32:
    """(n, time, channels) to (n, BANDS * channels)."""
    power = np.abs(np.fft.rfft(x, axis=1)) ** 2
    bands = [part.mean(1) for part in np.array_split(power, BANDS, axis=1)]
    return np.log(np.concatenate(bands, axis=1) + 1e-3).astype(np.float32)


def words(cache: Path) -> Iterator[Pair]:
    """10 words and others that none of them is; a fifth of the speakers is not learned."""
    known, unknown = (kept(cache, name, embed) for name, embed in (("keywords", keywords), ("unknown", unknown_words)))
    x, held_out = pooled(known["padded"]), next(iter(folds(known["speaker"])))
    yield pair("keywords / other words", "speech", x, known["y"], ~held_out, held_out, pooled(unknown["padded"]))


def speakers(cache: Path) -> Iterator[Pair]:
    """Spoken digits of one speaker and of the five others, for each of six."""
    found = kept(cache, "speakers", embed_digits)
    x, speaker, test = pooled(found["padded"]), found["speaker"], found["index"] < 10
    for who in range(int(speaker.max()) + 1):
        here = speaker == who
        yield pair("digits, one speaker / others", "speech", x, found["y"], here & ~test, here & test, x[~here & test])


PAIRS: dict[str, Callable[[Path], Iterator[Pair]]] = {
    function.__name__: function for function in (digits_and_clothes, groceries, movements, words, speakers)
}


# --- embeddings ---


def embed_small_pictures() -> dict[str, NDArray[Any]]:
    """Features of the first PICTURES of each set, scaled up."""
    from PIL import Image

    embed = mobilenet("mobilenet_v1_0.25_128_imagenet_uint8", "Logits/AvgPool_1a/AvgPool")
    found: dict[str, NDArray[Any]] = {}
    for name in ("mnist", "fashion-mnist"):
        for part in ("train", "t10k"):
            pixels, labels = (
                np.frombuffer(
                    gzip.decompress(data_file(f"{name}-{part}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=at
                )
                for kind, at in (("images-idx3", 16), ("labels-idx1", 8))
            )
            rows = []
            for image in pixels.reshape(-1, 28, 28)[:PICTURES]:
                scaled = np.asarray(Image.fromarray(image).resize((128, 128), Image.Resampling.BILINEAR), np.uint8)
                rows.append(embed(np.repeat(scaled[:, :, None], 3, axis=2)))
            found[f"{name} {part} x"], found[f"{name} {part} y"] = np.array(rows), labels[:PICTURES]
    return found


def embed_iconic() -> dict[str, NDArray[Any]]:
    """Features of the pictures that shops show of a product."""
    from PIL import Image

    embed, rows = mobilenet(), []
    with zipfile.ZipFile(data_file("grocery96_fruit_packages.zip")) as archive:
        for row in csv.DictReader(io.StringIO(archive.read("labels.csv").decode())):
            if row["split"] == "iconic":
                with Image.open(io.BytesIO(archive.read(row["path"]))) as picture:
                    scaled = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                rows.append(embed(middle(np.asarray(scaled, np.uint8))))
    return {"x": np.array(rows)}


def keywords() -> dict[str, NDArray[Any]]:
    """As heads_data.py has them."""
    from heads_data import embed_keywords

    return embed_keywords()


def unknown_words() -> dict[str, NDArray[Any]]:
    """Speech embeddings of the clips that are none of the ten words, between silences."""
    arrays = read_npz(data_file("speech_commands_v002_test_subset.npz"), ("audio", "label"))
    embed = speech()
    return {"padded": np.stack([embed(np.pad(clip, SILENCE)) for clip in arrays["audio"][arrays["label"] == 0]])}


def embed_digits() -> dict[str, NDArray[Any]]:
    """Speech embeddings of spoken digits at 16 kHz, in the middle of 1.8 s; longer ones are cut."""
    arrays = read_npz(data_file("fsdd.npz"), ("audio", "offsets", "label", "speaker", "index"))
    embed, length, rows = speech(), 16000 + 2 * SILENCE, []
    for begin, end in zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True):
        clip = arrays["audio"][begin:end].astype(np.float64)
        twice = np.interp(np.arange(2 * len(clip)) / 2, np.arange(len(clip)), clip).astype(np.int16)[:length]
        before = (length - len(twice)) // 2
        rows.append(embed(np.pad(twice, (before, length - len(twice) - before))))
    return {
        "padded": np.stack(rows), "y": arrays["label"].astype(np.int64),
        "speaker": arrays["speaker"].astype(np.int64), "index": arrays["index"].astype(np.int64),
    }  # fmt: skip
