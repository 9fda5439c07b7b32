# Scores of other libraries on the features that our scores see.
# Never here: our scores.
"""`peer_difference` (pytorch-ood) and `hd_difference` (torchhd): None where the package is not installed."""

from __future__ import annotations

import importlib.util

import numpy as np
from edgecl import Classifier
from novelty_data import Pair
from numpy.typing import NDArray

NEIGHBOURS, SHRINKAGE = 10, 0.3
LARGEST_STEP = 16383  # of an embedding in fixed point
F64 = NDArray[np.float64]


def in_steps(learner: Classifier, x: NDArray[np.float32]) -> F64:
    """Embeddings in the steps in which the head counts them."""
    step = learner.config()["feature_range"] / LARGEST_STEP
    return np.asarray(np.rint(learner.embed(x).astype(np.float64) / step) * step)


def peer_difference(learner: Classifier, score: str, pair: Pair) -> float | None:
    """Largest difference of a score from pytorch-ood's, for the spread of the scores. rmds: its detector without
    shrinkage, given our two covariances."""
    if importlib.util.find_spec("pytorch_ood") is None:
        return None
    import torch
    from pytorch_ood.detector import KNN, RMD, EnergyBased, MaxLogit

    at = np.concatenate([pair.x_like, pair.x_other])
    ours = learner.ood_score(at).astype(np.float64)
    if score in ("max_logit", "energy"):
        logits = torch.tensor(learner.logits(at).astype(np.float64))
        theirs = (MaxLogit if score == "max_logit" else EnergyBased).score(logits)
    elif score == "knn":
        z, y = torch.tensor(in_steps(learner, pair.x_train)), torch.tensor(pair.y_train)
        theirs = KNN(None, k=NEIGHBOURS).fit_features(z, y).predict_features(torch.tensor(in_steps(learner, at)))
    else:
        z, y = torch.tensor(in_steps(learner, pair.x_train)), torch.tensor(pair.y_train)
        means = torch.stack([z[y == c].mean(0) for c in range(int(y.max()) + 1)])
        within = (z - means[y]).T @ (z - means[y]) / len(z)
        identity = torch.eye(len(within), dtype=z.dtype)
        within = (1 - SHRINKAGE) * within + SHRINKAGE * within.trace() / len(within) * identity
        centred = means[y] - z.mean(0)
        detector = RMD(None).fit_features(z, y)
        detector.mu, detector.background_mu = means, z.mean(0)
        detector.precision = torch.linalg.inv(within)
        detector.background_precision = torch.linalg.inv(within + centred.T @ centred / len(z))
        theirs = detector.predict_features(torch.tensor(learner.embed(at).astype(np.float64)))
    found = theirs.numpy().astype(np.float64)
    return float(np.abs(ours - found).max() / np.ptp(found))


def hd_difference(learner: Classifier, pair: Pair) -> float | None:
    """Largest difference of a novelty score from torchhd's dot similarity to the signs of its bundles of our codes,
    where a bundle of 0 takes our tie-breaking sign."""
    if importlib.util.find_spec("torchhd") is None or importlib.util.find_spec("edgecl_kernels") is None:
        return None
    import edgecl_kernels
    import torch
    import torchhd

    config = learner.config()
    bits = config["hd_bits"] or 4096

    def signs(words: NDArray[np.uint64]) -> torch.Tensor:
        return torch.tensor(2.0 * np.unpackbits(words.view(np.uint8), axis=1, bitorder="little") - 1)

    def codes(x: NDArray[np.float32]) -> torch.Tensor:
        features, _ = edgecl_kernels.quantize_rows(learner.embed(x), LARGEST_STEP / config["feature_range"])
        return signs(edgecl_kernels.hd_encode(features, bits, 0))

    trained = codes(pair.x_train)
    classes = range(int(pair.y_train.max()) + 1)
    counters = torch.stack([torchhd.multiset(torchhd.MAPTensor(trained[pair.y_train == c])) for c in classes])
    ties = signs(edgecl_kernels.hd_signs(np.zeros((1, bits), np.int32), 0))
    exemplars = torchhd.MAPTensor(torch.where(counters == 0, ties, torch.sign(counters)))
    at = np.concatenate([pair.x_like, pair.x_other])
    similar = torchhd.dot_similarity(torchhd.MAPTensor(codes(at)), exemplars) / bits
    return float(np.abs(learner.ood_score(at) + similar.numpy().max(1)).max())
