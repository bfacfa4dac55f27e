"""Decisions that hang on who resizes are counted and shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cervix_tf import export
from cervix_tf.data.resizing import resized
from cervix_tf.decision import OperatingPoint
from cervix_tf.export import formats, resampling, runtime
from cervix_tf.run_dir import read_json
from tests.export.conftest import CONTRACT

FINE = replace(CONTRACT, classes=("smooth", "striped"), supersampling=4)


def contrast(images):
    """A model that finds stripes finer than its own pixels, which only a host that skips pixels leaves in."""
    spread = images.std(axis=(1, 2, 3))
    return np.stack([60 - spread, spread - 60], axis=1)


MODEL = runtime.Model(FINE, Path("made up"), contrast)


@pytest.fixture
def pictures():
    """Stripes narrower than the network's pixels, which their mean makes gray; and a gray that nothing changes."""
    striped = np.zeros((192, 256, 3), np.uint8)
    striped[:, np.arange(256) % 6 < 3] = 255
    return [[striped], [np.full((192, 256, 3), 90, np.uint8)]]


def as_it_is(pictures):
    return contrast(np.stack([resized(image, 24, 32, 4) for (image,) in pictures]))


def test_every_size_and_resampling_is_tried_on_the_same_picture(pictures):
    arrived = resampling.arrive(pictures, FINE)
    sizes, hows = zip(*(name.rsplit(", ", 1) for name in arrived.ways), strict=True)
    assert dict.fromkeys(sizes) == dict.fromkeys(["native", "half", "12 MP, 4:3", "12 MP, 16:9"])
    assert dict.fromkeys(hows) == dict.fromkeys(["as the contract says", "bilinear", "mean of the area"])
    assert all(images.shape == (2, 24, 32, 3) and images.dtype == np.float32 for images in arrived.ways.values())
    flat = np.stack([images[1] for images in arrived.ways.values()])
    np.testing.assert_allclose(flat, 90, atol=1e-3)


def test_a_host_that_skips_pixels_is_told_from_one_that_resizes_as_stated(pictures):
    arrived = resampling.arrive(pictures, FINE)
    found = resampling.hanging(MODEL, arrived, as_it_is(pictures))
    assert found["n"] == 2 and found["changed"] == 1
    assert found["by"]["12 MP, 4:3, bilinear"] == 1 and found["by"]["12 MP, 4:3, as the contract says"] == 0
    lead = abs(np.diff(as_it_is(pictures)[0]))
    assert found["widest_change"] == pytest.approx(float(lead[0]))
    assert resampling.told(found).startswith("1 of 2 decisions by the most probable class depend on the size")
    assert "at_point" not in found and "operating point" not in resampling.told(found)


def test_decisions_at_the_operating_point_are_counted_by_its_threshold(pictures):
    point = OperatingPoint("youden", -40.0)  # of scores that are no probabilities here
    model = replace(MODEL, contract=replace(FINE, positive=("striped",), operating_point=point))
    found = resampling.hanging(model, resampling.arrive(pictures, FINE), as_it_is(pictures))
    assert found["by"]["native, as the contract says"] == 0 and found["by"]["12 MP, 4:3, bilinear"] == 1
    at = found["at_point"]
    assert (at["rule"], at["changed"]) == ("youden", 1)
    assert at["by"]["native, as the contract says"] == 1 and at["by"]["12 MP, 4:3, bilinear"] == 0
    assert at["widest_change"] == pytest.approx(40 + as_it_is(pictures)[0, 1])
    assert "; at the operating point (youden) 1 of 2 do (their scores were up to 5.8" in resampling.told(found)


def test_where_nothing_changes_nothing_is_told_of_leads(pictures):
    arrived = resampling.arrive(pictures[1:], FINE)
    found = resampling.hanging(MODEL, arrived, as_it_is(pictures[1:]))
    assert (found["changed"], found["widest_change"]) == (0, 0)
    assert "leads were" not in resampling.told(found)


def test_so_many_images_are_looked_at_and_no_more():
    files = [[np.full((30, 40, 3), at, np.uint8)] for at in range(20)]
    assert resampling.arrive(files, CONTRACT, most=5).places.tolist() == [0, 5, 10, 14, 19]
    cases = [each * 3 for each in files]
    arrived = resampling.arrive(cases, replace(CONTRACT, views=("a", "b", "c")), most=6)
    assert arrived.places.tolist() == [0, 19]
    assert arrived.ways["native, as the contract says"].shape == (2, 3, 24, 32, 3)


def test_the_count_stands_in_exports_json_the_table_and_the_card(single_run, unexported, monkeypatch):
    from cervix_tf.export import model_card

    monkeypatch.setattr(resampling, "IMAGES", 6)
    out = unexported(single_run)
    rows = export.run(out, ("mobile-float32", "tflite-float32"))
    by_format = {row["format"]: row for row in rows}
    assert "resampling" not in by_format["tflite-float32"]  # it resizes by itself
    assert by_format["mobile-float32"]["resampling"]["n"] == 6
    assert "of 6 decisions by the most probable class depend on" in formats.table(read_json(out.exports))
    model_card.write(out)
    assert "already resized to 32 x 24 pixels (width x height), bilinear" in out.model_card.read_text()
    assert "- mobile-float32: " in out.model_card.read_text()
