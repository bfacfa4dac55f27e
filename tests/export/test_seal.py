"""One digest over model, contract and what travels with both: whatever is changed afterwards is refused."""

import dataclasses
import hashlib
import json
import re
import shutil
import zipfile

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest

from cervix_tf import contract as contracts
from cervix_tf import runs
from cervix_tf.contract import Contract
from cervix_tf.data import manifest, seen
from cervix_tf.errors import InputError
from cervix_tf.export import associated_files, reading, runtime, saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.run_dir import RunDir

CONTRACT = Contract(
    "made up", ("normal", "cancer"), ("cancer",), (), 8, 8, 16, 16, "1", "free", "Tests.", "nothing", True, False
)
ANOTHER = {
    "task": "another", "classes": ["cancer", "normal"], "positive": [], "views": ["a", "b"], "height": 16, "width": 16,
    "native_height": 8, "native_width": 8, "version": "2", "license": "none", "intended_use": "Diagnosis.",
    "data": "patients", "synthetic": False, "stand_in": True, "neighbors": "0" * 64, "supersampling": 2,
    "missing_views": True, "digest": "0" * 64,
    "calibration": {"method": "temperature", "scale": [0.5, 0.5], "bias": [0, 0]},
    "operating_point": {"rule": "youden", "threshold": 0.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with model.keras, SavedModel and .tflite, all sealed, and what they were trained on."""
    out = RunDir(tmp_path_factory.mktemp("made"))
    pixels = keras.Input((8, 8, 3))
    means = keras.layers.GlobalAveragePooling2D()(pixels)
    model = serving_model(keras.Model(pixels, keras.layers.Dense(2)(means)), CONTRACT)
    model.save(out.model)
    listed = manifest.from_records([{"path": "a", "sha256": "0" * 64, "group": "w", "split": "train"}], out.root)
    record = runs.seal(out, CONTRACT, listed)
    saved_model.write(model, CONTRACT, out.saved_model, record)
    out.tflite().write_bytes(tflite.convert(out.saved_model, CONTRACT, "float32"))
    return out


@pytest.fixture
def run(made, tmp_path):
    """A copy of it."""
    return RunDir(shutil.copytree(made.root, tmp_path / "run"))


def repacked(path, change, seal=None):
    """The .tflite with `change(files)` applied to what is packed behind the model; `seal` makes a digest that fits."""
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        begin = min(entry.header_offset for entry in archive.infolist())
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if seal is not None:
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        del digests["contract.json"]
        digests["model"] = hashlib.sha256(data[:begin]).hexdigest()
        files["contract.json"] = seal.sealed(digests).text().encode()
    path.write_bytes(data[:begin])
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def altered(text, field):
    value = json.loads(text)
    assert value[field] != ANOTHER[field]
    return json.dumps({**value, field: ANOTHER[field]}).encode()


def test_what_was_exported_is_loaded_with_what_it_was_trained_on(run):
    pixels = np.full((1, 16, 16, 3), 100, np.uint8)
    answers = []
    for path in (run.tflite(), run.saved_model, run.model, run.root):
        model = runtime.load(path)
        assert (model.contract, model.seen.trained.rows) == (CONTRACT, 1)
        assert len(model.contract.digest) == 64
        answers.append(model.run(pixels))
        resized = reading.stacked(list(pixels), model.contract, resize=True)[None]
        np.testing.assert_allclose(model.run(resized), answers[0], atol=1e-5)
    np.testing.assert_allclose(answers, np.stack([answers[0]] * 4), atol=1e-5)


@pytest.mark.parametrize("field", ANOTHER)
def test_a_contract_with_any_field_altered_is_refused_in_every_format(run, field):
    for contract in (saved_model.contract_of(run.saved_model), run.contract):
        contract.write_bytes(altered(contract.read_bytes(), field))
    repacked(run.tflite(), lambda files: files.update({"contract.json": altered(files["contract.json"], field)}))
    for path in (run.tflite(), run.saved_model, run.model, run.root):
        with pytest.raises(InputError, match="damaged or changed: its model and contract are not those"):
            runtime.load(path)
    with pytest.raises(InputError, match="damaged or changed"):
        runs.contract(run)


def test_every_field_is_tried_above():
    assert set(ANOTHER) == {field.name for field in dataclasses.fields(Contract)}


def test_files_that_travel_with_a_model_cannot_be_changed_added_or_left_out(run):
    other = seen.of(manifest.from_records([{"path": "b", "group": "x", "split": "train"}], run.root)).text().encode()
    whole = run.tflite().read_bytes()
    for change in (
        lambda files: files.update({"labels.txt": b"cancer\nnormal\n"}),
        lambda files: files.update({"seen.json": other}),
        lambda files: files.update({"more.txt": b""}),
        lambda files: files.pop("seen.json"),
        lambda files: files.pop("license.txt"),
    ):
        run.tflite().write_bytes(whole)
        repacked(run.tflite(), change)
        with pytest.raises(InputError, match="damaged or changed"):
            runtime.load(run.tflite())
    run.seen.write_bytes(other)
    with pytest.raises(InputError, match=r"model\.keras: damaged or changed"):
        runtime.load(run.model)
    saved_model.seen_of(run.saved_model).unlink()
    with pytest.raises(InputError, match="saved_model: damaged or changed"):
        runtime.load(run.saved_model)


def test_every_file_of_a_saved_model_counts_but_not_what_operating_systems_leave(run):
    for name in (".DS_Store", "Thumbs.db"):
        (run.saved_model / name).write_bytes(b"left")
    assert runtime.load(run.saved_model).contract == CONTRACT
    files = [path for path in run.saved_model.rglob("*") if path.is_file() and "extra" not in str(path)]
    for path in [each for each in files if not each.name.startswith((".", "Thumbs"))]:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(InputError, match="damaged or changed"):
            runtime.load(run.saved_model)
        path.write_bytes(whole)
    (run.saved_model / "saved_model.pbtxt").write_text("")
    with pytest.raises(InputError, match="damaged or changed"):
        runtime.load(run.saved_model)


def test_a_keras_model_of_another_run_is_refused_beside_this_ones_contract(run, made, tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(run.model)
    for use in (lambda: runtime.load(run.model), lambda: runs.model(run)):
        with pytest.raises(InputError, match=r"model\.keras: damaged or changed"):
            use()
    alone = shutil.copy(made.model, tmp_path / "alone.keras")
    with pytest.raises(InputError, match=r"contract\.json: no such file"):
        runtime.load(tmp_path / alone)


def test_exports_without_a_digest_are_of_an_earlier_version_and_the_run_can_be_exported_again(run):
    def old(text):
        value = json.loads(text)
        del value["digest"]
        return json.dumps(value).encode()

    for contract in (saved_model.contract_of(run.saved_model), run.contract):
        contract.write_bytes(old(contract.read_bytes()))
    repacked(run.tflite(), lambda files: files.update({"contract.json": old(files["contract.json"])}))
    for path in (run.tflite(), run.saved_model, run.model):
        with pytest.raises(
            InputError, match=r"earlier version.*export the run again with `python -m cervix_tf\.export`"
        ):
            runtime.load(path)
    assert runs.contract(run) == CONTRACT  # what export reads


def test_sealed_again_a_run_keeps_its_salt_and_so_its_bytes(run):
    before = [path.read_bytes() for path in (run.contract, run.seen)]
    listed = manifest.from_records([{"path": "a", "sha256": "0" * 64, "group": "w", "split": "train"}], run.root)
    runs.seal(run, runs.contract(run), listed)
    assert [path.read_bytes() for path in (run.contract, run.seen)] == before


WRONG = [
    ({"classes": ("a", "b", "c"), "positive": ()}, "gives probabilities (None, 3) float32, but the model gives"),
    ({"height": 9}, "pixels takes pixels (None, 9, 8, 3) float32, but the model takes pixels (None, 8, 8, 3)"),
    ({"width": 16_384}, "pixels takes pixels (None, 8, 16384, 3) float32"),
    ({"views": ("a", "b")}, "takes images (None, 2, None, None, 3) uint8, but the model takes images (None, None,"),
    ({"width": 0}, "width 0: an image has 1 to 16384 pixels a side"),
    ({"native_height": -1}, "native_height -1: an image has 1 to"),
    ({"native_width": 1_000_000}, "native_width 1000000: an image has 1 to"),
    ({"classes": ("one",), "positive": ()}, "classes: 1 of them; a model has 2 to 10000"),
    ({"classes": ("a", "a"), "positive": ()}, "names are empty or occur twice"),
    ({"positive": ("cin1",)}, "positive ('cin1',): is not among the classes"),
    ({"views": tuple(map(str, range(101)))}, "views: 101 of them"),
    ({"task": "t\x1b[2J"}, "has control characters"),
    ({"neighbors": "abc"}, "neighbors 'abc': is not a SHA-256"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[str(change)[:30] for change, _ in WRONG])
def test_a_contract_that_the_model_does_not_keep_is_refused_though_its_digest_is_right(run, change, words):
    contract = dataclasses.replace(CONTRACT, **change)
    repacked(run.tflite(), lambda files: None, seal=contract)
    files = saved_model._digests(run.saved_model)
    contract.sealed(files).write(saved_model.contract_of(run.saved_model))
    contract.sealed(runs._digests(run, run.model)).write(run.contract)
    for path in (run.tflite(), run.saved_model, run.model):
        with pytest.raises(InputError, match=re.escape(words)) as refusal:
            runtime.load(path)
        assert "\n" not in str(refusal.value)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "model.tflite"


@hypothesis.given(st.data())
def test_a_tflite_with_any_bytes_changed_says_the_same_as_before_or_is_refused(made, scratch, data):
    whole = bytearray(made.tflite().read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=3)):
        whole[at] = data.draw(st.integers(0, 255))
    scratch.write_bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) - 7]) | st.integers(0, len(whole)))])
    try:
        found = associated_files.read(scratch)
    except InputError as refusal:
        assert str(refusal).isprintable()
    else:  # a date in the archive, for one, says nothing
        assert found.contract == CONTRACT
        assert found.seen.text() == associated_files.read(made.tflite()).seen.text()


def test_the_fixed_signature_has_the_native_size(run):
    repacked(run.tflite(), lambda files: None, seal=dataclasses.replace(CONTRACT, native_height=17))
    with pytest.raises(InputError, match=r"fixed takes images \(1, 17, 16, 3\) uint8, but the model takes"):
        runtime.load(run.tflite())


def test_a_model_may_not_give_embeddings_where_its_contract_says_probabilities(run):
    contract = contracts.parse(altered(CONTRACT.text(), "neighbors"), "x")
    repacked(run.tflite(), lambda files: None, seal=contract)
    assert associated_files.read(run.tflite()).contract.output == "embeddings"
    with pytest.raises(InputError, match=r"neighbors\.npz: no such file"):
        runtime.load(run.tflite())
