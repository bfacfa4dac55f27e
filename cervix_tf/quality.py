"""Whether an image is one that a model can be asked about: not too dark, blurred, cut off, or of another kind.

A rule for each fault, on the pixels that the network gets. A limit is what the training and validation images stay
within, but for the share `ALARMS` of them over all rules; new images of the same kind are refused a little more often
(`FEWEST_IMAGES`). Features of the network would know more, but exported files give probabilities alone; from pixels
`predict`, `evaluate` and the page in a browser (app/web/quality.js) say the same.

| fault | by |
|---|---|
| too dark, too bright | mean luminance (ITU-R BT.601) |
| cut off | share of pixels that are black or white |
| blurred | variance of the Laplacian of the luminance, relative to the luminance's own: no matter how bright |
| unlike the training images | Mahalanobis distance of color and texture: of luminance and both color differences the mean and the log-variance in each octave |

Sources: Pertuz et al., Pattern Recognition 46, 2013 (focus measure LAPV); Mahalanobis 1936, with the shrunk covariance of
Ledoit and Wolf, J. Multivariate Analysis 88, 2004.
"""  # noqa: E501 (a row of a table cannot be broken)

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cervix_tf import bounded
from cervix_tf.contract import Contract
from cervix_tf.data.views import kind
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, write_json

ALARMS = 0.01
"""Share of the training and validation images that all rules together may refuse."""
PROBLEMS = {
    "dark": "too dark",
    "bright": "too bright",
    "cut": "cut off, or partly black or white",
    "blurred": "blurred",
    "unlike": "unlike the training images",
}
"""What can be wrong with an image, and how it is said."""
FEWEST_IMAGES = 200
"""From fewer no limit is taken: quantiles of few images lie too far inside.

Share of new images of the same distribution that the limits refuse, in simulation: from 60 training and 15 validation
images 6 to 8 %, from 200 and 50 about 1.5 to 2 %, from 1,000 and 200 about 1 to 1.5 %.
"""
_LUMINANCE = (0.299, 0.587, 0.114)
_BLACK, _WHITE = 7.5, 247.5  # between whole gray levels, so that rounding decides no pixel
_OCTAVES = 5
_ROUNDING = 1 / 12  # variance of rounding to whole gray levels: what is below it is no texture
_LEAST_DEVIATION = 0.05  # of a texture number: where all training images agree, others need not to the last digit
_BYTES = 4 << 20


class Measures(NamedTuple):
    """What is measured of an image."""

    luminance: float
    """Mean, 0 to 255."""
    clipped: float
    """Share of pixels whose luminance is below 8 or above 247."""
    sharpness: float
    """Variance of the Laplacian over that of the luminance: 0 is flat, white noise has 20."""
    texture: np.ndarray
    """(numbers,) float64: of luminance, blue - luminance and red - luminance each the mean and the logs of the variance
    within blocks of 2 x 2 at each of five octaves (fewer in small images) and between the last blocks."""


class Problem(NamedTuple):
    """What is wrong with one image of an input."""

    name: str
    """One of `PROBLEMS`."""
    view: str = ""
    """Which image, where an input has several."""

    def __str__(self) -> str:
        return f"{self.view} {PROBLEMS[self.name]}".lstrip()


def measured(pixels: np.ndarray) -> Measures:
    """The measures of one image, (height, width, 3) RGB values from 0 to 255 at the network's size."""
    rgb = np.asarray(pixels, np.float64)
    gray = rgb @ np.array(_LUMINANCE)
    neighbors = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    laplacian = neighbors - 4 * gray[1:-1, 1:-1]
    return Measures(
        float(gray.mean()),
        float(((gray < _BLACK) | (gray > _WHITE)).mean()),
        float(laplacian.var() / (gray.var() + _ROUNDING)) if laplacian.size else 0.0,
        np.concatenate([_spectrum(channel) for channel in (gray, rgb[..., 2] - gray, rgb[..., 0] - gray)]),
    )


def _spectrum(channel: np.ndarray) -> np.ndarray:
    """Mean and log-variances of one channel; within blocks it is the variance of all less that of the blocks' means."""
    mean, energies = channel.mean(), []
    for _ in range(_octaves(*channel.shape)):
        height, width = (side // 2 * 2 for side in channel.shape)
        whole = channel[:height, :width]
        channel = whole.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        energies.append(max(0.0, (whole**2).mean() - (channel**2).mean()))
    return np.array([mean, *np.log(np.array([*energies, channel.var()]) + _ROUNDING)])


def _octaves(height: int, width: int) -> int:
    return min(_OCTAVES, min(height, width).bit_length() - 1)


@dataclass(frozen=True)
class Limits:
    """What images of one kind of view stay within."""

    images: int
    """Training and validation images that the limits are quantiles of."""
    darkest: float
    """Least mean luminance."""
    brightest: float
    clipped: float
    """Largest share of black and white pixels."""
    sharpness: float
    """Least relative variance of the Laplacian."""
    distance: float
    """Largest Mahalanobis distance."""
    mean: tuple[float, ...]
    """Of the training images' texture, (numbers,)."""
    whitening: tuple[tuple[float, ...], ...]
    """(numbers, numbers): the length of whitening @ (texture - mean) is the distance."""

    def distance_of(self, texture: np.ndarray) -> float:
        """Mahalanobis distance of an image's texture, (numbers,), from the training images."""
        return float(np.linalg.norm(np.array(self.whitening) @ (texture - np.array(self.mean))))

    def problems(self, found: Measures) -> tuple[str, ...]:
        """What is wrong with an image of these measures, of `PROBLEMS`; "unlike" only where nothing plainer is."""
        plain = {
            "dark": found.luminance < self.darkest,
            "bright": found.luminance > self.brightest,
            "cut": found.clipped > self.clipped,
            "blurred": found.sharpness < self.sharpness,
        }
        wrong = tuple(name for name, holds in plain.items() if holds)
        return wrong or (("unlike",) if self.distance_of(found.texture) > self.distance else ())


def limits(training: Sequence[Measures], validation: Sequence[Measures] = ()) -> Limits:
    """The limits of images like these: center and spread of the training ones, quantiles of all.

    Raises `ValueError` for fewer than `FEWEST_IMAGES` training images.
    """
    if len(training) < FEWEST_IMAGES:
        raise ValueError(f"limits need {FEWEST_IMAGES} training images, not {len(training)}")
    from sklearn.covariance import LedoitWolf  # a second to import, and only a finished run needs it

    texture = np.stack([each.texture for each in training])
    mean, deviation = texture.mean(axis=0), np.maximum(texture.std(axis=0), _LEAST_DEVIATION)
    covariance = LedoitWolf(assume_centered=True).fit((texture - mean) / deviation).covariance_
    covariance += 1e-3 * np.eye(len(covariance))  # so that it can be inverted whatever the images are
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).T / deviation
    every = [*training, *validation]
    # One limit of five each, so that together they refuse at most ALARMS of these images.
    low, high = ALARMS / len(PROBLEMS), 1 - ALARMS / len(PROBLEMS)

    def quantile(values: Sequence[float], share: float) -> float:
        return float(np.quantile(values, share, method="lower" if share < 0.5 else "higher"))

    gray = [each.luminance for each in every]
    distances = np.linalg.norm((np.stack([each.texture for each in every]) - mean) @ whitening.T, axis=1)
    return Limits(
        images=len(every),
        darkest=quantile(gray, low),
        brightest=quantile(gray, high),
        clipped=quantile([each.clipped for each in every], high),
        sharpness=quantile([each.sharpness for each in every], low),
        distance=quantile(distances.tolist(), high),
        mean=tuple(mean.tolist()),
        whitening=tuple(map(tuple, whitening.tolist())),
    )


@dataclass(frozen=True)
class Gate:
    """Limits of a model's images. Travels as quality_gate.json beside the model."""

    kinds: Mapping[str, Limits]
    """By kind of view (`cervix_tf.data.views.kind`); that of a model of single images is ""."""

    def problems(self, images: Sequence[np.ndarray | None], contract: Contract) -> tuple[Problem, ...]:
        """What is wrong with one input: its images in the order of the contract's views, each resized to its size; None
        stands for one that is missing."""
        return tuple(
            Problem(name, view)
            for view, pixels in zip(contract.views or ("",), images, strict=True)
            if pixels is not None
            for name in self.kinds[kind(view)].problems(measured(pixels))
        )

    def write(self, path: Path, contract: Contract) -> None:
        """Write the gate of a model with this contract, sealed, whole or not at all."""
        write_json(path, {**asdict(self), "digest": _digest(asdict(self)["kinds"], contract)})


def beside(model: Path) -> Path:
    """Where the gate of an exported model lies: in the folder of the .tflite file or the SavedModel folder."""
    return RunDir(model.resolve().parent).quality


def read(path: Path, contract: Contract) -> Gate | None:
    """The gate in a file that `Gate.write` wrote for a model with this contract; None where there is no file.

    Raises `InputError` when the file is damaged or belongs to another model.
    """
    try:
        value = bounded.json_value(bounded.read(path, _BYTES), _BYTES)
        kinds = {name: _parsed(each, contract) for name, each in value["kinds"].items()}
        if set(kinds) != {kind(view) for view in contract.views or ("",)}:
            raise ValueError(f"has limits for {', '.join(map(repr, kinds)) or 'nothing'}")
        if value["digest"] != _digest(asdict(Gate(kinds))["kinds"], contract):
            raise ValueError("its digest is not that of limits and contract")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # `bounded.Unreadable` is such
        raise InputError(
            f"{path}: not the limits of the model beside it, {contract.task} ({error}); copy both from the same run, "
            "or write it again with `python -m cervix_tf.export RUN --quality`"
        ) from None
    return Gate(kinds)


def _parsed(value: Any, contract: Contract) -> Limits:
    numbers = 3 * (2 + _octaves(contract.height, contract.width))
    if set(value) != {each.name for each in fields(Limits)}:
        raise ValueError("contains something other than limits")
    found = Limits(
        **{**value, "mean": tuple(value["mean"]), "whitening": tuple(tuple(row) for row in value["whitening"])}
    )
    if {len(found.mean), len(found.whitening), *map(len, found.whitening)} != {numbers}:
        raise ValueError(f"its texture does not have {numbers} numbers")
    plain = (found.images, found.darkest, found.brightest, found.clipped, found.sharpness, found.distance)
    every = [*plain, *found.mean, *(each for row in found.whitening for each in row)]
    if not all(type(each) in (int, float) and math.isfinite(each) for each in every):
        raise ValueError("a limit is not a finite number")
    return found


def _digest(kinds: Mapping[str, Any], contract: Contract) -> str:
    """SHA-256 over limits and contract, without what export may still change: calibration and operating point."""
    of_limits = hashlib.sha256(json.dumps(kinds, sort_keys=True).encode()).hexdigest()
    return replace(contract, calibration=None, operating_point=None).sealed({"quality": of_limits}).digest
