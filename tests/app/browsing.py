"""What the page's tests do in a browser: choose files, wait for words, read the table."""

import csv
import io
import json
import time

import cv2

from cervix_tf.data import tables

READY = "html[data-ready]"
TOLERANCE = 2e-6  # of a probability; JPEG too, since Chromium's decoder is the one that the project has


def choose(page, button, files):
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files(files)


def until(page, expression, seconds=20):
    """Wait for a JavaScript expression; Playwright's own way evaluates a string, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"try {{ Boolean({expression}) }} catch {{ false }}"):
        assert time.monotonic() < end, f"{expression}: not within {seconds} s"
        page.wait_for_timeout(50)


def until_told(page, words, where="status"):
    until(page, f"document.getElementById('{where}').textContent.includes({json.dumps(words)})")


def shown(page):
    """The rows of the downloaded table, by the name of the input."""
    with page.expect_download() as download:
        page.click("#download")
    text = download.value.path().read_text(encoding="utf-8")
    return {row["input"]: row for row in csv.DictReader(io.StringIO(text))}


def probabilities(row, classes):
    return [float(row[tables.shielded(f"p_{name}")]) for name in classes]


def visit(folder, picture, names, seed=0):
    folder.mkdir(parents=True)
    for at, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(seed + at))
    return [folder / name for name in names]
