"""Every writer of the program on a disk that is full, in turn; prints what each did as JSON.

`full_disk.py FOLDER`: a limit on the size of files stands for the disk: it needs no rights, and the system refuses in
the same way. `full_disk.py FOLDER full`: the disk of FOLDER is full.
"""

import contextlib
import io
import json
import os
import resource
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np

from cervix_tf import atomic
from cervix_tf.compare import forest
from cervix_tf.contract import Contract
from cervix_tf.data import contact_sheet, manifest, png
from cervix_tf.data.synthetic import visits
from cervix_tf.errors import exit_cleanly
from cervix_tf.export import saved_model
from cervix_tf.export.serving import serving_model
from cervix_tf.metrics import embeddings, neighbors, predictions
from cervix_tf.models import weights
from cervix_tf.run_dir import write_json
from cervix_tf.training import epoch_states

ROOM = 2000  # bytes
CLASSES = ("normal", "cancer")


def network(out):
    pixels = keras.Input((8, 8, 3))
    return keras.Model(pixels, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Conv2D(64, 3)(pixels))))


def contract():
    return Contract("made up", CLASSES, ("cancer",), (), 8, 8, 16, 16, "0", "none", "Tests.", "nothing", True, False)


def of_images(out):
    records = [{"path": f"{at}.jpg", "label": CLASSES[at % 2], "group": f"woman {at}"} for at in range(200)]
    return manifest.from_records(records, out.parent)


def embedded():
    values = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    return values, np.arange(200) % 2


def interval():
    return {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "method": ""}


def compared():
    pair = {"first": "a", "second": "b", "difference": interval(), "p_corrected": 0.5}
    return {"models": {"a": interval(), "b": interval()}, "pairs": [pair], "metric": "accuracy", "positive": [],
            "labels": [], "n": 9, "groups": 9, "correction": "holm"}  # fmt: skip


NOISE = np.random.default_rng(0).integers(0, 256, (99, 99, 3)).astype(np.uint8)
SERVING = serving_model(network(None), contract())
WRITERS = {
    "text": ("a.csv", lambda out: atomic.write_text(out, "x" * 9999)),
    "JSON": ("a.json", lambda out: write_json(out, ["x"] * 999)),
    "manifest": ("m.csv", lambda out: manifest.write(of_images(out), out)),
    "predictions": ("p.csv", lambda out: predictions.write(
        predictions.from_arrays(
            [str(at) for at in range(200)], np.full((200, 2), 0.5), CLASSES, labels=["cancer"] * 200
        ), out)),
    "picture": ("p.png", lambda out: png.write(out, NOISE)),
    "contact sheet": ("s.png", lambda out: contact_sheet.write(of_images(out), out)),
    "figure": ("f.png", lambda out: forest.draw(compared(), [out])),
    "embeddings": ("embeddings.npz", lambda out: embeddings.write(
        embeddings.Embeddings(of_images(out).rows.assign(id="a"), embedded()[0], CLASSES), out)),
    "neighbors": ("neighbors.npz", lambda out: neighbors.write(neighbors.fit(*embedded(), CLASSES, 3), out)),
    "state": ("epoch-1.npz", lambda out: epoch_states.write_state(out, {"a": NOISE})),
    "weights": ("best.weights.h5", lambda out: writing(out, lambda part: weights.save(SERVING, part))),
    "Keras model": ("model.keras", lambda out: writing(out, SERVING.save)),
    "SavedModel": ("saved_model", lambda out: saved_model.write(SERVING, contract(), out)),
    "synthetic images": ("data", lambda out: visits.write(out, visits=4, seed=0, height=64, width=64)),
}  # fmt: skip


def writing(out, write):
    with atomic.replacing(out) as part:
        write(part)


def tried(folder, name, write, limit):
    """Exit code, what was said, and what is left in the folder, of one writer on a full disk."""
    folder.mkdir()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    said = io.StringIO()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    code = 0
    try:
        with contextlib.redirect_stderr(said), exit_cleanly():
            write(folder / name)
    except SystemExit as ended:
        code = ended.code
    except Exception as error:  # what a user would see as a traceback
        said.write(repr(error))
        code = 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return {"code": code, "said": said.getvalue(), "left": [path.name for path in folder.rglob("*")]}


if __name__ == "__main__":
    root, limit = Path(sys.argv[1]), resource.RLIM_INFINITY if sys.argv[2:] else ROOM
    found = {what: tried(root / what, name, write, limit) for what, (name, write) in WRITERS.items()}
    print(json.dumps(found), flush=True)
