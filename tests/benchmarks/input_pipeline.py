"""Training input: JPEG files of 480 x 640 in, augmented batches of 224 x 298 out."""

from __future__ import annotations

import functools
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from row import Measure, Row

IMAGES = Path(__file__).parents[2] / "build" / "benchmarks" / "visits"
BATCH, HEIGHT, WIDTH, COUNT = 16, 224, 298, 640


def draw() -> None:
    """Synthetic visits at the size of the originals; made once."""
    if not IMAGES.exists():
        from cervix_tf.data.synthetic import visits

        visits.write(IMAGES, visits=20, seed=0, height=480, width=640)


def files() -> list[str]:
    """The image files."""
    return sorted(str(path) for path in IMAGES.rglob("*.jpg"))


def ours(cache: str = "none", threads: int = 0) -> Measure:
    """Images a second out of the study's training pipeline; `threads` 0 = as many as it likes."""
    from dataclasses import replace

    import numpy as np
    import pandas as pd
    import tensorflow as tf

    from cervix_tf.config import Images
    from cervix_tf.data import pipeline
    from cervix_tf.data.inputs import Inputs
    from experiments.mobilenetv2_ensemble.config import PAPER

    named = files()
    chosen = Inputs(tuple((each,) for each in named), np.zeros(len(named), np.int32), pd.DataFrame(), ("a",))
    images = replace(PAPER.images, cache=cache)
    assert images == Images(HEIGHT, WIDTH, BATCH, cache)
    batches = pipeline.training(chosen, images, PAPER.augmentation, seed=0, epochs=10_000)
    if threads:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        batches = batches.with_options(options)
    return flowing(lambda: batches, lambda batch: batch[0].numpy())


def albumentations(resize_first: bool) -> Measure:
    """Images a second out of a PyTorch DataLoader of two processes with the same augmentation by albumentations."""
    import albumentations as A
    import cv2
    import torch

    steps = [A.Affine(rotate=(0, 45), scale=(1.0, 2.0), shear={"x": (0, 30)}, p=1.0), A.HorizontalFlip(p=0.5)]
    resize = [A.Resize(HEIGHT, WIDTH)]
    both = [*resize, *steps] if resize_first else [*steps, *resize]
    augment = A.Compose([*both, A.Normalize((0.5,) * 3, (0.5,) * 3)])
    named = files()

    class Files(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 1000 * COUNT

        def __getitem__(self, at: int):
            pixels = cv2.cvtColor(cv2.imread(named[at % len(named)]), cv2.COLOR_BGR2RGB)
            return augment(image=pixels)["image"]

    loader = torch.utils.data.DataLoader(
        Files(), BATCH, num_workers=2, worker_init_fn=lambda _: cv2.setNumThreads(0), prefetch_factor=4
    )
    return flowing(lambda: loader, lambda batch: batch.numpy())


def decoding() -> Measure:
    """Images a second of decoding alone, in as many threads as there are processors."""
    import os

    from cervix_tf.data.images import decode_file

    pool = ThreadPoolExecutor(os.cpu_count())
    named = list(itertools.islice(itertools.cycle(files()), COUNT))

    def measure() -> float:
        start = time.perf_counter()
        for _ in pool.map(decode_file, named):
            pass
        return COUNT / (time.perf_counter() - start)

    measure()
    return measure


def flowing(start_over, take) -> Measure:
    """Images a second over `COUNT` images of a pipeline that starts again each time; its first batches do not count."""

    def measure() -> float:
        batches = iter(start_over())
        for _ in range(8):
            take(next(batches))
        start = time.perf_counter()
        for _ in range(COUNT // BATCH):
            take(next(batches))
        return COUNT / (time.perf_counter() - start)

    measure()
    return measure


ROWS = [
    Row(
        "Input pipeline, decode 480x640, Table 1 augmentation, normalize",
        "images/s",
        {
            "ours": ours,
            "albumentations, two processes": functools.partial(albumentations, False),
            "albumentations, two processes, resized first": functools.partial(albumentations, True),
        },
        target=">= 1",
        prepare=draw,
    ),
    Row(
        "Input pipeline against decoding alone",
        "images/s",
        {"ours": ours, "decoding alone, all processors": decoding},
        target=">= 0.45",
        prepare=draw,
    ),
]
