"""The metric losses against values that tensorflow-addons 0.23 itself gave (tests/oracles, `make oracle`)."""

import json
from pathlib import Path

import numpy as np
import pytest

from cervix_tf.losses.batch_hard import BatchHard
from cervix_tf.losses.contrastive import Contrastive
from cervix_tf.losses.n_pair import NPair

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "tensorflow_addons_losses.json").read_text())


def interleaved(first, second):
    """Rows 2i and 2i + 1 from two lists of rows."""
    return np.stack([first, second], axis=1).reshape(2 * len(first), -1).astype("float32")


def test_the_values_are_from_the_pinned_versions():
    assert ORACLE["made_by"] == "tensorflow 2.15.1, tensorflow-addons 0.23.0, numpy 1.26.4"
    assert [len(ORACLE[loss]) for loss in ("triplet_hard", "contrastive", "npairs")] == [20, 20, 20]


def test_batch_hard_is_its_triplet_hard_loss_in_value_and_gradient(gradient):
    loss = BatchHard(ORACLE["margin"], reduction="sum_over_batch_size")  # tensorflow-addons takes the mean
    for batch in ORACLE["triplet_hard"]:
        value, found = gradient(loss, np.array(batch["labels"]), np.array(batch["embeddings"], "float32"))
        assert value == pytest.approx(batch["value"], abs=1e-5)
        np.testing.assert_allclose(found, batch["gradient"], atol=1e-5)


def test_contrastive_is_the_square_root_of_its_contrastive_loss_pair_by_pair():
    loss = Contrastive(m_pos=0.0, m_neg=ORACLE["contrastive_margin"], reduction="none")
    seen = set()
    for batch in ORACLE["contrastive"]:
        # Pairs of one class get two equal labels, the others two different ones.
        labels = np.stack([np.zeros(len(batch["same"])), 1 - np.array(batch["same"])], axis=1).ravel()
        found = loss(labels, interleaved(batch["first"], batch["second"]))
        np.testing.assert_allclose(np.square(found), batch["values"], atol=1e-5)
        seen |= {(same, value > 0) for same, value in zip(batch["same"], batch["values"], strict=True)}
    assert seen == {(1, True), (0, True), (0, False)}


def test_n_pair_has_the_other_anchors_in_its_denominator_and_nothing_else_that_npairs_loss_has_not():
    larger = 0
    for batch in ORACLE["npairs"]:
        x, y = np.array(batch["anchors"]), np.array(batch["positives"])
        losses = np.float64(NPair(reduction="none")(np.repeat(np.arange(len(x)), 2), interleaved(x, y)))
        own = np.sum(x * y, axis=1)
        denominator = np.exp(losses + own)
        other_anchors = np.exp(x @ x.T).sum(axis=1) - np.exp(np.sum(x * x, axis=1))
        without = np.log(denominator - other_anchors) - own
        assert without.mean() == pytest.approx(batch["value"], abs=1e-5)
        if len(x) == 1:
            assert losses.mean() == pytest.approx(batch["value"], abs=1e-5)
        else:
            assert losses.mean() > batch["value"] + 0.1
            larger += 1
    assert 0 < larger < len(ORACLE["npairs"])
