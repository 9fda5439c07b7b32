# The ONNX files of the peers: infer.onnx, train.onnx (by PyTorch) and onnxruntime-training's artifacts.
# Never here: running them.
"""usage: onnx_artifacts.py export NETWORK FOLDER        (an interpreter with torch and edgecl)
onnx_artifacts.py artifacts FOLDER TORCH_SITE  (one with onnxruntime-training; TORCH_SITE: where torch lies)
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

NEWEST_IR = (
    10  # onnxruntime-training 1.19 refuses files that newer onnx packages mark with more; their content is the same
)


def export(name: str, folder: Path) -> None:
    """Exports the network in inference form (folded by the exporter) and in training form (batch-norm kept)."""
    import torch
    from edgecl.cli.bench_networks import INPUT_SHAPE, build

    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    x = torch.randn(2, *INPUT_SHAPE[name])
    network = build(name)
    common: dict[str, Any] = {
        "input_names": ["x"],
        "output_names": ["logits"],
        "dynamic_axes": {"x": {0: "n"}, "logits": {0: "n"}},
        "dynamo": False,
    }
    network.eval()
    torch.onnx.export(network, (x,), folder / "infer.onnx", opset_version=17, **common)
    network.train()
    torch.onnx.export(
        network, (x,), folder / "train.onnx", opset_version=15, training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False, **common,
    )  # fmt: skip


def artifacts(folder: Path, torch_site: str) -> None:
    """Writes training, evaluation and optimizer model and the checkpoint beside train.onnx."""
    sys.path.append(torch_site)  # the artifacts module imports torch; running a step does not
    import onnx
    from onnxruntime.training import artifacts as writer

    model = onnx.load(folder / "train.onnx")
    names = [initializer.name for initializer in model.graph.initializer]
    frozen = [n for n in names if "running_" in n or "num_batches" in n or initializer_is_integer(model, n)]
    trained = [n for n in names if n not in frozen]
    writer.generate_artifacts(
        model, requires_grad=trained, frozen_params=frozen, loss=writer.LossType.CrossEntropyLoss,
        optimizer=writer.OptimType.SGD, artifact_directory=str(folder),
    )  # fmt: skip
    for file in ("training_model", "eval_model", "optimizer_model"):
        written = onnx.load(folder / f"{file}.onnx")
        if written.ir_version > NEWEST_IR:
            written.ir_version = NEWEST_IR
            onnx.save(written, folder / f"{file}.onnx")


def initializer_is_integer(model: object, name: str) -> bool:
    """True for initialisers that no gradient can reach (shapes, axes)."""
    import onnx

    found = next(i for i in model.graph.initializer if i.name == name)  # type: ignore[attr-defined]
    return bool(found.data_type != onnx.TensorProto.FLOAT)


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(sys.argv[2], Path(sys.argv[3]))
    else:
        artifacts(Path(sys.argv[2]), sys.argv[3])
