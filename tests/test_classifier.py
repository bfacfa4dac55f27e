"""`cervix_tf.load`: a finished model as Python code uses it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import cervix_tf
from cervix_tf import runs
from cervix_tf.contract import Contract
from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.evaluate import __main__ as evaluate
from cervix_tf.export import saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.predict import __main__ as predict
from cervix_tf.run_dir import RunDir

CLASSES = ("red", "green", "blue")
VIEWS = ("acetic_1", "green")


def finished(folder, views):
    """A run of a model that decides for the strongest color (of its first view), exported."""
    contract = Contract(
        *("brightest color", CLASSES, ("red",), views, 8, 8, 16, 16, "1", "free", "Tests only.", "nothing"),
        synthetic=True,
        stand_in=False,
    )
    pixels = keras.Input((*([len(views)] if views else []), 8, 8, 3))
    first = pixels[:, 0] if views else pixels
    features = keras.layers.Conv2D(3, 1, use_bias=False, name="features")
    means = keras.layers.GlobalAveragePooling2D()(features(first))
    features.set_weights([np.eye(3)[None, None]])
    model = serving_model(keras.Model(pixels, keras.layers.Rescaling(0.1)(means)), contract)
    out = RunDir(folder)
    model.save(out.model)
    listed = manifest.from_records([{"path": "a", "sha256": "0" * 64, "split": "train"}], folder)
    record = runs.seal(out, contract, listed)
    saved_model.write(model, contract, out.saved_model, record)
    out.tflite().write_bytes(tflite.convert(out.saved_model, contract, "float32"))
    return out


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("single"), ())


@pytest.fixture(scope="module")
def of_views(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("views"), VIEWS)


def color(at, height=16, width=16):
    pixels = np.full((height, width, 3), 60, np.uint8)
    pixels[..., at] = 160
    return pixels


def paint(file: Path, at: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), color(at)[..., ::-1])
    return file


def answers(model, images, **options):
    return list(model.predict(images, **options)["most_probable"])


def test_every_format_gives_one_table(single, tmp_path):
    files = [paint(tmp_path / f"{name}.png", at) for at, name in enumerate(CLASSES)]
    tables = [
        cervix_tf.load(path).predict(files) for path in (single.root, single.saved_model, single.tflite(), single.model)
    ]
    first = tables[0]
    assert list(first.columns) == ["p_red", "p_green", "p_blue", "most_probable"]
    assert list(first.index) == [str(file) for file in files]
    assert first.index.name == "input"
    assert list(first["most_probable"]) == list(CLASSES)
    for table in tables[1:]:
        np.testing.assert_allclose(table[first.columns[:3]], first[first.columns[:3]], atol=1e-5)


def test_files_folders_arrays_and_stacks_of_arrays_are_taken(single, tmp_path):
    model = cervix_tf.load(single.tflite())
    paint(tmp_path / "folder" / "a.png", 2)
    file = paint(tmp_path / "folder" / "b.png", 1)
    assert answers(model, str(file)) == ["green"]
    assert answers(model, file.parent) == ["blue", "green"]
    assert answers(model, color(2)) == ["blue"]
    assert answers(model, np.stack([color(2), color(0)]), batch_size=2) == ["blue", "red"]
    mixed = model.predict([color(1, 40, 30), file, color(0)])
    assert list(mixed["most_probable"]) == ["green", "green", "red"]
    assert list(mixed.index) == ["0", str(file), "2"]
    assert len(model.predict([])) == 0


def test_a_case_is_a_folder_a_list_of_files_or_an_array_of_its_views(of_views, tmp_path):
    model = cervix_tf.load(of_views.root)
    files = [paint(tmp_path / "visit" / f"{at}.png", at) for at in (2, 0)]
    assert answers(model, tmp_path / "visit") == answers(model, files[0].parent) == ["red"]  # by name: 0.png first
    assert answers(model, [files]) == ["blue"]
    assert answers(model, [[str(file) for file in files], [color(1), color(0, 30, 40)]]) == ["blue", "green"]
    assert answers(model, np.stack([color(2), color(0)])) == ["blue"]
    assert answers(model, np.stack([[color(2), color(0)], [color(0), color(1)]])) == ["blue", "red"]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (color(0).astype(np.float32), r"pixels \(16, 16, 3\) float32: an image is \(height, width, 3\) uint8"),
        ([np.zeros((0, 4, 3), np.uint8)], r"pixels \(0, 4, 3\) uint8: an image is"),
        ([np.zeros((4, 4), np.uint8)], r"pixels \(4, 4\) uint8: an image is"),
        ([[color(0), color(1)]], "2 image files given as one input.* takes 1"),
        ([7], "int: is not an image"),
        ("none.png", "none.png: no such file or folder"),
    ],
    ids=["float", "empty", "gray", "two", "number", "missing"],
)
def test_what_is_no_image_is_an_input_error(single, images, words):
    with pytest.raises(InputError, match=words):
        cervix_tf.load(single.tflite()).predict(images)


def test_heat_maps_are_a_list_of_maps_an_input_and_need_gradients(single, of_views, tmp_path):
    for path in (single.root, single.model):
        ((found,),) = cervix_tf.load(path).heatmap(color(1))
        assert (found.shape, found.max()) == ((8, 8), 1)
    with pytest.raises(InputError, match=r"model\.tflite: heat maps need a run directory with model\.keras"):
        cervix_tf.load(single.tflite()).heatmap(color(1))
    with pytest.raises(InputError, match="no heat maps for this model: 0 layers"):
        cervix_tf.load(of_views.root).heatmap([[color(1), color(1)]])


def test_evaluate_gives_what_the_command_writes(single, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = []
    for at in range(12):
        paint(tmp_path / f"{at}.png", at % 3)
        records.append({"path": f"{at}.png", "label": CLASSES[at % 2], "group": str(at), "split": "test"})
    manifest.write(manifest.from_records(records, tmp_path), tmp_path / "m.csv")
    evaluate.main([str(single.root), "--manifest", "m.csv", "--resamples", "100"])
    written = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    model = cervix_tf.load(single.root)
    found = model.evaluate("m.csv", resamples=100, data="m.csv, split test")
    assert found.metrics == written
    assert found.overlap.trained_files == 0
    again = model.evaluate(cervix_tf.read_manifest(tmp_path / "m.csv"), resamples=100)
    assert again.metrics["metrics"] == written["metrics"]


def test_predict_prints_what_the_table_holds(single, tmp_path, capsys):
    file = paint(tmp_path / "x.png", 1)
    predict.main([str(single.model), str(file), "--json"])
    (printed,) = json.loads(capsys.readouterr().out)["predictions"]
    (row,) = cervix_tf.load(single.model).predict(file).to_dict("records")
    assert printed["most_probable"] == row["most_probable"]
    assert printed["probabilities"] == {name: row[f"p_{name}"] for name in CLASSES}


def test_a_model_says_what_it_is(single):
    model = cervix_tf.load(single.tflite())
    assert model.contract.classes == CLASSES
    assert repr(model) == f"<brightest color 1: red, green, blue; {single.tflite()}>"
    with pytest.raises(InputError, match="no such file or folder"):
        cervix_tf.load("none")


def test_importing_the_package_is_quick_and_imports_nothing_heavy():
    code = (
        "import time; begin = time.perf_counter(); import cervix_tf; took = time.perf_counter() - begin; import sys; "
        "print(took, {'tensorflow', 'keras', 'numpy', 'pandas', 'cv2'} & set(sys.modules))"
    )
    took, *heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert heavy == ["set()"]
    assert float(took) < 0.3


def test_every_public_name_is_there_and_no_other():
    assert set(cervix_tf.__all__) <= set(dir(cervix_tf))
    for name in cervix_tf.__all__:
        assert getattr(cervix_tf, name) is not None
    assert cervix_tf.import_dataset.__module__ == "cervix_tf.data.importers"
    assert cervix_tf.layers.SoftSplit and cervix_tf.losses.FocalLoss
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = cervix_tf.nothing
    assert (Path(cervix_tf.__file__).parent / "py.typed").is_file()


def test_networks_are_created_by_name():
    assert "mobilenet_v2" in cervix_tf.models.list_models()
    assert cervix_tf.models.create("resnet10_narrow", 4, 32, 32).output_shape == (None, 4)
    assert len(cervix_tf.models.create("resnet10_narrow", height=32, width=32).output_shape) == 4
    with pytest.raises(InputError, match="unknown"):
        cervix_tf.models.create("nothing", 4)
