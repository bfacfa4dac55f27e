"""`python tests/benchmarks/explanations.py FOLDER`: what heat maps are worth where the lesion is known, a page of it.

Draws acetic acid images of women with and without CIN2-3, trains a network on them with several seeds through
`cervix_tf.train`, and measures heat maps of test images with a lesion that every network found: whether they point to
it, whether the network needs what they show, whether other seeds agree, and whether they change when the network's
weights are shuffled. Writes explanations.md, and what reports say of heat maps into cervix_tf/explain/measured.yaml.
The same command given again goes on where it stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
import yaml

from cervix_tf import processor, runs
from cervix_tf.data import manifest
from cervix_tf.data.images import decode_file
from cervix_tf.data.synthetic import colposcopy
from cervix_tf.metrics.intervals import Interval
from cervix_tf.metrics.means import means
from cervix_tf.report import heat_maps as words
from cervix_tf.run_dir import RunDir, read_json

PAGE = Path(__file__).with_name("explanations.md")
CLASSES = ("cin2_3", "normal")  # sorted, as the network has them
LESION, VIEW = 0, "acetic_3"
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
    """Where images and networks go."""
    weights: str = "imagenet"
    """Initial weights: imagenet, random, or a file."""
    network: str = "mobilenet_v2"
    height: int = 224
    width: int = 298
    women: int = 400
    """Half of them with CIN2-3; a tenth choose the epoch, a fifth is tested on."""
    epochs: int = 5
    seeds: int = 3
    images: int = 30
    """Test images with a lesion that are measured, at most."""


@dataclass(frozen=True)
class Shown:
    """A test image with the lesion that is drawn in it."""

    pixels: np.ndarray
    lesion: np.ndarray
    """(height, width) bool."""


def draw(options: Options) -> None:
    """Write the images, one a woman, and their manifest."""
    listed = options.folder / "manifest.csv"
    if listed.exists():
        return
    records = []
    for woman in range(options.women):
        label = CLASSES[woman % 2]
        image = colposcopy.draw(0, woman, label, (options.height, options.width)).images[VIEW]
        split = {0: "validation", 1: "test", 2: "test"}.get(woman // 2 % 10, "train")
        path = options.folder / "images" / f"{woman:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
        records.append({"path": path.name, "label": label, "group": path.stem, "split": split})
    manifest.write(manifest.from_records(records, options.folder / "images"), listed)


def train(options: Options, seed: int) -> RunDir:
    """The run of one seed."""
    out = options.folder / f"seed-{seed}"
    command = [sys.executable, "-m", "cervix_tf.train", "manifest.csv", "--root", "images", "-o", out.name]
    weights = str(Path(options.weights).resolve()) if Path(options.weights).is_file() else options.weights
    command += ["--network", options.network, "--weights", weights, "--seed", str(seed), "--precision", "auto"]
    command += ["--images.height", str(options.height), "--images.width", str(options.width), "--positive", CLASSES[0]]
    command += ["--optimizer.epochs", str(options.epochs), "--no-images"]
    subprocess.run(command, cwd=options.folder, check=True)
    return RunDir(out)


def chosen(options: Options, found: list[RunDir]) -> list[Shown]:
    """Test images whose lesion is not covered and which all networks call by their class."""
    from cervix_tf.metrics import predictions

    tested = [predictions.read(run.predictions) for run in found]
    known = set.intersection(
        *(
            {str(name) for name in each.table["id"][(each.labels == LESION) & (each.decisions == LESION)]}
            for each in tested
        )
    )
    shown = []
    for name in sorted(known):
        shape = options.height, options.width
        masks = colposcopy.draw(0, int(Path(name).stem), CLASSES[LESION], shape).masks
        if VIEW in masks:
            shown.append(Shown(decode_file(options.folder / "images" / name), masks[VIEW]))
    return shown[: options.images]


def maps_of(serving: Any, image: np.ndarray) -> dict[str, np.ndarray]:
    """Method -> heat map of the lesion's class."""
    from cervix_tf.explain import grad_cam, model_maps
    from cervix_tf.explain.occlusion import occlusion

    methods: dict[str, Callable[..., Any]] = {
        "Grad-CAM": grad_cam.grad_cam,
        "Grad-CAM++": grad_cam.grad_cam_plus_plus,
        "HiResCAM": grad_cam.hires_cam,
    }
    found = {name: model_maps.heat_maps(serving, [image], (), LESION, each)[0] for name, each in methods.items()}
    cells = found["Grad-CAM"].shape
    return found | {"occlusion": occlusion(serving.predict_on_batch, image, LESION, cells)}


def without_network(cells: tuple[int, int], seed: int) -> dict[str, np.ndarray]:
    """Maps that no network has seen, to compare with."""
    rows, columns = (np.linspace(-1, 1, count) for count in cells)
    middle = np.exp(-2 * (rows[:, None] ** 2 + columns[None] ** 2))
    return {"no network: the middle": middle, "no network: chance": np.random.default_rng(seed).random(cells)}


def measure(found: list[RunDir], shown: list[Shown]) -> dict[str, dict[str, np.ndarray]]:
    """Method -> measure -> value of each image, the mean over the networks."""
    import keras

    from cervix_tf.explain import evidence, faithfulness

    maps: dict[str, list[list[np.ndarray]]] = {}  # method -> image -> network
    values: dict[str, dict[str, np.ndarray]] = {}
    for at, run in enumerate(found):
        serving = runs.model(run)
        network = next(layer for layer in serving.layers if isinstance(layer, keras.Model))
        for place, each in enumerate(shown):
            of = maps_of(serving, each.pixels)
            cells = of["Grad-CAM"].shape
            with faithfulness.shuffled_weights(network, place):
                shuffled = maps_of(serving, each.pixels)
            shape = each.lesion.shape
            for name, heat in (of | without_network(cells, place)).items():
                rates = {
                    "points": float(evidence.points_inside(heat, each.lesion, shape)),
                    "share": evidence.share_inside(heat, each.lesion, shape),
                    "deletion": faithfulness.deletion(serving.predict_on_batch, each.pixels, heat, LESION),
                    "insertion": faithfulness.insertion(serving.predict_on_batch, each.pixels, heat, LESION),
                }
                if name in of:
                    maps.setdefault(name, [[] for _ in shown])[place].append(heat)
                    rates["shuffled"] = faithfulness.rank_correlation(heat, shuffled[name])
                for key, value in rates.items():
                    into = values.setdefault(name, {}).setdefault(key, np.zeros(len(shown)))
                    into[place] += value / len(found)
            print(f"network {at + 1} of {len(found)}, image {place + 1} of {len(shown)}", file=sys.stderr)
    if len(found) > 1:
        for name, of_images in maps.items():
            values[name]["seeds"] = np.array([faithfulness.agreement(each) for each in of_images])
    # Chance is known exactly: the lesion's share of the image.
    values["no network: chance"] |= dict.fromkeys(("points", "share"), np.array([e.lesion.mean() for e in shown]))
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
    draw(options)
    found = [train(options, seed) for seed in range(options.seeds)]
    shown = chosen(options, found)
    measured = intervals_of(measure(found, shown), len(shown))
    accuracies = [100 * read_json(run.metrics)["metrics"]["accuracy"]["value"] for run in found]
    methods = list(dict.fromkeys(name for name, _ in measured))
    lines = [
        "# What heat maps are worth, where the lesion is known\n",
        f"Written by `python tests/benchmarks/explanations.py`: {options.network}, {options.width} x {options.height}, "
        f"{options.epochs} epochs on drawn acetic acid images, {options.seeds} seeds (test accuracy "
        f"{', '.join(f'{each:.0f}' for each in accuracies)} %); {len(shown)} test images with a drawn CIN2-3 that all "
        "networks found; mean over images and networks, 95 % bootstrap interval over images. "
        f"{processor.here()}.\n",
        f"| map | {' | '.join(COLUMNS.values())} |",
        f"|---|{'---:|' * len(COLUMNS)}",
        *(f"| {name} | {' | '.join(cell(measured.get((name, key)), key) for key in COLUMNS)} |" for name in methods),
        "\nPointing game: Zhang et al. 2018. Deletion and insertion, the area under the probability of the class: "
        "Petsiuk et al. 2018. Shuffled weights: Adebayo et al. 2018. A map of no network is what any method has to "
        "beat: drawn lesions lie near the middle, as real ones do.",
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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(tyro.cli(Options, description=__doc__))
    print(f"written to {PAGE}")
