"""How many decisions hang on who resizes: images arrive in many sizes, and hosts resize in several ways.

A file for phones or browsers takes images of the network's size. Whoever feeds it should resize as the contract says,
but libraries have ways of their own, and a camera gives other sizes than the training set has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cervix_tf import progress
from cervix_tf.contract import Contract
from cervix_tf.data.resizing import resized
from cervix_tf.export.reading import Image, decoded
from cervix_tf.export.runtime import Model

IMAGES = 60
"""Test images looked at, at most: each is enlarged to 12 megapixels twice, and kept in a dozen ways."""
_CAMERA = {"12 MP, 4:3": (4032, 3024), "12 MP, 16:9": (4608, 2592)}  # width, height, as phones take them


@dataclass(frozen=True)
class Arrived:
    """Some test inputs as they arrive at a network in several ways."""

    places: np.ndarray
    """Which of the test inputs these are."""
    ways: dict[str, np.ndarray]
    """Size and resampling -> (inputs, [views,] height, width, 3) float32, not rounded."""


def arrive(files: Sequence[Sequence[Image]], contract: Contract, most: int | None = None) -> Arrived:
    """Evenly chosen inputs of `files`, each at four sizes, resized to the network's as the contract says and otherwise.

    The picture is the same each time, stretched where the shape differs: what is compared is resampling, not framing.
    """
    count = min(len(files), max(1, (most or IMAGES) // contract.image_files))
    places = np.linspace(0, len(files) - 1, count).round().astype(int)
    ways: dict[str, list[np.ndarray]] = {}
    for at in progress.counted(places, "resizing in several ways", count, "inputs"):
        found: dict[str, list[np.ndarray]] = {}
        for image in decoded(files[at], contract):
            for name, pixels in _every_way(image, contract).items():
                found.setdefault(name, []).append(pixels)
        for name, views in found.items():
            ways.setdefault(name, []).append(np.stack(views) if contract.views else views[0])
    return Arrived(places, {name: np.stack(each) for name, each in ways.items()})


def hanging(model: Model, arrived: Arrived, answers: np.ndarray) -> dict[str, Any]:
    """Of how many inputs the decision is another one in some way, and of how many in each.

    `answers` are the model's on all test inputs as they are, resized as the contract says. A decision is the most
    probable class, and `widest_change` the largest lead of one that changed. Where the contract has an operating point,
    `at_point` counts likewise what it calls positive; there `widest_change` is how far the score of one that changed
    was from the threshold at most.
    """
    reference, contract = answers[arrived.places], model.contract
    point = contract.operating_point
    positive = [contract.classes.index(name) for name in contract.positive] if point else []
    second, first = np.sort(reference, axis=1)[:, -2:].T
    changed: dict[str, np.ndarray] = {}
    turned: dict[str, np.ndarray] = {}
    for name, images in progress.counted(arrived.ways.items(), "deciding", len(arrived.ways), "ways of resizing"):
        found = np.concatenate([model.run(each[None]) for each in images])
        changed[name] = found.argmax(axis=1) != reference.argmax(axis=1)
        if point is not None:
            turned[name] = point.called(found, positive)[1] != point.called(reference, positive)[1]
    counts = {"n": len(reference), **_counted(changed, first - second)}
    if point is not None:
        distance = np.abs(point.called(reference, positive)[0] - point.threshold)
        counts["at_point"] = {"rule": point.rule, **_counted(turned, distance)}
    return counts


def _counted(changed: dict[str, np.ndarray], lead: np.ndarray) -> dict[str, Any]:
    """How many changed in some way, the largest `lead` among them, and how many in each way."""
    some = np.any(list(changed.values()), axis=0)
    return {
        "changed": int(some.sum()),
        "widest_change": float(np.max(lead, where=some, initial=0.0)),
        "by": {name: int(each.sum()) for name, each in changed.items()},
    }


def told(found: dict[str, Any]) -> str:
    """What `hanging` gives, in a sentence that says which decisions it is of."""
    share = f"{found['changed']} of {found['n']} decisions by the most probable class"
    share += " depend on the size of the incoming image and on how it is resized"
    share += _most(found, "their leads were up to")
    if (at := found.get("at_point")) is None:
        return share
    called = f"{share}; at the operating point ({at['rule']}) {at['changed']} of {found['n']} do"
    return called + _most(at, "their scores were up to", " from the threshold")


def _most(found: dict[str, Any], before: str, after: str = "") -> str:
    if not found["changed"]:
        return ""
    most = max(found["by"], key=lambda name: found["by"][name])
    return f" ({before} {found['widest_change']:.3f}{after}; most changed with {most}: {found['by'][most]})"


def _every_way(pixels: np.ndarray, contract: Contract) -> dict[str, np.ndarray]:
    """Size and resampling -> the image at the network's size, (height, width, 3) float32."""
    native = (contract.native_width, contract.native_height)
    sizes = {"native": native, "half": (max(1, native[0] // 2), max(1, native[1] // 2)), **_CAMERA}
    found = {}
    for name, (width, height) in sizes.items():
        larger = width > pixels.shape[1]
        frame = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)
        for how, resize in _resamplings(contract).items():
            found[f"{name}, {how}"] = resize(frame).astype(np.float32)
    return found


def _resamplings(contract: Contract) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The contract's way, and the two that libraries have: a few pixels around each point, or the mean of all."""
    height, width = contract.height, contract.width
    found: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "as the contract says": lambda frame: resized(frame, height, width, contract.supersampling),
        "bilinear": lambda frame: cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR),
        "mean of the area": lambda frame: cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA),
    }
    if contract.supersampling == 1:
        del found["bilinear"]  # is the contract's
    return found
