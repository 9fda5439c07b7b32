# Embeddings of real pictures and words by encoders that were trained on other data, kept in a folder once computed.
# Never here: heads (heads.py), characters (heads_omniglot.py).
"""`Task` and the readers of groceries and keywords."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from edgecl.evaluate.data_files import data_file
from edgecl.npz import read_npz
from numpy.typing import NDArray

SIDE = 224  # of a picture that MobileNetV2 sees
ENLARGED = 320  # side of the picture whose middle is cut out
SILENCE = 6400  # samples before and behind a word
WINDOW, HOP = 76, 8  # mel frames of an embedding and between two
FOLDS = 5  # of the speakers

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """Embeddings (n, dim) with classes 0, 1, ...; `steps` is how many groups of classes come one after the other."""

    data: str
    features: str
    x_train: F32
    y_train: NDArray[np.int64]
    x_test: F32
    y_test: NDArray[np.int64]
    steps: int

    def order(self) -> NDArray[np.int64]:
        """Training rows as they come: groups of classes, shuffled within a group; seeded."""
        generator = np.random.default_rng(0)
        groups = np.array_split(generator.permutation(int(self.y_train.max()) + 1), self.steps)
        rows = [generator.permutation(np.flatnonzero(np.isin(self.y_train, group))) for group in groups]
        return np.concatenate(rows)

    def few(self, n: int) -> Task:
        """At most n training rows a class; seeded."""
        generator = np.random.default_rng(0)
        classes = range(int(self.y_train.max()) + 1)
        rows = np.concatenate([generator.permutation(np.flatnonzero(self.y_train == c))[:n] for c in classes])
        return replace(self, x_train=self.x_train[rows], y_train=self.y_train[rows])


def kept(cache: Path, name: str, compute: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arrays of the file `name`.npz in the folder; computed and written when it is not there."""
    path = cache / f"{name}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = compute()
        np.savez(path, **found)
    with np.load(path) as stored:
        return dict(stored)


# --- groceries ---


def groceries(cache: Path) -> Iterator[list[Task]]:
    """59 classes of fruit and packages (Klasson et al. 2019), 1,280 features of MobileNetV2: of the whole picture, of
    its middle, and of the middle averaged with its mirror image."""
    for name, side in (("whole picture", SIDE), (f"middle {SIDE} of {ENLARGED}", ENLARGED)):
        found = kept(cache, f"grocery_{side}", partial(embed_groceries, side))
        yield [_grocery_task(name, found, found["x"])]
    yield [_grocery_task(f"{name}, mean with mirror image", found, (found["x"] + found["mirrored"]) / 2)]


def _grocery_task(name: str, found: dict[str, NDArray[Any]], x: F32, test: str = "test") -> Task:
    y, train, held_out = found["y"], found["split"] == "train", found["split"] == test
    return Task("groceries", name, x[train], y[train], x[held_out], y[held_out], 6)


def embed_groceries(side: int) -> dict[str, NDArray[Any]]:
    """Features of pictures scaled to `side` squared, of whose middle 224 x 224 are kept, and of their mirror images:
    the tensor Logits/AvgPool of the uint8 network."""
    from PIL import Image

    embed = mobilenet()
    found: dict[str, list[Any]] = {"x": [], "mirrored": [], "y": [], "split": []}
    with zipfile.ZipFile(data_file("grocery96_fruit_packages.zip")) as archive:
        for row in csv.DictReader(io.StringIO(archive.read("labels.csv").decode())):
            if row["split"] == "iconic":
                continue
            with Image.open(io.BytesIO(archive.read(row["path"]))) as picture:
                scaled = picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            pixels = middle(np.asarray(scaled, np.uint8))
            found["x"].append(embed(pixels))
            found["mirrored"].append(embed(pixels[:, ::-1]))
            found["y"].append(int(row["fine"]))
            found["split"].append(row["split"])
    return {name: np.array(values) for name, values in found.items()}


def middle(pixels: NDArray[Any], side: int = SIDE) -> NDArray[Any]:
    """The middle square of a picture (h, w, c)."""
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def mobilenet(
    name: str = "mobilenet_v2_1.0_224_imagenet_uint8", tensor: str = "Logits/AvgPool"
) -> Callable[[NDArray[np.uint8]], F32]:
    """Pixels (h, w, 3) of the network's size to the features of that tensor."""
    from ai_edge_litert.interpreter import Interpreter

    model = data_file(f"encoders/{name}.tflite")
    network = Interpreter(str(model), num_threads=1, experimental_preserve_all_tensors=True)
    network.allocate_tensors()
    taken = network.get_input_details()[0]["index"]
    tap = next(t for t in network.get_tensor_details() if t["name"].endswith(tensor))
    scale, zero = tap["quantization"]

    def embed(pixels: NDArray[np.uint8]) -> F32:
        network.set_tensor(taken, np.ascontiguousarray(pixels)[None])
        network.invoke()
        steps = network.get_tensor(tap["index"]).ravel().astype(np.float32) - np.float32(zero)
        return np.asarray(steps * np.float32(scale), np.float32)

    return embed


# --- keywords ---


def keywords(cache: Path) -> Iterator[list[Task]]:
    """10 words of Speech Commands (Warden 2018), speakers held out: a task for each fifth of the speakers."""
    found = kept(cache, "keywords", embed_keywords)
    for name, x in (
        ("3 frames, mean", found["word"].mean(1)),
        ("with 0.4 s of silence, 13 frames", pooled(found["padded"])),
    ):
        yield [Task("keywords", name, x[~t], found["y"][~t], x[t], found["y"][t], 5) for t in folds(found["speaker"])]


def pooled(frames: F32) -> F32:
    """Mean, maximum and deviation of embeddings over time: (n, frames, dim) to (n, 3 dim)."""
    return np.concatenate([frames.mean(1), frames.max(1), frames.std(1)], axis=1)


def folds(speakers: NDArray[Any], n: int = FOLDS) -> Iterable[NDArray[np.bool_]]:
    """Rows of each share of the speakers."""
    drawn = np.random.default_rng(0).permutation(np.unique(speakers))
    return [np.isin(speakers, part) for part in np.array_split(drawn, n)]


def speech() -> Callable[[NDArray[np.int16]], F32]:
    """A clip at 16 kHz to its speech embeddings (frames, 96)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    mel, network = (
        onnxruntime.InferenceSession(str(data_file(f"encoders/{name}.onnx")), options)
        for name in ("speech_melspectrogram", "speech_embedding_96d")
    )

    def embed(clip: NDArray[np.int16]) -> F32:
        bands = mel.run(None, {"input": clip[None].astype(np.float32)})[0].reshape(-1, 32) / 10 + 2
        starts = range(0, len(bands) - WINDOW + 1, HOP)
        windows = np.stack([bands[i : i + WINDOW] for i in starts])[..., None].astype(np.float32)
        return np.asarray(network.run(None, {"input_1": windows})[0].reshape(len(windows), -1), np.float32)

    return embed


def embed_keywords() -> dict[str, NDArray[Any]]:
    """Speech embeddings of each clip of 1 s, as it is and between silences: (n, frames, 96)."""
    embed = speech()
    arrays = read_npz(data_file("speech_commands_v002_test_subset.npz"), ("audio", "label", "speaker"))
    known = arrays["label"] > 0  # 0 is _unknown_
    clips = arrays["audio"][known]
    return {
        "word": np.stack([embed(clip) for clip in clips]),
        "padded": np.stack([embed(np.pad(clip, SILENCE)) for clip in clips]),
        "y": arrays["label"][known].astype(np.int64) - 1,
        "speaker": arrays["speaker"][known],
    }
