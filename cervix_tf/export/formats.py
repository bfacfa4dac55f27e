"""The export stage: a run's model in every wanted format, each compared with the run's own predictions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cervix_tf import atomic, progress
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json

if TYPE_CHECKING:
    from cervix_tf.contract import Contract
    from cervix_tf.data.manifest import Manifest
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
    "web-float32",
    "web-int8",
    "onnx",
]
FORMATS: tuple[Format, ...] = ("saved_model", "tflite-float32", "tflite-float16", "tflite-dynamic", "tflite-int8")
"""What is written unless asked otherwise: files that resize by themselves."""
MOBILE: tuple[Format, ...] = ("mobile-float32", "mobile-float16", "mobile-int8")
"""One graph for images of the network's own size: written on request, since most runs stay on a server."""
WEB: tuple[Format, ...] = ("web-float32", "web-int8")
"""One graph for resized pixels, as LiteRT.js takes it: on request."""
VARIANTS: dict[str, tflite.Variant] = {
    "tflite-float32": "float32",
    "tflite-float16": "float16",
    "tflite-dynamic": "dynamic",
    "tflite-int8": "int8",
    "mobile-float32": "float32",
    "mobile-float16": "float16",
    "mobile-int8": "int8",
    "web-float32": "float32",
    "web-int8": "int8",
}


def target_of(out: RunDir, name: Format) -> Path:
    """Where an exported format stands in a run."""
    if name in MOBILE:
        return out.mobile(VARIANTS[name])
    if name in WEB:
        return out.web(VARIANTS[name])
    if name == "onnx":
        return out.onnx
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

    A file that loses more than `max_drop` points of accuracy on the test inputs (and more than one decision), or
    agrees on less than a share `min_agreement` of the decisions, those at the contract's
    operating point too, is not kept unless `force`. int8 ranges come from `calibration`
    training inputs, balanced over classes.
    Of files that take resized images it is also counted how many decisions hang on the
    resampling (see `cervix_tf.export.resampling`).

    Raises `InputError` when something is missing, and at the end, as `parity.Refused` with the rows of the others,
    when formats were refused.
    """
    import tempfile

    from cervix_tf import runs
    from cervix_tf.export import latency, parity, resampling, runtime

    check(out, formats, root)
    contract = runs.contract(out)
    listed = runs.manifest(out, root)
    tests, expected = runs.tested_inputs(out, listed, contract)
    positive = [contract.classes.index(name) for name in contract.positive]
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    arrived: resampling.Arrived | None = None
    with tempfile.TemporaryDirectory() as folder:
        source = _Source(Path(folder), out, contract, listed, calibration, seed)
        for name in progress.counted(list(dict.fromkeys(formats)), "exporting", len(set(formats)), "formats"):
            target = target_of(out, name)
            try:
                with atomic.replacing(target) as part:
                    with progress.stage(f"{name}: converting"):
                        source.write(name, part)
                    model = runtime.load(part)
                    answers = runtime.probabilities(model, tests.files, in_graph=True)
                    found = parity.compare(expected, answers, tests.labels, contract.operating_point, positive)
                    problems = found.problems(max_drop, min_agreement)
                    if problems and not force:
                        raise parity.Refused("\n".join(f"{name}: refused: {problem}" for problem in problems))
                    hanging: dict[str, Any] = {}
                    if name in MOBILE or name in WEB:
                        arrived = arrived or resampling.arrive(tests.files, contract)
                        hanging = {"resampling": resampling.hanging(model, arrived, answers)}
                    with progress.stage(f"{name}: measuring its latency"):
                        times = latency.milliseconds(part, repeats=repeats)
                    row = {
                        "format": name,
                        "file": target.name,
                        "bytes": latency.size(part),
                        "latency_ms_1": times[0],
                        "latency_ms_all": times[1],
                        **found.summary(),
                        "forced": bool(problems),
                        **hanging,
                    }
                    _note(out, name)  # at no moment are its figures those of another file
            except parity.Refused as error:
                refused.append(str(error))
            else:
                _note(out, name, row)
                rows.append(row)
    if refused:
        raise parity.Refused("\n".join([*refused, "refused files are not kept; --force keeps them anyway"]), rows)
    return rows


class _Source:
    """A run's model, which formats are made of; what several are made of is made once."""

    def __init__(self, folder: Path, out: RunDir, contract: Contract, listed: Manifest, calibration: int, seed: int):
        from cervix_tf import runs
        from cervix_tf.export import runtime

        self.record = runs.seal(out, contract, listed)
        self.serving = runtime.load(out.model).serving
        self.folder, self.contract, self.listed = folder, contract, listed
        self.calibration, self.seed = calibration, seed

    def write(self, name: Format, target: Path) -> None:
        """Write one format to `target`."""
        from cervix_tf.export import onnx_file, web

        if name == "saved_model":
            shutil.copytree(self._graph(), target, ignore=shutil.ignore_patterns(atomic.MARKER))
        elif name == "onnx":
            assert self.serving is not None
            target.write_bytes(onnx_file.convert(self.serving, self.contract, self.record))
        elif name in WEB:
            target.write_bytes(web.of(self._tflite(VARIANTS[name])))
        elif name in MOBILE:
            target.write_bytes(self._converted(VARIANTS[name], sized=True))
        else:
            shutil.copyfile(self._tflite(VARIANTS[name]), target)

    def _graph(self, sized: bool = False) -> Path:
        from cervix_tf.export import saved_model

        folder = self.folder / ("sized" if sized else "saved_model")
        if not folder.exists():
            assert self.serving is not None
            saved_model.write(self.serving, self.contract, folder, self.record, sized=sized)
        return folder

    def _tflite(self, variant: tflite.Variant) -> Path:
        path = self.folder / f"{variant}.tflite"
        if not path.exists():
            path.write_bytes(self._converted(variant))
        return path

    def _converted(self, variant: tflite.Variant, sized: bool = False) -> bytes:
        from cervix_tf.export import representative, tflite

        images = representative.images(self.listed, self.contract, self.calibration, self.seed)
        return tflite.convert(self._graph(sized), self.contract, variant, images, sized=sized)


def check(out: RunDir, formats: Sequence[Format], root: Path | None = None) -> None:
    """Raise `InputError` unless every one of `formats` can be written and has a place in the run, and the test images
    that it is to be compared on are there, below `root` or where they were when the run was made.
    """
    from cervix_tf import runs
    from cervix_tf.data.images import MISSING

    for name in formats:
        if name == "onnx":
            from cervix_tf.export import onnx_file

            onnx_file.check_installed()
        atomic.check_target(target_of(out, name), folder=name == "saved_model")
    atomic.check_target(out.exports)
    tests, _ = runs.tested_inputs(out, runs.manifest(out, root), runs.contract(out))
    for file in (file for each in tests.files for file in each):
        if file != MISSING and not Path(file).is_file():
            raise InputError(f"{file}: no such file, but the run was tested on it; put it back, or give --root")


def remove(out: RunDir) -> None:
    """Remove everything that was exported of a run's model, before it becomes another one.

    Raises `InputError`, and removes nothing, where a folder stands in the place of a file, or something lies in the
    SavedModel that this program did not write.
    """
    targets = {target_of(out, name): name == "saved_model" for name in get_args(Format)}
    for target, folder in targets.items():
        atomic.check_target(target, folder=folder)
    out.exports.unlink(missing_ok=True)
    for target in targets:
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """What `run` gives, as lines of text."""
    from cervix_tf.export import resampling

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
        if "point_agreement" in row:
            lines.append(f"{'':<15} at the operating point, {100 * row['point_agreement']:.1f} % of decisions agree")
        if "resampling" in row:
            lines.append(f"{'':<15} {resampling.told(row['resampling'])}")
    return "\n".join(lines)


def _note(out: RunDir, name: Format, row: dict[str, Any] | None = None) -> None:
    """Write exports.json: this row of a format, or none, and the other formats' as they were."""
    before = read_json(out.exports) if out.exports.is_file() else []
    by_format = {each["format"]: each for each in before} | {name: row}
    found = [by_format.get(each) for each in get_args(Format)]
    write_json(out.exports, [each for each in found if each is not None])
