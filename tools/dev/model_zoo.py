"""Exports many networks that people have, frozen under a new head and trainable as a whole, and checks each.

usage: python tools/dev/model_zoo.py [NAME ...] [--sources own,torchvision,timm] [--json FILE] [--seconds N]

Each network has random weights and settled batch-norm statistics and runs in a process of its own. `frozen`: the
encoder under a fresh head of ten columns (trainable='head'); `whole`: everything learns ("partly": some weights are
fixed, which the export names; "plain": weights that the network computes learn as plain ones). Of each: worst
difference of logits from PyTorch as a share of the output scale, beside PyTorch's own distance from float64; for
`whole` the same after three SGD steps on eight rows, PyTorch's twin holding what is fixed here; export seconds, peak
memory over that of the imports, bundle bytes over those of the parameters.
Rows of networks that FILE has and this run does not stay.
Steps tell more than rounding where a value lies within rounding of a bend (ReLU, the largest of a pool): it tips, and a
gradient is another one. So where ours are far off, copies of the network in float64 take the same steps from weights
that are moved by about one rounding of float32; how far the farthest of them lands is `steps_moved`.
torchvision and timm are no dependencies: point PYTHONPATH at them; their networks are left out, by name, where they are
missing. Never here: the small networks (zoo_networks.py, zoo_blocks.py, zoo_frames.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
import types
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TORCHVISION = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_b1", "efficientnet_v2_s",
    "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large",
    "mobilenet_v3_small", "regnet_x_400mf", "regnet_x_800mf", "regnet_y_400mf", "resnet18", "resnet50",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "squeezenet1_0",
    "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_16", "wide_resnet50_2",
]  # fmt: skip
TIMM = [
    "botnet26t_256", "caformer_s18", "cait_xxs24_224", "coat_lite_tiny", "coatnet_pico_rw_224",
    "coatnext_nano_rw_224", "convit_tiny", "convmixer_768_32", "convnext_atto", "convnext_femto", "convnextv2_atto",
    "cpubone_nano", "crossvit_tiny_240", "cs3darknet_s", "cspnext_tiny", "cspresnet50", "darknet53", "davit_tiny",
    "deit_tiny_patch16_224", "densenet121", "densenetblur121d", "dla34", "dla46_c", "dpn48b", "eca_nfnet_l0",
    "ecaresnet26t", "edgenext_small", "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0",
    "efficientnet_es", "efficientnet_lite0", "efficientvim_m1", "efficientvit_b0", "efficientvit_b1",
    "efficientvit_m0", "ese_vovnet19b_dw", "eva02_tiny_patch14_224", "fasternet_t0", "fastvit_s12", "fastvit_t8",
    "fbnetc_100", "focalnet_tiny_srf", "gcresnext26ts", "gcvit_xxtiny", "gernet_s", "ghostnet_100", "ghostnetv2_100",
    "ghostnetv3_050", "gmlp_ti16_224", "hardcorenas_a", "hardcorenas_b", "hgnetv2_b0", "hiera_tiny_224",
    "hrnet_w18_small", "iformer_t", "inception_next_tiny", "lambda_resnet26t", "lcnet_050", "lcnetv2_small",
    "legacy_seresnet18", "legacy_xception", "levit_128s", "lowformer_b0", "mambaout_femto", "mixer_s16_224",
    "mixnet_m", "mixnet_s", "mnasnet_100", "mobilenet_edgetpu_v2_xs", "mobilenetv1_100", "mobilenetv2_050",
    "mobilenetv3_rw", "mobilenetv3_small_050", "mobilenetv4_conv_small", "mobilenetv4_hybrid_medium", "mobileone_s0",
    "mobilevit_xxs", "mobilevitv2_050", "mobilevitv2_075", "mvitv2_tiny", "nest_tiny", "nf_resnet50", "pit_ti_224",
    "poolformer_s12", "poolformerv2_s12", "pvt_v2_b0", "rdnet_tiny", "regnetx_002", "regnety_002", "regnety_004",
    "regnetz_005", "repghostnet_050", "repghostnet_080", "repvgg_a0", "repvit_m0_9", "res2net50_26w_4s",
    "resmlp_12_224", "resnest14d", "resnet10t", "resnetv2_50x1_bit", "rexnet_100", "selecsls42b", "semnasnet_075",
    "sequencer2d_s", "shvit_s1", "skresnet18", "spnasnet_100", "starnet_s1", "swiftformer_xs", "swinv2_cr_tiny_224",
    "swinv2_tiny_window8_256", "tf_efficientnet_lite0", "tf_efficientnetv2_b0", "tiny_vit_5m_224", "tinynet_a",
    "tinynet_e", "tnt_s_patch16_224", "tresnet_m", "twins_pcpvt_small", "twins_svt_small", "visformer_tiny",
    "vit_pwee_patch16_reg1_gap_256", "vit_relpos_small_patch16_224", "vit_tiny_patch16_224", "vit_tiny_r_s16_p8_224",
    "vitamin_small_224", "volo_d1_224", "xcit_nano_12_p16_224",
]  # fmt: skip
SIDE = {"inception_v3": 299, "botnet26t_256": 256, "crossvit_tiny_240": 240}
SMALL = 96  # pixels of networks that take any size
ROWS, STEPS, RATE = 8, 3, 0.01
GOAL = 2e-5  # of the output scale
OWN_FACTOR = 8  # steps may be off by so many times what PyTorch's float32 is off
MOVED_COPIES, MOVED_BY = 24, 1e-7  # relative, standard deviation; half a last place of float32 is 6e-8


def settled(module: Any, shape: tuple[int, ...]) -> Any:
    """Random weights where a fresh module has constants, and statistics of two random batches; evaluation mode."""
    import torch

    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.numel() > 1 and float(parameter.max()) == float(parameter.min()):
                low, high = (0.5, 1.5) if name.endswith("weight") and float(parameter.flatten()[0]) else (-0.3, 0.3)
                parameter.uniform_(low, high, generator=generator)
    norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for layer in module.modules():
        layer.training = layer in norms
    if norms:
        with torch.no_grad():
            for _ in range(2):
                module(torch.randn(6, *shape, generator=generator))
        for norm in norms:
            norm.momentum = 0.1
    return module.eval()


def build(source: str, name: str) -> tuple[Any, tuple[int, ...]]:
    """The module and the shape of a sample."""
    import torch

    torch.manual_seed(0)
    if source == "own":
        sys.path.insert(0, str(HERE))
        from zoo_frames import NETWORKS

        make, shape = NETWORKS[name]
        return make(), shape
    _without_cuda()
    if source == "torchvision":
        import torchvision.models

        extra = {"init_weights": True, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
        side = 224 if re.match("vit|swin|maxvit|alexnet|vgg", name) else SIDE.get(name, SMALL)
        return torchvision.models.get_model(name, weights=None, num_classes=10, **extra), (3, side, side)
    import timm

    for given in ({"img_size": SMALL}, {}):
        try:
            module = timm.create_model(name, pretrained=False, num_classes=10, **given)
        except TypeError:
            continue
        side = SIDE.get(name, SMALL)
        wants = getattr(getattr(module, "patch_embed", None), "img_size", None)
        if not given and wants is not None:
            side = wants[0]
        elif not given and re.search(r"_(2\d\d)$", name):
            side = int(name[-3:])
        try:
            module.eval()(torch.zeros(2, 3, side, side))
        except Exception:  # a size that it does not take
            side = SIDE.get(name, 224)
            module = timm.create_model(name, pretrained=False, num_classes=10)
        return module, (3, side, side)
    raise ValueError(name)


def peak_bytes() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_tables(module: Any) -> None:
    """Biases that timm's attention picked from their table in an earlier pass and holds while it does not train."""
    for layer in module.modules():
        getattr(layer, "attention_bias_cache", {}).clear()


def after_steps(module: Any, x: Any, y: Any) -> Any:
    """Logits after three steps of PyTorch in the module's own numbers; changes it."""
    import torch

    for layer in module.modules():
        layer.training = isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)
    optimiser = torch.optim.SGD(module.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        _forget_tables(module)
        torch.nn.functional.cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    _forget_tables(module)
    with torch.no_grad():
        return module.eval()(x).numpy()


def moved(module: Any, seed: int) -> Any:
    """A copy in float64 whose weights are off by about one rounding of float32."""
    import copy

    import torch

    generator, other = torch.Generator().manual_seed(seed), copy.deepcopy(module).double()
    with torch.no_grad():
        for parameter in other.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.mul_(1 + MOVED_BY * noise)
    return other


def steps_apart(module: Any, learner: Any, x: Any, y: Any) -> dict[str, float]:
    """Three steps here, and in PyTorch in float32 and in float64 on the same rows: the largest difference of logits
    from those of float64, as a share of their scale, of ours and of PyTorch's own float32. Where ours is far off, also
    the largest of copies in float64 that begin one rounding apart, up to the first that is as far off as ours."""
    import copy

    import numpy as np
    import torch

    for _ in range(STEPS):
        learner.partial_fit(x, y)
    rows, labels = torch.from_numpy(x), torch.from_numpy(y)
    exact = after_steps(copy.deepcopy(module).double(), rows.double(), labels)
    own = after_steps(copy.deepcopy(module), rows, labels)

    def off(logits: Any) -> float:
        return float(np.abs(logits - exact).max() / np.abs(exact).max())

    found = {"steps_apart": off(learner.decision_function(x)), "steps_own": off(own)}
    for seed in range(0 if near(found) else MOVED_COPIES):
        farthest = off(after_steps(moved(module, seed), rows.double(), labels))
        found["steps_moved"] = max(found.get("steps_moved", 0.0), farthest)
        if near(found):
            break
    return found


def near(row: dict[str, Any]) -> bool:
    """True where the steps are as far off as rounding explains."""
    own, others = OWN_FACTOR * row["steps_own"], row.get("steps_moved") or 0.0
    return bool(row["steps_apart"] <= max(GOAL, own, others))


def one(source: str, name: str) -> dict[str, Any]:
    """Everything about one network."""
    import copy

    import edgecl
    import numpy as np
    import torch
    from edgecl import export
    from edgecl.export.torch_weights import with_plain_weights

    torch.set_num_threads(1)
    row: dict[str, Any] = {"name": name, "source": source}
    try:
        module, shape = build(source, name)
        module = settled(module, shape)
    except Exception as error:  # a network that this version of its package does not have
        return row | {
            "frozen": "not built",
            "whole": "not built",
            "reason": f"{type(error).__name__}: {error}".splitlines()[0][:120],
        }
    x = np.random.default_rng(0).standard_normal((ROWS, *shape)).astype(np.float32)
    y = np.arange(ROWS) % 10
    row["parameters"] = sum(parameter.numel() for parameter in module.parameters())
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
        exact = copy.deepcopy(module).double()(torch.from_numpy(x).double()).numpy()
    scale = float(np.abs(exact).max())
    row["own_error"] = float(np.abs(expected - exact).max()) / scale
    recipe = export.Recipe(
        method="finetune", learning_rate=RATE, batch_size=ROWS, replay_capacity=0, momentum=0.0, weight_decay=0.0
    )
    for kind in ("frozen", "whole"):
        before, begin = peak_bytes(), time.perf_counter()
        try:
            given: dict[str, Any] = {"new_head": 10, "trainable": "head"} if kind == "frozen" else {"trainable": "all"}
            report = export.from_torch(module, torch.zeros(1, *shape), recipe=recipe, **given)
        except Exception as error:
            known = isinstance(error, export.ExportError)
            row[kind] = "refused" if known else type(error).__name__
            row["reason"] = str(error).strip()[:300].replace("\n", " ")
            row[f"{kind}_blockers"] = sorted({blocker.op_type for blocker in getattr(error, "blockers", [])})
            continue
        row[f"{kind}_s"] = time.perf_counter() - begin
        row[f"{kind}_peak"] = peak_bytes() - before
        row[f"{kind}_bytes"] = len(report.bundle) / (4 * row["parameters"])
        assert report.parity is not None
        row[f"{kind}_apart"] = report.parity.max_abs / max(report.parity.reference_abs, 1e-30)
        row[f"{kind}_fixed"] = len(report.untrainable)
        # PyTorch goes on computing such weights from others, so its steps are none to compare with.
        plain = any("what the model computes weights with" in note for note in report.notes)
        row[kind] = "ok" if kind == "frozen" else "partly" if report.untrainable else "plain" if plain else "ok"
        if kind == "whole":
            ends_in_layer = not any("at the end is left out" in note for note in report.notes)
            try:
                learner = edgecl.Classifier(report.bundle, batch_size=ROWS)
                row["apart"] = row["whole_apart"]
                if ends_in_layer:
                    row["apart"] = float(np.abs(learner.decision_function(x) - exact).max()) / scale
                if ends_in_layer and not plain:
                    twin = copy.deepcopy(with_plain_weights(module)[0])
                    learning = {
                        layer["name"] for layer in edgecl.open_bundle(report.bundle).layers if layer["trainable"]
                    }
                    for parameter_name, parameter in twin.named_parameters():
                        learns = row[kind] == "ok" or parameter_name in learning
                        parameter.requires_grad_(parameter.requires_grad and learns)
                    row |= steps_apart(twin, learner, x, y)
            except Exception as error:  # what a user would see
                row["steps_error"] = str(error).splitlines()[0][:160]
    return row


def measured(source: str, name: str, seconds: float) -> dict[str, Any]:
    """`one` in a process of its own."""
    command = [sys.executable, __file__, "--one", source, name]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        return {"name": name, "source": source, "frozen": "too slow", "whole": "too slow"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no words"])[-1]
        return {"name": name, "source": source, "frozen": "failed", "whole": "failed", "reason": last[:200]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def names_of(source: str) -> list[str]:
    """Of a source, in order."""
    if source == "own":
        sys.path.insert(0, str(HERE))
        from zoo_frames import NETWORKS

        return list(NETWORKS)
    return TORCHVISION if source == "torchvision" else TIMM


def chosen(sources: list[str], names: list[str]) -> list[tuple[str, str]]:
    """(source, name) of all networks of the lists, or of `names`, in the lists or known to torchvision or timm."""
    listed = [(source, name) for source in sources for name in names_of(source)]
    if not names:
        return listed
    found = [entry for entry in listed if entry[1] in names]
    for name in sorted(set(names) - {entry[1] for entry in found}):
        source = next((source for source in sources if source != "own" and known(source, name)), None)
        if source is None:
            raise SystemExit(f"error: expected a network of {', '.join(sources)}, found '{name}'")
        found.append((source, name))
    return found


def _without_cuda() -> None:
    """Wheels of torchvision may be built for another PyTorch; their registrations of CUDA operators are not needed."""
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))


def known(source: str, name: str) -> bool:
    """True when the library has a network of that name."""
    _without_cuda()
    try:
        if source == "torchvision":
            import torchvision.models

            return name in torchvision.models.list_models()
        import timm
    except ImportError:
        return False
    return bool(timm.is_model(name))


def summary(rows: list[dict[str, Any]]) -> str:
    """The figures that matter, as text."""
    lines = []
    for kind in ("frozen", "whole"):
        good = [row for row in rows if row.get(kind) in ("ok", "plain")]
        built = [row for row in rows if row.get(kind) != "not built"]
        lines.append(f"{kind}: {len(good)} of {len(built)} ({len(good) / max(1, len(built)):.0%})")
    plain = sum(row.get("whole") == "plain" for row in rows)
    lines += [f"of these with weights that they compute as plain ones: {plain}"] if plain else []
    apart = [row["apart"] for row in rows if "apart" in row]
    steps = [row["steps_apart"] for row in rows if "steps_apart" in row]
    if apart:
        within = sum(value <= GOAL for value in apart)
        lines.append(f"logits: worst {max(apart):.1e} of the scale, within {GOAL:g}: {within} of {len(apart)}")
    if steps:
        lines.append(
            f"three steps: worst {max(steps):.1e}, median {sorted(steps)[len(steps) // 2]:.1e} of {len(steps)}"
        )
        stepped = [row for row in rows if "steps_apart" in row]
        plain = sum(near(row | {"steps_moved": 0.0}) for row in stepped)
        lines.append(
            f"three steps: within {GOAL:g}, or {OWN_FACTOR} times what PyTorch's float32 is off: {plain} of "
            f"{len(stepped)}; with what float64 is off from weights moved by one rounding: {sum(map(near, stepped))}"
        )
    blockers = Counter(kind for row in rows for kind in row.get("whole_blockers", []))
    lines += [f"blocked by {kind}: {n}" for kind, n in blockers.most_common(20)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of the lists or of the libraries; default: the lists")
    parser.add_argument("--sources", default="own,torchvision,timm")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=300, help="most for one network")
    parser.add_argument("--jobs", type=int, default=1, help="networks at one time")
    parser.add_argument("--one", nargs=2, metavar=("SOURCE", "NAME"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return 0
    wanted = chosen(arguments.sources.split(","), arguments.names)

    def told(entry: tuple[str, str]) -> dict[str, Any]:
        row = measured(*entry, arguments.seconds)
        shown = " ".join(f"{row.get(key, float('nan')):.1e}" for key in ("apart", "steps_apart", "steps_own"))
        print(f"{entry[0]:<11} {entry[1]:<28} {row['frozen']:<9} {row['whole']:<9} {shown}",
              row.get("reason", "")[:150], flush=True)  # fmt: skip
        return row

    from edgecl.cli.results import read_table, write_table

    kept = read_table(arguments.json)["rows"] if arguments.json and arguments.json.exists() else []
    rows = {(row["source"], row["name"]): row for row in kept}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for row in pool.map(told, wanted):
            rows[row["source"], row["name"]] = row
            if arguments.json is not None:  # after each: what a run that is stopped had measured stays
                table = {"date": str(date.today()), "machine": platform.machine(), "rows": list(rows.values())}
                write_table(arguments.json, table)
    print(summary(list(rows.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
