"""tf.data pipelines: files in, batches of uint8 pixels (training) or float pixels (evaluation) out.

Decoding and geometry run in a thread a core, inside OpenCV, which gives
up Python's lock. All randomness of an element is a function of (seed, epoch, element,
view), so batches do not depend on parallelism, and epoch k is the same whether or not
epochs before it were run in the same process: a resumed run sees the same batches.

Pixels stay uint8 until they are inside the network, which normalizes them itself.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cervix_tf import processor
from cervix_tf.config import Augmentation, Images
from cervix_tf.data import augment, pixel_cache
from cervix_tf.data.images import MISSING, black, decode_file
from cervix_tf.data.inputs import Inputs
from cervix_tf.data.pixel_cache import PixelCache
from cervix_tf.errors import InputError

_THREADS = processor.here().cores

Decode = Callable[[str], np.ndarray]


def training(
    inputs: Inputs,
    images: Images,
    augmentation: Augmentation | Sequence[Augmentation],
    *,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    keep_rest: bool = False,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of epochs `first_epoch` ... `epochs` - 1, one after the other.

    `augmentation` is that of all inputs, or one per input.
    Elements: images (batch, [views,] height, width, 3) uint8 and labels (batch,) int32.
    Every epoch has `steps(inputs, images)` full batches of its own random order; the rest, fewer than a batch, is left
    out of that epoch, or with `keep_rest` its last, smaller batch.
    """
    elements = _order(inputs, images, seed, first_epoch, epochs, keep_rest)
    loaded = elements.map(_augmented(inputs, images, augmentation, seed), num_parallel_calls=_THREADS)
    return _epochs_of(loaded, elements, inputs, images, keep_rest)


def sampled(
    inputs: Inputs,
    images: Images,
    augmentation: Augmentation,
    draw: Callable[[np.random.Generator], np.ndarray],
    *,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Augmented batches of the positions that `draw`, a sampler of `data.samplers`, gives for each epoch.

    Elements are those of `training`. The batch size is the sampler's, not `images.batch_size`.
    """

    def drawn(epoch: int) -> np.ndarray:
        # No element has the position len(inputs), so this generator is none of those that augment.
        return draw(np.random.default_rng([seed, int(epoch), len(inputs)]))

    def elements(epoch: tf.Tensor) -> tf.data.Dataset:
        positions = tf.numpy_function(lambda at: drawn(at).ravel(), [epoch], tf.int64, stateful=False)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(positions, [None])).map(lambda at: (epoch, at))

    batches, rows = drawn(first_epoch).shape  # here, so that a sampler's refusal is raised here
    order = tf.data.Dataset.range(first_epoch, epochs).flat_map(elements)
    loaded = order.map(_augmented(inputs, images, augmentation, seed), num_parallel_calls=_THREADS)
    # Known, since Keras warns of missing batches where it has to find out how many a validation set has.
    known = tf.data.experimental.assert_cardinality(batches * (epochs - first_epoch))
    return _made_of(_batched(loaded, rows, drop_remainder=True).apply(known), order, inputs, [rows])


def views(
    inputs: Inputs,
    images: Images,
    augmentations: tuple[Augmentation, Augmentation],
    *,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Batches of two views of each of `images.batch_size` images, for `losses.nt_xent`, in the order of `training`.

    Elements: images (2 x batch, height, width, 3) uint8, rows 2i and 2i + 1 the same image
    by the first and by the second of `augmentations`, and labels (2 x batch,) int32. An
    image is decoded once for both. Inputs are single images.
    """
    decode, size = _decoder(images), (images.height, images.width)

    def load(epoch: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pixels = decode(inputs.files[at][0])
        rngs = (np.random.default_rng([seed, int(epoch), int(at), view]) for view in range(2))
        seen = [
            augment.augmented(pixels, rng, each, size, images.supersampling)
            for rng, each in zip(rngs, augmentations, strict=True)
        ]
        return np.stack(seen), np.repeat(inputs.labels[at], 2)

    def mapped(epoch: tf.Tensor, at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = tf.numpy_function(load, [epoch, at], (tf.uint8, tf.int32), stateful=False)
        return tf.ensure_shape(pixels, [2, *size, 3]), tf.ensure_shape(labels, [2])

    def flat(pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.reshape(pixels, [-1, *size, 3]), tf.reshape(labels, [-1])

    elements, rows = _order(inputs, images, seed, first_epoch, epochs), _batch_size(inputs, images)
    loaded = elements.map(mapped, num_parallel_calls=_THREADS)
    known = tf.data.experimental.assert_cardinality(steps(inputs, images) * (epochs - first_epoch))  # as in `sampled`
    return _made_of(_batched(loaded, rows, drop_remainder=True).map(flat).apply(known), elements, inputs, [rows])


def one_epoch(inputs: Inputs, images: Images, augmentation: Augmentation, *, seed: int, epoch: int) -> tf.data.Dataset:
    """Every input once, in order, augmented as `training` augments it in `epoch`."""
    elements = tf.data.Dataset.range(len(inputs)).map(lambda at: (tf.constant(epoch, tf.int64), at))
    loaded = elements.map(_augmented(inputs, images, augmentation, seed), num_parallel_calls=_THREADS)
    return _batched(loaded, images.batch_size, drop_remainder=False)


def training_features(
    features: np.ndarray,
    inputs: Inputs,
    images: Images,
    *,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    keep_rest: bool = False,
) -> tf.data.Dataset:
    """Batches in the order of `training`, of what a frozen network made of the inputs instead of their pixels.

    `features` is (copies, inputs, ...): copy k holds the features of `one_epoch(epoch=k)`;
    epoch e reads copy e modulo copies, so with as many copies as epochs nothing differs
    from running the frozen network again.
    """
    copies, kept, labels = len(features), tf.constant(features), tf.constant(inputs.labels)
    elements = _order(inputs, images, seed, first_epoch, epochs, keep_rest)
    loaded = elements.map(lambda epoch, at: (kept[epoch % copies, at], labels[at]))
    return _epochs_of(loaded, elements, inputs, images, keep_rest)


def evaluation(inputs: Inputs, images: Images) -> tf.data.Dataset:
    """Every input once, in order, resized as the exported models do it.

    Elements: images (batch, [views,] height, width, 3) float32 in [0, 255] and labels (batch,) int32.
    """
    decode = _decoder(images)
    files = tf.constant(inputs.files)

    def view(file: tf.Tensor) -> tf.Tensor:
        pixels = tf.numpy_function(lambda name: decode(name.decode()), [file], tf.uint8, stateful=False)
        # What `layers.ResizePixels` does inside exported graphs: bilinear, half-pixel centers, then averaged.
        supersampling = images.supersampling
        finer = tf.image.resize(
            tf.ensure_shape(pixels, [None, None, 3]), (supersampling * images.height, supersampling * images.width)
        )
        return finer if supersampling == 1 else tf.nn.avg_pool2d(finer[None], supersampling, supersampling, "VALID")[0]

    def load(at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        views = [view(file) for file in tf.unstack(files[at])]
        return _stacked(views, inputs, tf.stack), tf.constant(inputs.labels)[at]

    elements = tf.data.Dataset.range(len(inputs))
    mapped = elements.map(load, num_parallel_calls=_THREADS)
    order = elements.map(lambda at: (tf.constant(0, tf.int64), at))
    return _made_of(_batched(mapped, images.batch_size, drop_remainder=False), order, inputs, [images.batch_size])


def files(batches: tf.data.Dataset, step: int) -> list[str]:
    """The image files in batch number `step` of a pipeline of this module, also after maps of whole batches.

    None where that cannot be known: another dataset, or one whose batches were regrouped.
    """
    while not hasattr(batches, "made_of"):
        if type(batches).__name__.strip("_") not in ("MapDataset", "ParallelMapDataset"):
            return []
        (batches,) = batches._inputs()
    order, inputs, sizes = batches.made_of
    before = sum(sizes) * (step // len(sizes)) + sum(sizes[: step % len(sizes)])
    positions = [int(at) for _, at in order.skip(before).take(sizes[step % len(sizes)]).as_numpy_iterator()]
    return list(dict.fromkeys(str(file) for at in positions for file in inputs.files[at] if file != MISSING))


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turn TensorFlow's report of a file that could not be decoded into the `InputError` that the decoder raised."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"(?:InputError|UnreadableImage): (.+)", error.message)
        if found is None:
            raise
        raise InputError(found.group(1).strip()) from error


def steps(inputs: Inputs, images: Images, keep_rest: bool = False) -> int:
    """Batches in one training epoch."""
    return len(_sizes(inputs, images, keep_rest))


def _sizes(inputs: Inputs, images: Images, keep_rest: bool) -> list[int]:
    """Rows of each batch of a training epoch."""
    rows = _batch_size(inputs, images)
    rest = len(inputs) % rows
    return [rows] * (len(inputs) // rows) + ([rest] if keep_rest and rest else [])


def _epochs_of(
    loaded: tf.data.Dataset, order: tf.data.Dataset, inputs: Inputs, images: Images, keep_rest: bool
) -> tf.data.Dataset:
    """The elements of training epochs in batches."""
    sizes = _sizes(inputs, images, keep_rest)
    if len(set(sizes)) == 1:
        return _made_of(_batched(loaded, sizes[0], drop_remainder=True), order, inputs, sizes)
    one_by_one = loaded.batch(1).rebatch(tf.constant(sizes, tf.int64))  # in turn: an epoch's batches, then the next's
    return _made_of(one_by_one.prefetch(tf.data.AUTOTUNE).with_options(_options()), order, inputs, sizes)


def _made_of(batches: tf.data.Dataset, order: tf.data.Dataset, inputs: Inputs, sizes: list[int]) -> tf.data.Dataset:
    """`batches`, remembering for `files` the (epoch, position) of their elements, and the rows of each, in turn."""
    batches.made_of = order, inputs, sizes
    return batches


def _order(
    inputs: Inputs, images: Images, seed: int, first_epoch: int, epochs: int, keep_rest: bool = False
) -> tf.data.Dataset:
    """(epoch, position) of every element of a training run: whole batches or all, a random order an epoch."""
    count = sum(_sizes(inputs, images, keep_rest))

    def shuffled(epoch: tf.Tensor) -> tf.data.Dataset:
        positions = tf.random.experimental.stateless_shuffle(
            tf.range(len(inputs), dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        return tf.data.Dataset.from_tensor_slices(positions[:count]).map(lambda at: (epoch, at))

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(shuffled)


def _augmented(
    inputs: Inputs, images: Images, augmentation: Augmentation | Sequence[Augmentation], seed: int
) -> Callable:
    """The map from (epoch, position) to augmented pixels and label."""
    decode = _decoder(images)
    size = (images.height, images.width)
    of_input = augmentation.__getitem__ if isinstance(augmentation, Sequence) else lambda at: augmentation
    shape = ([len(inputs.views)] if inputs.views else []) + [*size, 3]

    def load(epoch: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        views = []
        for view, file in enumerate(inputs.files[at]):
            rng = np.random.default_rng([seed, int(epoch), int(at), 0 if inputs.aligned else view])
            views.append(augment.augmented(decode(file), rng, of_input(int(at)), size, images.supersampling))
        return _stacked(views, inputs, np.stack), inputs.labels[at]

    def mapped(epoch: tf.Tensor, at: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, label = tf.numpy_function(load, [epoch, at], (tf.uint8, tf.int32), stateful=False)
        return tf.ensure_shape(pixels, shape), tf.ensure_shape(label, [])

    return mapped


def _batch_size(inputs: Inputs, images: Images) -> int:
    return min(images.batch_size, len(inputs))


def _stacked(views: list, inputs: Inputs, stack: Callable) -> Any:
    return stack(views) if inputs.views else views[0]


def _batched(dataset: tf.data.Dataset, batch_size: int, *, drop_remainder: bool) -> tf.data.Dataset:
    return dataset.batch(batch_size, drop_remainder=drop_remainder).prefetch(tf.data.AUTOTUNE).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Seen with TensorFlow 2.21: tuned, Keras' fit and predict at times end late, mostly after 10 x (2^n - 1) ms (5.1 s
    # for 2.6 s of work), as if they waited for a tuner that sleeps twice as long each time. Untuned is no slower.
    options.autotune.enabled = False
    # A dataset of indices has no files to share out: each worker takes every n-th element.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options


def _decoder(images: Images) -> Decode:
    """What makes pixels of a file as `images` says, and black ones of a missing view."""
    decode = _file_decoder(images)
    return lambda file: black() if file == MISSING else decode(file)


@functools.cache
def _remembered(file: str, modified: int, size: int) -> np.ndarray:
    return decode_file(file)


def _from_memory(file: str) -> np.ndarray:
    """The pixels of a file, decoded once a process as long as it stays as it is.

    One memory for all pipelines: TensorFlow lets go of no Python function that a graph has called, and of nothing that
    one remembers.
    """
    try:
        status = Path(file).stat()
    except OSError:
        return decode_file(file)  # which says what is wrong
    return _remembered(file, status.st_mtime_ns, status.st_size)


def _file_decoder(images: Images) -> Decode:
    if images.cache == "none":
        return decode_file
    if images.cache == "memory":
        return _from_memory
    if images.cache == "disk":
        return PixelCache(pixel_cache.folder(), decode_file)
    raise ValueError(f"unknown cache {images.cache!r}")
