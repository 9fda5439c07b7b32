"""The extension module: the C API for Python, and the bundle writer. Arrays in, arrays out; the GIL is released in
every long call.

Every failed call raises the class of `edgecl.errors` that belongs to its status (the C message, unchanged, is its
text).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CLASSES: int  # of a bundle
MAX_CLASS_NAME_BYTES: int
MAX_THREADS: int  # of a session

def version() -> str: ...
def build_info() -> str: ...
def operators() -> dict[str, dict[str, Any]]:
    """Every operator of a plan by name: its number in a bundle, "layer" (it has a weight and a bias),
    "fuses_activation" (it may apply a relu or clip to its output), "gradient_in_place" (the gradient of its input may
    take the memory of that of its output)."""

def write_bundle(plan: dict[str, Any]) -> bytes:
    """Encodes a plan as bundle bytes: assigns arena offsets, counts multiply-adds, digests the sections, then validates
    its own output.

    plan = {
      "name": str, "producer": str,
      "tensors":  [{"name": str, "channels": int, "height": int, "width": int, "gradient": bool, "alias": int | None}
                   | {..., "scale": float, "zero_point": int}],   # int8
      "ops":      [{"name": str,
                    "kind": str (a key of operators()),
                    "inputs": [tensor], "output": tensor, "params": [param | None] (at most 4),
                    # everything from here on is optional
                    "activation": a name of EDGECL_ACTIVATION_LIST (kernels.h), "none" where there is none,
                    "activation_lo": float, "activation_hi": float,
                    "kernel": (h, w), "stride": (h, w), "dilation": (h, w), "pads": (top, left, bottom, right),
                    "groups": int, "epsilon": float, "momentum": float, "frozen": bool, "i": [int] (at most 4)}],
      "backward": [{"op": int, "output_gradient": tensor, "input_gradients": [tensor | None], "accumulate": [bool],
                    "train_params": [bool]}],
      "params":   [{"name": str, "trainable": bool, "dims": [int], "values": float32 array}   # dense
                   | {..., "positions": uint32 array (ascending flat), "values": float32 array (nnz),
                      "nnz_capacity": int}
                   | {..., "dtype": "int8" | "int32", "values": array of that type}],   # frozen
      "input":    {"dtype": "u8" | "f32", "channels_last": bool, "dims": [int], "scale": float, "mean": array[C],
                   "inv_std": array[C]},
      "recipe":   {a field of recipe_fields(): its value (choices by name, epochs as a list), ...; learning_rate and
                   batch_size must be there, others are 0 without; "trainable": "all" | "tail" | "head",
                   "preset": str},
      "classes":  [(label, name)], "class_capacity": int,
      "logits_tensor": int, "embedding_tensor": int | None, "head_weight": param | None, "head_bias": param | None,
      "parity":   {"n_rows": int, "max_abs": float, "mean_abs": float, "reference_abs": float, "source": str} | None,
      # optional
      "taps":     [{"tensor": int, "pooled": bool}],
      "notes":    str (at most 65535 bytes of UTF-8),
      "label_kind": int (EDGECL_LABELS_*: what class names are the text of),
      "exemplars": {"samples": float32 or uint8 as "input" has it, or int8 for floats, n samples, "labels": uint32[n],
                    "rows": [(label, rows that its samples stand for)],
                    "scale", "offset": float32, one a channel (int8)},
      "encoder":  {"engine": 1 (ONNX) | 2 (TFLite), "file": bytes, "dtype", "channels_last", "dims" (1..4), "scale",
                   "mean", "inv_std": of its raw samples, as in "input"; "file_channels_last": bool, "positions": int,
                   "n_probe": int, "probe_outputs": float32 [n_probe][dim]}; "input" are its embeddings,
    }
    Tensor 0 is the input. Weights as in plan_records.h (dense linear [I][O]; sparse linear positions over [O][I]).
    Raises ValueError on a malformed plan (a key, an index, a shape), naming it.
    """

def attach_signature(bundle: bytes, signature: bytes, key_hint: bytes = b"", release: int = 0) -> bytes:
    """The bundle with a signature (64 bytes) over its content digest, which stays what it is, as do states made from
    it. key_hint: 16 bytes that say which key."""

def recipe_fields() -> list[tuple[str, str, list[str]]]:
    """(name, kind, names of its values or none) of each field of a recipe, in the order of its words in bundles and
    states. Kinds: "choice", "flag", "count", "number" (float32), "epochs" (a list of epochs 1..31)."""

def check_recipe(values: dict[str, Any]) -> None:
    """ArgumentError unless these values, with 0 for the other fields, make a recipe."""

def presets() -> list[dict[str, Any]]:
    """edgecl_preset_info of each preset ("name", "title", "source", "needs" as words, "compared"), and "settings", the
    fields that it sets."""

def replay_rows(config: dict[str, Any]) -> int:
    """Rows that a learn step of this recipe draws from a full buffer, all draws together."""

def schedule_rate(config: dict[str, Any], done: float) -> float:
    """Learning rate by `config`'s rate_schedule when the share `done` (0..1) of a task has been learned: its
    learning_rate, or a part of it. ArgumentError: a field of the recipe out of range."""

def schedule_removal(config: dict[str, Any], n_examples: int, epoch: int) -> int:
    """Examples to remove (`DataRemoval.stage`) after `epoch` (from 1) of a task that began with n_examples."""

def schedule_rehearsal(config: dict[str, Any], steps_in_task: int) -> int:
    """Steps to rehearse (`Classifier.rehearse`) after so many learn steps of a task ("steps_in_task" of `stats`)."""

def read_state_table(data: bytes) -> dict[str, Any]:
    """The frame of a saved state or a message, every length and digest checked (StateError): "message", "version",
    "bundle_sha256", "sha256", and "sections", a list of {"id", "name", "version", "optional", "offset", "bytes",
    "sha256"}."""

def verify_bundle(data: bytes | NDArray[np.uint8], public_key: bytes | None = None) -> None: ...

class Model:
    """An opened bundle; shareable by threads."""

    def __init__(self, path: str | None = None, data: bytes | None = None) -> None: ...
    def describe(self) -> dict[str, Any]:
        """Fields of edgecl_model_info (digest as hex text, dims as lists) plus "kernel_level", "classes" (list of
        names), "recipe" (dict), "input" ({"scale", "mean", "inv_std"}), "head_weight" and "head_bias" (indices in
        `layers`, or None)."""
    def layers(self) -> list[dict[str, Any]]: ...
    def ops(self) -> list[dict[str, Any]]: ...
    def encoder(self) -> dict[str, Any] | None:
        """Fields of edgecl_encoder_info; "engine" is "onnx" or "tflite", "input" {"scale", "mean", "inv_std"},
        "probe_outputs" (n_probe, embedding_dim). None without an encoder of another engine."""
    def encoder_file(self) -> bytes:
        """The file that it carries, copied."""
    def encoder_probe(self) -> NDArray[Any]:
        """Raw samples of the probe, (n_probe, *input_dims)."""
    def config_from_state(self, data: bytes) -> dict[str, Any]:
        """The configuration that a state of this bundle was made under (edgecl_session_config_from_state)."""
    def migrate(self, data: bytes, to: Model) -> tuple[bytes, dict[str, int]]:
        """A state of this bundle as one of another, and the fields of edgecl_migration."""
    def default_config(self) -> dict[str, Any]:
        """edgecl_session_config_init as a dict (without hooks); every key is accepted by Session and sizes."""
    def sizes(self, **config: Any) -> dict[str, int]: ...
    def sizes_for(self, level: str, pointer_bytes: int, /, **config: Any) -> dict[str, int]: ...
    def close(self) -> None: ...

class Session:
    """One learner. Not to be used by two threads at once: the second call raises edgecl.errors.BusyError."""

    def __init__(self, model: Model, n_threads: int = 1, **config: Any) -> None:
        """config: fields of edgecl_session_config by name. n_threads > 1 starts a pool of n_threads - 1 workers
        owned by this object."""
    @property
    def config(self) -> dict[str, Any]:
        """The values in force: seed and learning rate are those of the state."""
    def learn(
        self,
        x: NDArray[Any],
        labels: NDArray[np.int32],
        want_slots: bool = False,
        want_rows: bool = False,
        weights: NDArray[np.float32] | None = None,
    ) -> dict[str, Any]:
        """Exactly one step. Returns loss, loss_current, loss_replay, loss_logits, n_replayed, step, macs_forward,
        macs_backward, macs_paper, structure_changed, note (and replay_slots). want_rows: also row_correct (bool) and
        row_loss (float32) of each row of `x`, before the update."""
    def learn_many(
        self,
        x: NDArray[Any],
        labels: NDArray[np.int32],
        batch_size: int,
        want_rows: bool = False,
        weights: NDArray[np.float32] | None = None,
    ) -> dict[str, Any]:
        """Consecutive steps over all rows in order, without the GIL. Returns n_done (rows), n_steps, mean_loss,
        macs_forward, macs_backward, note (and row_correct and row_loss, as `learn`). On failure the exception has
        n_done. Ctrl-C ends it between two steps."""
    def remember(self, x: NDArray[Any], labels: NDArray[np.int32]) -> None:
        """All rows in order into the buffer (edgecl_remember). On failure the exception has n_done."""
    def unlearn(self, x: NDArray[Any], labels: NDArray[np.int32]) -> None:
        """All rows in order out of the statistics (edgecl_unlearn). On failure the exception has n_done."""
    def head(self) -> dict[str, Any] | None:
        """What a head that keeps statistics holds (edgecl_head_describe); None for one that learns by gradients."""
    def device_set(self, device: int, version: int = 0) -> None:
        """From now on the session is this device (edgecl_device_set)."""
    def devices(self) -> list[dict[str, Any]]:
        """edgecl_device_info of this device ("own") and of those that were merged; empty under a gradient head."""
    def delta(self, relay: bool = False) -> bytes:
        """A message of what this device contributed; `relay`: and of what was merged (edgecl_delta_export)."""
    def merge(self, data: bytes) -> dict[str, int]:
        """Takes over what is newer in a message (edgecl_merge): devices, new, newer, known, classes_added,
        classes_gone, rows_before, rows."""
    def unmerge(self, device: int) -> None: ...
    def route(self, x: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        """Domain, fit and decision (0 accept, 2 novel) of each row (edgecl_route)."""
    def domain_add(self, name: str) -> int: ...
    def domain_select(self, domain: int) -> None:
        """-1: by fit (edgecl_domain_select)."""
    def domain_adapt(self, domain: int, trainer: Session) -> int:
        """Rows of the trainer's buffer that the domain learned (edgecl_domain_adapt)."""
    def domain_remove(self, domain: int) -> None: ...
    def domain_calibrate(self, accepted: float, kept: float) -> None: ...
    def domains(self) -> list[dict[str, Any]]:
        """edgecl_domain_info of every domain that exists; empty without max_domains."""
    def novelty_scores(self, x: NDArray[Any], score: str = "none") -> NDArray[np.float32]:
        """(n,), larger is more novel; "none": the session's score (edgecl_novelty_scores)."""
    def novelty_calibrate(self, score: str, scores: NDArray[np.float32], accepted: float, kept: float) -> None: ...
    def novelty_threshold(self, score: str = "none") -> dict[str, Any] | None: ...
    def decide(self, x: NDArray[Any]) -> NDArray[np.int32]:
        """(n,) 0 accept, 1 uncertain, 2 novel (edgecl_decide)."""
    def observe(self, x: NDArray[Any]) -> NDArray[np.int32]:
        """The same, and the rows enter the window (edgecl_observe)."""
    def drift(self) -> dict[str, Any]:
        """The fields of edgecl_drift_info."""
    def rehearse(self, n_steps: int) -> dict[str, Any]:
        """n_steps steps on the buffer alone, of head and normalisations alone (edgecl_rehearse). Returns done (0 with
        an empty buffer) and mean_loss. On failure the exception has n_done, in steps. Ctrl-C ends it between two
        steps."""
    def predict(self, x: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Labels, probabilities, margins."""
    def logits(self, x: NDArray[Any]) -> NDArray[np.float32]: ...
    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Softmax over the classes present; 0 in columns without a class."""
    def embed(self, x: NDArray[Any]) -> NDArray[np.float32]: ...
    def class_add(self, name: str | None = None) -> int: ...
    def class_forget(self, label: int) -> None: ...
    def class_find(self, name: str) -> int | None: ...
    def classes(self) -> list[dict[str, Any]]:
        """edgecl_class_info of every class that is present, in label order."""
    label_kind: int  # EDGECL_LABELS_*
    def set_class_weight(self, label: int, weight: float) -> None: ...
    def class_weight(self, label: int) -> float: ...
    def begin_task(self) -> None: ...
    def reset(self) -> None: ...
    def close(self) -> None:
        """Releases the arena and the threads now; every other call then raises SequenceError."""
    def set_learning_rate(self, value: float) -> None: ...
    def state_export(self) -> bytes: ...
    def state_import(self, data: bytes) -> None: ...
    def state_digest(self) -> str:
        """SHA-256 in hex."""
    def stats(self) -> dict[str, int]: ...
    def sizes(self) -> dict[str, int]: ...
    def profile_start(self, capacity: int = 65536) -> None: ...
    def profile_stop(self) -> list[dict[str, Any]]: ...
    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """Copies of the present weights by name, dense, in the bundle's dims (edgecl_weights_read)."""

class DataRemoval:
    """Which examples of a task need no more epochs (SparCL's dynamic data removal; edgecl.h explains the scores).

    The examples are numbered 0..n_examples-1. 12 bytes an example. Not to be used by two threads at once.
    """

    def __init__(self, n_examples: int, score: str = "misclassified") -> None:
        """score: "misclassified" (times wrong since the last stage) or "forgetting" (times it turned from right to
        wrong; never right counts as most)."""
    def record(self, ids: NDArray[Any], correct: NDArray[Any], loss: NDArray[Any]) -> None:
        """One presentation of each id: row_correct and row_loss of a learn step, (n,) each. ArgumentError (an id out of
        range or removed, a loss that is not finite), ShapeError: nothing is recorded."""
    def stage(self, n_remove: int) -> None:
        """Removes the n_remove examples of the lowest score (ties: lowest mean loss, then lowest id; never shown counts
        as highest) and begins all records anew. ArgumentError unless n_remove < n_kept."""
    def kept(self) -> NDArray[np.uint32]:
        """Ids that are kept, ascending."""
    @property
    def n_kept(self) -> int: ...
    def __len__(self) -> int: ...
