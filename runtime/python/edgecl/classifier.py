# The learner for Python users: scikit-learn's verbs for arrays, river's for single samples.
# Never here: numerics (the core does them), data sets, torch, scikit-learn.
"""`Classifier`: a model that goes on learning."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.arrays import DTYPES, as_batch, check_copy, row_weights, shape_of, shape_sentence
from edgecl.bundle import Bundle, open_bundle
from edgecl.domains import DomainVerbs
from edgecl.engine import Engine
from edgecl.errors import ArgumentError, BusyError, NotFoundError, ShapeError, StateError
from edgecl.external import EncoderInUse, takes_embeddings
from edgecl.features import FeatureNames
from edgecl.files import read_file, write_file_atomic
from edgecl.labels import Key, balanced_weights, label_keys
from edgecl.merging import StatisticsVerbs, check_device
from edgecl.notes import tell
from edgecl.novelty import NoveltyVerbs
from edgecl.opening import copied_engine, new_engine, restored_engine, saved_engine, threads_of
from edgecl.other_libraries import is_river_classifier, not_fitted, scikit_learn_tags
from edgecl.profile import Profile
from edgecl.raw_range import RangeWatch
from edgecl.recipe_parameters import PARAMETERS, RecipeParameters, refuse_unknown, shows_parameters

if TYPE_CHECKING:
    from typing_extensions import Unpack


@shows_parameters(with_defaults=False)
class Classifier(NoveltyVerbs, StatisticsVerbs, DomainVerbs):
    """Learns classes one after the other from a stream, with the recipe stored in a bundle.

    Constructor parameters are stored as given and validated at first use. None means: as the bundle's recipe says, and
    after `load` as the state says.

    Args:
        bundle: path of a bundle, its bytes, or an opened `Bundle` (shared, not copied).
        max_classes: most classes, at most the bundle's capacity.
        random_state: integer seed 0..2**64-1; None = 0. Equal seeds and calls give equal bits.
        n_threads: threads of one call, {n_threads}. Results do not depend on it.
        copy: "auto" converts arrays where it must; "error" refuses arrays that would have to be copied.
        epochs: passes of `fit` over its rows.
        class_weight: {label: weight 0..1e6} of the classes in the loss; "balanced": in `fit`, weights that are inverse
            to how often a class occurs.
        device: number of this device, 1..2**64-1, where devices are to be merged (`delta`, `merge`); another one for
            each. What a state of another device holds is that one's contribution.
        {parameters}

    Samples are arrays (n, *input dims), frames of numbers, or (one by one) dicts of named features. A bundle with an
    encoder of another engine (`Bundle.encoder`) takes its raw samples, or embeddings (n, dim) where no raw sample has
    dim numbers; the engine must be installed for the former (UnsupportedError). Labels are text,
    integers or truth values: one identity per value, as numpy compares them (1, 1.0 and True are one class), and what
    comes back is of the kind that was handed in.

    Threads: one thread at a time; a second concurrent call raises `BusyError` and changes nothing.
    """

    _estimator_type = "classifier"
    _supervised = _multiclass = True  # river
    _engine: Engine | None = None
    _bundle: Bundle | None = None
    _opened_from: Any = None  # the parameter `bundle` that it was opened from
    _features: FeatureNames
    _lock: threading.RLock  # held by a learning call
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
        epochs: int = 1,
        class_weight: Mapping[Hashable, float] | str | None = None,
        device: int | None = None,
        **recipe: Unpack[RecipeParameters],
    ) -> None:
        refuse_unknown(recipe, type(self).__name__)
        self.bundle = bundle
        self.max_classes = max_classes
        self.random_state = random_state
        self.n_threads = n_threads
        self.copy = copy
        self.epochs = epochs
        self.class_weight = class_weight
        self.device = device
        for name in PARAMETERS:
            setattr(self, name, recipe.get(name))
        self._begin()

    def _begin(self) -> None:
        self._lock, self._opening = threading.RLock(), threading.RLock()
        self._features, self._ranges, self._encoder = FeatureNames(), RangeWatch(), EncoderInUse()
        is_river_classifier(type(self))

    # --- learning ---

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Classifier:
        """Learns the rows in order, in consecutive steps of `batch_size`; labels never seen before grow a class.

        With batch_size=1 the state is bit for bit that of a loop of `learn_one` of such a learner. Nothing is forgotten
        by itself.

        Args:
            X: array (n, *input dims), n >= 1, the bundle's dtype (others are converted once); raw values, the bundle
            normalises; a UserWarning tells when the first ones are far from the range that it expects.
            y: n labels.
            classes: all labels that will come; those not known yet exist from the first step on. None: they come to
            exist with their rows.
            sample_weight: (n,) weights 0..1e6 of the rows in the loss; a row of weight 0 does not enter the buffer.

        Raises:
            ShapeError, DtypeError, NumericError, CapacityError, ArgumentError, BusyError. Each step is all or nothing;
            `n_done` of the exception says how many rows were learned before the one that failed.

        Cost: one forward and backward of batch_size + replayed rows a step, whatever was learned before. A step that
        brings a new class also copies the state once, so that it can be undone.
        """
        with self._learning():
            self._learn_on(X, y, classes, sample_weight)
        return self

    def partial_fit_rows(self, X: Any, y: Any) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """`partial_fit` that also says how each row did in its step, before the update.

        Returns:
            Whether the row's largest logit was its label's, (n,) bool; its loss, (n,) float32. For `DataRemoval`.
        """
        with self._learning():
            reports = self._learn_on(X, y, None, None, want_rows=True)
        return (
            np.concatenate([report["row_correct"] for report in reports]),
            np.concatenate([report["row_loss"] for report in reports]),
        )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Classifier:
        """Forgets everything learned, takes the present parameters, then learns the rows in order, `epochs` times. When
        that fails, what was learned before is back. Classes that the bundle ships stay. Errors and cost: `partial_fit`;
        until it ends there is memory for the old session too."""
        with self._learning(), self._kept_when_it_fails():
            if not isinstance(self.epochs, int) or self.epochs < 1:
                raise ArgumentError(f"expected epochs of at least 1; found {self.epochs!r}; give a number of passes")
            weights = None if sample_weight is None else row_weights(sample_weight, np.asarray(sample_weight).size)
            if weights is not None and not weights.any():
                raise ArgumentError("expected a sample_weight that is not zero; found none; leave sample_weight out")
            with self._opening:  # other threads wait for the new session, or end with the old one
                sent = self._last_version()
                self._close()
                engine = self._open()
                self._begin_versions(sent + 1)
            if self.class_weight == "balanced":
                engine.class_weights = balanced_weights(label_keys(y)[0])
            self._features.frame(X, fitting=True)
            for _ in range(self.epochs):
                self._learn(X, y, None, sample_weight)
        return self

    def learn_one(self, x: Any, y: Hashable, w: float = 1.0) -> None:
        """One step from one sample: an array of the input's dims, or a dict of its features. `w`: weight of the row.
        Errors and cost: `partial_fit`."""
        self.partial_fit(self._sample(x), [y], sample_weight=None if w == 1.0 else [w])

    def remember(self, X: Any, y: Any) -> Classifier:
        """Puts rows of known classes into the replay buffer without a step, as if they had been learned: for a bundle
        that ships classes and is to learn others. All or nothing. Hand in the data that it was trained on, or a sample
        of them: in a reservoir new classes then get the share of the buffer that they have of all rows, with
        replay_policy="class_balanced" that of their number.

        Raises:
            NotFoundError: a label that is not among `classes_`. UnsupportedError: no buffer. ShapeError, DtypeError,
            NumericError, ArgumentError, BusyError. Cost: a forward pass a row where the buffer keeps logits (DER++) or
            activations, else a copy.
        """
        with self._learning():
            engine = self._open()
            x, keys, kind = self._rows(X, y)
            engine.known_codes(keys)
            engine.remember(x, keys, kind)
        return self

    def rehearse(self, n_steps: int) -> dict[str, Any]:
        """k-FPF (Zhao et al. 2023): n_steps steps on exemplars alone that update head and normalisations alone.

        Returns:
            {"done", "mean_loss"}; done is 0 with an empty buffer.

        Raises:
            UnsupportedError (no buffer), NumericError. Cost: a forward pass of replay_batch rows a step, and the part
            of a backward pass down to the lowest normalisation.
        """
        return self._open().session.rehearse(n_steps)

    def begin_task(self) -> None:
        """The next task begins: structures of sparse layers expand, gradient masks are chosen anew. The first task
        needs no such call."""
        self._open().session.begin_task()

    def forget(self, label: Hashable) -> dict[str, Any]:
        """Unlearns a class: its head column, its exemplars and its counts are gone, and `classes_` loses the entry. The
        column serves again when all others are taken.

        Returns:
            {"label", "samples_learned", "exemplars_dropped", "shared_parameters", "rows_of_others"}:
            shared_parameters is how many trainable parameter tensors besides the head's saw the class; their weights
            still carry its influence. rows_of_others came by `merge`: with these the class stays until their devices
            forget it, too.

        Raises:
            NotFoundError: no such class. UnsupportedError: a head that keeps statistics and cannot take it out (rows
            that are not in the bank, or are all of other devices).
        """
        with self._learning():
            engine = self._open()
            key = label_keys([label])[0][0]
            code = engine.table.find(key)
            if code is None:
                raise NotFoundError(
                    f"expected one of {engine.table.classes.tolist()}; found {label!r}; nothing was removed"
                )
            record = next(r for r in engine.session.classes() if r["label"] == code)
            engine.forget(key)
        bundle = self._opened()
        head = (bundle.info["head_weight"], bundle.info["head_bias"])
        shared = [layer for index, layer in enumerate(bundle.layers) if layer["trainable"] and index not in head]
        by_gradient = engine.session.head() is None
        return {
            "label": label,
            "samples_learned": int(record["samples_seen"]),
            "exemplars_dropped": int(record["replay_samples"]),
            "shared_parameters": len(shared) if by_gradient else 0,
            "rows_of_others": int(record["rows_merged"]),
        }

    # --- using it ---

    def predict(self, X: Any, return_decision: bool = False) -> Any:
        """Most likely label of each row, (n,); with `return_decision` also the `Decision` of each. Cost: one forward
        pass a row, with decisions two.

        Raises:
            SequenceError: no class yet. ShapeError, DtypeError, NumericError.
        """
        engine = self._with_classes()
        x = self._batch(X)
        codes, _, _ = engine.session.predict(x)
        table = engine.table
        place = np.zeros(max(table.codes) + 1, np.int64)
        place[table.codes] = np.arange(len(table.codes))
        labels = table.classes[place[codes]]
        return (labels, engine.session.decide(x)) if return_decision else labels

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Softmax over the classes present, (n, len(classes_)) float32, columns in the order of `classes_`. The core
        computes it, so the bits are the same on every machine."""
        engine = self._with_classes()
        shares = engine.session.probabilities(self._batch(X))
        return shares[:, engine.table.codes]

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Logits of the classes present, (n, len(classes_)) float32; with two classes the second's minus the first's,
        (n,), as scikit-learn has it."""
        logits = self.logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def logits(self, X: Any) -> NDArray[np.float32]:
        """Logits of the classes present, (n, len(classes_)) float32."""
        engine = self._with_classes()
        logits = engine.session.logits(self._batch(X))
        return logits[:, engine.table.codes]

    def embed(self, X: Any) -> NDArray[np.float32]:
        """Input of the head, (n, embedding_dim). UnsupportedError when the model has no separate head."""
        return self._open().session.embed(self._batch(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows whose predicted label equals `y`, 0..1; labels never learned count as wrong.

        Raises:
            ShapeError: no rows, or not one label a row. ArgumentError: weights that are none, or all 0.
        """
        predicted = self.predict(X)
        if len(predicted) == 0:
            raise ShapeError("expected at least one row to score; found none; hand in some")
        wanted, _ = label_keys(y, len(predicted))
        weights = row_weights(sample_weight, len(predicted))
        hits = np.array([p == w for p, w in zip(label_keys(predicted)[0], wanted, strict=True)], np.float64)
        if weights is not None and not weights.sum() > 0:
            raise ArgumentError("expected a sample_weight above 0; found none; leave sample_weight out")
        return float(np.average(hits, weights=weights))

    def predict_one(self, x: Any) -> Any:
        """Label of one sample, an array of the input's dims or a dict of its features; None before the first class."""
        engine = self._open()
        if not engine.table.codes:
            return None
        codes, _, _ = engine.session.predict(self._batch(self._sample(x)))
        return engine.table.label(int(codes[0]))

    def predict_proba_one(self, x: Any) -> dict[Any, float]:
        """{label: probability} of one sample; empty before the first class."""
        engine = self._open()
        if not engine.table.codes:
            return {}
        row = self.predict_proba(self._sample(x))[0]
        return dict(zip(engine.table.classes.tolist(), map(float, row), strict=True))

    @property
    def n_features_in_(self) -> int:
        """Numbers in one sample."""
        return int(self._opened_or_none().samples["input_elements"])

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns, when the last `fit` got a frame with names."""
        if self._features.names is None:
            raise AttributeError("feature_names_in_")
        return np.array(self._features.names, dtype=object)

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels in ascending order, those that the bundle ships included."""
        self._opened_or_none()
        return self._open().table.classes

    # --- state ---

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the state (.ecs) atomically; an older file survives any failure. Class names are in it as text.

        Raises:
            FileError.
        """
        write_file_atomic(path, self._open().session.state_export())

    def to_bytes(self) -> bytes:
        """The bytes that `save` writes."""
        return self._open().session.state_export()

    def load(self, path: str | os.PathLike[str] | bytes) -> Classifier:
        """Takes over a saved state, a file or its bytes, all or nothing, and goes on as it learned: method, rates,
        seed, batch size, most classes and labels are those of the state.

        What this learner was given must agree with the state. Three parameters may differ, which a UserWarning tells: a
        `learning_rate` and a `batch_size` given win over the state's; the seed stays the state's.

        Raises:
            FileError; StateError (corrupt, of another bundle, or learned with other parameters than those given): the
            learner is as it was.
        """
        data = path if isinstance(path, bytes) else read_file(path)
        with self._learning():
            check_device(self.device)
            self._engine = restored_engine(self, self._opened(), data)
            self._saved = None
        return self

    def state_digest(self) -> str:
        """SHA-256 of the state in hex: equal digests mean equal learners."""
        return self._open().session.state_digest()

    def stats(self) -> dict[str, int]:
        """Counters of `edgecl_stats`: steps, samples_learned, replay_fill, arena_bytes, macs_learn, ..."""
        return self._open().session.stats()

    def state_bytes(self) -> int:
        """Bytes that `save` would write now."""
        return len(self._open().session.state_export())

    def bundle_info(self) -> dict[str, Any]:
        """`Bundle.info` of the bundle in use."""
        return self._opened().info

    def config(self) -> dict[str, Any]:
        """The configuration in force (fields of edgecl_session_config): the recipe of the bundle with this learner's
        parameters on top; seed and learning rate are those of the state, also after `load`."""
        return self._open().session.config

    def sizes(self) -> dict[str, int]:
        """Bytes of this learner by purpose; see `Bundle.sizes`."""
        return self._open().session.sizes()

    @contextmanager
    def profile(self, capacity: int = 65536) -> Iterator[Profile]:
        """Times every operator of the calls inside the `with` block.

        Args:
            capacity: most events kept.
        """
        session, record = self._open().session, Profile(self._opened().ops)
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
            check_copy(params["copy"])
        if self._engine is not None and params.get("learning_rate") is not None:
            self._engine.session.set_learning_rate(params["learning_rate"])
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def clone(self) -> Classifier:
        """A new learner with the same parameters and nothing learned."""
        return type(self)(**self.get_params())

    def __getstate__(self) -> dict[str, Any]:
        saved = self._saved
        if self._engine is not None:
            saved = {**saved_engine(self._engine), "digest": self._opened().digest}
        given = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {"given": given, "saved": saved, "features": self._features.names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._begin()
        vars(self).update(state["given"])
        self._saved = state["saved"]
        self._features.names = state["features"]

    def __sklearn_is_fitted__(self) -> bool:
        return self._saved is not None or (self._engine is not None and bool(self._engine.table.codes))

    def __sklearn_tags__(self) -> Any:
        return scikit_learn_tags()

    def __repr__(self) -> str:
        given = {k: v for k, v in self.get_params().items() if v is not None and k != "bundle"}
        source = "<bytes>" if isinstance(self.bundle, bytes) else repr(self.bundle)
        return f"Classifier({source}, " + ", ".join(f"{k}={v!r}" for k, v in given.items()) + ")"

    # --- inside ---

    @contextmanager
    def _learning(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise BusyError(
                "expected one learning call at a time; found another thread in one; give each thread its own Classifier"
            )
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _kept_when_it_fails(self) -> Iterator[None]:
        before = self._engine, self._bundle, self._opened_from, self._saved, self._features.names
        try:
            yield
        except BaseException:
            with self._opening:
                self._engine, self._bundle, self._opened_from, self._saved, self._features.names = before
            raise

    def _learn_on(
        self, X: Any, y: Any, classes: Any, sample_weight: Any, want_rows: bool = False
    ) -> list[dict[str, Any]]:
        if self.class_weight == "balanced":
            raise ArgumentError(
                "expected class_weight as {label: weight} for partial_fit, which does not know the rows to come; found "
                "'balanced'; use fit, or give the weights"
            )
        return self._learn(X, y, classes, sample_weight, want_rows)

    def _learn(self, X: Any, y: Any, classes: Any, sample_weight: Any, want_rows: bool = False) -> list[dict[str, Any]]:
        engine = self._open()
        x, keys, kind = self._rows(X, y)
        weights = row_weights(sample_weight, len(x))
        declared: list[Key] = []
        if classes is not None:
            declared, declared_kind = label_keys(classes, what="classes")
            unknown = [key for key in dict.fromkeys(keys) if key not in set(declared)]
            if unknown:
                raise ArgumentError(
                    f"expected labels among classes={list(declared)[:10]}; found {unknown[:5]}; name all classes, or "
                    "leave `classes` out"
                )
            kind = max(kind, declared_kind)
        reports = engine.learn(x, keys, kind, weights, sorted(set(declared)), want_rows)
        for report in reports:
            if report["note"]:
                tell(report["note"])
        return reports

    def _rows(self, X: Any, y: Any) -> tuple[NDArray[Any], list[Key], int]:
        x = self._batch(X)
        if len(x) == 0:
            raise ShapeError(f"expected at least one row to learn; found shape {x.shape}; skip empty batches")
        return x, *label_keys(y, len(x))

    def _sample(self, x: Any) -> Any:
        if isinstance(x, Mapping):
            return self._features.sample(x, self.n_features_in_)[None]
        return np.asarray(x)[None]

    def _batch(self, X: Any) -> NDArray[Any]:
        bundle = self._opened()
        given = self._features.frame(X, fitting=False)
        if bundle.encoder is not None and takes_embeddings(bundle.encoder, shape_of(given)):
            return as_batch(given, np.float32, self.copy)
        x = as_batch(given, DTYPES[bundle.samples["input_dtype"]], self.copy)
        if x.ndim == 0 or x.size != len(x) * self.n_features_in_:
            raise ShapeError(shape_sentence(bundle.samples, x.shape, type(self).__name__, bundle.encoder))
        self._ranges.look(bundle, x)
        return x if bundle.encoder is None else self._encoder.of(bundle, threads_of(self.n_threads)).embed(x)

    def _source(self) -> Any:
        # Where the bundle comes from.
        return self.bundle

    def _opened_or_none(self) -> Bundle:
        if self._source() is None:  # a property of an estimator that has none yet does not exist
            raise AttributeError("expected a bundle; found None; hand one to the constructor")
        return self._opened()

    def _opened(self) -> Bundle:
        with self._opening:
            if self._bundle is None:
                source = self._source()
                self._bundle = source if isinstance(source, Bundle) else open_bundle(source)
                self._opened_from = source
            return self._bundle

    def _open(self) -> Engine:
        engine = self._engine
        if engine is not None:
            return engine
        with self._opening:  # two threads that come first at the same time get one session
            if self._engine is None:
                self._engine = self._opened_engine()
            return self._engine

    def _opened_engine(self) -> Engine:
        check_copy(self.copy)
        check_device(self.device)
        bundle = self._opened()
        if self._saved is None:
            return new_engine(self, bundle)
        if self._saved["digest"] != bundle.digest:
            raise StateError(
                f"expected the bundle {self._saved['digest'][:12]} that this learner was pickled with; found "
                f"{bundle.digest[:12]}; put the original bundle back",
                status=-41,
            )
        engine = copied_engine(self, bundle, self._saved)
        self._saved = None
        return engine

    def _close(self) -> None:
        # The session goes when the last call that uses it ends.
        with self._opening:
            self._engine = self._bundle = self._saved = None

    def _with_classes(self) -> Engine:
        engine = self._open() if self._source() is not None else None
        if engine is None or not engine.table.codes:
            raise not_fitted(
                "expected at least one learned class; found none; learn one first (partial_fit, or `edgecl learn`)"
            )
        return engine
