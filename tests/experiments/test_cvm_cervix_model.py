"""CVM-Cervix at its published size: what is fused, and what its weights take."""

import numpy as np
import pytest

from cervix_tf.models import backbones
from experiments.cvm_cervix import model
from experiments.cvm_cervix.config import COMPARED, PAPER


@pytest.fixture(scope="module")
def cvm():
    return model.network(PAPER, "cvm")


def test_2048_features_of_xception_and_192_of_deit_are_fused_to_2240(cvm):
    fusion = cvm.get_layer("fusion")
    assert [tuple(each.shape) for each in fusion.input] == [(None, 2048), (None, 192)]
    assert tuple(fusion.output.shape) == (None, 2240)
    assert tuple(cvm.get_layer("hidden").output.shape) == (None, 2240)
    assert cvm.output_shape == (None, 11)
    assert tuple(cvm.get_layer("features").output.shape) == (None, 7, 7, 2048)  # where Grad-CAM cuts


def test_its_weights_take_the_papers_120_mb_and_half_of_it_in_16_bits(cvm):
    xception, deit, hidden, logits = 20_861_480, 5_524_416, 2240 * 2240 + 2240, 2240 * 11 + 11
    assert cvm.count_params() == xception + deit + hidden + logits == 31_430_387
    sizes = model.mebibytes(cvm)
    assert f"{sizes[32]:.1f}" == "119.9" and round(sizes[16]) == 60


def test_the_features_that_the_head_reads_are_the_fused_ones(cvm):
    assert model.features(cvm).output is cvm.get_layer("fusion").output


def test_half_precision_leaves_weights_that_16_bits_hold(cvm):
    model.round_to_16_bits(cvm)
    kernel = cvm.get_layer("logits").get_weights()[0]
    np.testing.assert_array_equal(kernel, kernel.astype(np.float16).astype(np.float32))


def test_the_library_has_every_network_of_table_3():
    assert not set(COMPARED) - set(backbones.NAMES)
