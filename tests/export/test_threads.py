"""One loaded model, called by several threads at once, as a server does."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cervix_tf.export import runtime


def test_threads_that_share_a_tflite_get_the_answers_to_their_own_inputs():
    model = runtime.load(Path("cric-cells"))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 128, 128, 3), np.uint8)
    alone = [model.network(each) for each in pixels]
    assert len({tuple(each[0]) for each in alone}) == len(alone)
    with ThreadPoolExecutor(len(pixels)) as pool:
        for at, said in enumerate(
            pool.map(model.network, np.tile(pixels, (10, 1, 1, 1, 1, 1)).reshape(-1, *pixels.shape[1:]))
        ):
            np.testing.assert_array_equal(said, alone[at % len(alone)])
