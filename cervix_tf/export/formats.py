"""The export stage: a run's model in every wanted format, each compared with the run's own predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cervix_tf import atomic
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json

if TYPE_CHECKING:
    from cervix_tf.export import tflite

Format = Literal[
    "saved_model",
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic",
    "tflite-int8",
    "mobile-float32",
    "mobile-float16",
    "mobile-int8",
]
FORMATS: tuple[Format, ...] = ("saved_model", "tflite-float32", "tflite-float16", "tflite-dynamic", "tflite-int8")
"""What is written unless asked otherwise."""
MOBILE: tuple[Format, ...] = ("mobile-float32", "mobile-float16", "mobile-int8")
"""One graph for images of the network's own size: written on request, since most runs stay on a server."""
VARIANTS: dict[str, tflite.Variant] = {
    "tflite-float32": "float32",
    "tflite-float16": "float16",
    "tflite-dynamic": "dynamic",
    "tflite-int8": "int8",
    "mobile-float32": "float32",
    "mobile-float16": "float16",
    "mobile-int8": "int8",
}


def target_of(out: RunDir, name: Format) -> Path:
    """Where an exported format stands in a run."""
    if name in MOBILE:
        return out.mobile(VARIANTS[name])
    return out.tflite(VARIANTS[name]) if name in VARIANTS else out.saved_model


def run(
    out: RunDir,
    formats: Sequence[Format] = FORMATS,
    *,
    max_drop: float = 1.0,
    min_agreement: float = 0.95,
    force: bool = False,
    root: Path | None = None,
    calibration: int = 100,
    seed: int = 0,
    repeats: int = 30,
) -> list[dict[str, Any]]:
    """Export a finished run; size, latency and parity of each of `formats`, as they stand in exports.json.

    Needs model.keras, contract.json, manifest.csv and predictions.csv of the run, and
    its images below `root` (by default where they were when the run was made).

    A file that loses more than `max_drop` points of accuracy on the test inputs, or
    agrees on less than a share `min_agreement` of the decisions, is not kept unless
    `force`. int8 ranges come from `calibration` training inputs, balanced over classes.

    Raises `InputError` when something is missing, and at the end when formats were refused.
    """
    import shutil
    import tempfile

    from cervix_tf import runs
    from cervix_tf.export import latency, parity, representative, runtime, saved_model, tflite

    check(out, formats)
    contract = runs.contract(out)
    listed = runs.manifest(out, root)
    tests, expected = runs.tested_inputs(out, listed, contract)
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        graph, graph_sized = Path(folder) / "saved_model", Path(folder) / "sized"
        record = runs.seal(out, contract, listed)
        serving = runtime.load(out.model).serving
        saved_model.write(serving, contract, graph, record)
        if any(name in MOBILE for name in formats):
            saved_model.write(serving, contract, graph_sized, record, sized=True)
        for name in dict.fromkeys(formats):
            variant, target = VARIANTS.get(name), target_of(out, name)
            try:
                with atomic.replacing(target) as part:
                    if variant is None:
                        shutil.copytree(graph, part, ignore=shutil.ignore_patterns(atomic.MARKER))
                    else:
                        images = representative.images(listed, contract, calibration, seed)
                        sized = name in MOBILE
                        source = graph_sized if sized else graph
                        part.write_bytes(tflite.convert(source, contract, variant, images, sized=sized))
                    answers = runtime.probabilities(runtime.load(part), tests.files, in_graph=True)
                    found = parity.compare(expected, answers, tests.labels)
                    problems = found.problems(max_drop, min_agreement)
                    if problems and not force:
                        raise parity.Refused("\n".join(f"{name}: refused: {problem}" for problem in problems))
                    rows.append(
                        {
                            "format": name,
                            "file": target.name,
                            "bytes": latency.size(part),
                            "latency_ms_1": latency.milliseconds(part, 1, repeats),
                            "latency_ms_all": latency.milliseconds(part, None, repeats),
                            **found.summary(),
                            "forced": bool(problems),
                        }
                    )
            except parity.Refused as error:
                refused.append(str(error))
    _write(out, rows)
    if refused:
        raise InputError("\n".join([*refused, "refused files are not kept; --force keeps them anyway"]))
    return rows


def check(out: RunDir, formats: Sequence[Format]) -> None:
    """Raise `InputError` unless every one of `formats` has a place in the run to be written to."""
    for name in formats:
        atomic.check_target(target_of(out, name), folder=name not in VARIANTS)
    atomic.check_target(out.exports)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """What `run` gives, as lines of text."""
    lines = [
        f"{'format':<15} {'MB':>7} {'ms, 1 thread':>13} {'ms, all':>8} {'n':>5} {'same decision':>14} "
        f"{'lead lost':>10} {'largest diff.':>14} {'mean diff.':>11}  accuracy change [95 % interval]"
    ]
    for row in rows:
        change, points = row["accuracy_change"], "no labels"
        if change["value"] is not None:
            value, low, high = (100 * change[key] for key in ("value", "low", "high"))
            points = f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
        lines.append(
            f"{row['format']:<15} {row['bytes'] / 1e6:>7.2f} {row['latency_ms_1']:>13.1f} "
            f"{row['latency_ms_all']:>8.1f} {row['n']:>5} {100 * row['agreement']:>12.1f} % "
            f"{row['widest_change']:>10.3f} "
            f"{row['max_difference']:>14.2g} {row['mean_difference']:>11.2g}  {points}"
            + ("  (forced)" if row["forced"] else "")
        )
    return "\n".join(lines)


def _write(out: RunDir, rows: Sequence[dict[str, Any]]) -> None:
    """Write exports.json: these rows, and those of other formats exported before."""
    before = read_json(out.exports) if out.exports.is_file() else []
    by_format = {row["format"]: row for row in [*before, *rows]}
    write_json(out.exports, [by_format[name] for name in (*FORMATS, *MOBILE) if name in by_format])
