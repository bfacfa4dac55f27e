"""The guide's examples for other programs: those in Python run as printed, the others name what an export has."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import ExifTags, Image

from cervix_tf import export
from cervix_tf.data import images
from cervix_tf.export import flatbuffer, runtime
from cervix_tf.run_dir import RunDir

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "other_programs.md"
TEXT = GUIDE.read_text(encoding="utf-8")
EXAMPLES = {
    (title, language.removeprefix("{code-block} ")): code
    for title, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    for language, code in re.findall(r"^```(.*?)\n(.*?)^```", section, re.M | re.S)
}


@pytest.fixture(scope="module")
def my_run(single_run, unexported, tmp_path_factory):
    """The run of the examples, with the files that they name, and the image."""
    out = unexported(single_run)
    export.run(out, ("tflite-float32", "mobile-int8", "web-float32", "onnx"), force=True)
    folder = tmp_path_factory.mktemp("user")
    (folder / "my_run").symlink_to(out.root)
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)  # the network's size: nothing is resized
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # as a phone that is held upright stores it
    for name in ("image.png", "pictures/benign/p000_0.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rot90(image)).save(folder / name, exif=exif)
        np.testing.assert_array_equal(images.decode_file(folder / name), image)
    return folder, out, image


def numbers(printed):
    return [float(value) for value in re.findall(r"\d\.\d+(?:e-\d+)?", printed)]


@pytest.mark.parametrize("title", ["Python, LiteRT alone", "Python, ONNX Runtime alone"])
def test_an_example_in_python_prints_the_models_probabilities(my_run, monkeypatch, capsys, title):
    if "ONNX" in title:
        pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")
    folder, out, image = my_run
    monkeypatch.chdir(folder)
    exec(compile(EXAMPLES[title, "python"], str(GUIDE), "exec"), {})
    (expected,) = runtime.load(out.tflite()).run(image[None])
    np.testing.assert_allclose(numbers(capsys.readouterr().out), expected, atol=1e-5)


@pytest.mark.parametrize("title", ["Python, LiteRT alone", "Python, ONNX Runtime alone"])
def test_an_example_in_python_refuses_what_it_would_turn_white(my_run, monkeypatch, tmp_path, title):
    if "ONNX" in title:
        pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install -e '.[onnx]'")
    _, out, _ = my_run
    deep = np.full((24, 32), 9_000, np.uint16)
    for name in ("image.png", "pictures/benign/p000_0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(deep).save(tmp_path / name)
    (tmp_path / "my_run").symlink_to(out.root)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="8 bits a channel"):
        exec(compile(EXAMPLES[title, "python"], str(GUIDE), "exec"), {})


def test_the_example_of_mediapipe_prints_the_models_probabilities(my_run):
    if not (python := os.environ.get("CERVIX_TF_MEDIAPIPE_PYTHON")):
        pytest.skip("set CERVIX_TF_MEDIAPIPE_PYTHON to the Python of an environment with mediapipe")
    folder, out, image = my_run
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = EXAMPLES["Kotlin, MediaPipe on Android", "python"]
    done = subprocess.run(
        [python, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    (expected,) = runtime.load(out.mobile("int8")).run(image[None])
    found = numbers(done.stdout)  # the likeliest first
    np.testing.assert_allclose(found, np.sort(expected)[::-1], atol=0.05)


@pytest.mark.parametrize(
    ("title", "language"),
    [
        ("Kotlin, LiteRT on Android", "kotlin"),
        ("Kotlin, MediaPipe on Android", "kotlin"),
        ("Swift, LiteRT on iOS", "swift"),
        ("C++", "cpp"),
    ],
)
def test_what_an_example_in_another_language_says_of_the_file_is_so(my_run, title, language):
    """Nothing here compiles them; but file names, types, axes and the number of bytes are an export's."""
    _, out, image = my_run
    code = EXAMPLES[title, language]
    assert len(code.strip().splitlines()) <= 12
    (name,) = set(re.findall(r'"(mobile_\w+)(?:\.tflite)?"', code))
    interpreter = Interpreter(str(out.root / f"{name}.tflite"))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    for kind, axes in re.findall(r"(\w+) (\[1, height, width, 3\])", code):
        assert (kind, axes) == (taken["dtype"].__name__, "[1, height, width, 3]")
        assert taken["shape"].tolist() == [1, *image.shape]
    for expression in re.findall(r"height \* width \* 3", code):
        assert eval(expression, {"height": 24, "width": 32}) == image.nbytes
    assert given["dtype"] == np.float32 and given["shape"].tolist() == [1, 3]
    assert ("MediaPipe" in title) or re.search(r"FloatArray|Float32|<float>", code)


def test_every_file_that_the_guide_names_is_one_that_an_export_writes(tmp_path):
    out, variants = RunDir(tmp_path), ("float32", "float16", "dynamic", "int8")
    paths = [
        out.saved_model,
        out.onnx,
        *(make(each) for each in variants for make in (out.tflite, out.mobile, out.web)),
    ]
    named = set(re.findall(r"\b(?:model|mobile|web)\w*\.(?:tflite|onnx)\b", TEXT))
    assert len(named) >= 6 and named <= {path.name for path in paths}


def test_signatures_and_tensors_that_the_guide_names_are_in_the_files(my_run):
    _, out, _ = my_run
    assert flatbuffer.inputs(out.tflite().read_bytes())["serving_default"] == "images"
    assert 'get_signature_runner("serving_default")' in TEXT and '{"images": images}' in TEXT
