"""`python saved_models/release.py RUN NAME`: a finished run as the released model `NAME`, its hashes pinned.

What no run knows stands in released/NAME/about.yaml, written by hand: the data sheet of its images, license, first
weights, and the limits that a reader has to know first. Everything else in that folder is written here.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro
import yaml

from cervix_tf import atomic, quality, released, runs
from cervix_tf.data import datasheet, manifest, splits
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.export import associated_files, model_card, resampling, runtime
from cervix_tf.run_dir import RunDir, read_json, write_json

VARIANTS = ("float16", "int8")
"""What is small enough for a repository; what the parity gate refused is not in the run."""
RESAMPLED = 100
"""Test images on which it is counted how many decisions hang on the resampling."""


def release(run: tyro.conf.Positional[Path], name: tyro.conf.Positional[str]) -> None:
    """Take a finished run's exported files, quality gate, metrics, manifest and card into saved_models/released/NAME.

    Needs the run's test images, to count how many decisions hang on the resampling.

    Args:
        run: run directory, with `python -m cervix_tf.export RUN --formats tflite-float16 tflite-int8` done
        name: of the released model; its folder has an about.yaml
    """
    source, target = RunDir(run), RunDir(released.FOLDER / name)
    written = target.root / "about.yaml"
    if not written.is_file():
        raise InputError(f"{written}: no such file; write it first, like those of the other released models")
    about = yaml.safe_load(written.read_text(encoding="utf-8"))
    rows = {row["file"]: row for row in read_json(source.exports) if not row["forced"]}
    files = [path for path in map(source.tflite, VARIANTS) if path.is_file() and path.name in rows]
    if not files:
        raise InputError(f"{run}: has no float16 or int8 .tflite that passed the parity gate; export it first")
    contracts = [associated_files.read(file).contract for file in files]
    if any(each != contracts[0] for each in contracts):
        raise InputError(f"{run}: its .tflite files belong to different models; export the run again")
    exports = [rows[file.name] for file in files]
    listed = manifest.read(source.manifest)
    found = card(source, about, listed, exports, resampled(source, files[0]))
    for variant in VARIANTS:
        target.tflite(variant).unlink(missing_ok=True)
    target.quality.unlink(missing_ok=True)
    if source.quality.is_file():
        quality.read(source.quality, contracts[0])  # of another model it is refused
        files.append(source.quality)
    for file in files:
        shutil.copyfile(file, target.root / file.name)
    replace(contracts[0], digest="").write(target.contract)  # each file carries a sealed one
    write_json(target.exports, exports)
    write_json(target.metrics, read_json(source.metrics))
    manifest.write(listed, target.manifest)
    write_json(target.model_card.with_suffix(".json"), found)
    atomic.write_text(target.model_card, model_card.as_markdown(found))
    pinned = {file: digest for file, digest in released.pins().items() if Path(file).parts[0] != name}
    pinned |= {f"{name}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    atomic.write_text(released.PINS, "".join(f"{pinned[file]}  {file}\n" for file in sorted(pinned)))
    print(f"{target.root}: {', '.join(file.name for file in files)}")


def resampled(run: RunDir, file: Path) -> dict[str, Any]:
    """How many decisions of a released file hang on the resampling (see `cervix_tf.export.resampling`)."""
    model = runtime.load(file)
    tests, _ = runs.tested_inputs(run, runs.manifest(run), model.contract)
    arrived = resampling.arrive(tests.files, model.contract, RESAMPLED)
    return resampling.hanging(model, arrived, runtime.probabilities(model, tests.files))


def card(
    run: RunDir,
    about: Mapping[str, Any],
    listed: Manifest,
    exports: list[dict[str, Any]],
    hanging: dict[str, Any],
) -> dict[str, Any]:
    """The run's model card, with what about.yaml and the data sheet add and only the released files."""
    found, sheet = model_card.card(run), datasheet.read(about["datasheet"])
    found["model"] |= {"license": about["license"].strip(), "first_weights": about["first_weights"].strip()}
    found["data"] |= {
        "source": f"{sheet.citation.strip()} {sheet.terms.strip()}",
        "grouping": sheet.grouping.strip(),
        "protocol": split(listed),
    }
    said = f"{resampling.told(hanging)}; give images of the same size as the training images, as they were taken."
    found["limits"] = [found["limits"][0], *(limit.strip() for limit in about["limits"]), said, *found["limits"][1:]]
    found["resampling"] = hanging
    found["files"] = exports
    return found


def split(listed: Manifest) -> str:
    """How many images and groups each part has. Raises `InputError` where parts share a group."""
    parts = splits.prescribed(listed)
    splits.check_disjoint(parts)
    return f"groups drawn at random, none in two parts: {model_card.split_counts(parts)} (manifest.csv)"


if __name__ == "__main__":
    with exit_cleanly():
        tyro.cli(release, description=__doc__)
