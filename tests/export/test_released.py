"""Models that come with the checkout: by name, whole, small, described, answering as when they were released."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import cervix_tf
from cervix_tf import quality, released, runs
from cervix_tf.app import folder
from cervix_tf.data import manifest, splits
from cervix_tf.errors import InputError
from cervix_tf.evaluate import __main__ as evaluate
from cervix_tf.export import model_card, quality_gate, resampling, runtime
from cervix_tf.run_dir import RunDir, read_json, write_json

PROJECT = Path(__file__).resolve().parents[2]
NAMES = ("blood-cells", "cric-cells")
MOST_BYTES = 16_000_000


def cell(background, cytoplasm, nucleus, radius, side=100):
    """A drawing of one cell in NumPy alone, (side, side, 3) uint8: no decoder or drawing library changes it."""
    y, x = np.mgrid[:side, :side]
    far = np.hypot(y - side / 2, x - side / 2) / side
    pixels = np.where((far < radius)[..., None], nucleus, np.where((far < 0.42)[..., None], cytoplasm, background))
    texture = 8 * np.sin(x / 3) * np.cos(y / 4)
    return np.rint(pixels + texture[..., None]).clip(0, 255).astype(np.uint8)


BLUISH = cell((225, 215, 225), (150, 190, 200), (70, 60, 110), 0.12)
DENSE = cell((225, 215, 225), (150, 190, 200), (70, 60, 110), 0.3)
PINK = cell((240, 225, 215), (225, 170, 190), (90, 50, 120), 0.3)
ANSWERS = {
    "cric-cells": (
        (0.040, 0.206, 0.002, 0.157, 0.585, 0.010),
        (0.288, 0.409, 0.028, 0.142, 0.082, 0.050),
        (0.191, 0.388, 0.012, 0.351, 0.028, 0.031),
    ),
    "blood-cells": (
        (0.001, 0.003, 0.979, 0.000, 0.005, 0.009, 0.001, 0.001),
        (0.020, 0.006, 0.632, 0.013, 0.004, 0.307, 0.012, 0.005),
        (0.087, 0.068, 0.502, 0.076, 0.006, 0.165, 0.089, 0.007),
    ),
    "blood-cells/model_int8.tflite": (
        (0.001, 0.004, 0.972, 0.000, 0.008, 0.013, 0.002, 0.001),
        (0.016, 0.006, 0.685, 0.015, 0.003, 0.260, 0.011, 0.004),
        (0.076, 0.069, 0.491, 0.073, 0.006, 0.179, 0.099, 0.007),
    ),
}
"""What each said of the three drawings when it was released. Not what the drawings are: they are no cells."""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in, with a picture."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("cell.png", BLUISH[..., ::-1])
    return tmp_path


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The released models, copied, so that a test can damage them."""
    shutil.copytree(released.FOLDER, tmp_path / "released")
    monkeypatch.setattr(released, "FOLDER", tmp_path / "released")
    return tmp_path / "released"


def run(*words, **options):
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False, **options)


def test_a_picture_gets_a_verdict_in_a_process_of_its_own_without_training(elsewhere):
    done = run("cervix_tf.predict", "cric-cells", "cell.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].endswith("NILM")
    assert "Not a medical device" in done.stdout


def test_a_verdict_needs_no_tensorflow(elsewhere):
    code = (
        "import sys; from cervix_tf.predict import __main__; __main__.main(['cric-cells', 'cell.png']); "
        "assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules), 'slow to start'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Other processors round otherwise. LiteRT's reference kernels, without XNNPACK, change these answers by less than
# 0.001 in float and by 0.06 in 8 bits.
@pytest.mark.parametrize(
    ("name", "tolerance"), [("cric-cells", 0.005), ("blood-cells", 0.005), ("blood-cells/model_int8.tflite", 0.08)]
)
def test_a_released_model_answers_as_when_it_was_released(name, tolerance):
    found = cervix_tf.load(name).predict([BLUISH, DENSE, PINK]).filter(like="p_").to_numpy()
    np.testing.assert_allclose(found, ANSWERS[name], atol=tolerance)


def test_evaluate_takes_the_name(elsewhere):
    labels = ("NILM", "HSIL") * 3
    records = [{"path": "cell.png", "sha256": f"{at:064d}", "label": label} for at, label in enumerate(labels)]
    for at, record in enumerate(records):
        shutil.copy("cell.png", f"{at}.png")
        record["path"] = f"{at}.png"
    manifest.write(manifest.from_records(records, elsewhere), elsewhere / "manifest.csv")
    arguments = ["cric-cells", "--manifest", "manifest.csv", "--split", "all", "--resamples", "100", "-o", "out"]
    evaluate.main(arguments)
    assert read_json(elsewhere / "out" / "metrics.json")["metrics"]["accuracy"]["value"] == 0.5


def test_the_page_takes_the_name(tmp_path):
    folder.write(Path("blood-cells"), tmp_path / "page")
    variants = {model["name"]: model for model in read_json(tmp_path / "page" / "app.json")["models"]}
    assert list(variants) == ["float16", "int8"]
    assert variants["int8"]["widest_change"] > 0


def test_the_names_are_these():
    assert released.names() == NAMES
    assert sorted(path.name for path in released.FOLDER.iterdir()) == sorted(NAMES)
    there = [path for pattern in ("*.tflite", "quality_gate.json") for path in released.FOLDER.rglob(pattern)]
    pinned = {path.relative_to(released.FOLDER).as_posix() for path in there}
    assert pinned == set(released.pins()), "a .tflite or a gate that is not pinned"
    assert {Path(file).parts[0] for file in pinned if file.endswith("gate.json")} == set(NAMES), (
        "a model without a gate"
    )
    with pytest.raises(InputError, match=r"blood-cell: no such file.* released model \(blood-cells, cric-cells\)"):
        runtime.load(Path("blood-cell"))


@pytest.mark.parametrize("asked", ["blood-cells", "blood-cells/model_int8.tflite"])
def test_another_file_is_not_taken_for_a_released_model(copied, asked):
    whole = (copied / "blood-cells" / "model_float16.tflite").read_bytes()
    shutil.copy(copied / "cric-cells" / "model_float16.tflite", copied / "blood-cells")  # sound, but another
    with pytest.raises(
        InputError, match=r"blood-cells.model_float16\.tflite: is not the released file.*`git checkout -- .*`"
    ):
        runtime.load(Path(asked))
    (copied / "blood-cells" / "model_float16.tflite").write_bytes(whole)
    assert runtime.load(Path(asked)).contract.task == "blood-cells"


def test_a_missing_file_is_named_with_where_to_get_it(copied):
    (copied / "blood-cells" / "model_int8.tflite").unlink()
    with pytest.raises(InputError, match=r"blood-cells: .*model_int8\.tflite is not there: .* source checkout"):
        cervix_tf.load("blood-cells")


def test_an_installed_package_says_that_it_has_no_models_and_where_they_are(elsewhere):
    build = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build_py", "--build-lib"]
    subprocess.run([*build, elsewhere / "lib"], cwd=PROJECT, check=True, capture_output=True)
    done = run("cervix_tf.predict", "cric-cells", "cell.png", env={"PYTHONPATH": str(elsewhere / "lib")})
    assert done.returncode == 2, done.stderr
    assert "released models come with cervix_tf's source checkout, not with its wheel" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_with_two_meanings_is_refused(elsewhere, monkeypatch):
    (elsewhere / "cric-cells").mkdir()
    for asked in ("cric-cells", "cric-cells/model_float16.tflite"):
        with pytest.raises(InputError, match="is the name of a released model and of something in this folder"):
            cervix_tf.load(asked)
    with pytest.raises(InputError, match="neither a run nor a SavedModel"):
        cervix_tf.load(elsewhere / "cric-cells")
    monkeypatch.chdir(released.FOLDER)  # where both are the same
    assert cervix_tf.load("cric-cells").contract.task == "cric-cells"


def test_a_copy_of_its_folder_is_a_model_like_a_run(tmp_path):
    found = cervix_tf.load(shutil.copytree(released.FOLDER / "cric-cells", tmp_path / "copy"))
    assert found.predict(BLUISH).iloc[0]["most_probable"] == "NILM"


def test_the_released_models_are_small_enough_for_a_repository():
    assert sum(path.stat().st_size for path in released.FOLDER.rglob("*")) <= MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_comes_without_pictures_and_without_anyones_folders(name):
    for path in (released.FOLDER / name).iterdir():
        assert path.suffix in (".tflite", ".json", ".md", ".csv", ".yaml"), path
        if path.suffix != ".tflite":
            text = path.read_text(encoding="utf-8")
            assert not any(root in text for root in ("/tmp/", "/home/", "/work/", "/root/", "/mnt/")), path


@pytest.mark.parametrize("name", NAMES)
def test_a_released_card_says_what_one_has_to_know_limits_first(name):
    out = RunDir(released.FOLDER / name)
    card = read_json(out.model_card.with_suffix(".json"))
    text = out.model_card.read_text(encoding="utf-8")
    assert text == model_card.as_markdown(card)
    sections = [line for line in text.splitlines() if line.startswith("## ")]
    assert sections == ["## Limits", "## Model", "## Intended use", "## Data", "## Metrics", "## Files"]
    limits = yaml.safe_load((out.root / "about.yaml").read_text(encoding="utf-8"))["limits"]
    assert card["limits"][0] == model_card.NOT_A_DEVICE
    assert card["limits"][1 : 1 + len(limits)] == [limit.strip() for limit in limits]
    assert "CC BY 4.0" in card["data"]["source"] and "et al." in card["data"]["source"]
    assert "CC BY 4.0" in card["model"]["license"] and "Apache-2.0" in card["model"]["first_weights"]
    assert card["model"]["made_by"].startswith("python -m cervix_tf.train ") and len(card["model"]["commit"]) == 12
    assert card["metrics"]["overall"] == read_json(out.metrics)["metrics"]
    assert all(card["metrics"]["overall"]["accuracy"][end] is not None for end in ("low", "high"))
    assert {row["file"] for row in card["files"]} == {path.name for path in out.root.glob("*.tflite")}


@pytest.mark.parametrize("name", NAMES)
def test_the_split_on_its_card_is_the_one_in_its_manifest_and_shares_no_group(name):
    out = RunDir(released.FOLDER / name)
    card, rows = read_json(out.model_card.with_suffix(".json")), manifest.read(out.manifest).rows
    parts = splits.prescribed(manifest.read(out.manifest))
    splits.check_disjoint(parts)
    assert f"test {card['data']['n']} images of {card['data']['groups']} groups" in card["data"]["protocol"]
    assert rows[rows["split"] == "test"]["group"].nunique() == card["data"]["groups"]


# The script that releases


@pytest.fixture
def release(tmp_path, monkeypatch):
    """The script's function, working on a folder and pins of the test's own."""
    spec = importlib.util.spec_from_file_location("release", PROJECT / "saved_models" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.RESAMPLED = 2
    monkeypatch.setattr(released, "FOLDER", tmp_path / "released")
    monkeypatch.setattr(released, "PINS", tmp_path / "pins")
    released.PINS.write_text(f"{'0' * 64}  other/model_float16.tflite\n")
    about = {"datasheet": "pbc", "license": "Free.", "first_weights": "None.", "limits": ["Colors only."]}
    (tmp_path / "released" / "colors").mkdir(parents=True)
    (tmp_path / "released" / "colors" / "about.yaml").write_text(yaml.safe_dump(about))
    return module.release


@pytest.fixture
def finished(tmp_path, single_run):
    """A run exported as float16 and int8, of which the second was kept by force."""
    out = RunDir(shutil.copytree(single_run.root, tmp_path / "run"))
    shutil.copy(out.tflite(), out.tflite("float16"))
    shutil.copy(out.tflite(), out.tflite("int8"))
    measured = {"bytes": 1, "latency_ms_1": 1.0, "latency_ms_all": 1.0, "agreement": 1.0, "n": 60}
    rows = [
        {"format": f"tflite-{variant}", "file": out.tflite(variant).name, **measured, "forced": variant == "int8"}
        for variant in ("float16", "int8")
    ]
    write_json(out.exports, rows)
    return out


def test_releasing_takes_what_passed_the_gate_and_pins_it(release, finished):
    release(finished.root, "colors")
    assert [path.name for path in released.FOLDER.rglob("*.tflite")] == ["model_float16.tflite"]
    assert sorted(released.pins()) == ["colors/model_float16.tflite", "other/model_float16.tflite"]
    assert runtime.load(Path("colors")).contract.task == "colors"
    text = RunDir(released.FOLDER / "colors").model_card.read_text()
    for words in ("- Colors only.", "- License: Free.", "Acevedo et al.", "groups drawn at random, none in two parts"):
        assert words in text


def test_a_run_s_quality_gate_is_released_and_pinned_and_that_of_another_model_is_not(release, finished, monkeypatch):
    monkeypatch.setattr(quality, "FEWEST_IMAGES", 20)
    gate = quality_gate.write(finished, manifest.read(finished.manifest, runs.data_root(finished)))
    release(finished.root, "colors")
    assert "colors/quality_gate.json" in released.pins()
    assert runtime.load(Path("colors")).gate == gate
    finished.quality.write_text(finished.quality.read_text().replace('"images": 60', '"images": 61'))
    with pytest.raises(InputError, match="not the limits of the model beside it, colors"):
        release(finished.root, "colors")


def test_a_released_card_says_how_many_decisions_hang_on_the_resampling(release, finished):
    release(finished.root, "colors")
    card = read_json(RunDir(released.FOLDER / "colors").model_card.with_suffix(".json"))
    assert card["resampling"]["n"] == 2
    assert any("of 2 decisions by the most probable class depend on the size of" in limit for limit in card["limits"])


@pytest.mark.parametrize("name", NAMES)
def test_a_released_card_counts_the_decisions_that_hang_on_the_resampling(name):
    card = read_json(RunDir(released.FOLDER / name).model_card.with_suffix(".json"))
    assert card["resampling"]["n"] == 100 and 0 <= card["resampling"]["changed"] <= 100
    assert any(resampling.told(card["resampling"]) in limit for limit in card["limits"])


@pytest.mark.parametrize("name", NAMES)
def test_what_a_released_card_says_beyond_its_figures_begins_with_what_the_model_is_for(name):
    out = RunDir(released.FOLDER / name)
    own = model_card.own_limits(out.root, name, read_json(out.contract)["version"])
    about = [limit.strip() for limit in yaml.safe_load((out.root / "about.yaml").read_text("utf-8"))["limits"]]
    assert own[: len(about)] == about
    assert [each for each in own if "depend on the size" in each] == own[len(about) :]
    assert model_card.own_limits(out.root, "another model", "0") == []
    assert model_card.own_limits(out.root / "nowhere", name, "0") == []


@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_tells_a_dark_and_a_white_picture(name):
    dark, white = np.full((100, 100, 3), 3, np.uint8), np.full((100, 100, 3), 255, np.uint8)
    one, other = cervix_tf.load(name).predict([dark, white])["quality"]
    assert one.startswith("too dark") and other.startswith("too bright")


def test_a_run_whose_parts_share_a_group_is_not_released(release, finished):
    listed = manifest.read(finished.manifest)
    listed.rows["group"] = "one"
    manifest.write(listed, finished.manifest)
    with pytest.raises(InputError, match="shared by parts"):
        release(finished.root, "colors")
    assert not released.FOLDER.joinpath("colors", "model_float16.tflite").exists()
