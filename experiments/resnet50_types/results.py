"""Tables, model card and report from what was measured; the difference that the split makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cervix_tf.config import Protocol
from cervix_tf.evaluate import metrics, predictions
from cervix_tf.report.tables import Measured, Table
from cervix_tf.run_dir import RunDir, read_json
from experiments.resnet50_types import evaluation, tables
from experiments.resnet50_types.config import CRITERIA, PROTOCOLS, TITLE, Config
from experiments.resnet50_types.data import Parts, described
from experiments.resnet50_types.rows import place

_UNDEFINED: Measured = {"value": None, "n": 0, "method": "undefined: no such test image"}


def conclude(config: Config, parts: Mapping[Protocol, Parts], out: RunDir) -> None:
    """Write tables, model card and report; print what a reader wants to know first."""
    from cervix_tf.export import model_card
    from cervix_tf.report import page
    from cervix_tf.report import tables as printed

    found = of_run(config, parts, out)
    printed.write(out.tables, found)
    printed.console(found)
    if out.contract.exists():
        model_card.write(out)
    report = page.run(out)
    print(f"{TITLE}\nrun {out.root}\nreport {report}")
    if out.saved_model.exists():
        print(f"SavedModel {out.saved_model}\nTFLite {out.tflite()}")


def of_run(config: Config, parts: Mapping[Protocol, Parts], out: RunDir) -> list[Table]:
    """The tables that what is finished allows, in the paper's order."""
    note = noted(config)
    counts = {
        protocol: {name: Counter(part.rows["label"]) for name, part in of.items()} for protocol, of in parts.items()
    }
    there = [protocol for protocol in PROTOCOLS if place(config, out, protocol).metrics.exists()]
    found = {protocol: evaluation.scores(read_json(place(config, out, protocol).metrics)) for protocol in there}
    said = {protocol: predictions.read(place(config, out, protocol).predictions) for protocol in there}
    always = {protocol: evaluation.constant(each, config.seed) for protocol, each in said.items()}
    made = [tables.of_counts(counts, f"Ours: {described(config)}."), tables.of_rows(found, always, note)]
    if set(PROTOCOLS) <= set(said) and "as_published" in parts:
        made.append(leak(config, parts["as_published"], said, note))
    return made


def leak(config: Config, published: Parts, said: Mapping[Protocol, predictions.Predictions], note: str) -> Table:
    """What the random split adds: against the leak-free row, and on test images like training images."""
    whole = said["as_published"]
    like = evaluation.like_training(whole, published)
    seen, unseen = whole.where(like), whole.where(~like)
    nothing = dict.fromkeys(tables.SCORES, _UNDEFINED)

    def of(some: predictions.Predictions) -> tables.Scores:
        return evaluation.scores(metrics.summary(some, seed=config.seed)) if len(some) else nothing

    both = evaluation.difference(seen, unseen, config.seed) if like.any() and not like.all() else nothing
    why = (
        " Like a training image: near-duplicate by perceptual hash, or identical. The two rows' test parts are drawn "
        "independently and share images by chance only, so that each part's groups are resampled on their own."
    )
    return tables.leak(
        evaluation.difference(whole, said["leak_free"], config.seed), of(seen), of(unseen), both, note + why
    )


def noted(config: Config) -> str:
    """How our numbers were made, in a sentence."""
    start = {"random": "random", "imagenet": "ImageNet"}.get(config.weights, "pre-trained")
    network = {"resnet50": "ResNet-50", "mobilenet_v2": "MobileNetV2"}[config.network]
    kept = ", ".join(f"{protocol} by {CRITERIA[protocol]}" for protocol in PROTOCOLS)
    return (
        f"Ours: {described(config)}, {network}, {config.images.height} x {config.images.width} pixels, {start} first "
        f"weights, {config.descent.epochs} epochs, epoch kept: {kept}; seed {config.seed}."
    )
