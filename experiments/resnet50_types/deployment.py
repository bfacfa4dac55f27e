"""The deployed row as users load it: uint8 images of any size in, class probabilities out."""

from __future__ import annotations

from collections.abc import Callable

import cervix_tf
from cervix_tf import atomic
from cervix_tf.data import manifest
from cervix_tf.export import contract, formats, serving
from cervix_tf.run_dir import RunDir
from experiments.resnet50_types import training
from experiments.resnet50_types.config import CLASSES, Config
from experiments.resnet50_types.data import Parts, described
from experiments.resnet50_types.training import Network


def deploy(config: Config, parts: Parts, build: Callable[[], Network], out: RunDir) -> None:
    """Write the row's network as Keras model, SavedModel and TFLite, each compared with the Keras model.

    Nothing is done where the same model stands there already.
    """
    sizes = manifest.read(out.manifest).rows[["height", "width"]].median()
    terms = contract.Contract(
        task="resnet50_types",
        classes=CLASSES,
        positive=(),
        views=(),
        height=config.images.height,
        width=config.images.width,
        native_height=int(sizes["height"]),
        native_width=int(sizes["width"]),
        version=cervix_tf.__version__,
        licence="Apache-2.0 (code); the weights carry the terms of the images they were trained on",
        intended_use="Research on the type of cervix in colposcopy images. Not a medical device.",
        data=f"{described(config)}, protocol {config.deployed}",
        synthetic=bool(config.synthetic_women),
        stand_in=False,
    )
    written = (out.model, out.exports, out.saved_model, out.tflite())
    if all(path.exists() for path in (out.contract, *written)) and contract.read(out.contract) == terms:
        return
    network = training.trained(config, config.deployed, parts, build, out.row(config.deployed))
    with atomic.replacing(out.model) as part:
        serving.serving_model(network, terms).save(part)
    terms.write(out.contract)
    out.exports.unlink(missing_ok=True)
    formats.run(out, ("saved_model", "tflite-float32"))
