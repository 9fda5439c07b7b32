# The table of one run of `edgecl learn`.
# Never here: learning, comparisons of runs (compare_runs.py).
"""`render_run`: what a stream brought, task by task, and what it cost."""

from __future__ import annotations

from typing import Any

from edgecl.cli import output
from rich.console import Console


def render_run(console: Console, document: dict[str, Any]) -> None:
    """Prints the results of one run, whole or interrupted."""
    rows = [
        (name, output.percent(at), output.percent(end), output.count(macs), output.duration(seconds))
        for name, at, end, macs, seconds in zip(
            document["tasks"],
            document["per_task_after_learning"],
            document["per_task"],
            document["task_macs"],
            document["task_seconds"],
            strict=True,
        )
    ]
    last = "so far>" if document["interrupted"] else "at the end>"
    console.print(output.table(["task", "just learned>", last, "multiply-adds>", "time>"], rows))
    if document["interrupted"]:
        console.print(f"interrupted: {len(document['tasks'])} of {document['n_tasks']} tasks learned")
    macs, dense = document["train_macs"], document["train_macs_dense"]
    config = document["config"]
    console.print(
        output.facts(
            [
                ("average accuracy", output.percent(document["average_accuracy"])),
                ("forgetting", output.percent(document["forgetting"])),
                ("backward transfer", output.percent(document["backward_transfer"])),
                ("accuracy with the task known", output.percent(document["task_il_accuracy"])),
                ("training multiply-adds", f"{output.count(macs)} ({output.count(dense)} if dense)"),
                (
                    "as the SparCL paper counts",
                    f"{output.count(document['train_macs_paper'])} ({output.count(document['train_macs_paper_dense'])} "
                    "if dense)",
                ),
                *_structure_facts(document),
                *_removal_facts(document),
                ("memory of the session", output.size(document["peak_bytes"])),
                (
                    "learning",
                    f"{output.duration(document['seconds'])}, {document['steps']:,} steps of {config['max_batch']}",
                ),
                ("learning rate", f"{config['learning_rate']:.3g}, {document['rate_schedule']} in each task"),
                ("testing", output.duration(document["evaluate_seconds"])),
                *[(name, document[name]) for name in ("state", "csv", "plot") if document.get(name)],
            ]
        )
    )
    console.print(f"state sha256 {document['state_sha256']}")


def _structure_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    structure = document["structure"]
    if not structure["updates"]:
        return []
    return [
        (
            "changes of structure",
            f"{structure['updates']}: {output.count(structure['weights_dropped'])} weights dropped, "
            f"{output.count(structure['weights_grown'])} grown, {structure['share_of_time']:.2%} of the learning time",
        )
    ]


def _removal_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    facts, removal = [], document["removal"]
    if removal["stages"]:
        facts.append(
            (
                "data removal",
                f"{removal['examples_removed']} examples after epochs {', '.join(map(str, removal['stages']))}; "
                f"{removal['samples_skipped']} samples need not be learned",
            )
        )
    elif removal["share"] > 0:
        facts.append(("data removal", "none: it needs --epochs 2 or more"))
    if document["rehearsals"]:
        facts.append(("rehearsals", f"{document['rehearsals']} of {document['config']['rehearse_steps']} steps"))
    return facts
