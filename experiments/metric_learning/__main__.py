"""The method section: stages in order, from images of women to a classifier of their embeddings and a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cervix_tf import cli
from cervix_tf.cli import Asked
from cervix_tf.run_dir import RunDir, write_json
from experiments.metric_learning import rows
from experiments.metric_learning.config import DESCRIPTIONS, NEIGHBOURS, PARTS, PRESETS, READINGS, TABLES, TITLE, Config
from experiments.metric_learning.rows import Row

if TYPE_CHECKING:  # TensorFlow and pandas stay out of --help
    from cervix_tf.data.inputs import Inputs
    from cervix_tf.data.manifest import Manifest
    from cervix_tf.evaluate.embeddings import Embeddings
    from cervix_tf.evaluate.predictions import Predictions
    from experiments.metric_learning.results import Summaries
    from experiments.metric_learning.training import Build


def run(config: Config, out: RunDir, asked: Asked) -> None:
    """Tables 2 to 8: embeddings of every row, neighbours chosen on val2, verdicts on the hold-out part."""
    from experiments.metric_learning import data, figures, training

    everything = data.read(config, out)
    parts = data.parts_of(everything, config)
    inputs = keep_manifest(config, parts, out)
    build = training.builder(config, inputs["train"])
    found: dict[Row, Embeddings] = {}
    for row in rows.wanted(config, asked):
        found[row] = embeddings_of(config, row, inputs, build, out)
    summaries = {row: retrieved(config, each, out.row(row.name)) for row, each in found.items()}
    best = max(found, key=lambda row: goodness(summaries[row]))  # the first of equals
    verdicts = {row: measure(config, out.row(row.name), each, summaries[row]["k"]) for row, each in found.items()}
    measure(config, out, found[best], summaries[best]["k"])
    figures.draw(found, out, config.seed)
    try:
        deploy(config, best, found[best], summaries[best]["k"], inputs, build, out)
    finally:  # tables and report stand even where an exported file is refused
        conclude(config, asked, summaries, best, verdicts, out)


def keep_manifest(config: Config, parts: Mapping[str, Manifest], out: RunDir) -> dict[str, Inputs]:
    """Write the manifest as used, each image's part in its `split` column; the network inputs of each part."""
    from cervix_tf.data import inputs, manifest, splits

    whole = splits.with_split_column(parts)
    manifest.write(whole, out.manifest)
    return {name: inputs.of_images(whole.part(name), tuple(READINGS[config.task].classes)) for name in PARTS}


def embeddings_of(config: Config, row: Row, inputs: Mapping[str, Inputs], build: Build, out: RunDir) -> Embeddings:
    """Embeddings of every image by the row's network, which is trained first where they are not there yet."""
    import numpy as np
    import pandas as pd

    from cervix_tf.data import pipeline
    from cervix_tf.evaluate import embeddings
    from experiments.metric_learning import training

    where = out.row(row.name)
    if where.embeddings.exists():
        return embeddings.read(where.embeddings)
    network = training.trained(config, row, inputs, build, out)
    values, tables = [], []
    for name, part in inputs.items():
        with pipeline.readable_errors():
            values.append(network.predict(pipeline.evaluation(part, config.images), verbose=0))
        tables.append(part.rows.assign(split=name))
    table = pd.concat(tables, ignore_index=True)[list(embeddings.COLUMNS)]
    found = embeddings.Embeddings(table, np.concatenate(values), inputs["train"].classes)
    embeddings.write(found, where.embeddings)
    return found


def retrieved(config: Config, found: Embeddings, out: RunDir) -> Summaries:
    """Write how well the embeddings put classes apart, on val2 and the hold-out part, and the K that val2 chose."""
    from cervix_tf.evaluate import retrieval

    train = found.part("train")
    summaries = {
        part: retrieval.summary(train, found.part(part), NEIGHBOURS, seed=config.seed) for part in ("val2", "test")
    }
    k = retrieval.choose_k(train, found.part("val2"), NEIGHBOURS)
    write_json(out.retrieval, {"k": k, **summaries})
    return {"k": k, **summaries}


def goodness(summaries: Summaries) -> float:
    """What rows are compared by: the mean of the classes' accuracies on val2 with the K that is best there.

    Source: sec. V-B and the caption of Table 4.
    """
    return summaries["val2"]["mean_class_accuracy"][str(summaries["k"])]["value"]


def measure(config: Config, out: RunDir, found: Embeddings, k: int) -> Predictions:
    """Write what K neighbours say of val2 and the hold-out part, and the metrics of the latter; its predictions."""
    from cervix_tf.evaluate import predictions
    from experiments.metric_learning import measures

    said, validation = measures.classified(found, "test", k), measures.classified(found, "val2", k)
    predictions.write(said, out.predictions)
    predictions.write(validation, out.validation_predictions)
    measures.summarise(config, out, said, validation)
    return said


def deploy(
    config: Config, row: Row, found: Embeddings, k: int, inputs: Mapping[str, Inputs], build: Build, out: RunDir
) -> None:
    """The row as users load it: its network as SavedModel and TFLite, its fitted neighbours in a file beside them.

    Nothing is done where the same model stands there already.
    """
    import cervix_tf
    from cervix_tf import atomic
    from cervix_tf.data import manifest
    from cervix_tf.export import contract, formats, neighbours, serving
    from experiments.metric_learning import measures, training

    train, sizes = found.part("train"), manifest.read(out.manifest).rows[["height", "width"]].median()
    fitted = neighbours.of(train.values, train.labels, found.classes, k)
    terms = contract.Contract(
        task="metric_learning",
        classes=found.classes,
        positive=READINGS[config.task].positive,
        views=(),
        height=config.images.height,
        width=config.images.width,
        native_height=int(sizes["height"]),
        native_width=int(sizes["width"]),
        version=cervix_tf.__version__,
        licence="Apache-2.0 (code); weights and neighbours carry the terms of the images they were made from",
        intended_use="Research on cervical image classification. Not a medical device.",
        data=measures.described(config),
        synthetic=bool(config.synthetic_women),
        stand_in=measures.stand_in(config),
        neighbours=fitted.digest,
    )
    written = (out.model, out.neighbours, out.exports, out.saved_model, out.tflite())
    if all(path.exists() for path in (out.contract, *written)) and contract.read(out.contract) == terms:
        return
    out.contract.unlink(missing_ok=True)  # written last: without it the rest is another model's, or half of one
    neighbours.write(fitted, out.neighbours)
    network = training.trained(config, row, inputs, build, out)
    with atomic.replacing(out.model) as part:
        serving.serving_model(network, terms).save(part)
    terms.write(out.contract)
    out.exports.unlink(missing_ok=True)
    formats.run(out, ("saved_model", "tflite-float32"))


def conclude(
    config: Config,
    asked: Asked,
    summaries: Mapping[Row, Summaries],
    best: Row,
    verdicts: Mapping[Row, Predictions],
    out: RunDir,
) -> None:
    """Tables, figures, model card and report; prints what a reader wants to know first."""
    from cervix_tf.export import model_card
    from cervix_tf.report import page
    from cervix_tf.report import tables as printed
    from experiments.metric_learning import measures, results

    other = "" if config.task == "cervigrams" and not config.synthetic_women else "; not the paper's data"
    note = f"Ours: {measures.described(config)}, seed {config.seed}, K chosen on val2{other}."
    numbers = asked.tables or (7,)
    tables = [*results.of_embeddings(config, numbers, summaries, note)]
    tables += results.of_verdicts(config, numbers, best, summaries[best]["k"], verdicts[best], out, note)
    tables.append(results.of_rows(config, summaries, verdicts, out, note))
    printed.write(out.tables, tables)
    printed.console(tables)
    model_card.write(out)
    report = page.run(out)
    print(
        f"{TITLE}\nbest on val2: {best.name}, K = {summaries[best]['k']}\nrun {out.root}\nreport {report}\n"
        f"SavedModel {out.saved_model}\nTFLite {out.tflite()}\nneighbours {out.neighbours}"
    )


if __name__ == "__main__":
    cli.main("metric_learning", PRESETS, DESCRIPTIONS, run, tables=TABLES, listed=rows.listed)
