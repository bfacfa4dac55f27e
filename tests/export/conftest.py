"""Two small finished runs, of single images and of cases of three views, as a study leaves them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers, ops

from cervix_tf import runs
from cervix_tf.config import Images
from cervix_tf.contract import Contract
from cervix_tf.data import inputs, manifest, pipeline
from cervix_tf.export import latency, resampling, saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.metrics import classification, predictions
from cervix_tf.run_dir import RunDir, write_json

CLASSES = ("red", "green", "blue")
CONTRACT = Contract(
    task="colors",
    classes=CLASSES,
    positive=("red",),
    views=(),
    height=24,
    width=32,
    native_height=48,
    native_width=64,
    version="1.2.3",
    license="Apache-2.0",
    intended_use="Tests.",
    data="drawn colors",
    synthetic=True,
    stand_in=False,
)
VIEWS = ("acetic_1", "acetic_2", "green")


def trunk() -> keras.Model:
    pixels = keras.Input((24, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    for filters in (8, 12):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(x))
    return keras.Model(pixels, x)


def network(contract: Contract) -> keras.Model:
    if not contract.views:
        one = trunk()
        return keras.Model(one.input, layers.Dense(3)(layers.GlobalAveragePooling2D()(one.output)))
    views = keras.Input((3, 24, 32, 3))
    acetic, green = trunk(), trunk()
    folded = acetic(ops.reshape(views[:, :2], (-1, 24, 32, 3)))
    both = ops.reshape(ops.transpose(ops.reshape(folded, (-1, 2, 6, 8, 12)), (0, 2, 3, 1, 4)), (-1, 6, 8, 24))
    stacked = layers.Concatenate()([both, green(views[:, 2])])
    return keras.Model(views, layers.Dense(3)(layers.GlobalAveragePooling2D()(stacked)))


def draw(label: int, rng: np.random.Generator) -> np.ndarray:
    """Noise in which one color is somewhat stronger, (48, 64, 3) uint8 RGB."""
    coarse = rng.uniform(30, 190, (5, 6, 3)).astype(np.float32)
    coarse[..., label] += 45
    return np.clip(cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def finish(root: Path, contract: Contract, cases: int) -> RunDir:
    """A run of `contract`, trained for a few seconds: what the stages before the export leave."""
    out, rng, records = RunDir(root), np.random.default_rng(0), []
    for case in range(cases):
        label, split = case % 3, ("test" if case % 2 else "train")
        for view in contract.views or ("",):
            path = f"c{case:03d}/{view or 'image'}.png"
            (root / "images" / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "images" / path), draw(label, rng)[..., ::-1])
            name = f"c{case:03d}"
            records.append(
                {"path": path, "label": CLASSES[label], "group": name, "case": name, "view": view, "split": split}
            )
    listed = manifest.from_records(records, root / "images")
    manifest.write(listed, out.manifest)
    write_json(out.environment, {"data_root": str(root / "images"), "command_line": "python -m made_up"})
    write_json(out.config, {"protocol": "leak_free"})

    def part(split: str) -> inputs.Inputs:
        rows = listed.part(split)
        return (
            inputs.from_cases(rows, CLASSES, contract.views)[0] if contract.views else inputs.from_images(rows, CLASSES)
        )

    keras.utils.set_random_seed(0)
    net, images = network(contract), Images(24, 32, 16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(0.02), loss)
    net.fit(pipeline.evaluation(part("train"), images).cache(), epochs=25, shuffle=False, verbose=0)
    tests = part("test")
    probabilities = ops.softmax(net.predict(pipeline.evaluation(tests, images), verbose=0))
    rows = tests.rows
    found = predictions.from_arrays(rows["id"], probabilities, CLASSES, labels=rows["label"], groups=rows["group"])
    predictions.write(found, out.predictions)
    write_json(
        out.metrics, classification.summary(found, positive=("red",), data="drawn", synthetic=True, resamples=100)
    )
    contract.write(out.contract)
    serving_model(net, contract).save(out.model)
    return out


def with_files(out: RunDir, contract: Contract) -> RunDir:
    saved_model.write(runs.model(out), contract, out.saved_model)
    out.tflite().write_bytes(tflite.convert(out.saved_model, contract, "float32"))
    return out


@pytest.fixture(scope="session")
def single_run(tmp_path_factory) -> RunDir:
    """A run of single images, SavedModel and float TFLite written."""
    return with_files(finish(tmp_path_factory.mktemp("single"), CONTRACT, 120), CONTRACT)


@pytest.fixture(scope="session")
def views_run(tmp_path_factory) -> RunDir:
    """A run of cases of three views, SavedModel and float TFLite written."""
    contract = replace(CONTRACT, views=VIEWS, task="colored cases")
    return with_files(finish(tmp_path_factory.mktemp("views"), contract, 60), contract)


@pytest.fixture(scope="module")
def unexported(tmp_path_factory):
    """unexported(run): a copy of a run as it was before anything was exported; what takes long is cut short."""

    def copied(run: RunDir) -> RunDir:
        out = RunDir(tmp_path_factory.mktemp("unexported") / "run")
        out.root.mkdir()
        for file in run.root.iterdir():
            if file.suffix in (".csv", ".json", ".keras") and file != run.exports:
                shutil.copy(file, out.root)
        return out

    with pytest.MonkeyPatch.context() as patch:  # measuring starts two processes per file
        patch.setattr(latency, "milliseconds", lambda path, repeats: [1.0, 1.0])
        patch.setattr(resampling, "IMAGES", 3)
        yield copied
