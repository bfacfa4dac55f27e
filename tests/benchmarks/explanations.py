"""`python tests/benchmarks/explanations.py FOLDER`: what heat maps are worth where the lesion is known, a page of it.

Draws acetic acid images of women with and without CIN2-3, trains a network on them with several seeds, and measures
heat maps of test images with a lesion that every network found: whether they point to it, whether the network needs
what they show, whether other seeds agree, and whether they change when the network's weights are shuffled. Writes
explanations.md, and what reports say of heat maps into cervix_tf/explain/measured.yaml. FOLDER keeps the weights.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tyro
import yaml

from cervix_tf import models, processor
from cervix_tf.data.synthetic import colposcopy
from cervix_tf.explain import evidence, faithfulness, grad_cam, model_maps
from cervix_tf.explain.occlusion import occlusion
from cervix_tf.layers import ResizePixels
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.means import means
from cervix_tf.report import heat_maps as words

PAGE = Path(__file__).with_name("explanations.md")
CLASSES = ("cin2_3", "normal")
LESION, VIEW, STEPS = 0, "acetic_3", 10
COLUMNS = {
    "points": "warmest point in the lesion, %",
    "share": "heat in the lesion, %",
    "deletion": "deletion (low is good)",
    "insertion": "insertion (high is good)",
    "seeds": "rank correlation, other seeds",
    "shuffled": "rank correlation, shuffled weights (0 is good)",
}


@dataclass(frozen=True)
class Options:
    """What heat maps are worth where the lesion is known."""

    folder: tyro.conf.Positional[Path]
    """Where the trained weights go."""
    weights: str = "imagenet"
    """Initial weights: imagenet, random, or a file."""
    network: str = "mobilenet_v2"
    height: int = 224
    width: int = 298
    women: int = 160
    """Half of them with CIN2-3; a fifth is tested on."""
    epochs: int = 4
    batch: int = 8
    learning_rate: float = 3e-4
    seeds: int = 3
    images: int = 12
    """Test images with a lesion that are measured, at most."""


def drawn(options: Options) -> tuple[np.ndarray, np.ndarray, list[np.ndarray | None]]:
    """Images (women, height, width, 3) uint8, labels (women,), and the lesion's mask where one shows; in turn."""
    visits = [
        colposcopy.draw(0, woman, CLASSES[woman % 2], (options.height, options.width)) for woman in range(options.women)
    ]
    images = np.stack([visit.images[VIEW] for visit in visits])
    return images, np.arange(options.women) % 2, [visit.masks.get(VIEW) for visit in visits]


def network(options: Options, seed: int, images: np.ndarray, labels: np.ndarray) -> keras.Model:
    """A serving model, uint8 images in, probabilities out; trained unless its weights are in the folder."""
    keras.utils.set_random_seed(seed)
    shape = options.height, options.width
    trained = models.create(options.network, len(CLASSES), *shape, weights=options.weights)
    kept = options.folder / f"seed-{seed}.weights.h5"
    if kept.exists():
        trained.load_weights(kept)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        trained.compile(keras.optimizers.Adam(options.learning_rate), loss, metrics=["accuracy"], jit_compile=False)
        rng = np.random.default_rng(seed)
        for epoch in range(options.epochs):
            flips = [(slice(None), slice(None, None, rng.choice([1, -1]))) for _ in images]
            seen = np.stack([each[flip] for each, flip in zip(images, flips, strict=True)])
            trained.fit(seen, labels, batch_size=options.batch, initial_epoch=epoch, epochs=epoch + 1, verbose=2)
        trained.save_weights(kept)
    pixels = keras.Input((None, None, 3), dtype="uint8")
    return keras.Model(pixels, keras.layers.Softmax()(trained(ResizePixels(*shape)(pixels))))


def maps_of(serving: keras.Model, image: np.ndarray) -> dict[str, np.ndarray]:
    """Method -> heat map of the lesion's class."""
    methods = {"Grad-CAM": grad_cam.grad_cam, "Grad-CAM++": grad_cam.grad_cam_plus_plus, "HiResCAM": grad_cam.hires_cam}

    def all_of_them(head: Any, maps: Any, class_index: Any) -> list[Any]:
        return [method(head, maps, class_index)[0] for method in methods.values()]

    found = dict(zip(methods, model_maps.heat_maps(serving, [image], (), LESION, all_of_them), strict=True))
    return found | {"occlusion": occlusion(serving.predict_on_batch, image, LESION, found["Grad-CAM"].shape)}


def without_network(cells: tuple[int, int], seed: int) -> dict[str, np.ndarray]:
    """Maps that no network has seen, to compare with."""
    rows, columns = (np.linspace(-1, 1, count) for count in cells)
    middle = np.exp(-2 * (rows[:, None] ** 2 + columns[None] ** 2))
    return {"no network: the middle": middle, "no network: chance": np.random.default_rng(seed).random(cells)}


def measure(found: list[keras.Model], shown: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Method -> measure -> value of each of (image, lesion).

    The mean over the networks; deletion, insertion and shuffled weights of the first one, as they take long.
    """
    maps: dict[str, list[list[np.ndarray]]] = {}  # method -> image -> network
    values: dict[str, dict[str, np.ndarray]] = {}
    for at, serving in enumerate(found):
        inner = next(layer for layer in serving.layers if isinstance(layer, keras.Model))
        predict = serving.predict_on_batch
        for place, (image, lesion) in enumerate(shown):
            of = maps_of(serving, image)
            for name, heat in (of | without_network(of["Grad-CAM"].shape, place)).items():
                rates = {
                    "points": float(evidence.points_inside(heat, lesion, lesion.shape)) / len(found),
                    "share": evidence.share_inside(heat, lesion, lesion.shape) / len(found),
                }
                if at == 0:
                    rates["deletion"] = faithfulness.deletion(predict, image, heat, LESION, STEPS)
                    rates["insertion"] = faithfulness.insertion(predict, image, heat, LESION, STEPS)
                for key, value in rates.items():
                    values.setdefault(name, {}).setdefault(key, np.zeros(len(shown)))[place] += value
            for name, heat in of.items():
                maps.setdefault(name, [[] for _ in shown])[place].append(heat)
            if at == 0:
                with faithfulness.shuffled_weights(inner, place):
                    shuffled = maps_of(serving, image)
                for name, heat in of.items():
                    like = faithfulness.rank_correlation(heat, shuffled[name])
                    values[name].setdefault("shuffled", np.zeros(len(shown)))[place] = like
            print(f"network {at + 1} of {len(found)}, image {place + 1} of {len(shown)}", file=sys.stderr)
    if len(found) > 1:
        for name, of_images in maps.items():
            values[name]["seeds"] = np.array([faithfulness.agreement(each) for each in of_images])
    # Chance is known exactly: the lesion's share of the image.
    values["no network: chance"] |= dict.fromkeys(("points", "share"), np.array([mask.mean() for _, mask in shown]))
    return values


def intervals_of(values: dict[str, dict[str, np.ndarray]], n: int) -> dict[tuple[str, str], Interval]:
    """Each mean over images with its interval."""
    every = np.ones(n, bool)
    rows = {(name, key): (value, every) for name, of in values.items() for key, value in of.items()}
    return means(rows, np.array([str(at) for at in range(n)], dtype=object), seed=0)


def cell(found: Interval | None, key: str) -> str:
    """A number with its interval, as the page shows it."""
    if found is None:
        return ""
    scale, digits = (100, 0) if key in ("points", "share") else (1, 2)
    ends = "" if found.low is None else f" [{scale * found.low:.{digits}f}, {scale * found.high:.{digits}f}]"
    return f"{scale * found.value:.{digits}f}{ends}"


def main(options: Options) -> None:
    """Draw, train, measure and write."""
    options.folder.mkdir(parents=True, exist_ok=True)
    images, labels, masks = drawn(options)
    tested = np.arange(options.women) // 2 % 5 == 0
    found = [network(options, seed, images[~tested], labels[~tested]) for seed in range(options.seeds)]
    said = [each.predict(images[tested], batch_size=16, verbose=0).argmax(axis=1) for each in found]
    accuracies = [100 * (each == labels[tested]).mean() for each in said]
    known = (labels[tested] == LESION) & (np.stack(said) == LESION).all(axis=0)
    chosen = [(images[at], mask) for at in np.flatnonzero(tested)[known] if (mask := masks[at]) is not None]
    shown = chosen[: options.images]
    measured = intervals_of(measure(found, shown), len(shown))
    methods = list(dict.fromkeys(name for name, _ in measured))
    lines = [
        "# What heat maps are worth, where the lesion is known\n",
        f"Written by `python tests/benchmarks/explanations.py FOLDER --seeds {options.seeds}`: {options.network}, "
        f"{options.width} x {options.height}, "
        f"ImageNet weights, {options.epochs} epochs on {int((~tested).sum())} drawn acetic acid images, half "
        f"with CIN2-3, "
        f"{options.seeds} seeds (accuracy on {int(tested.sum())} test images "
        f"{', '.join(f'{each:.0f}' for each in accuracies)} %); {len(shown)} test images whose CIN2-3 shows and all "
        "networks found. Means over images and networks (deletion, insertion and shuffled weights: the first network), "
        "95 % bootstrap intervals over images. "
        f"{processor.here()}.\n",
        f"| map | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---:|' * len(COLUMNS)}",
        *(f"| {name} | {' | '.join(cell(measured.get((name, key)), key) for key in COLUMNS)} |" for name in methods),
        "\nPointing game: Zhang et al. 2018. Deletion and insertion, the area under the probability of the class: "
        "Petsiuk et al. 2018. Shuffled weights: Adebayo et al. 2018. A map of no network is what any method has to "
        "beat: drawn lesions lie near the middle. Grad-CAM and HiResCAM are the same where only a mean over positions "
        "and a linear layer follow the maps, as in this network.",
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    method = "Grad-CAM++"  # what reports show
    told = {"points": "pointing", "seeds": "agreement", "shuffled": "shuffled"}
    facts = {said: {**asdict(measured[method, key])} for key, said in told.items() if (method, key) in measured}
    facts |= {
        "chance": asdict(measured["no network: chance", "points"]),
        "middle": asdict(measured["no network: the middle", "points"]),
    }
    text = yaml.safe_dump(
        {"method": method, "network": options.network, "images": len(shown), **facts}, sort_keys=False
    )
    note = "# Written by tests/benchmarks/explanations.py; do not edit.\n"
    words.MEASURED.write_text(note + text, encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
    print(f"written to {PAGE}")
