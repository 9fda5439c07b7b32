# The learner for Python users: scikit-learn's verbs for arrays, river's for single samples.
# Never here: numerics (the core does them), data sets, torch, scikit-learn.
"""`Classifier`: a model that goes on learning."""

from __future__ import annotations

import inspect
import itertools
import os
import threading
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl import _core
from edgecl.arrays import DTYPES, as_batch
from edgecl.bundle import Bundle, open_bundle
from edgecl.errors import ArgumentError, BusyError, Error, NotFoundError, SequenceError, ShapeError, StateError
from edgecl.files import read_file, write_file_atomic
from edgecl.labels import LabelMap, class_name, label_array, label_list
from edgecl.methods import method_settings
from edgecl.profile import Profile
from edgecl.recipe_parameters import PARAMETERS, RecipeParameters, refuse_unknown, shows_parameters

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Constructor parameters that have another name among the fields of a session's configuration.
_CONFIG_FIELDS = {"max_classes": "max_classes", "random_state": "seed", "batch_size": "max_batch"}


@shows_parameters(with_defaults=False)
class Classifier:
    """Learns classes one after the other from a stream, with the recipe stored in a bundle.

    Constructor parameters are stored as given and validated at first use. None means: as the bundle's recipe says.

    Args:
        bundle: path of a bundle, its bytes, or an opened `Bundle` (shared, not copied).
        max_classes: most classes, at most the bundle's capacity.
        random_state: integer seed 0..2**64-1; None = 0. Equal seeds and calls give equal bits.
        n_threads: threads of one call, -1 = all processors. Results do not depend on it.
        copy: "auto" converts arrays where it must; "error" refuses arrays that would have to be copied.
        {parameters}

    Threads: one thread at a time; a second concurrent call raises `BusyError` and changes nothing.
    """

    _estimator_type = "classifier"
    _session: _core.Session | None = None
    _bundle: Bundle | None = None
    _opened_from: Any = None  # the parameter `bundle` that it was opened from
    _labels: LabelMap
    _lock: threading.Lock  # held by a learning call
    _opening: threading.RLock  # held while bundle and session come to be or go
    _saved: dict[str, Any] | None = None  # what a pickle brought; imported when the session opens

    method: str | None
    learning_rate: float | None

    def __init__(
        self,
        bundle: str | os.PathLike[str] | bytes | Bundle,
        *,
        max_classes: int | None = None,
        random_state: int | None = None,
        n_threads: int = 1,
        copy: str = "auto",
        **recipe: Unpack[RecipeParameters],
    ) -> None:
        refuse_unknown(recipe, type(self).__name__)
        self.bundle = bundle
        self.max_classes = max_classes
        self.random_state = random_state
        self.n_threads = n_threads
        self.copy = copy
        for name in PARAMETERS:
            setattr(self, name, recipe.get(name))
        self._make_locks()

    def _make_locks(self) -> None:
        self._lock, self._opening = threading.Lock(), threading.RLock()

    # --- learning ---

    def partial_fit(self, X: Any, y: Any) -> Classifier:
        """Learns the rows in order, in consecutive steps of `batch_size`; labels never seen before grow a class.

        With batch_size=1 the state is bit for bit that of a loop of `learn_one`. Nothing is forgotten by itself.

        Args:
            X: array (n, *input dims), n >= 1, the bundle's dtype (others are converted once); raw values, the bundle
            normalises.
            y: n hashable labels.

        Raises:
            ShapeError, DtypeError, NumericError, CapacityError, ArgumentError, BusyError. Each step is all or nothing;
            `n_done` of the exception says how many rows were learned before the one that failed.

        Cost: one forward and backward of batch_size + replayed rows a step, whatever was learned before. A step that
        brings a new class also copies the state once, so that it can be undone.
        """
        self._learn(X, y, None)
        return self

    def partial_fit_rows(self, X: Any, y: Any) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """`partial_fit` that also says how each row did in its step, before the update.

        Returns:
            Whether the row's largest logit was its label's, (n,) bool; its loss, (n,) float32. For `DataRemoval`.
        """
        reports: list[dict[str, Any]] = []
        self._learn(X, y, reports)
        return (
            np.concatenate([report["row_correct"] for report in reports]),
            np.concatenate([report["row_loss"] for report in reports]),
        )

    def rehearse(self, n_steps: int) -> dict[str, Any]:
        """k-FPF (Zhao et al. 2023): n_steps steps on exemplars alone that update head and normalisations alone.

        Returns:
            {"done", "mean_loss"}; done is 0 with an empty buffer.

        Raises:
            UnsupportedError (no buffer), NumericError. Cost: a forward pass of replay_batch rows a step, and the part
            of a backward pass down to the lowest normalisation.
        """
        return self._open().rehearse(n_steps)

    def _learn(self, X: Any, y: Any, reports: list[dict[str, Any]] | None) -> None:
        session = self._open()
        x, labels = self._rows(X, y)
        if not self._lock.acquire(blocking=False):
            raise BusyError(
                "expected one learning call at a time; found another thread in one; give each thread its own Classifier"
            )
        try:
            self._learn_rows(session, x, labels, reports)
        finally:
            self._lock.release()

    def _rows(self, X: Any, y: Any) -> tuple[NDArray[Any], list[Hashable]]:
        x = self._batch(X)
        if x.ndim == 0 or len(x) == 0:
            raise ShapeError(f"expected at least one row to learn; found shape {x.shape}; skip empty batches")
        if x.size != len(x) * self.n_features_in_:
            raise ShapeError(
                f"expected samples of {self.n_features_in_} numbers; found shape {x.shape}; reshape the array (one "
                "sample alone needs a leading axis of 1)"
            )
        return x, label_list(y, len(x))

    def fit(self, X: Any, y: Any) -> Classifier:
        """Forgets everything learned, takes the present parameters, then `partial_fit` in row order. What was learned
        is kept when `X` and `y` do not fit each other or the bundle. Errors and cost: `partial_fit`."""
        if self._bundle is not None and self._opened_from is self.bundle:
            self._rows(X, y)
        self._close()
        return self.partial_fit(X, y)

    def learn_one(self, x: Any, y: Hashable) -> None:
        """One step from one sample of the input's dims. Errors and cost: `partial_fit`."""
        self.partial_fit(np.asarray(x)[None], [y])

    def begin_task(self) -> None:
        """The next task begins: structures of sparse layers expand, gradient masks are chosen anew. The first task
        needs no such call."""
        self._open().begin_task()

    def forget(self, label: Hashable) -> dict[str, Any]:
        """Unlearns a class: its head column, its exemplars and its counts are gone; `classes_` loses the entry and
        keeps its order.

        Returns:
            {"label", "samples_learned", "exemplars_dropped", "shared_parameters"}: the last is how many trainable
            parameter tensors besides the head's saw the class; their weights still carry its influence. The column is
            not issued again.

        Raises:
            NotFoundError: no such class.
        """
        session = self._open()
        code = self._labels.find(label)
        if code is None:
            raise NotFoundError(f"expected one of {self._labels.labels}; found {label!r}; nothing was removed")
        record = next(r for r in session.classes() if r["label"] == code)
        session.class_forget(code)
        self._labels.remove(code)
        bundle = self._opened()
        head = (bundle.info["head_weight"], bundle.info["head_bias"])
        shared = [layer for index, layer in enumerate(bundle.layers) if layer["trainable"] and index not in head]
        return {
            "label": label,
            "samples_learned": int(record["samples_seen"]),
            "exemplars_dropped": int(record["replay_samples"]),
            "shared_parameters": len(shared),
        }

    # --- using it ---

    def predict(self, X: Any) -> NDArray[Any]:
        """Most likely label of each row, (n,). Cost: one forward pass a row.

        Raises:
            SequenceError: no class yet. ShapeError, DtypeError, NumericError.
        """
        session = self._with_classes()
        codes, _, _ = session.predict(self._batch(X))
        known = self._labels.codes
        table = label_array(self._labels.labels)
        return table[np.searchsorted(known, codes)]

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Softmax over the classes present, (n, len(classes_)) float32, columns in the order of `classes_`. The core
        computes it, so the bits are the same on every machine."""
        session = self._with_classes()
        return session.probabilities(self._batch(X))[:, self._labels.codes]

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Logits of the classes present, (n, len(classes_)) float32."""
        session = self._with_classes()
        return session.logits(self._batch(X))[:, self._labels.codes]

    def embed(self, X: Any) -> NDArray[np.float32]:
        """Input of the head, (n, embedding_dim). UnsupportedError when the model has no separate head."""
        return self._open().embed(self._batch(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows whose predicted label equals `y`, 0..1; labels never learned count as wrong."""
        predicted = self.predict(X).tolist()
        wanted = label_list(y, len(predicted))
        hits = np.fromiter(
            (p == w for p, w in zip(predicted, wanted, strict=True)), dtype=np.float64, count=len(wanted)
        )
        return float(np.average(hits, weights=sample_weight))

    def predict_one(self, x: Any) -> Hashable:
        """Label of one sample."""
        session = self._with_classes()
        codes, _, _ = session.predict(self._batch(np.asarray(x)[None]))
        return self._labels.label(int(codes[0]))

    def predict_proba_one(self, x: Any) -> dict[Hashable, float]:
        """{label: probability} of one sample."""
        row = self.predict_proba(np.asarray(x)[None])[0]
        return dict(zip(self._labels.labels, map(float, row), strict=True))

    @property
    def n_features_in_(self) -> int:
        """Numbers in one sample."""
        return int(self._opened().info["input_elements"])

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels in order of first appearance, never sorted; those that the bundle ships come first."""
        self._open()
        return label_array(self._labels.labels)

    # --- state ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state (.ecs) atomically; an older file survives any failure. Class names are in it as text.

        Raises:
            FileError.
        """
        write_file_atomic(path, self._open().state_export())

    def load(self, path: str | os.PathLike[str]) -> Classifier:
        """Takes over a saved state, all or nothing.

        Labels come back as int where their text is an integer and as str otherwise, until the same label is handed in
        again. The state brings its own seed and learning rate, and `config` shows them. A `learning_rate` given to this
        learner wins over the state's. The seed is the state's; a `random_state` that differs from it is told by a
        UserWarning.

        Raises:
            FileError; StateError (corrupt, or of another bundle or configuration): the learner is as it was.
        """
        data = read_file(path)
        session = self._open()
        session.state_import(data)
        self._labels = LabelMap.from_classes(session.classes(), self._labels.bound)
        self._apply_learning_rate(session)
        seed = session.config["seed"]
        if self.random_state is not None and self.random_state != seed:
            warnings.warn(
                f"expected a state of random_state={self.random_state}; found one of seed {seed}, which is now in "
                f"force; give random_state={seed} or none",
                stacklevel=2,
            )
        return self

    def state_digest(self) -> str:
        """SHA-256 of the state in hex: equal digests mean equal learners."""
        return self._open().state_digest()

    def stats(self) -> dict[str, int]:
        """Counters of `edgecl_stats`: steps, samples_learned, replay_fill, arena_bytes, macs_learn, ..."""
        return self._open().stats()

    def state_bytes(self) -> int:
        """Bytes that `save` would write now."""
        return len(self._open().state_export())

    def bundle_info(self) -> dict[str, Any]:
        """`Bundle.info` of the bundle in use."""
        return self._opened().info

    def config(self) -> dict[str, Any]:
        """The configuration in force (fields of edgecl_session_config): the recipe of the bundle with this learner's
        parameters on top; seed and learning rate are those of the state, also after `load`."""
        return self._open().config

    def sizes(self) -> dict[str, int]:
        """Bytes of this learner by purpose; see `Bundle.sizes`."""
        return self._open().sizes()

    @contextmanager
    def profile(self, capacity: int = 65536) -> Iterator[Profile]:
        """Times every operator of the calls inside the `with` block.

        Args:
            capacity: most events kept.
        """
        session = self._open()
        record = Profile(self._opened().ops)
        session.profile_start(capacity)
        try:
            yield record
        finally:
            record.events = session.profile_stop()

    # --- parameters, in scikit-learn's manner ---

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor parameters by name, as they were given."""
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    def set_params(self, **params: Any) -> Classifier:
        """Changes constructor parameters. `learning_rate` and `copy` act at once; the rest at the next `fit`, or before
        first use.

        Raises:
            ArgumentError: no such parameter, or a value that acts at once is not valid; nothing is changed.
        """
        known = self.get_params()
        unknown = sorted(set(params) - set(known))
        if unknown:
            raise ArgumentError(f"expected parameters among {sorted(known)}; found {unknown}; check the spelling")
        if "copy" in params:
            _check_copy(params["copy"])
        if self._session is not None and params.get("learning_rate") is not None:
            self._session.set_learning_rate(params["learning_rate"])
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def clone(self) -> Classifier:
        """A new learner with the same parameters and nothing learned."""
        return type(self)(**self.get_params())

    def __getstate__(self) -> dict[str, Any]:
        saved = self._saved
        if self._session is not None:
            saved = {
                "state": self._session.state_export(),
                "labels": self._labels.bound,
                "digest": self._opened().digest,
            }
        return {"params": self.get_params(), "saved": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._make_locks()
        for name, value in state["params"].items():
            setattr(self, name, value)
        self._saved = state["saved"]

    def __sklearn_is_fitted__(self) -> bool:
        return self._saved is not None or (self._session is not None and bool(self._labels.codes))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            transformer_tags=None,
            classifier_tags=ClassifierTags(),
            regressor_tags=None,
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )

    def __repr__(self) -> str:
        given = {k: v for k, v in self.get_params().items() if v is not None and k != "bundle"}
        source = "<bytes>" if isinstance(self.bundle, bytes) else repr(self.bundle)
        return f"Classifier({source}, " + ", ".join(f"{k}={v!r}" for k, v in given.items()) + ")"

    # --- inside ---

    def _opened(self) -> Bundle:
        with self._opening:
            if self._bundle is None:
                self._bundle = self.bundle if isinstance(self.bundle, Bundle) else open_bundle(self.bundle)
                self._opened_from = self.bundle
            return self._bundle

    def _open(self) -> _core.Session:
        with self._opening:  # two threads that come first at the same time get one session
            if self._session is None:
                self._open_session()
            assert self._session is not None
            return self._session

    def _open_session(self) -> None:
        _check_copy(self.copy)
        bundle = self._opened()
        given = {
            _CONFIG_FIELDS.get(name, name): getattr(self, name)
            for name in (*PARAMETERS, *_CONFIG_FIELDS)
            if getattr(self, name) is not None
        }
        named = {} if self.method is None else method_settings(self.method)
        config = {**named, **given, **({"method": named["method"]} if named else {})}
        n_threads = (os.cpu_count() or 1) if self.n_threads == -1 else self.n_threads
        session = _core.Session(
            bundle.model, n_threads=min(n_threads, 64) if self.n_threads == -1 else n_threads, **config
        )
        bound: dict[str, Hashable] = {}
        if self._saved is not None:
            if self._saved["digest"] != bundle.digest:
                raise StateError(
                    f"expected the bundle {self._saved['digest'][:12]} that this learner was pickled with; found "
                    f"{bundle.digest[:12]}; "
                    "put the original bundle back",
                    status=-41,
                )
            session.state_import(self._saved["state"])
            self._apply_learning_rate(session)
            bound = self._saved["labels"]
        self._labels = LabelMap.from_classes(session.classes(), bound)
        self._session, self._saved = session, None

    def _apply_learning_rate(self, session: _core.Session) -> None:
        if self.learning_rate is not None:
            session.set_learning_rate(self.learning_rate)

    def _close(self) -> None:
        with self._opening:
            if self._session is not None:
                self._session.close()
            self._session = self._bundle = self._saved = None

    def _with_classes(self) -> _core.Session:
        session = self._open()
        if not self._labels.codes:
            raise SequenceError(
                "expected at least one learned class; found none; learn one first (partial_fit, or `edgecl learn`)"
            )
        return session

    def _batch(self, X: Any) -> NDArray[Any]:
        return as_batch(X, DTYPES[self._opened().info["input_dtype"]], self.copy)

    def _learn_rows(
        self,
        session: _core.Session,
        x: NDArray[Any],
        labels: list[Hashable],
        reports: list[dict[str, Any]] | None,
    ) -> None:
        # reports: None, or takes the report of each call, with its rows.
        step = int(session.config["max_batch"])
        labels_before = self._labels.copy()
        known: dict[Hashable, int] = {}
        for label in dict.fromkeys(labels):
            code = self._labels.find(label)
            if code is not None:
                known[label] = code
                self._labels.bind(label, code)
        codes = np.fromiter(map(known.get, labels, itertools.repeat(-1)), dtype=np.int32, count=len(labels))
        rows_of_new: dict[Hashable, list[int]] = {}
        for row in np.flatnonzero(codes < 0).tolist():
            rows_of_new.setdefault(labels[row], []).append(row)
        # Steps that bring a new class are taken one by one, because the class must come to exist with its first step
        # and not before: else a batch would not equal a loop over its rows.
        growing = sorted({rows[0] // step * step for rows in rows_of_new.values()})
        row = 0
        try:
            for start in [*growing, len(x)]:
                if row < start:
                    report = session.learn_many(x[row:start], codes[row:start], step, want_rows=reports is not None)
                    if reports is not None:
                        reports.append(report)
                    row = start
                if start < len(x):
                    stop = min(start + step, len(x))
                    new = {label: rows for label, rows in rows_of_new.items() if start <= rows[0] < stop}
                    report = self._learn_growing(session, x[start:stop], codes, slice(start, stop), new)
                    if reports is not None:
                        reports.append(report)
                    row = stop
        except Error as error:
            error.n_done = row + (error.n_done or 0)
            if error.n_done == 0:
                self._labels = labels_before
            else:
                error.args = (f"{error} ({error.n_done} rows were learned before; samples are counted after them)",)
            raise

    def _learn_growing(
        self,
        session: _core.Session,
        x: NDArray[Any],
        codes: NDArray[np.int32],
        part: slice,
        new: dict[Hashable, list[int]],
    ) -> dict[str, Any]:
        before, labels_before = session.state_export(), self._labels.copy()
        try:
            for label, rows in new.items():
                code = session.class_add(class_name(label))
                self._labels.bind(label, code)
                codes[rows] = code
            return session.learn(x, codes[part], want_rows=True)
        except BaseException:  # also an interrupt: no class without a row
            session.state_import(before)
            self._labels = labels_before
            raise


def _check_copy(copy: Any) -> None:
    if copy not in ("auto", "error"):
        raise ArgumentError(f"expected copy='auto' or 'error'; found {copy!r}; choose one of them")
