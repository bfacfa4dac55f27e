"""model_card.md and model_card.json of a run, from the run's own files.

The sections are those of Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cervix_tf import atomic, runs, shown_paths, start
from cervix_tf.contract import Contract
from cervix_tf.data import manifest as manifests
from cervix_tf.data import splits
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError
from cervix_tf.export import resampling
from cervix_tf.metrics import limits
from cervix_tf.metrics.limits import NOT_A_DEVICE
from cervix_tf.run_dir import RunDir, read_json, write_json
from cervix_tf.wording import amount

__all__ = ["NOT_A_DEVICE", "STAND_IN", "SYNTHETIC", "as_markdown", "card", "write"]
SYNTHETIC = "SYNTHETIC: trained and tested on drawn images. Its figures say nothing about real patients."
STAND_IN = "STAND-IN: trained and tested on a different data set from the paper's. Its figures are not the paper's."


def write(out: RunDir) -> None:
    """Write model_card.md and model_card.json of a run, each whole or not at all.

    Reads contract.json and metrics.json, and where they are there config.json,
    exports.json and environment.json. Raises `InputError` when one of the first two is missing.
    """
    found = card(out)
    write_json(out.model_card.with_suffix(".json"), found)
    atomic.write_text(out.model_card, as_markdown(found))


def card(out: RunDir) -> dict[str, Any]:
    """The card's sections as JSON values."""
    contract = runs.contract(out)
    metrics = read_json(out.metrics)
    environment = _read(out.environment, {})
    return {
        "model": {
            "name": contract.task,
            "version": contract.version,
            "license": contract.license,
            "input": _input(contract),
            "resizing": contract.resizing,
            "output": _output(contract),
            "made_by": shown_paths.published_command(
                environment.get("command_line", "not recorded"), str(environment.get("data_root", ""))
            ),
            "commit": start.commits(environment),
        },
        "labels": [
            text
            for text, holds in (
                (SYNTHETIC, contract.synthetic or metrics.get("synthetic")),
                (STAND_IN, contract.stand_in or metrics.get("stand_in")),
            )
            if holds
        ],
        "intended_use": {
            "use": contract.intended_use,
            "out_of_scope": NOT_A_DEVICE,
        },
        "data": {
            "training": contract.data,
            "evaluation": metrics.get("data") or contract.data,
            "n": metrics["n"],
            "groups": metrics["groups"],
            "classes": dict(zip(metrics["classes"], map(sum, metrics["confusion"]), strict=True)),
            "protocol": _read(out.config, {}).get("protocol") or _protocol(out),
        },
        "metrics": {
            "overall": metrics["metrics"],
            "binary": metrics.get("binary"),
            "per_class": metrics["per_class"],
            "strata": {
                by: {name: part["metrics"] for name, part in parts.items()}
                for by, parts in (metrics.get("strata") or {}).items()
            },
        },
        "files": _read(out.exports, []),
        "limits": _limits(contract, metrics, environment.get("reproducible", ""), out.quality.is_file()),
    }


def _protocol(out: RunDir) -> str:
    """Whether groups are shared by the splits of a run, and how large these are."""
    listed = manifests.read(out.manifest, runs.data_root(out)) if out.manifest.is_file() else None
    if listed is None or not listed.rows["split"].any():
        return "not recorded"
    parts = splits.prescribed(listed)
    homes = [set(part.rows["group"]) - {""} for part in parts.values()]
    shared = sum(map(len, homes)) - len(set().union(*homes))
    return f"{'no group' if not shared else amount(shared, 'group')} in two splits: {split_counts(parts)}"


def split_counts(parts: Mapping[str, Manifest]) -> str:
    """How many images and groups each split has."""
    return ", ".join(
        f"{name} {amount(len(part), 'image')} of {amount(part.rows['group'].nunique(), 'group')}"
        for name, part in parts.items()
    )


def own_limits(folder: Path, task: str, version: str) -> list[str]:
    """What the makers of a model, by its contract's task and version, say of its limits in the card in its folder.

    Without a card, or with that of another model, nothing. Raises `InputError` for a file that is no model card.
    """
    path = RunDir(folder).model_card.with_suffix(".json")
    if not path.is_file():
        return []
    found = read_json(path)
    try:
        named = (found["model"]["name"], found["model"]["version"])
        return limits.own(found) if named == (task, version) else []
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: is not a model card; export the run again, or remove the file") from None


def as_markdown(card: Mapping[str, Any]) -> str:
    """The card as a Markdown page."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
    model, data, metrics = card["model"], card["data"], card["metrics"]
    yield f"# Model card: {model['name']} {model['version']}"
    for label in card["labels"]:
        yield from ("", f"> **{label}**")
    yield from ("", "## Limits", "")
    yield from (f"- {limit}" for limit in card["limits"])
    yield from ("", "## Model", "")
    yield f"- Input: {model['input']}"
    yield f"- Output: {model['output']}"
    yield f"- License: {model['license']}"
    if "first_weights" in model:
        yield f"- Initial weights: {model['first_weights']}"
    yield f"- Made by: `{model['made_by']}` (commit {model['commit']})"
    yield from (
        "",
        "## Intended use",
        "",
        card["intended_use"]["use"],
        "",
        f"**{card['intended_use']['out_of_scope']}**",
    )
    yield from ("", "## Data", "")
    yield f"- Developed on: {data['training']} (test images included)"
    if "source" in data:
        yield f"- Source: {data['source']}"
        yield f"- Groups: {data['grouping']}"
    counts = ", ".join(f"{name} {count}" for name, count in data["classes"].items())
    inputs = f"{amount(data['n'], 'input')} of {amount(data['groups'], 'group')} ({counts})"
    yield f"- Evaluation: {data['evaluation']}; {inputs}"
    yield f"- Protocol: {data['protocol']}"
    yield from ("", "## Metrics", "")
    yield from _table(metrics["overall"])
    if metrics["binary"]:
        yield from ("", f"### Positive = {' or '.join(metrics['binary']['positive'])}, against the rest", "")
        yield from _table(metrics["binary"]["metrics"])
    for name, found in metrics["per_class"].items():
        yield from ("", f"### Class {name}", "")
        yield from _table(found)
    for by, parts in metrics["strata"].items():
        for name, found in parts.items():
            yield from ("", f"### By {by}: {name}", "")
            yield from _table(found)
    if card["files"]:
        yield from ("", "## Files", "", "| format | file | MB | ms, 1 thread | ms, all threads | same decision |")
        yield "|---|---|---:|---:|---:|---:|"
        for row in card["files"]:
            yield (
                f"| {row['format']} | {row['file']} | {row['bytes'] / 1e6:.2f} | {row['latency_ms_1']:.1f} "
                f"| {row['latency_ms_all']:.1f} | {100 * row['agreement']:.1f} % of {row['n']}"
                f"{_at_point(row)}{', kept by --force' if row['forced'] else ''} |"
            )
        resampled = [row for row in card["files"] if "resampling" in row]
        if resampled:
            yield from ("", f"Files named mobile or web take images already resized {model['resizing']}:", "")
        for row in resampled:
            yield f"- {row['format']}: {resampling.told(row['resampling'])}."


def _at_point(row: Mapping[str, Any]) -> str:
    return f", {100 * row['point_agreement']:.1f} % at the operating point" if "point_agreement" in row else ""


def _table(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| metric | value | 95 % interval | n | method |"
    yield "|---|---:|---|---:|---|"
    for name, found in metrics.items():
        value = "-" if found["value"] is None else f"{found['value']:.3f}"
        ends = "-" if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}"
        yield f"| {name.replace('_', ' ')} | {value} | {ends} | {found['n']} | {found['method']} |"


def _input(contract: Contract) -> str:
    size = f"any size (made for {contract.native_width} x {contract.native_height})"
    one = f"an RGB image, turned upright by its EXIF orientation, uint8, {size}"
    inside = f"resized inside the model {contract.resizing}"
    if not contract.views:
        return f"{one}, {inside}"
    missing = "; a black image takes the place of a missing view" if contract.missing_views else ""
    return f"{len(contract.views)} views in the order {', '.join(contract.views)}, each {one}, {inside}{missing}"


def _output(contract: Contract) -> str:
    if not contract.neighbors:
        given = f"probabilities of {', '.join(contract.classes)}"
        if contract.calibration:
            given += f", calibrated by {contract.calibration.method} scaling on validation"
        if point := contract.operating_point:
            positive = " or ".join(contract.positive)
            given += f"; positive: {positive} together reach {point.threshold:.4g} ({point.rule} on validation)"
        return given
    return (
        f"embeddings; neighbors.npz beside the model turns them into each class's share of the nearest training "
        f"inputs ({', '.join(contract.classes)})"
    )


def _limits(contract: Contract, metrics: Mapping[str, Any], reproducible: str, gate: bool) -> list[str]:
    return [
        NOT_A_DEVICE,
        *limits.of(metrics),
        limits.any_image(gate),
        *([limits.same_weights(reproducible)] if reproducible else []),
        *([limits.IN_ORDER] if contract.views else []),
    ]


def _read(path: Path, otherwise: Any) -> Any:
    return read_json(path) if path.is_file() else otherwise
