"""`python -m cervix_tf.export RUN`: SavedModel, TFLite and ONNX files of a finished run, checked and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from cervix_tf import run_lock
from cervix_tf.arguments import once
from cervix_tf.decision import Method
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.export.formats import FORMATS, Format
from cervix_tf.run_dir import RunDir


@dataclass(frozen=True)
class Options:
    """Export a finished run as files that others can use, each checked against the run's own predictions.

    Images go in as uint8, of any size except for the mobile and web files; probabilities come out. Class names, the
    input's description, license and intended use travel inside.
    """

    run: tyro.conf.Positional[Path]
    """Run directory, saved_models/<paper>/<run>."""
    formats: tuple[Format, ...] = FORMATS
    """What to write. The mobile and web files take images already resized to the network's size by whoever runs them;
    onnx needs the extra of that name."""
    max_drop: float = 1.0
    """Refuse a file that loses more than this many points of accuracy (percent) on the run's test inputs, and more than
    one decision; 0 allows no loss."""
    min_agreement: float = 0.95
    """Refuse a file that makes the same decisions as the run, by the most probable class and at the contract's
    operating point, on a smaller share of the test inputs than this."""
    force: bool = False
    """Keep refused files anyway."""
    calibrate: Method | Literal["none"] | None = None
    """Calibrate the model on the run's validation predictions, so that about 80 % of what it is 80 % sure of is right:
    temperature (one number; decisions stay the same), platt (plus one bias per class), vector (two numbers per class),
    or none (remove the calibration). Stored in the model and the contract."""
    operating_point: str = ""
    """Call positive whatever reaches a threshold chosen on the run's validation predictions: sensitivity:0.95 or
    specificity:0.9 (reach that rate there), youden (best sum of both), cost:10 (a missed positive costs as much as ten
    false alarms), or none (the most probable class decides). The contract stores it, and every way of using the model
    decides by it."""
    quality: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Measure the run's training and validation images again and write quality_gate.json: limits by which predict,
    evaluate and the browser page report an image as too dark, blurred, cut off or unlike those images. New runs have
    one."""
    root: Path | None = None
    """Folder of the run's images, if they have moved."""
    calibration: int = 100
    """Number of training inputs, balanced over the classes, from which the 8-bit ranges of the int8 files are taken."""
    seed: int = 0
    """Seed of the choice of calibration inputs."""
    repeats: int = 30
    """Number of repeats whose median is the latency."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Export as the command line says; wrong input or a refused file ends with exit code 2 and a message."""
    with exit_cleanly():
        options = tyro.cli(Options, args=once(arguments), prog="python -m cervix_tf.export")
        if options.calibration < 1 or options.repeats < 1:
            raise InputError("--calibration and --repeats must be at least 1")
        if not options.run.is_dir():
            raise InputError(f"{options.run}: no such folder; give a run directory, saved_models/<paper>/<run>")
        from cervix_tf import contract, quality, quiet, runs
        from cervix_tf.export import decisions, formats, parity, quality_gate

        out = RunDir(options.run)
        contract.read(out.contract)  # of a folder that is no run nothing is touched
        with run_lock.held(out.root), quiet.libraries():  # the converter tells a long story otherwise
            formats.check(out, options.formats, options.root)
            # Both before the decisions, which take the exported files away: the gate does not depend on them.
            if options.quality and not quality_gate.write(out, runs.manifest(out, options.root)):
                few = quality.FEWEST_IMAGES
                raise InputError(
                    f"--quality: limits need {few} labeled training images of each kind of view; leave it out"
                )
            if options.calibrate or options.operating_point:
                decisions.decide(out, options.calibrate, options.operating_point)
                print(f"decided anew: {out.contract}, {out.decisions}; files that were exported before are removed")
            try:
                rows = formats.run(
                    out,
                    options.formats,
                    max_drop=options.max_drop,
                    min_agreement=options.min_agreement,
                    force=options.force,
                    root=options.root,
                    calibration=options.calibration,
                    seed=options.seed,
                    repeats=options.repeats,
                )
            except parity.Refused as refused:
                _print(refused.kept, out, ", but for what was refused")
                raise
        _print(rows, out)


def _print(rows: Sequence[dict[str, Any]], out: RunDir, but: str = "") -> None:
    from cervix_tf.export import formats

    if rows:
        print(formats.table(rows))
    print(f"written to {out.root}{but}", flush=True)


if __name__ == "__main__":
    main()
