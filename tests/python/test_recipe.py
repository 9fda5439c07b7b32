# Recipes as Python declares them, against the core's list; the options and readable signatures made from it.
# Never here: what a field does.
"""Tests of edgecl.recipe_parameters, edgecl.methods and edgecl.export.Recipe."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl
import pytest
from edgecl import _core, errors
from edgecl.methods import METHODS, method_settings
from edgecl.recipe_parameters import PARAMETERS, RecipeParameters

ROOT = Path(__file__).resolve().parents[2]


def test_python_declares_the_fields_of_the_core() -> None:
    fields = {name: (kind, values) for name, kind, values in _core.recipe_fields()}
    assert sorted(PARAMETERS) == sorted(fields) == sorted(RecipeParameters.__annotations__)
    _core.check_recipe({name: parameter.default for name, parameter in PARAMETERS.items()})
    types = {"flag": bool, "count": int, "number": float, "choice": str, "epochs": tuple}
    for name, (kind, values) in fields.items():
        default = PARAMETERS[name].default
        assert type(default) is types[kind], name
        assert kind != "choice" or default in values


def test_the_share_of_a_gradient_mask_is_checked_as_it_is_described(make_bundle: Callable[..., bytes]) -> None:
    assert PARAMETERS["gradient_keep"].text.endswith("0..1, above 0 with a gradient mask")
    assert "0..1; above 0 with a gradient_mask" in (ROOT / "runtime/include/edgecl/edgecl.h").read_text("utf-8")
    data = make_bundle(density=0.5)
    assert edgecl.Classifier(data, gradient_keep=0.0).config()["gradient_keep"] == 0
    with pytest.raises(errors.ArgumentError, match="gradient_keep above 0 with a gradient_mask"):
        edgecl.Classifier(data, gradient_keep=0.0, gradient_mask="migu", gradient_interval=1).config()


def test_signature_and_help_show_every_parameter() -> None:
    signature = inspect.signature(edgecl.Classifier)
    own = ["bundle", "max_classes", "random_state", "n_threads", "copy", "epochs", "class_weight", "device"]
    assert list(signature.parameters) == [*own, *PARAMETERS]
    assert signature.parameters["momentum"].default is None and signature.parameters["alpha"].annotation == float | None
    text = inspect.getdoc(edgecl.Classifier) or ""
    assert "\n    removal_stages: data removal: epochs" in text and "{parameters}" not in text
    assert '"static", "tdm", "set", "rigl".' in text
    assert max(map(len, text.splitlines())) <= 120


def test_unknown_keywords_are_refused(make_bundle: Callable[..., bytes]) -> None:
    with pytest.raises(TypeError, match=r"expected keywords of Classifier .*; found alhpa; check the spelling"):
        edgecl.Classifier(make_bundle(), alhpa=1.0)  # type: ignore[call-arg]


def test_flags_and_epochs_of_a_configuration(make_bundle: Callable[..., bytes]) -> None:
    config = edgecl.Classifier(make_bundle(), class_mask=True, removal_share=0.5, removal_stages=(2, 31)).config()
    assert config["class_mask"] is True and config["removal_stages"] == [2, 31]
    again = edgecl.open_bundle(make_bundle()).sizes(**{k: v for k, v in config.items() if k != "n_threads"})
    assert again["arena_bytes"] > 0
    info = edgecl.open_bundle(make_bundle()).info["recipe"]
    assert sorted(info) == sorted([*PARAMETERS, "trainable"])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_recipe_and_a_learner(method: str, make_bundle: Callable[..., bytes]) -> None:
    export = pytest.importorskip("edgecl.export", reason="torch is not installed")
    recipe = export.Recipe(method=method, replay_capacity=20)
    assert recipe.preset == method and recipe.replay_capacity == 20
    settings = method_settings(method)
    assert all(getattr(recipe, name) == value for name, value in settings.items() if not isinstance(value, float))
    if "tail" not in METHODS[method].needs:
        settings |= {"structure_inter": 0.0}  # for which the bundle would need room
        config = edgecl.Classifier(make_bundle(density=0.5), method=method, structure_inter=0.0).config()
        assert {name: config[name] for name in settings} == settings
    assert METHODS[method].title and METHODS[method].compared


def test_recipe() -> None:
    export = pytest.importorskip("edgecl.export", reason="torch is not installed")
    recipe = export.Recipe(method="sparcl-derpp", gradient_mask="all", alpha=None)
    assert (recipe.method, recipe.preset, recipe.structure, recipe.gradient_mask) == (
        "derpp",
        "sparcl-derpp",
        "tdm",
        "all",
    )
    assert recipe.alpha == 0.1 and recipe.removal_stages == [1, 2, 3]
    for other in (copy.copy(recipe), pickle.loads(pickle.dumps(recipe))):
        assert other == recipe and hash(other) == hash(recipe)
    assert recipe != export.Recipe() and "structure='tdm'" in repr(recipe)
    with pytest.raises(AttributeError, match="recipes do not change"):
        recipe.alpha = 1.0
    with pytest.raises(AttributeError, match="found 'alhpa'"):
        _ = recipe.alhpa
    with pytest.raises(export.ExportError, match=r"expected momentum in \[0, 1\)"):
        export.Recipe(momentum=1.0)
    with pytest.raises(export.ExportError, match="a method among"):
        export.Recipe(method="magic")


def test_a_bundle_carries_schedules(tmp_path: Path) -> None:
    export = pytest.importorskip("edgecl.export", reason="torch is not installed")
    import torch

    recipe = export.Recipe(method="fpf", rate_schedule="cosine", rate_floor=0.25, removal_share=0.5, removal_stages=[4])
    bundle = export.from_torch(torch.nn.Linear(4, 3), torch.zeros(1, 4), recipe=recipe).bundle
    found = edgecl.open_bundle(bundle).info["recipe"]
    for name in ("rate_schedule", "rate_floor", "removal_share", "removal_stages", "rehearse_steps"):
        assert found[name] == getattr(recipe, name)
    assert found["rehearse_steps"] == 100 and found["removal_stages"] == [4]
    config = edgecl.Classifier(bundle).config()
    assert edgecl.schedule_rate(config, 1.0) == pytest.approx(0.25 * 0.03)
    assert edgecl.schedule_removal(config, 11, 4) == 6 and edgecl.schedule_removal(config, 11, 3) == 0
    assert [edgecl.schedule_rehearsal(config, n) for n in (0, 499, 500, 501)] == [0, 0, 100, 0]


def test_state_in_force_after_load(make_bundle: Callable[..., bytes], tmp_path: Path, blobs: Any) -> None:
    """Seed and rate are those of the state; what differs from a constructor's argument is told."""
    data, path = make_bundle(), tmp_path / "s.ecs"
    edgecl.Classifier(data, random_state=5, learning_rate=0.25).partial_fit(blobs.x, blobs.y).save(path)
    config = edgecl.Classifier(data).load(path).config()
    assert config["seed"] == 5 and config["learning_rate"] == 0.25
    given = edgecl.Classifier(data, random_state=7, learning_rate=0.5)
    with pytest.warns(UserWarning, match=r"random_state=7.*learned with 5"):
        given.load(path)
    assert given.config()["seed"] == 5 and given.config()["learning_rate"] == 0.5  # the rate given wins
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edgecl.Classifier(data, random_state=5).load(path)  # nothing to tell


def test_runner_and_command_line_list_the_same_methods() -> None:
    pytest.importorskip("typer", reason="typer is not installed")
    from edgecl.cli.main import app
    from typer.testing import CliRunner

    runner = ROOT / "build" / "host" / "runtime" / "runner" / "edgecl-run"
    if not runner.exists():
        pytest.skip("edgecl-run is not built")
    lines = subprocess.run([runner, "methods"], check=True, capture_output=True, text=True).stdout.splitlines()
    printed = json.loads(CliRunner().invoke(app, ["methods", "--json"]).stdout)["methods"]
    assert [json.loads(line) for line in lines] == [
        {key: value for key, value in method.items() if key != "settings"} for method in printed
    ]
    assert len(lines) == len(METHODS) == len(_core.presets()) > 14


def test_schedules_refuse_what_is_no_recipe() -> None:
    with pytest.raises(errors.ArgumentError, match="rehearse_interval"):
        edgecl.schedule_rehearsal({"learning_rate": 0.1, "batch_size": 1, "rehearse_steps": 2}, 4)
    with pytest.raises(errors.ArgumentError, match="found 'rate'; check the spelling"):
        edgecl.schedule_rate({"rate": 1}, 0.5)
