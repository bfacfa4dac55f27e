"""The main row as users load it: uint8 images of any size in, class probabilities out."""

from __future__ import annotations

import cervix_tf
from cervix_tf import atomic
from cervix_tf.data import manifest
from cervix_tf.export import contract, formats, serving
from cervix_tf.run_dir import RunDir
from experiments.cvm_cervix import rows, training
from experiments.cvm_cervix.config import READINGS, Config
from experiments.cvm_cervix.data import Parts, described
from experiments.cvm_cervix.rows import Row

_FORMATS: tuple[formats.Format, ...] = ("saved_model", "tflite-float32", "tflite-float16")  # the last: sec. 4.6


def deploy(config: Config, row: Row, folds: list[Parts], out: RunDir) -> None:
    """Write the row's network of the first fold as Keras model, SavedModel and TFLite with 32- and 16-bit weights.

    Nothing is done where the same model stands there already.
    """
    reading, sizes = READINGS[config.task], manifest.read(out.manifest).rows[["height", "width"]].median()
    terms = contract.Contract(
        task="cvm_cervix",
        classes=tuple(reading.classes),
        positive=reading.positive,
        views=(),
        height=config.images.height,
        width=config.images.width,
        native_height=int(sizes["height"]),
        native_width=int(sizes["width"]),
        version=cervix_tf.__version__,
        licence="Apache-2.0 (code); the weights carry the terms of the images they were trained on",
        intended_use="Research on the classification of single cells. Not a medical device.",
        data=described(config),
        synthetic=bool(config.synthetic_cells),
        stand_in=False,
    )
    written = (out.model, out.exports, out.saved_model, out.tflite(), out.tflite("float16"))
    if all(path.exists() for path in (out.contract, *written)) and contract.read(out.contract) == terms:
        return
    network = training.trained(config, row, folds[0], out.row(rows.prefix(config, 0) + row.name))
    with atomic.replacing(out.model) as part:
        serving.serving_model(network, terms).save(part)
    terms.write(out.contract)
    out.exports.unlink(missing_ok=True)
    formats.run(out, _FORMATS)
