"""`python -m cervix_tf.train MANIFEST -o RUN`: a classifier of your own labeled images, tested, exported, reported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from cervix_tf import durable, ranges, run_lock, start, tuning
from cervix_tf.arguments import once
from cervix_tf.config import AdamConfig, Augmentation, Images, Precision
from cervix_tf.contract import TEXT
from cervix_tf.decision import Method
from cervix_tf.errors import InputError, exit_cleanly
from cervix_tf.ranges import Devices, FileOr, Seed, Share, Written
from cervix_tf.run_dir import RunDir

if TYPE_CHECKING:
    import keras

    from cervix_tf.data.manifest import Manifest
    from cervix_tf.study.training import ReusableNetwork


@dataclass(frozen=True)
class Config:
    """Train a classifier of single images on a manifest: classes, groups and splits come from its columns.

    Writes a run like a study's: predictions and metrics with intervals, a Keras model, SavedModel and TFLite, a model
    card and a report. Repeat the command to continue where it stopped.
    """

    manifest: tyro.conf.Positional[Path]
    """CSV with one row per image, from `python -m cervix_tf.data import`."""
    root: Path | None = None
    """Folder that the manifest's paths are relative to; the manifest's own folder if not given."""
    damaged: Literal["fail", "skip"] = "fail"
    """What to do with damaged images: stop and name them, or leave them out, named and counted in the report."""
    data_description: Annotated[str, Written(TEXT, "one line of text, not too long, without control characters")] = ""
    """What the images are: name, source, terms; shown in the contract and the model card. If not given, the manifest's
    name."""
    network: str = "mobilenet_v2"
    """A network from `python -m cervix_tf.models list`."""
    weights: Annotated[str, FileOr("imagenet", "random")] = "imagenet"
    """Initial weights: imagenet, random, or a weights file without top."""
    positive: tuple[str, ...] = ()
    """Classes that count as positive; they add sensitivity, specificity and the area under the ROC curve."""
    images: Images = field(default_factory=Images)
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(rotation=(-20.0, 20.0), scale=(1.0, 1.2), horizontal_flip=0.5)
    )
    """Random changes of the training images."""
    optimizer: AdamConfig = field(default_factory=lambda: AdamConfig(epochs=15, learning_rate=3e-4, weight_decay=0.01))
    cosine: bool = True
    """Let the learning rate fall to zero over the epochs, along a cosine."""
    validation_share: Share = 0.15
    """Share of the images for choosing the epoch, if the manifest prescribes no split."""
    test_share: Share = 0.2
    """Share of the images for testing, if the manifest prescribes no split."""
    precision: Precision = "float32"
    """Precision of the arithmetic in training (auto: bfloat16 where the hardware supports it); testing and exported
    files use float32."""
    tensorboard: bool = False
    """Also write TensorBoard logs (needs TensorBoard, which `make venv` installs)."""
    seed: Seed = 0
    devices: Devices = "all"
    """all, cpu, or a number; several devices are mirrored."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """What its fields rule out together."""
        return ranges.nothing_left(self, "validation_share", "test_share")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says; wrong input ends with exit code 2 and a message."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)

    @dataclass(frozen=True)
    class Command:
        config: Annotated[Config, tyro.conf.arg(name="")]
        out: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="RUN", help="Folder of the run.")]
        no_images: Annotated[
            bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Show no patients' images in the report.")
        ] = False
        calibrate: Annotated[
            Method | None,
            tyro.conf.arg(
                help="Calibrate the exported model on the validation images: temperature (one number, the "
                "safest), platt or vector. Metrics and tables stay those of the network as trained; the report "
                "has both. Given after training, it calibrates the finished run."
            ),
        ] = None
        execution: Annotated[tuning.Execution, tyro.conf.arg(name="")] = field(default_factory=tuning.Execution)

    with exit_cleanly():
        command = tyro.cli(Command, args=once(arguments), prog="python -m cervix_tf.train", description=Config.__doc__)
        ranges.check(command.execution, command.config)
        from cervix_tf.data import manifest

        manifest.read(command.config.manifest, command.config.root)  # nothing is made for one that cannot be read
        out = RunDir(command.out)
        durable.make_folder(out.root)
        with run_lock.held(out.root):
            threads = start.threads(command.execution.threads, [out])
            start.import_tensorflow(threads, deterministic=command.execution.deterministic)
            line = ["python", "-m", "cervix_tf.train", *arguments]
            shown = not command.no_images
            config = start.begin(command.config, out, line, command.config.seed, report_images=shown)
            run(config, out, command.calibrate)
        from cervix_tf.training import backend

        backend.finish_on_tensorflow("cervix_tf.train", arguments)


def run(config: Config, out: RunDir, calibrate: Method | None = None) -> None:
    """From the manifest to the report; what is done already is not done again.

    `calibrate` is of the exported model, on the validation images; None leaves a calibration that it has.
    """
    from cervix_tf.data import inputs
    from cervix_tf.metrics import recalibration
    from cervix_tf.models import catalog
    from cervix_tf.study import conclusion, data, deployment, evaluation
    from cervix_tf.study import training as study_training
    from cervix_tf.training import backend

    if config.network not in catalog.NAMES:
        raise InputError(f"--network {config.network}: no such network; choose from {', '.join(catalog.NAMES)}")
    images = read(config, out)
    classes = tuple(sorted(set(images.rows["label"])))
    if strange := [name for name in config.positive if name not in classes]:
        raise InputError(f"--positive {strange[0]}: is not one of the classes {', '.join(classes)}")
    if set(config.positive) == set(classes):
        raise InputError(f"--positive {' '.join(config.positive)}: names every class; name those of the disease alone")
    parts = data.split(images, {"validation": config.validation_share, "test": config.test_share}, config.seed)
    data.check_classes(parts, classes)
    data.keep_manifest(parts, out)
    of_split = {name: inputs.from_images(part, classes) for name, part in parts.items()}
    if calibrate is not None:  # known before hours of training
        recalibration.check(of_split["validation"].labels, classes, calibrate)
    said = config.data_description or config.manifest.name
    description = data.DataDescription(said, synthetic=False, positive=config.positive)

    def trained() -> keras.Model:
        network = _compiled(config, len(classes))
        study_training.train_on_images(
            network.trained,
            of_split,
            config.images,
            config.augmentation,
            config.optimizer,
            seed=config.seed,
            criterion="val_loss",
            out=out,
            cosine=config.cosine,
            tensorboard=config.tensorboard,
        )
        return network.result()

    if not out.metrics.exists():
        evaluation.evaluate(trained(), of_split, config.images, out, description, config.seed)
    if not backend.is_tensorflow():
        return
    try:
        contract = deployment.terms(
            out.root.name, classes, config.images, description, "Research on the images it was trained on.", out
        )
        deployment.deploy(out, contract, trained, calibrate=calibrate)
    finally:  # the report stands even where an exported file is refused
        conclusion.write_report(f"{config.network} on {config.manifest.name}", [], out)


def _compiled(config: Config, classes: int) -> ReusableNetwork:
    """The network with its initial weights, ready to be trained."""
    from cervix_tf.models import backbones
    from cervix_tf.study import training as study_training
    from cervix_tf.training import devices

    with study_training.building(config.devices, config.seed):
        with devices.precision(config.precision):
            network = backbones.classifier(
                config.network, classes, config.images.height, config.images.width, weights=config.weights
            )
        study_training.compile_classifier(network, config.optimizer)
        return study_training.reusable(network)


def read(config: Config, out: RunDir) -> Manifest:
    """The labeled images of the manifest, every one decoded once.

    Raises `InputError` when there are fewer than two classes, or a file is broken.
    """
    from cervix_tf.data import manifest
    from cervix_tf.data.importers import Imported
    from cervix_tf.study import data

    listed = manifest.read(config.manifest, config.root)
    classes = sorted(set(listed.rows["label"]) - {""})
    manifest.check_labels(listed, classes, str(config.manifest))
    labeled = data.labeled(Imported(listed, [], []), {name: (name,) for name in classes}, str(config.manifest))
    return data.check(labeled, out, config.damaged)


if __name__ == "__main__":
    main()
