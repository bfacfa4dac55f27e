"""The guide's example in JavaScript, as printed, in a browser with an exported web file."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from cervix_tf.export import runtime, web
from tests.app.browsing import TOLERANCE

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "other_programs.md"


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_the_example_in_javascript_gives_the_probabilities_of_predict(
    chromium, site, single_run, tmp_path, picture, variant
):
    (example,) = re.findall(r"^```{code-block} javascript\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    served = site.folder / "single"
    (served / f"web_{variant}.tflite").write_bytes(web.of(single_run.tflite(variant)))
    (served / "example.js").write_text(example.replace("web_float32", f"web_{variant}"), encoding="utf-8")
    cv2.imwrite(str(tmp_path / "image.png"), picture(5, 96, 128))
    shutil.copy(tmp_path / "image.png", served)
    (served / "empty.html").write_text("<!doctype html><title>empty</title>", encoding="utf-8")
    page = chromium.new_context().new_page()
    page.goto(f"{site.url}single/empty.html")
    found = page.evaluate(
        "import('./example.js').then(async ({classify}) => classify(await (await fetch('image.png')).blob()))"
    )
    (expected,) = runtime.probabilities(runtime.load(single_run.tflite(variant)), [[str(tmp_path / "image.png")]])
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
