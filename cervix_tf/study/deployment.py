"""The deployed model as users load it: written in an order that a kill cannot harm, and exported with its contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cervix_tf import atomic, contract, runs
from cervix_tf.config import Images
from cervix_tf.contract import Contract
from cervix_tf.data import manifest
from cervix_tf.decision import Method
from cervix_tf.export import decisions, formats, quality_gate, serving
from cervix_tf.metrics import neighbors as neighbor_files
from cervix_tf.metrics.neighbors import Neighbors
from cervix_tf.run_dir import RunDir
from cervix_tf.study.data import DataDescription
from cervix_tf.version import __version__

if TYPE_CHECKING:
    import keras

LICENSE = "Apache-2.0 (code); the weights carry the terms of the images they were trained on"


def terms(
    task: str,
    classes: Sequence[str],
    images: Images,
    data: DataDescription,
    intended_use: str,
    out: RunDir,
    *,
    views: Sequence[str] = (),
    site: str = "",
    neighbors: Neighbors | None = None,
    native_size: tuple[int, int] | None = None,
    missing_views: bool = False,
) -> Contract:
    """The contract of a study's model; the native size, (height, width), else is the median of the (site's) images."""
    rows = manifest.read(out.manifest).rows
    sizes = (rows[rows["site"] == site] if site else rows)[["height", "width"]].median()
    native_height, native_width = native_size or (int(sizes["height"]), int(sizes["width"]))
    return Contract(
        task=task,
        classes=tuple(classes),
        positive=data.positive,
        views=tuple(views),
        height=images.height,
        width=images.width,
        native_height=int(native_height),
        native_width=int(native_width),
        version=__version__,
        license=LICENSE,
        intended_use=f"{intended_use} Not a medical device.",
        data=data.text,
        synthetic=data.synthetic,
        stand_in=data.stand_in,
        neighbors=neighbors.digest if neighbors is not None else "",
        supersampling=images.supersampling,
        missing_views=missing_views,
    )


def deploy(
    out: RunDir,
    wanted: Contract,
    network: Callable[[], keras.Model],
    kinds: Sequence[formats.Format] = ("saved_model", "tflite-float32"),
    neighbors: Neighbors | None = None,
    calibrate: Method | None = None,
    site: str = "",
) -> None:
    """Write the model that `network` gives with its contract and gate, and export it; nothing where it stands there.

    `calibrate` it on the run's validation predictions too (see `decisions.decide`); None leaves what there is: a model
    that a user has calibrated, or given an operating point, stays, and lacks no more than some of `kinds`. The
    gate is of the images of a `site`, where one is named: that of a model that was trained there alone. The contract is
    removed first and written before gate and exports, which need it: without it the rest is another model's, or half of
    one. A model that an earlier version deployed stays as it is, without a gate.

    Raises `InputError` when an exported file is refused, when a user's files stand in an exported one's place, and when
    validation does not allow the calibration.
    """
    exported = [out.exports, *(formats.target_of(out, kind) for kind in kinds)]
    if not _stands(out, [out.model, *([out.neighbors] if neighbors is not None else [])], exported, wanted):
        if out.contract.exists() and _decided(contract.read(out.contract)):
            print("note: this is another model: the calibration or operating point of the one before is removed")
        for path in (out.contract, out.quality, out.decisions):
            path.unlink(missing_ok=True)
        formats.remove(out)
        if neighbors is not None:
            neighbor_files.write(neighbors, out.neighbors)
        with atomic.replacing(out.model) as part:
            serving.serving_model(network(), wanted).save(part)
        wanted.write(out.contract)
        listed = runs.manifest(out)
        quality_gate.write(out, listed.where(listed.rows["site"] == site) if site else listed)
    if calibrate is not None:
        decisions.decide(out, calibrate)
    lacking = [kind for kind in kinds if not formats.target_of(out, kind).exists()]
    if lacking or not out.exports.exists():
        formats.run(out, lacking or kinds)


def _decided(there: Contract) -> bool:
    return there.calibration is not None or there.operating_point is not None


def _stands(out: RunDir, model: Sequence[Path], exported: Sequence[Path], wanted: Contract) -> bool:
    """Whether the model of this contract was written before, and exported or, later, decisions added to it."""
    if not all(path.exists() for path in (out.contract, *model)):
        return False
    there = contract.read(out.contract)
    plain = replace(there, calibration=None, operating_point=None, version=wanted.version)
    return plain == wanted and (_decided(there) or all(path.exists() for path in exported))
