"""The method section: stages in order, from a folder of visits to a report."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cervix_tf import cli
from cervix_tf.config import Optimiser
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, read_json, write_json
from experiments.mobilenetv2_ensemble.config import (
    CLASSES,
    DESCRIPTIONS,
    KINDS,
    POSITIVE,
    PRESETS,
    TITLE,
    VIEWS,
    Config,
)

if TYPE_CHECKING:  # TensorFlow and pandas stay out of --help
    import keras
    import numpy as np
    import pandas as pd
    import tensorflow as tf

    from cervix_tf.data.inputs import Inputs
    from cervix_tf.data.manifest import Manifest
    from cervix_tf.evaluate.predictions import Predictions

Parts = dict[str, "Manifest"]


def run(config: Config, out: RunDir) -> None:
    """Table 6, row by row: from manifest to report."""
    everything = read_manifest(config, out)
    complete = complete_cases(everything)
    results: dict[str, list[Predictions]] = {row: [] for row in (*KINDS, "ensemble")}
    chosen: dict[str, list[Predictions]] = {row: [] for row in results}
    results |= {f"probe-{kind}": [] for kind in KINDS if config.probe}
    for fold, parts in enumerate(parts_of(everything, config)):
        parts["test"] = parts["test"].where(parts["test"].rows["case"].isin(complete))
        if fold == 0:
            keep_manifest(everything, parts, out)
        prefix = f"fold-{fold}-" if config.folds > 1 else ""
        networks = {kind: train_view(config, kind, parts, out.row(prefix + kind)) for kind in KINDS}
        networks["ensemble"] = train_ensemble(config, networks, parts, out.row(f"{prefix}ensemble"))
        for row, network in networks.items():
            results[row].append(predict(config, network, inputs_of(parts["test"], row)))
            chosen[row].append(predict(config, network, inputs_of(parts["validation"], row)))
        for kind in KINDS if config.probe else ():
            results[f"probe-{kind}"].append(probe(config, kind, parts))
        if fold == 0:
            keep_model(config, networks["ensemble"], out)

    measured = {row: measure(config, out, row, results[row], chosen.get(row, [])) for row in results}
    export(out)
    explain(out, everything)
    conclude(config, out, measured)


def read_manifest(config: Config, out: RunDir) -> Manifest:
    """The labelled images: drawn, imported from their original layout, or from a manifest made before."""
    from cervix_tf.data import audit, images, importers, manifest

    if config.synthetic_visits:
        from cervix_tf.data.synthetic import visits

        root = out.root / "data"
        if not root.exists():
            visits.write(root, visits=config.synthetic_visits, seed=config.seed, height=240, width=320)
        found = importers.load("cervigram_visits", root)
    elif config.data.manifest is not None:
        found = importers.Imported(manifest.read(config.data.manifest, config.data.root), [], [])
    elif config.data.root is not None:
        found = importers.load(config.layout, config.data.root)
    else:
        raise InputError(
            f"--data.root is missing: give the folder of the {config.layout} images, or --data.manifest; "
            "without any data, try --preset demo"
        )
    if not config.synthetic_visits:
        for note in found.notes:
            print(f"note: {note}")
    manifest.check_labels(found.manifest, CLASSES, str(config.data.manifest or found.manifest.root))
    labelled = found.manifest.where(found.manifest.rows["label"].isin(CLASSES))
    images.check_files(labelled.paths())
    if not out.audit.exists():
        found_by_audit = audit.audit(labelled).counts()
        write_json(
            out.audit,
            [{"kind": f"{kind} ({severity})", "count": count} for (severity, kind), count in found_by_audit.items()],
        )
    write_json(out.environment, {**read_json(out.environment), "data_root": str(labelled.root.resolve())})
    return labelled


def complete_cases(everything: Manifest) -> set[str]:
    """The cases that the ensemble can take; says which others there are and why they are left out of tests."""
    from cervix_tf.data import inputs

    cases, left_out = inputs.of_cases(everything, CLASSES, VIEWS)
    for reason, count in left_out.items():
        print(f"note: {count} cases train single views only and are never tested: {reason}")
    return set(cases.rows["id"])


def parts_of(everything: Manifest, config: Config) -> list[Parts]:
    """train, validation and test of each fold (one, unless cross-validated), group-disjoint."""
    from cervix_tf.data import splits

    prescribed = "test" in set(everything.rows["split"])
    if config.folds > 1:
        pairs = splits.folds(everything, config.folds, config.seed)
    elif prescribed:
        pairs = [(everything.part("train"), everything.part("test"))]
    else:
        halves = splits.grouped(everything, {"train": 1 - config.test_share, "test": config.test_share}, config.seed)
        pairs = [(halves["train"], halves["test"])]
    found = []
    for train, test in pairs:
        splits.check_disjoint({"train": train, "test": test})
        if config.protocol == "as_published":
            found.append({"train": train, "validation": test, "test": test})
        else:
            shares = {"train": 1 - config.validation_share, "validation": config.validation_share}
            found.append({**splits.grouped(train, shares, config.seed), "test": test})
    return found


def keep_manifest(everything: Manifest, parts: Parts, out: RunDir) -> None:
    """Write the manifest as used, each image's part in its `split` column."""
    from cervix_tf.data import manifest

    rows = everything.rows.assign(split="")
    for name in (
        "validation",
        "test",
        "train",
    ):  # as published, validation is the test part: test is what it is
        rows.loc[rows["path"].isin(parts[name].rows["path"]), "split"] = name
    manifest.write(manifest.Manifest(rows, everything.root), out.manifest)


def inputs_of(part: Manifest, row: str) -> Inputs:
    """What the network of a row takes: images of one kind of view, or whole cases."""
    from cervix_tf.data import inputs

    return inputs.of_cases(part, CLASSES, VIEWS)[0] if row == "ensemble" else inputs.of_images(part, CLASSES, row)


def train_view(config: Config, kind: str, parts: Parts, out: RunDir) -> keras.Model:
    """The network of one kind of view, with its best weights."""
    from cervix_tf.data import pipeline
    from cervix_tf.layers import in_float32
    from cervix_tf.train import devices
    from experiments.mobilenetv2_ensemble import model

    training, validation = inputs_of(parts["train"], kind), inputs_of(parts["validation"], kind)
    optimiser: Optimiser = getattr(config, kind)
    seed = seed_of(config, out)
    with started(config, seed), devices.precision(config.precision):
        network = model.single_view(config, kind)
        compile_for_training(network, optimiser)
    history = fit(
        config,
        network,
        lambda first: pipeline.training(
            training, config.images, config.augmentation, seed=seed, epochs=optimiser.epochs, first_epoch=first
        ),
        pipeline.evaluation(validation, config.images),
        training,
        optimiser,
        out,
    )
    say(config, out, training, history)
    return in_float32(network) if config.precision != "float32" else network


def train_ensemble(config: Config, views: dict[str, keras.Model], parts: Parts, out: RunDir) -> keras.Model:
    """The ensemble over the trained views, whose trunks stay as they are, with its best weights.

    Since the trunks are fixed, what they make of the images is computed once, for
    `feature_copies` augmented copies of the training cases, and only the fusion is run
    in every epoch.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    from cervix_tf.data import pipeline
    from experiments.mobilenetv2_ensemble import model

    training, validation = inputs_of(parts["train"], "ensemble"), inputs_of(parts["validation"], "ensemble")
    optimiser = config.ensemble
    seed = seed_of(config, out)
    with started(config, seed):
        trunks = model.stacked(
            config,
            {kind: keras.Model(net.input, net.get_layer("last_relu").output, name=kind) for kind, net in views.items()},
        )
        head = model.fusion(config, trunks.output_shape[1:])
        compile_for_training(head, optimiser)

    def features(batches: tf.data.Dataset) -> np.ndarray:
        with pipeline.readable_errors():
            return trunks.predict(batches, verbose=0)

    def batches(first: int) -> tf.data.Dataset:
        copies = [
            features(pipeline.one_epoch(training, config.images, config.augmentation, seed=seed, epoch=copy))
            for copy in range(min(config.feature_copies, optimiser.epochs))
        ]
        return pipeline.training_features(
            np.stack(copies), training, config.images, seed=seed, epochs=optimiser.epochs, first_epoch=first
        )

    seen = features(pipeline.evaluation(validation, config.images))
    held_out = tf.data.Dataset.from_tensor_slices((seen, validation.labels)).batch(config.images.batch_size)
    history = fit(config, head, batches, held_out, training, optimiser, out)
    say(config, out, training, history)
    learnt = model.fusion(config, trunks.output_shape[1:])  # uncompiled: no optimiser state in the saved model
    learnt.set_weights(head.get_weights())
    return model.ensemble(trunks, learnt)


def seed_of(config: Config, out: RunDir) -> int:
    """The seed of one network: it depends on the run's seed and the row's name, not on what was trained before."""
    return (config.seed * 1_000_003 + zlib.crc32(out.root.name.encode())) % 2**31


@contextlib.contextmanager
def started(config: Config, seed: int) -> Iterator[None]:
    """Build a network inside this: on the chosen devices, from weights that depend on `seed` alone."""
    import keras

    from cervix_tf.train import devices

    keras.utils.set_random_seed(seed)
    with devices.strategy(config.devices).scope():
        yield


def compile_for_training(network: keras.Model, optimiser: Optimiser) -> None:
    """Adam, cross entropy (Eq. 6), accuracy and the harmonic mean of the true positive rates."""
    import keras

    from cervix_tf.train import devices, fit
    from cervix_tf.train.harmonic_mean_tpr import HarmonicMeanTPR

    network.compile(
        optimizer=fit.adam(optimiser),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", HarmonicMeanTPR(len(CLASSES))],
        jit_compile=devices.jit_compile(),
    )


def fit(
    config: Config,
    network: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    training: Inputs,
    optimiser: Optimiser,
    out: RunDir,
) -> pd.DataFrame:
    """Train a compiled network as the configuration says; the history."""
    import sys

    from cervix_tf.data import pipeline
    from cervix_tf.train import fit

    return fit.fit(
        network,
        batches,
        validation,
        epochs=optimiser.epochs,
        steps_per_epoch=pipeline.steps(training, config.images),
        criterion=config.criterion,
        out=out,
        callbacks=[fit.tensorboard(out)] if config.tensorboard else [],
        verbose=1 if sys.stdout.isatty() else 0,
    )


def say(config: Config, out: RunDir, training: Inputs, history: pd.DataFrame) -> None:
    """Print what came of a training, on one line."""
    from cervix_tf.train import fit

    best = history.iloc[fit.best_epoch(history, config.criterion) - 1]
    print(
        f"{out.root.name}: {len(training)} training inputs, {len(history)} epochs, {history['seconds'].sum():.0f} s; "
        f"kept epoch {best['epoch']:.0f} ({config.criterion} {best[config.criterion]:.3f})",
        flush=True,
    )


def probe(config: Config, kind: str, parts: Parts) -> Predictions:
    """Test predictions of a logistic regression on the untouched features of the first weights: what training adds to.

    Pooled 1280-wide features of the images of one kind of view, standardised on the training part.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from cervix_tf.data import pipeline
    from cervix_tf.models.mobilenet_v2 import mobilenet_v2

    network = mobilenet_v2(
        config.images.height, config.images.width, alpha=config.network.alpha, weights=config.weights
    )
    training, test = inputs_of(parts["train"], kind), inputs_of(parts["test"], kind)
    features, seen = (
        network.predict(pipeline.evaluation(part, config.images), verbose=0).mean(axis=(1, 2))
        for part in (training, test)
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    classifier.fit(features, training.labels)
    return predictions_of(test, classifier.predict_proba(seen))


def predict(config: Config, network: keras.Model, inputs: Inputs) -> Predictions:
    """Class probabilities of every input, as predictions."""
    from cervix_tf.data import pipeline
    from cervix_tf.train import fit

    return predictions_of(inputs, fit.probabilities(network, pipeline.evaluation(inputs, config.images)))


def predictions_of(inputs: Inputs, probabilities: np.ndarray) -> Predictions:
    """What predictions.csv says of these inputs."""
    from cervix_tf.evaluate import predictions

    rows = inputs.rows
    return predictions.of(
        rows["id"],
        probabilities,
        CLASSES,
        labels=rows["label"],
        groups=rows["group"],
        cases=rows["case"],
        views=rows["view"],
        sites=rows["site"],
        ages=rows["age"],
    )


def measure(config: Config, out: RunDir, row: str, results: list[Predictions], chosen: list[Predictions]) -> dict:
    """Write predictions and metrics of a row, pooled over folds; the metrics."""
    import pandas as pd

    from cervix_tf.evaluate import metrics, predictions

    def joined(folds: list[Predictions]) -> Predictions:
        return predictions.Predictions(pd.concat([fold.table for fold in folds], ignore_index=True), CLASSES)

    where = out if row == "ensemble" else out.row(row)
    pooled = joined(results)
    predictions.write(pooled, where.predictions)
    validation = None
    # Thresholds need a part that is neither trained nor tested on: as published there is none, and in a
    # cross-validation every case is tested on in some fold.
    if chosen and config.protocol == "leak_free" and config.folds == 1:
        validation = chosen[0]
        predictions.write(validation, where.validation_predictions)
    found = metrics.summary(
        pooled,
        positive=POSITIVE,
        validation=validation,
        seed=config.seed,
        data=described(config),
        synthetic=bool(config.synthetic_visits),
        stand_in=config.layout != "cervigram_visits",
    )
    write_json(where.metrics, found)
    return found


def described(config: Config) -> str:
    """The data in words, for tables and cards."""
    if config.synthetic_visits:
        return f"{config.synthetic_visits} synthetic visits"
    return "IARC colposcopy image bank (stand-in)" if config.layout == "iarc_colposcopy" else config.layout


def keep_model(config: Config, network: keras.Model, out: RunDir) -> None:
    """Write the ensemble as the model that users load: uint8 images of any size in, probabilities out."""
    import cervix_tf
    from cervix_tf import atomic
    from cervix_tf.export import contract, serving

    terms = contract.Contract(
        task="mobilenetv2_ensemble",
        classes=CLASSES,
        positive=POSITIVE,
        views=VIEWS,
        height=config.images.height,
        width=config.images.width,
        native_height=480,
        native_width=640,
        version=cervix_tf.__version__,
        licence="Apache-2.0 (code); the weights carry the terms of the images they were trained on",
        intended_use="Research on colposcopy image classification. Not a medical device.",
        data=described(config),
        synthetic=bool(config.synthetic_visits),
        stand_in=config.layout != "cervigram_visits",
    )
    terms.write(out.contract)
    with atomic.replacing(out.model) as part:
        serving.serving_model(network, terms).save(part)


def export(out: RunDir) -> None:
    """SavedModel and float TFLite of the ensemble, each compared with the Keras model on test cases."""
    from cervix_tf.export import formats

    if not (out.exports.exists() and out.saved_model.exists() and out.tflite().exists()):
        formats.run(out, ("saved_model", "tflite-float32"))


def explain(out: RunDir, everything: Manifest) -> None:
    """Grad-CAM++ of the cases that the report shows: seven images and their heat maps a picture.

    Source: sec. 4.5 and Fig. 10.
    """
    import cv2

    from cervix_tf import atomic
    from cervix_tf.data import images
    from cervix_tf.evaluate import predictions
    from cervix_tf.explain import model_maps
    from cervix_tf.export import finished_run
    from cervix_tf.report import cases

    tested = predictions.read(out.predictions)
    shown = [tested.table["id"][row] for rows in cases.chosen(tested).values() for row in rows]
    network = finished_run.model(out)
    files = dict(zip((found := inputs_of(everything, "ensemble")).rows["id"], found.files, strict=True))
    for case in shown:
        pixels = [images.decode_file(file) for file in files[case]]
        picture = model_maps.strip(pixels, model_maps.heat_maps(network, pixels, VIEWS), VIEWS)
        with atomic.replacing(out.heat_map(case)) as part:
            cv2.imwrite(str(part), picture[..., ::-1])


def conclude(config: Config, out: RunDir, measured: dict[str, dict]) -> None:
    """Tables, model card and report; prints what a reader wants to know first."""
    from cervix_tf.export import model_card
    from cervix_tf.report import page
    from cervix_tf.report import tables as printed
    from experiments.mobilenetv2_ensemble import tables

    how = f"{config.folds}-fold cross-validation by case" if config.folds > 1 else f"protocol {config.protocol}"
    note = f"Ours: {described(config)}, {how}; not the paper's test set."
    found = [tables.table_6(measured, note), tables.binary_auc(measured, note)]
    printed.write(out.tables, found)
    printed.console(found)
    model_card.write(out)
    report = page.run(out)
    print(f"{TITLE}\nrun {out.root}\nreport {report}\nSavedModel {out.saved_model}\nTFLite {out.tflite()}")


if __name__ == "__main__":
    cli.main("mobilenetv2_ensemble", PRESETS, DESCRIPTIONS, run)
