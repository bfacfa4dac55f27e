"""The page tells the same faulty images as Python does, by the same measures, in plain words."""

import shutil

import cv2
import numpy as np
import pytest

from cervix_tf import quality
from cervix_tf.app import folder
from cervix_tf.data import resizing
from cervix_tf.export import runtime
from cervix_tf.quality import Gate
from cervix_tf.run_dir import RunDir
from tests.app.browsing import choose, shown, until_told, visit
from tests.app.conftest import SINGLE, VISITS


@pytest.fixture
def gated(tmp_path, picture, site):
    """gated(run, contract, name): a copy of the run with a gate for `picture`s, its page at `name`."""

    def write(run, contract, name):
        out = RunDir(shutil.copytree(run.root, tmp_path / name))
        some = [picture(seed)[..., ::order] for seed in range(100) for order in (1, -1)]  # as `visit` writes them, too
        limits = quality.limits([quality.measured(resizing.resized(each, 24, 32, 2)) for each in some])
        Gate(dict.fromkeys(("acetic", "iodine") if contract.views else ("",), limits)).write(out.quality, contract)
        folder.write(out.root, site.folder / name)
        return out

    return write


def faulty(picture):
    """Name -> the same picture, whole and with every fault."""
    whole = picture(7)
    return {
        "whole.png": whole,
        "dark.png": whole // 10,
        "bright.png": 255 - (255 - whole) // 10,
        "cut.png": np.where(np.arange(128)[None, :, None] < 50, 0, whole).astype(np.uint8),
        "blurred.png": cv2.GaussianBlur(whole, (0, 0), 40),
        "noise.png": np.random.default_rng(0).integers(0, 256, whole.shape, np.uint8),
    }


def test_the_page_s_measures_are_python_s(opened, gated, single_run, picture):
    limits = quality.read(gated(single_run, SINGLE, "gated").quality, SINGLE).kinds[""]
    page = opened("gated")
    for pixels in [resizing.resized(each, 24, 32, 2) for each in faulty(picture).values()]:
        found, far = page.evaluate(
            """async (pixels) => {
                const {distance, measured} = await import('./quality.js');
                const {quality} = await (await fetch('app.json')).json();
                const found = measured(pixels, {height: 24, width: 32});
                return [found, distance(found.texture, quality[''])];
            }""",
            pixels.ravel().tolist(),
        )
        expected = quality.measured(pixels)
        for name in ("luminance", "clipped", "sharpness", "texture"):
            np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-9, atol=1e-9)
        assert far == pytest.approx(limits.distance_of(expected.texture))


def test_the_page_says_in_plain_words_what_is_wrong_with_an_image(opened, gated, single_run, picture, tmp_path):
    out = gated(single_run, SINGLE, "gated")
    files = {name: tmp_path / name for name in faulty(picture)}
    for name, pixels in faulty(picture).items():
        cv2.imwrite(str(files[name]), pixels[..., ::-1])
    page = opened("gated")
    choose(page, "#choose", list(files.values()))
    until_told(page, "Screened 6 of 6.")
    problems = runtime.answers(runtime.load(out.tflite()), [[str(file)] for file in files.values()]).problems
    rows = shown(page)
    assert {name: row["quality"] for name, row in rows.items()} == {
        name: "; ".join(map(str, each)) for name, each in zip(files, problems, strict=True)
    }
    assert [bool(each) for each in problems] == [False, True, True, True, True, True]
    said = dict(zip(rows, page.locator("#cases td.says").all_inner_texts(), strict=True))
    assert "too dark" in said["dark.png"] and "unlike the training images" in said["noise.png"]
    assert "doubtful" not in said["whole.png"]
    choose(page, "#choose", files["dark.png"])
    until_told(page, "Do not rely on this answer, because of the image: too dark")
    assert page.inner_text(".quality").startswith("Do not rely on this answer, because of the image: too dark")
    choose(page, "#choose", files["whole.png"])
    until_told(page, "ahead of")
    assert page.inner_text(".quality") == "" and page.context.errors == []


def test_of_a_visit_the_faulty_view_is_named(opened, gated, visit_run, picture, tmp_path):
    gated(visit_run, VISITS, "gated")
    files = visit(tmp_path / "v", picture, ["acetic_1.png", "acetic_2.png", "iodine.png"])
    cv2.imwrite(str(files[1]), picture(1) // 10)
    page = opened("gated")
    choose(page, "#choose", files)
    page.click("#screen")
    page.wait_for_selector("#result:not([hidden])")
    told = page.inner_text(".quality")
    assert "After acetic acid, image 2: too dark" in told and "image 1" not in told and "iodine" not in told


def test_a_page_of_a_model_without_a_gate_says_nothing_of_quality(opened, pictures):
    page = opened("single")
    choose(page, "#choose", pictures[:1])
    until_told(page, "ahead of")
    (row,) = shown(page).values()
    assert "quality" not in row and page.inner_text(".quality") == ""
