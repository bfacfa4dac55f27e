"""Where a run keeps its files: the only module that knows their names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cervix_tf import atomic, bounded, file_names
from cervix_tf.errors import InputError

_JSON_BYTES = 256 << 20


@dataclass(frozen=True)
class RunDir:
    """The folder of one run, `saved_models/<paper>/<run>/`, or of one row (a trained model) inside it."""

    root: Path

    def row(self, name: str) -> RunDir:
        """The folder of one trained model inside this run, laid out like a run itself."""
        return RunDir(self.root / "rows" / file_names.of_id(name))

    @property
    def rows(self) -> dict[str, RunDir]:
        """The rows that this run has begun, by the name of their folder."""
        found = sorted((self.root / "rows").glob("*/"))
        return {path.name: RunDir(path) for path in found if not path.name.startswith(".")}

    @property
    def config(self) -> Path:
        """Every field of the configuration, JSON."""
        return self.root / "config.json"

    @property
    def environment(self) -> Path:
        """Versions, commit, device, seed and command line, JSON."""
        return self.root / "environment.json"

    @property
    def manifest(self) -> Path:
        """The manifest as used, with the split in its `split` column."""
        return self.root / "manifest.csv"

    @property
    def history(self) -> Path:
        """One line an epoch: losses and metrics."""
        return self.root / "history.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of the training state and the best weights."""
        return self.root / "checkpoints"

    @property
    def finished_training(self) -> Path:
        """Record of a training that has ended: its history, and the best epoch in each criterion."""
        return self.checkpoints / "finished.json"

    @property
    def best_weights(self) -> Path:
        """Weights of the epoch that the protocol's criterion chose."""
        return self.checkpoints / "best.weights.h5"

    def best_weights_by(self, criterion: str) -> Path:
        """Weights of the epoch that is best in another criterion, where a row keeps several."""
        return self.checkpoints / f"best-{criterion}.weights.h5"

    @property
    def privacy(self) -> Path:
        """What the noise of a federation is worth: epsilon, delta, JSON; only where it had any."""
        return self.root / "privacy.json"

    @property
    def federation(self) -> Path:
        """One line a client and round of a federation: what became of it, seconds, bytes."""
        return self.root / "federation.csv"

    @property
    def federated_weights(self) -> Path:
        """Weights that a finished federation ended with, and what each client keeps, NumPy's npz."""
        return self.checkpoints / "federated.npz"

    @property
    def predictions(self) -> Path:
        """Test predictions: one line per image or case (see `cervix_tf.metrics.predictions`)."""
        return self.root / "predictions.csv"

    @property
    def validation_predictions(self) -> Path:
        """Predictions on the validation part: where thresholds are chosen."""
        return self.root / "predictions_validation.csv"

    @property
    def embeddings(self) -> Path:
        """Embeddings of every input (see `cervix_tf.metrics.embeddings`)."""
        return self.root / "embeddings.npz"

    @property
    def retrieval(self) -> Path:
        """How well embeddings put classes apart (see `cervix_tf.metrics.retrieval`), JSON."""
        return self.root / "retrieval.json"

    @property
    def metrics(self) -> Path:
        """Metrics with n, interval and method, JSON."""
        return self.root / "metrics.json"

    @property
    def cost(self) -> Path:
        """Weights, their size and the time of a forward pass of the main model, JSON; where a study measures them."""
        return self.root / "cost.json"

    @property
    def tables(self) -> Path:
        """The paper's tables beside ours, JSON."""
        return self.root / "tables.json"

    @property
    def tables_of_seeds(self) -> Path:
        """The same tables over several seeds, mean and deviation, JSON; only in the run of the first seed."""
        return self.root / "tables_of_seeds.json"

    @property
    def model(self) -> Path:
        """The Keras model."""
        return self.root / "model.keras"

    @property
    def contract(self) -> Path:
        """What the exported models take and give, JSON (see `cervix_tf.contract`)."""
        return self.root / "contract.json"

    @property
    def saved_model(self) -> Path:
        """The SavedModel folder: uint8 images in, probabilities out."""
        return self.root / "saved_model"

    def tflite(self, variant: str = "float32") -> Path:
        """A TFLite file: float32, float16, dynamic or int8. Float32 is plain `model.tflite`."""
        return self.root / ("model.tflite" if variant == "float32" else f"model_{variant}.tflite")

    def mobile(self, variant: str = "float32") -> Path:
        """A TFLite file of one graph, for images of the network's own size: float32, float16 or int8."""
        return self.root / f"mobile_{variant}.tflite"

    def web(self, variant: str = "float32") -> Path:
        """A TFLite file of one graph for browsers, one resized input: float32 or int8."""
        return self.root / f"web_{variant}.tflite"

    @property
    def onnx(self) -> Path:
        """The model in ONNX: uint8 images of any size in, probabilities out."""
        return self.root / "model.onnx"

    @property
    def neighbors(self) -> Path:
        """What turns a model's embeddings into probabilities (see `cervix_tf.metrics.neighbors`)."""
        return self.root / "neighbors.npz"

    @property
    def quality(self) -> Path:
        """Limits that tell images the model should not be asked about (see `cervix_tf.quality`), JSON."""
        return self.root / "quality_gate.json"

    @property
    def seen(self) -> Path:
        """Digests of what the model was trained and chosen on (see `cervix_tf.data.seen`), JSON."""
        return self.root / "seen.json"

    @property
    def exports(self) -> Path:
        """Size, latency and parity of every exported file, JSON."""
        return self.root / "exports.json"

    @property
    def decisions(self) -> Path:
        """How good the model's calibration and operating point are on the test part, JSON."""
        return self.root / "decisions.json"

    @property
    def model_card(self) -> Path:
        """The model card, Markdown (`model_card.json` beside it)."""
        return self.root / "model_card.md"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard logs, where they were asked for."""
        return self.root / "tensorboard"

    @property
    def figures(self) -> Path:
        """Folder of pictures."""
        return self.root / "figures"

    @property
    def paper_figures(self) -> Path:
        """The figures of the paper that were drawn from the run: names, files, captions, JSON."""
        return self.figures / "paper.json"

    @property
    def evidence(self) -> Path:
        """How much of the heat maps lies where a synthetic class was drawn, JSON; synthetic data only."""
        return self.root / "evidence.json"

    @property
    def heat_maps(self) -> Path:
        """How the heat maps were made, JSON: method, and the cells (rows, columns) that an image has in them."""
        return self.figures / "heatmaps.json"

    def heat_map(self, id: str) -> Path:
        """The picture of one case's images and heat maps."""
        return self.figures / "heatmaps" / f"{file_names.of_id(id)}.png"

    @property
    def audit(self) -> Path:
        """What the audit of the images found, JSON: a list of {kind, count}."""
        return self.root / "audit.json"

    @property
    def checklist(self) -> Path:
        """What the run's files say to the items of reporting guidelines, Markdown."""
        return self.root / "checklist.md"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.root / "report.html"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN is refused."""
    atomic.write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises `InputError` when it is missing, no JSON or another value."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: does not contain a JSON object; restore it or run the stage again")
    return found


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises `InputError` when the file is missing or is not JSON.
    """
    try:
        return bounded.json_value(bounded.read(path, _JSON_BYTES), _JSON_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: is this a finished run?") from None
    except bounded.Unreadable as error:
        raise InputError(f"{path}: {error}: restore it or run the stage again") from None
