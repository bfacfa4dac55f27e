"""`python tests/benchmarks/hosts.py RUN`: every exported file of a run in the programs that open it, into hosts.md.

The page has a section for each model; those of others stay.

Each row says whether the host opens the file, how far its probabilities are from Python's on the same resized test
images, and how long one input takes there. Python's are those of the run's Keras model, and for MediaPipe and LiteRT.js
those of `cervix_tf.predict` with the same file. Needs `playwright` and Chromium for
LiteRT.js, and `CERVIX_TF_MEDIAPIPE_PYTHON`, the Python of an environment with mediapipe; rows without are left out,
saying so.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cervix_tf import contract as contracts
from cervix_tf import processor, runs
from cervix_tf.app import folder, server
from cervix_tf.contract import Contract
from cervix_tf.export import reading, runtime
from cervix_tf.run_dir import RunDir, read_json

IMAGES = 40
PAGE = Path(__file__).with_name("hosts.md")
TITLE = "# Exported files in the programs that open them\n"
MEDIAPIPE = """
import json, sys, time
import mediapipe, numpy
from mediapipe.tasks.python import BaseOptions, vision

options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with vision.ImageClassifier.create_from_options(options) as classifier:
    for pixels in numpy.load(sys.argv[2]):
        begin = time.perf_counter()
        found = classifier.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
        seconds = time.perf_counter() - begin
        scores = {each.category_name: each.score for each in found.classifications[0].categories}
        print("scores", json.dumps([seconds, [scores[name] for name in json.loads(sys.argv[3])]]))
"""
LITERT_JS = """async ([file, accelerator, shape, inputs]) => {
    const {loadAndCompile, loadLiteRt, Tensor} = await import("./litert/litert.js");
    const wasm = new URL("litert/litert_wasm_compat_internal.js", document.baseURI).href;
    globalThis.loaded ??= loadLiteRt(wasm);
    await globalThis.loaded;
    const model = await loadAndCompile(file, {accelerator});
    const found = [];
    for (const text of inputs) {
        const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
        const tensor = new Tensor(new Float32Array(bytes.buffer), shape);
        const begin = performance.now();
        const [output] = await model.run([tensor]);
        const values = output.accelerator === "wasm" ? output : await output.moveTo("wasm");
        found.push([(performance.now() - begin) / 1000, Array.from(values.toTypedArray())]);
        values.delete();
        tensor.delete();
    }
    return [model.isFullyAccelerated, found];
}"""


class Row(NamedTuple):
    """What one host makes of one file."""

    host: str
    file: str
    megabytes: float
    seconds: list[float]
    probabilities: np.ndarray | None
    """(images, classes); None = does not open it."""
    expected: np.ndarray
    note: str = ""

    def text(self) -> str:
        """A line of the table."""
        if self.probabilities is None:
            return f"| {self.file} | {self.megabytes:.2f} | {self.host} | no: {self.note} | | | |"
        apart = np.abs(self.probabilities - self.expected).max()
        same = int((self.probabilities.argmax(axis=1) == self.expected.argmax(axis=1)).sum())
        milliseconds = 1000 * statistics.median(self.seconds[3:])
        opens = f"yes{', ' + self.note if self.note else ''}"
        count = len(self.expected)
        return (
            f"| {self.file} | {self.megabytes:.2f} | {self.host} | {opens} | {apart:.1g} | {same} of {count} "
            f"| {milliseconds:.1f} |"
        )


def main(run: Path) -> None:
    """Measure every host and write the page."""
    out = RunDir(run)
    contract = contracts.read(out.contract)
    tests = runs.inputs_of(runs.manifest(out).part("test"), contract)
    places = np.linspace(0, len(tests.files) - 1, min(IMAGES, len(tests.files))).round().astype(int)
    pixels = np.stack([reading.read_input(tests.files[at], contract, resize=True) for at in places])
    rows = [row.text() for row in _rows(out, contract, pixels)]
    load = f"{os.getloadavg()[0]:.1f}"
    synthetic = " on SYNTHETIC data" if contract.synthetic else ""
    head = [
        f"Written by `python tests/benchmarks/hosts.py`: {contract.task}{synthetic}, "
        f"{contract.width} x {contract.height}, "
        f"{len(contract.classes)} classes, {len(contract.views) or 1} image(s) an input; {len(pixels)} test inputs, "
        f"resized before; medians. {processor.here()}, {', '.join(sorted(processor.here().sets))}; load average {load} "
        "meanwhile. Difference: the largest of a probability, from the run's Keras model, and for MediaPipe "
        "and LiteRT.js from `cervix_tf.predict` with the same file.\n",
        "| file | MB | host | opens | difference | same decision | ms |",
        "|---|---:|---|---|---:|---:|---:|",
    ]
    hanging = [
        f"| {row['format']} | {row['resampling']['n']} | {row['resampling']['changed']} | "
        f"{row['resampling']['widest_change']:.3f} | "
        + ", ".join(f"{name}: {count}" for name, count in row["resampling"]["by"].items() if count)
        + " |"
        for row in read_json(out.exports)
        if "resampling" in row
    ]
    tail = [
        "\nDecisions that hang on the size in which an image comes, and on who resizes it:\n",
        "| format | inputs | change in some way | by a lead of up to | in which |",
        "|---|---:|---:|---:|---|",
    ]
    _replace(contract.task, "\n".join([*head, *rows, *tail, *hanging]))


def _replace(name: str, text: str) -> None:
    """Put the section of this name into the page, in place of the one that it had or at the end."""
    title, *parts = PAGE.read_text(encoding="utf-8").split("\n## ") if PAGE.exists() else [TITLE]
    sections = dict(part.split("\n", 1) for part in parts) | {name: f"\n{text}\n"}
    PAGE.write_text("\n## ".join([title, *(f"{key}\n{body}" for key, body in sections.items())]), encoding="utf-8")


def _rows(out: RunDir, contract: Contract, pixels: np.ndarray) -> Iterator[Row]:
    whole = reading.whole_numbers(pixels)
    for path in (out.saved_model, out.tflite(), out.tflite("int8"), out.onnx):
        if path.exists():
            host = {".onnx": "ONNX Runtime", "": "TensorFlow"}.get(path.suffix, "LiteRT (Python)")
            yield _here(host, path, whole if path == out.onnx else pixels)
    for variant in ("float32", "float16", "int8"):
        if out.mobile(variant).exists():
            yield _here("LiteRT (Python)", out.mobile(variant), whole.astype(np.float32))
            if not contract.views:
                yield _mediapipe(out.mobile(variant), contract, whole)
    web = [out.web(variant) for variant in ("float32", "int8") if out.web(variant).exists()]
    for path in web:
        yield _here("LiteRT (Python)", path, pixels)
    yield from _browser(out, web, pixels)


def _timed(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> tuple[list[float], np.ndarray]:
    seconds, found = [], []
    for each in images:
        begin = time.perf_counter()
        found.append(run(each[None]))
        seconds.append(time.perf_counter() - begin)
    return seconds, np.concatenate(found)


def _here(host: str, path: Path, images: np.ndarray) -> Row:
    """A host in this process, which `predict` uses too: compared with the run's own model."""
    model = runtime.load(path)
    reference = runtime.load(RunDir(path.parent).model).run(images.astype(np.float32))
    seconds, found = _timed(model.run, images)
    return Row(host, path.name, _megabytes(path), seconds, found, reference)


def _mediapipe(path: Path, contract: Contract, images: np.ndarray) -> Row:
    expected = runtime.load(path).run(images.astype(np.float32))
    python = os.environ.get("CERVIX_TF_MEDIAPIPE_PYTHON")
    if not python:
        return Row("MediaPipe", path.name, _megabytes(path), [], None, expected, "not tried, it is not installed")
    with tempfile.TemporaryDirectory() as folder_:
        np.save(Path(folder_) / "images.npy", images)
        command = [python, "-c", MEDIAPIPE, str(path), f"{folder_}/images.npy", json.dumps(contract.classes)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return Row("MediaPipe", path.name, _megabytes(path), [], None, expected, done.stderr.splitlines()[-1][:90])
    told = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("scores ")]
    seconds, found = zip(*told, strict=True)
    return Row("MediaPipe", path.name, _megabytes(path), list(seconds), np.array(found), expected)


def _browser(out: RunDir, paths: list[Path], pixels: np.ndarray) -> Iterator[Row]:
    expected = {path: _timed(runtime.load(path).run, pixels)[1] for path in paths}
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        program = None
    if program is None:
        for path in paths:
            note = "not tried, Playwright or Chromium is not installed"
            yield Row("LiteRT.js", path.name, _megabytes(path), [], None, expected[path], note)
        return
    texts = [base64.b64encode(each.astype("<f4").tobytes()).decode() for each in pixels]
    with tempfile.TemporaryDirectory() as parent, sync_playwright() as playwright:
        site = Path(parent) / "page"
        folder.write(out.root, site)
        (site / "empty.html").write_text("<!doctype html><title>empty</title>")
        serving = server.start(Path(parent), 0)
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        for accelerator, host, flags in (
            ("wasm", "LiteRT.js, WebAssembly", ["--disable-gpu"]),
            (
                "webgpu",
                "LiteRT.js, WebGPU in software",
                ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"],
            ),
        ):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *flags])
            for path in paths:
                page = browser.new_context().new_page()
                page.goto(f"http://localhost:{serving.server_port}/page/empty.html")
                name = next(site.glob(f"{path.stem.removeprefix('web_')}-*.tflite")).name
                inputs = texts if accelerator == "wasm" else texts[:8]
                given = [name, accelerator, [1, *pixels.shape[1:]], inputs]
                size = _megabytes(path)
                try:
                    whole, told = page.evaluate(LITERT_JS, given)
                except Error as error:
                    yield Row(host, path.name, size, [], None, expected[path], str(error).splitlines()[0][:90])
                    continue
                seconds, found = zip(*told, strict=True)
                note = "" if whole else "not all of it on this accelerator"
                some = expected[path][: len(found)]
                yield Row(host, path.name, size, list(seconds), np.array(found), some, note)
            browser.close()
        serving.shutdown()
        serving.server_close()


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files) / 1e6


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(Path(sys.argv[1]))
    print(f"written to {PAGE} ({platform.system()})")
