"""From image files to what a model takes: decoded, resized as its contract says, and looked at by its gate."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cervix_tf import processor
from cervix_tf.contract import Contract
from cervix_tf.data.images import MISSING, decode_file
from cervix_tf.data.resizing import resized
from cervix_tf.errors import InputError
from cervix_tf.quality import Gate, Problem

Image = str | np.ndarray
"""An image file, or RGB pixels (height, width, 3) uint8; `images.MISSING` where a contract lets views be missing."""


def read_input(images: Sequence[Image], contract: Contract, *, resize: bool = False) -> np.ndarray:
    """One input, ([views,] height, width, 3): uint8 as decoded; float32 resized if asked or if views differ in size."""
    return stacked(decoded(images, contract), contract, resize=resize)


def decoded(images: Sequence[Image], contract: Contract) -> list[np.ndarray]:
    """The pixels of the images of one input; a view that is `MISSING` is black, as large as the first that is there.

    Raises `InputError` for images that cannot be read, and where views are missing that the contract asks for.
    """
    found = [None if is_missing(image) else pixels_of(image) for image in images]
    there = [pixels for pixels in found if pixels is not None]
    if not there or (len(there) < len(found) and not contract.missing_views):
        least = "at least one" if contract.missing_views else "all"
        raise InputError(f"an input has {len(there)} of its {len(found)} images; {contract.task} needs {least} of them")
    if contract.missing_views:
        for image, pixels in zip(images, found, strict=True):
            if pixels is not None and isinstance(image, str) and not pixels.any():
                raise InputError(f"{image}: is all black, which stands for a missing view; leave it out")
        if not any(pixels.any() for pixels in there):
            raise InputError("an input has no view: all its images are black, which stands for a missing view")
    return [np.zeros_like(there[0]) if pixels is None else pixels for pixels in found]


def is_missing(image: Image) -> bool:
    """Whether this stands for a view that is not there."""
    return isinstance(image, str) and image == MISSING


def pixels_of(image: Image) -> np.ndarray:
    """(height, width, 3) uint8 of a file, or of pixels that are so already. Raises `InputError` for others."""
    if isinstance(image, str):
        return decode_file(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(
            f"pixels {image.shape} {image.dtype}: an image is (height, width, 3) uint8, RGB values from 0 to 255"
        )
    return image


def stacked(views: Sequence[np.ndarray], contract: Contract, *, resize: bool) -> np.ndarray:
    """What `read_input` gives for decoded images."""
    if resize or len({view.shape for view in views}) > 1:
        # What the graph would do to each.
        views = [resized(view, contract.height, contract.width, contract.supersampling) for view in views]
    return np.stack(views) if contract.views else views[0]


def whole_numbers(pixels: np.ndarray) -> np.ndarray:
    """Resized pixels as uint8, rounded, as files of one size take them."""
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def loaded(
    inputs: Sequence[Sequence[Image]], contract: Contract, *, resize: bool, gate: Gate | None = None
) -> Iterator[tuple[np.ndarray, tuple[Problem, ...]]]:
    """What `read_input` gives of each input, and what the gate finds wrong with it, in order.

    Decoded a few ahead by other threads: OpenCV gives up Python's lock while it works.
    """

    def one(images: Sequence[Image]) -> tuple[np.ndarray, tuple[Problem, ...]]:
        views = decoded(images, contract)
        pixels = stacked(views, contract, resize=resize)
        if gate is None:
            return pixels, ()
        sized = pixels if resize else stacked(views, contract, resize=True)
        each = (
            [sized]
            if not contract.views
            else [None if is_missing(image) else view for image, view in zip(images, sized, strict=True)]
        )
        return pixels, gate.problems(each, contract)

    workers = min(4, processor.here().cores)
    ahead: deque[Future[tuple[np.ndarray, tuple[Problem, ...]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for images in inputs:
                ahead.append(pool.submit(one, images))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
