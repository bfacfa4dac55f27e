"""A stand-in for a model, images for it, and what the tests of the command ask of both."""

import json
import types

import cv2
import numpy as np
import pytest

from cervix_tf.contract import Contract
from cervix_tf.data import manifest, seen
from cervix_tf.data.manifest import Manifest
from cervix_tf.evaluate.__main__ import main
from cervix_tf.export import runtime
from cervix_tf.report import page

CLASSES = ("normal", "cancer")
SEVEN = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")


def contract(**changes):
    fields = {
        "task": "made up",
        "classes": CLASSES,
        "positive": ("cancer",),
        "views": (),
        "height": 8,
        "width": 8,
        "native_height": 8,
        "native_width": 8,
        "version": "0",
        "license": "none",
        "intended_use": "tests",
        "data": "drawn",
        "synthetic": True,
        "stand_in": False,
    }
    return Contract(**{**fields, **changes})


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Stands in for a loaded model; contract, record and run may be set. Brighter images are surer of cancer."""
    (tmp_path / "model.tflite").write_bytes(b"any")
    monkeypatch.chdir(tmp_path)
    stand_in = types.SimpleNamespace(contract=contract(), seen=None, run_dir=None, pages=[])

    def network(pixels):
        assert pixels.ndim == (5 if stand_in.contract.views else 4)
        brightness = pixels.mean(axis=tuple(range(1, pixels.ndim))) / 255
        return np.stack([1 - brightness, brightness], axis=1)

    def load(path):
        return runtime.Model(stand_in.contract, path, network, seen=stand_in.seen, run_dir=stand_in.run_dir)

    monkeypatch.setattr(runtime, "load", load)
    monkeypatch.setattr(page, "evaluation", stand_in.pages.append)
    return stand_in


def images(folder, visits=16, views=("green", "iodine"), **columns):
    """Gray images, brighter for cancer; a manifest of `visits` with `views`, half test, half validation."""
    records = []
    for visit in range(visits):
        cancer = visit % 2
        for at, view in enumerate(views):
            path = f"{visit}/{at}.png"
            (folder / str(visit)).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / path), np.full((8, 8, 3), 60 + 120 * cancer + 5 * (visit % 16), np.uint8))
            records.append(
                {
                    "path": path,
                    "label": CLASSES[cancer],
                    "group": f"w{visit}",
                    "case": f"v{visit}",
                    "view": view,
                    "split": "test" if visit < visits / 2 else "validation",
                    "age": 20 + 3 * (visit % 16),
                    **columns,
                }
            )
    manifest.write(manifest.from_records(records, folder), folder / "manifest.csv")


def results(folder):
    return json.loads((folder / "metrics.json").read_text())


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["model.tflite", "--manifest", "manifest.csv", *arguments])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    return error


def trained_on(rows, root, **changes):
    """The record of a run that was trained on these rows of a manifest."""
    return seen.of(Manifest(rows.assign(split="train", **changes).reset_index(drop=True), root))
