"""Broken and hostile models, generated from a seed: what is broken of a sound run, and which command reads it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np

from cervix_tf import runs
from cervix_tf.contract import Contract
from cervix_tf.data import manifest
from cervix_tf.export import saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir, write_json

CLASSES = ("normal", "cancer")
CONTRACT = Contract("made up", CLASSES, ("cancer",), (), 8, 8, 16, 16, "1", "free", "Tests.", "nothing", True, False)


class Case(NamedTuple):
    """One broken model: what breaks it, and the command that is given it."""

    name: str
    break_: Callable[[Path], None]
    """Breaks the copy of the sound run in this folder."""
    command: str
    model: str
    """Relative to that folder."""


def network(features: int) -> keras.Model:
    pixels = keras.Input((8, 8, 3))
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(pixels))
    return keras.Model(pixels, keras.layers.Dense(features, name="logits")(means))


def write_run(folder: Path, contract: Contract, features: int) -> RunDir:
    """A run exported as SavedModel and .tflite."""
    out = RunDir(folder)
    out.root.mkdir()
    model = serving_model(network(features), contract)
    model.save(out.model)
    records = []
    for at in range(4):
        cv2.imwrite(str(folder / f"{at}.png"), np.full((16, 16, 3), 50 + 40 * at, np.uint8))
        split = "train" if at < 2 else "test"
        records.append({"path": f"{at}.png", "label": CLASSES[at % 2], "group": str(at), "split": split})
    listed = manifest.from_records(records, folder)
    manifest.write(listed, out.manifest)
    write_json(out.environment, {"data_root": str(folder)})
    found = predictions.from_arrays(["2.png", "3.png"], np.full((2, 2), 0.5), CLASSES, labels=CLASSES)
    predictions.write(found, out.predictions)
    record = runs.seal(out, contract, listed)
    saved_model.write(model, contract, out.saved_model, record)
    out.tflite().write_bytes(tflite.convert(out.saved_model, contract, "float32"))
    return out


def corpus(seed: int) -> list[Case]:
    """All cases, in the same order for the same seed."""
    rng = random.Random(seed)
    return [*_damaged(rng), *_contracts(), *_archives(), *_saved_models(rng), *_keras_files(), *_special_files()]


def edited(path: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def break_(folder: Path) -> None:
        whole = (folder / path).read_bytes()
        changed = change(whole)
        assert changed != whole
        (folder / path).write_bytes(changed)

    return break_


def flipped(at: float, bit: int) -> Callable[[bytes], bytes]:
    """One bit of the byte at this share of the file is another."""

    def change(data: bytes) -> bytes:
        place = int(at * len(data))
        return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]

    return change


def flipped_value(at: float, bit: int) -> Callable[[bytes], bytes]:
    """One bit of an embedding in a NumPy archive is another; of what lies around it some bytes say nothing."""

    def change(data: bytes) -> bytes:
        with np.load(io.BytesIO(data)) as archive:
            values = archive["embeddings"].tobytes()
        return data.replace(values, flipped(at, bit)(values))

    return change


def _damaged(rng: random.Random) -> Iterator[Case]:
    """Files that a copy has damaged: bits, ends and blocks."""
    files = {
        "run/model.tflite": ("predict", "run/model.tflite"),
        "run/model.keras": ("predict", "run/model.keras"),
        "run/contract.json": ("predict", "run/model.keras"),
        "run/seen.json": ("predict", "run/model.keras"),
        "near/neighbors.npz": ("evaluate", "near/model.tflite"),
    }
    for path, (command, model) in files.items():
        many = 12 if path.endswith("tflite") else 3
        for _ in range(many):
            at, bit = rng.uniform(0.01, 0.6), rng.randrange(8)  # behind a .tflite's model a few bytes say nothing
            change = flipped(at, bit) if not path.endswith("npz") else flipped_value(at, bit)
            yield Case(f"{path}: bit {bit} at {at:.3f}", edited(path, change), command, model)
        for _ in range(many // 2):
            share = rng.uniform(0, 0.99)
            cut = edited(path, lambda data, share=share: data[: int(share * len(data))])
            yield Case(f"{path}: cut at {share:.3f}", cut, command, model)
        start = rng.uniform(0, 0.5)
        zeros = edited(path, lambda data, start=start: _zeroed(data, int(start * len(data)), len(data) // 4))
        yield Case(f"{path}: zeros from {start:.3f}", zeros, command, model)
        yield Case(f"{path}: empty", edited(path, lambda data: b""), command, model)


def _zeroed(data: bytes, start: int, count: int) -> bytes:
    return data[:start] + bytes(count) + data[start + count :]


def repacked(change: Callable[[dict[str, bytes]], None], *, sealed: bool = False) -> Callable[[Path], None]:
    """The .tflite with other files behind its model; `sealed` writes a digest that fits, as a forger would."""

    def break_(folder: Path) -> None:
        path = folder / "run" / "model.tflite"
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            begin = min(entry.header_offset for entry in archive.infolist())
            files = {name: archive.read(name) for name in archive.namelist()}
        files["model"] = data[:begin]
        change(files)
        model = files.pop("model")
        if sealed:
            digests = {name: hashlib.sha256(each).hexdigest() for name, each in {**files, "model": model}.items()}
            del digests["contract.json"]
            files["contract.json"] = resealed(files["contract.json"], digests)
        path.write_bytes(model)
        with zipfile.ZipFile(path, "a") as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return break_


def resealed(text: bytes, digests: dict[str, str]) -> bytes:
    """The contract with the digest that a forger computes, whatever it says."""
    terms = {name: value for name, value in json.loads(text).items() if name != "digest"}
    whole = json.dumps([terms, digests], sort_keys=True)
    return json.dumps({**terms, "digest": hashlib.sha256(whole.encode()).hexdigest()}).encode()


def _contracts() -> Iterator[Case]:
    """Contracts that say what cannot be, or something else than was exported."""
    changes = {
        "classes": [["cancer", "normal"], [], ["a"] * 2, ["a"] * 100_000, ["a\nb", "c"], "normal"],
        "height": [0, -1, 1_000_000, 1e6, 9, True, 10**400],
        "views": [["green"], [""], [["green"]]],
        "positive": [["cin3"], ["normal"]],
        "synthetic": [False, None],
        "neighbors": ["0" * 64, 7],
        "digest": ["", "0" * 64, None],
        "task": ["\x1b]0;title\x07", "x" * 1_000_000],
    }
    for name, values in changes.items():
        for value in values:

            def change(files: dict[str, bytes], name: str = name, value: object = value) -> None:
                terms = {**json.loads(files["contract.json"]), name: value}
                files["contract.json"] = json.dumps(terms).encode()

            shown = repr(value)[:20]
            yield Case(f"tflite contract {name} {shown}", repacked(change), "predict", "run/model.tflite")
            if name != "digest" and (name, value) not in (("classes", ["cancer", "normal"]), ("synthetic", False)):
                forged = repacked(change, sealed=True) if value != ["normal"] else repacked(change)
                yield Case(f"tflite sealed contract {name} {shown}", forged, "evaluate", "run/model.tflite")
    for name, raw in {
        "nested": b"[" * 200_000,
        "twice": b'{"task": "a", "task": "b"}',
        "NaN": b'{"task": NaN}',
        "bytes": b"\xff\xfe\x00",
        "long": b" " * 3_000_000,
    }.items():
        yield Case(f"run contract {name}", edited("run/contract.json", lambda _, raw=raw: raw), "export", "run")


def _archives() -> Iterator[Case]:
    """Zip and NumPy archives that ask for more than there is."""

    def bomb(folder: Path) -> None:
        path = folder / "run" / "model.tflite"
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb.txt", bytes(300_000_000))

    def members(files: dict[str, bytes]) -> None:
        files.update({f"{at:06}": b"" for at in range(30_000)})

    yield Case("tflite: a bomb", bomb, "predict", "run/model.tflite")
    yield Case("tflite: 30,000 members", repacked(members), "predict", "run/model.tflite")
    yield Case("tflite: no contract", repacked(lambda files: files.pop("contract.json")), "predict", "run/model.tflite")
    yield Case("tflite: a seen.json of lists", repacked(lambda files: files.update({"seen.json": b"[]"}), sealed=True),
               "evaluate", "run/model.tflite")  # fmt: skip
    for name, model in {
        "half a flatbuffer": lambda model: model[: len(model) // 2],
        "a header alone": lambda model: model[:8],
        "zeros": lambda model: model[:8] + bytes(len(model) - 8),
        "a root far outside": lambda model: b"\xff\xff\xff\x7f" + model[4:],
    }.items():
        forged = repacked(lambda files, cut=model: files.update(model=cut(files["model"])), sealed=True)
        yield Case(f"tflite: {name}, sealed", forged, "predict", "run/model.tflite")
    for name, arrays in {
        "objects": {"embeddings": np.array([{}], dtype=object)},
        "none": {"embeddings": None},
        "text": {"labels": np.array(["a"] * 6)},
        "another shape": {"embeddings": np.zeros((6, 2, 2), np.float32)},
        "no rows": {"embeddings": np.zeros((0, 3), np.float32), "labels": np.zeros(0, np.int32)},
        "k of a million": {"k": np.asarray(1_000_000)},
        "k of text": {"k": np.asarray("many")},
        "not finite": {"embeddings": np.full((6, 3), np.nan, np.float32)},
        "another model's": {"embeddings": np.ones((6, 3), np.float32)},
    }.items():
        yield Case(f"neighbors: {name}", _neighbors(arrays), "predict", "near/model.tflite")
    yield Case("neighbors: an array of terabytes", _terabytes, "predict", "near/saved_model")


def _neighbors(changed: dict[str, np.ndarray | None]) -> Callable[[Path], None]:
    def break_(folder: Path) -> None:
        path = folder / "near" / "neighbors.npz"
        with np.load(path) as archive:
            arrays = {**archive, **changed}
        np.savez(path, allow_pickle=True, **{name: each for name, each in arrays.items() if each is not None})

    return break_


def _terabytes(folder: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    with zipfile.ZipFile(folder / "near" / "neighbors.npz", "w") as archive:
        archive.writestr("embeddings.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode())


def _saved_models(rng: random.Random) -> Iterator[Case]:
    """SavedModel folders with pieces missing, changed, added or replaced by something else."""
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001",
                 "assets.extra/contract.json", "assets.extra/seen.json"):  # fmt: skip
        path = f"run/saved_model/{name}"
        yield Case(f"{path}: missing", lambda folder, path=path: (folder / path).unlink(), "predict", "run/saved_model")
        at = rng.uniform(0.05, 0.9)
        yield Case(f"{path}: bit at {at:.3f}", edited(path, flipped(at, 1)), "predict", "run/saved_model")
        yield Case(f"{path}: half", edited(path, lambda data: data[: len(data) // 2]), "predict", "run/saved_model")

    def pipe(folder: Path) -> None:
        path = folder / "run/saved_model/variables/variables.index"
        path.unlink()
        os.mkfifo(path)

    def loop(folder: Path) -> None:
        path = folder / "run/saved_model/variables/variables.index"
        path.unlink()
        path.symlink_to(path.name)

    def added(folder: Path) -> None:
        (folder / "run/saved_model/saved_model.cpb").write_bytes(b"another")

    def foreign(folder: Path) -> None:
        shutil.rmtree(folder / "run/saved_model")
        shutil.copytree(folder / "near/saved_model", folder / "run/saved_model")
        shutil.copy(folder / "run/contract.json", folder / "run/saved_model/assets.extra/contract.json")

    for each in (pipe, loop, added, foreign):
        yield Case(f"saved_model: {each.__name__}", each, "evaluate", "run/saved_model")


def rewritten(change: Callable[[dict[str, bytes]], None]) -> Callable[[Path], None]:
    """The .keras with other members, sealed again, as a run is before its export."""

    def break_(folder: Path) -> None:
        out = RunDir(folder / "run")
        with zipfile.ZipFile(out.model) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        out.model.write_bytes(file.getvalue())
        CONTRACT.sealed(runs._digests(out, out.model)).write(out.contract)

    return break_


def _config(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def broken(members: dict[str, bytes]) -> None:
        changed = change(members["config.json"])
        assert changed != members["config.json"]
        members["config.json"] = changed

    return rewritten(broken)


def _keras_files() -> Iterator[Case]:
    """.keras files whose digest is right, but that are no sound model."""
    for name, change in {
        "11 gigabytes": lambda config: config.replace(b'"units": 2,', b'"units": 600000000,'),
        "-1 units": lambda config: config.replace(b'"units": 2,', b'"units": -1,'),
        "a Lambda": lambda config: config.replace(b'"GlobalAveragePooling2D"', b'"Lambda"'),
        "an unknown layer": lambda config: config.replace(b'"GlobalAveragePooling2D"', b'"Nothing"'),
        "os.system": lambda _: b'{"module": "os", "class_name": "system", "config": {"command": "true"}}',
        "nested": lambda _: b'{"a":' * 100_000,
        "half": lambda config: config[: len(config) // 2],
    }.items():
        yield Case(f"keras: {name}, sealed", _config(change), "export", "run")
    gray = _config(lambda config: config.replace(b"[null, null, null, 3]", b"[null, null, null, 1]"))
    yield Case("keras: one channel, sealed", gray, "predict", "run/model.keras")
    for name, weights in {"none": None, "rubbish": b"rubbish", "zeros": bytes(30_000)}.items():

        def change(members: dict[str, bytes], weights: bytes | None = weights) -> None:
            del members["model.weights.h5"]
            if weights is not None:
                members["model.weights.h5"] = weights

        yield Case(f"keras: weights {name}, sealed", rewritten(change), "predict", "run/model.keras")

    def another(folder: Path) -> None:
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(folder / "run" / "model.keras")
        out = RunDir(folder / "run")
        CONTRACT.sealed(runs._digests(out, out.model)).write(out.contract)

    for command, model in (("predict", "run/model.keras"), ("export", "run")):
        yield Case(f"keras: another network, sealed, to {command}", another, command, model)


def _special_files() -> Iterator[Case]:
    """Paths that are no files of a model at all."""

    def made(make: Callable[[Path], object]) -> Callable[[Path], None]:
        def break_(folder: Path) -> None:
            (folder / "run" / "model.tflite").unlink()
            make(folder / "run" / "model.tflite")

        return break_

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(1 << 40)

    yield Case("tflite: a pipe", made(os.mkfifo), "predict", "run/model.tflite")
    yield Case("tflite: a folder", made(Path.mkdir), "predict", "run/model.tflite")
    yield Case("tflite: /dev/zero", made(lambda path: path.symlink_to("/dev/zero")), "predict", "run/model.tflite")
    yield Case("tflite: a loop", made(lambda path: path.symlink_to(path.name)), "predict", "run/model.tflite")
    yield Case("tflite: a terabyte", made(sparse), "predict", "run/model.tflite")
