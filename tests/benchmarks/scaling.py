"""How the figures grow: speed with batch and image size, memory with batch, the pipeline with its threads."""

from __future__ import annotations

import functools

import input_pipeline
import training_step
from row import Row

ROWS = [
    Row(
        "MobileNetV2 step against batch size, bfloat16",
        "images/s",
        {f"batch {n}": functools.partial(training_step.ours, "mobilenet_v2", "bfloat16", n) for n in (4, 8, 16, 32)},
        rounds=2,
    ),
    Row(
        "MobileNetV2 step against image size, bfloat16, batch 16",
        "images/s",
        {
            f"{height}x{width}": functools.partial(
                training_step.ours, "mobilenet_v2", "bfloat16", 16, height=height, width=width
            )
            for height, width in ((112, 149), (160, 213), (320, 426))
        },
        rounds=2,
    ),
    Row(
        "Memory of the MobileNetV2 step against batch size, beyond the loaded framework",
        "MB",
        {
            f"batch {n}, {precision}": functools.partial(
                training_step.our_memory, "mobilenet_v2", precision, n, beyond_import=True
            )
            for n in (8, 32)
            for precision in ("float32", "bfloat16")
        },
        rounds=1,
    ),
    Row(
        "Input pipeline against threads",
        "images/s",
        {f"{n} thread{'s' * (n > 1)}": functools.partial(input_pipeline.ours, threads=n) for n in (1, 2, 4)},
        rounds=3,
        prepare=input_pipeline.draw,
    ),
]
