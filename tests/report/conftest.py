"""Fabricated, synthetic run folders: every file that a run may write, with made-up numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cervix_tf.data import manifest
from cervix_tf.metrics import classification, predictions
from cervix_tf.run_dir import RunDir, read_json, write_json

CLASSES = ("normal", "cin1", "cin2_3", "cancer")
POSITIVE = ("cin2_3", "cancer")
VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")
MADE_UP = "Synthetic numbers, made up for a test."


def write_visits(root: Path, labels: list[str], side: int = 60) -> manifest.Manifest:
    """Seven small images a visit, with the visit's class as its brightness."""
    records: list[dict[str, object]] = []
    for visit, label in enumerate(labels):
        folder = root / f"visit_{visit:03d}"
        folder.mkdir(parents=True)
        for at, view in enumerate(VIEWS):
            image = np.full((side * 3 // 4, side, 3), (60, 60 + 20 * at, 150), np.uint8)
            cv2.circle(image, (side // 2, side // 3), side // 5, (90, 40 + 40 * CLASSES.index(label), 220), -1)
            cv2.imwrite(str(folder / f"{at}.jpg"), image)
            records.append(
                {
                    "path": f"visit_{visit:03d}/{at}.jpg",
                    "label": label,
                    "group": f"woman {visit}",
                    "case": f"visit_{visit:03d}",
                    "view": view,
                    "split": ("train", "validation", "test")[visit % 3],
                }
            )
    return manifest.from_records(records, root)


def made_up_predictions(labels: list[str], strength: float, seed: int = 0) -> predictions.Predictions:
    """Predictions of `visit_000` ... that are right the more often the greater `strength`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(labels), 4))
    logits[np.arange(len(labels)), [CLASSES.index(label) for label in labels]] += strength
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    ids = [f"visit_{at:03d}" for at in range(len(labels))]
    return predictions.from_arrays(ids, probabilities, CLASSES, labels=labels, groups=ids, cases=ids)


def write_history(path: Path, epochs: int = 8) -> None:
    """Made-up curves whose best validation accuracy comes at epoch 5, and again later."""
    epoch = np.arange(1, epochs + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "epoch": epoch,
            "seconds": 1.5,
            "learning_rate": 1e-3,
            "loss": 1.4 * 0.8**epoch,
            "accuracy": 0.9 - 0.6 * 0.7**epoch,
            "val_loss": 1.4 * 0.85**epoch,
            "val_accuracy": np.minimum(0.5 + 0.06 * np.minimum(epoch, 5), 0.8),
        }
    ).to_csv(path, index=False)


@pytest.fixture
def whole_run(tmp_path: Path, template: RunDir) -> RunDir:
    """A copy, to be changed at will, of a run with every file that the page reads."""
    shutil.copytree(template.root.parents[1], tmp_path / "runs")
    run = RunDir(tmp_path / "runs" / template.root.parent.name / template.root.name)
    write_json(run.environment, {**read_json(run.environment), "data_root": str(tmp_path / "runs" / "images")})
    return run


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The run that `whole_run` copies."""
    return write_run(tmp_path_factory.mktemp("template"), [CLASSES[at % 4] for at in range(24)])


def write_run(tmp_path: Path, labels: list[str]) -> RunDir:
    """A run with every file that the page reads."""
    run = RunDir(tmp_path / "mobilenetv2_ensemble" / "demo")
    listed = write_visits(tmp_path / "images", labels)
    run.root.mkdir(parents=True)
    manifest.write(listed, run.manifest)
    for row, strength in {"": 2.5, "acetic": 1.5, "green": 1.0, "iodine": 0.8}.items():
        where = run.row(row) if row else run
        where.root.mkdir(parents=True, exist_ok=True)
        found = made_up_predictions(labels, strength)
        predictions.write(found, where.predictions)
        summary = classification.summary(found, positive=POSITIVE, resamples=50, data="made-up visits", synthetic=True)
        write_json(where.metrics, summary)
        write_history(run.row(row or "ensemble").history)
    write_json(run.config, {"criterion": "val_accuracy", "protocol": "leak_free", "train": {"epochs": 8}, "seed": 0})
    write_json(
        run.environment,
        {
            "command_line": "python -m experiments.mobilenetv2_ensemble --preset demo",
            "data_root": str(listed.root),
            "versions": {"tensorflow": "2.21.0", "keras": "3.15.0"},
        },
    )
    write_json(run.tables, [made_up_table()])
    write_json(run.contract, {"task": "mobilenetv2_ensemble", "classes": CLASSES, "views": VIEWS, "synthetic": True})
    write_json(run.root / "audit.json", [{"kind": "near_duplicate", "count": 3}, {"kind": "truncated", "count": 0}])
    write_json(
        run.exports,
        [
            {"format": "saved_model", "file": "saved_model", "bytes": 9_420_000, "agreement": 1.0},
            {"format": "tflite-int8", "bytes": 900, "latency_ms_1": 12.3456, "max_difference": 3.1e-7},
        ],
    )
    heat_maps = run.figures / "heatmaps"
    heat_maps.mkdir(parents=True)
    for at in range(len(labels)):
        cv2.imwrite(str(heat_maps / f"visit_{at:03d}.png"), np.full((40, 120, 3), (30, 90, 250), np.uint8))
    return run


def made_up_table() -> dict:
    """One table with an ordinary row, a row not run, a row the paper lacks and an undefined number."""

    def ours(value: float | None) -> dict:
        bounds = {"low": None, "high": None} if value is None else {"low": value - 14.9, "high": value + 12.2}
        method = "undefined: no row of cancer" if value is None else "Wilson 95%"
        return {"value": value, **bounds, "n": 48, "method": method}

    return {
        "number": 6,
        "title": "Networks of single image types and the ensemble",
        "columns": ["Accuracy", "F1 score"],
        "rows": [
            {
                "name": "Ensemble",
                "paper": [81.25, 81.20],
                "ours": [ours(70.8), ours(None)],
                "row": "ensemble",
            },
            {"name": "Acetic", "paper": [71.24, 57.69], "ours": None, "row": "acetic"},
            {"name": "Added by us", "paper": None, "ours": [ours(60.0), ours(55.0)], "row": "extra"},
        ],
        "note": MADE_UP,
    }
