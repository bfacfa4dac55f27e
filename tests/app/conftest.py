"""Two tiny exported models, of single images and of visits, their pages on a server, and a browser to open them."""

from __future__ import annotations

import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from cervix_tf.app import folder, server
from cervix_tf.contract import Contract
from cervix_tf.decision import Calibration, OperatingPoint
from cervix_tf.export import saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.run_dir import RunDir
from tests.app.browsing import READY
from tests.export.conftest import CONTRACT

PLAIN = replace(CONTRACT, classes=("red", "=green", "blue, light"), intended_use="Tests <b>only</b>.", supersampling=2)
SINGLE = replace(
    PLAIN,
    calibration=Calibration("platt", (1.5, 1.5, 1.5), (0.3, -0.2, -0.1)),
    operating_point=OperatingPoint("sensitivity:0.9", 0.4),
)
VISITS = replace(PLAIN, task="colored visits", views=("acetic_1", "acetic_2", "iodine"), synthetic=False)


def exported(root: Path, contract: Contract) -> RunDir:
    """What the page needs of a run: a float and an 8-bit file of a network that nobody trained."""
    keras.utils.set_random_seed(3)
    out, views = RunDir(root), (3,) if contract.views else ()
    pixels = keras.Input((*views, 24, 32, 3))
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    if contract.views:  # an order of views that matters
        x = layers.Reshape((24, 32, 9))(layers.Permute((2, 3, 1, 4))(x))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    network = keras.Model(pixels, layers.Dense(3, kernel_initializer="glorot_normal")(layers.Flatten()(x)))
    contract.write(out.contract)
    saved_model.write(serving_model(network, contract), contract, out.saved_model)
    rng = np.random.default_rng(0)
    some = [rng.integers(0, 256, (*views, 48, 64, 3), np.uint8) for _ in range(4)]
    out.tflite().write_bytes(tflite.convert(out.saved_model, contract, "float32"))
    out.tflite("int8").write_bytes(tflite.convert(out.saved_model, contract, "int8", some))
    shutil.rmtree(out.saved_model)
    return out


@pytest.fixture(scope="session")
def single_run(tmp_path_factory) -> RunDir:
    """A model of single images, exported."""
    return exported(tmp_path_factory.mktemp("single"), SINGLE)


@pytest.fixture(scope="session")
def visit_run(tmp_path_factory) -> RunDir:
    """A model of visits of three views, exported."""
    return exported(tmp_path_factory.mktemp("visits"), VISITS)


@dataclass
class Site:
    """A server of pages, which can be shut down."""

    url: str
    folder: Path
    stop: Callable[[], None]


@pytest.fixture
def site(tmp_path, single_run, visit_run) -> Iterator[Site]:
    """The pages of both models, below `single/` and `visit/`."""
    for name, run in (("single", single_run), ("visit", visit_run)):
        folder.write(run.root, tmp_path / "site" / name)
    serving = server.start(tmp_path / "site", 0)
    threading.Thread(target=serving.serve_forever, daemon=True).start()

    def stop() -> None:
        serving.shutdown()
        serving.server_close()

    yield Site(f"http://localhost:{serving.server_port}/", tmp_path / "site", stop)
    stop()


@pytest.fixture(scope="module")
def launch():
    """launch(*flags): a browser without a window; the test skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Chromium on the path, as of `apt-get install chromium`")
    with sync_api.sync_playwright() as playwright:
        browsers = []

        def start(*flags):
            browsers.append(playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *flags]))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def chromium(launch):
    """A browser without a graphics processor."""
    return launch("--disable-gpu")


@pytest.fixture
def opened(chromium, site):
    """opened(name, **options): the page of that model once it is ready, with what it asked for and complained of."""
    contexts = []

    def open_page(name, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.requests, context.errors = [], []
        context.on("request", lambda request: context.requests.append(request.url))
        context.on("weberror", lambda error: context.errors.append(str(error.error)))
        page = context.new_page()
        page.on("console", lambda said: context.errors.append(said.text) if "Refused" in said.text else None)
        page.on("filechooser", lambda _: None)  # so that none opens before it is waited for
        page.goto(f"{site.url}{name}/")
        page.wait_for_selector(READY, state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def pictures(tmp_path, picture):
    """Files of every kind that the page takes, larger and smaller than the network, all of different colors."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rgb = [
        picture(seed, height, width) for seed, (height, width) in enumerate([(96, 128), (11, 17), (301, 200), (48, 64)])
    ]
    cv2.imwrite(str(folder / "rgb.png"), rgb[0])
    cv2.imwrite(str(folder / "small.png"), rgb[1])
    cv2.imwrite(str(folder / "gray.png"), rgb[2][..., 0])
    cv2.imwrite(str(folder / "opaque.png"), cv2.cvtColor(rgb[3], cv2.COLOR_BGR2BGRA))
    cv2.imwrite(str(folder / "photo.jpg"), rgb[2])
    cv2.imwrite(str(folder / "odd.bmp"), rgb[1])
    from PIL import Image

    palette = Image.fromarray(rgb[3]).quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    exif = Image.Exif()
    for orientation in range(2, 9):
        exif[274] = orientation
        Image.fromarray(rgb[0]).save(folder / f"turned_{orientation}.png", exif=exif)
        Image.fromarray(rgb[2]).save(folder / f"turned_{orientation}.jpg", exif=exif, quality=95)
    width = struct.pack("<HHIi", 256, 9, 1, 7)  # signed, which no tag of an image's size should be
    blocks = [
        b"II*\0" + struct.pack("<IH", 8, 2) + width + struct.pack("<HHIHHI", 274, 3, 1, orientation, 0, 0)
        for orientation in (6, 3)
    ]
    odd, other = (b"\xff\xe1" + struct.pack(">H", len(each) + 8) + b"Exif\0\0" + each for each in blocks)
    plain = (folder / "photo.jpg").read_bytes()
    (folder / "odd_exif.jpg").write_bytes(plain[:2] + odd + plain[2:])
    (folder / "two_exif.jpg").write_bytes(plain[:2] + odd + other + plain[2:])
    return sorted(folder.iterdir())
