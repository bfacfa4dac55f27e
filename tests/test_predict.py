"""`python -m cervix_tf.predict`: from files on disk to a table or JSON."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import cervix_tf
from cervix_tf.contract import Contract
from cervix_tf.decision import OperatingPoint
from cervix_tf.errors import InputError
from cervix_tf.export import saved_model, tflite
from cervix_tf.export.serving import serving_model
from cervix_tf.predict import __main__ as command
from cervix_tf.predict import files


def contract(views):
    return Contract(
        *("brightest color", ("red", "green", "blue"), (), views, 8, 8, 16, 16, "1", "free", "Tests only.", "nothing"),
        synthetic=True,
        stand_in=False,
    )


def exported(folder, views):
    """A model that decides for the strongest color (of its first view), as a .tflite."""
    pixels = keras.Input((*([len(views)] if views else []), 8, 8, 3))
    first = pixels[:, 0] if views else pixels
    means = keras.layers.GlobalAveragePooling2D()(first)
    model = serving_model(keras.Model(pixels, keras.layers.Rescaling(0.1)(means)), contract(views))
    saved_model.write(model, contract(views), folder / "saved_model")
    (folder / "model.tflite").write_bytes(tflite.convert(folder / "saved_model", contract(views), "float32"))
    return folder / "model.tflite"


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("single"), ())


@pytest.fixture(scope="module")
def three_views(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("views"), ("acetic_1", "green", "iodine"))


def paint(file: Path, color: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((16, 16, 3), 60, np.uint8)
    pixels[..., 2 - color] = 160  # OpenCV writes BGR
    assert cv2.imwrite(str(file), pixels)
    return file


def predicted(capsys, *arguments):
    command.main([*map(str, arguments), "--json"])
    found = json.loads(capsys.readouterr().out)
    return {each["input"]: each["most_probable"] for each in found["predictions"]}, found


def test_images_and_folders_of_images_each_give_one_line(single, tmp_path, capsys):
    alone = paint(tmp_path / "alone.png", 2)
    in_folder = [paint(tmp_path / "folder" / name, at) for at, name in enumerate(("a.JPG", "sub/b.bmp"))]
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    answers, whole = predicted(capsys, single, alone, tmp_path / "folder")
    assert answers == {str(alone): "blue", str(in_folder[0]): "red", str(in_folder[1]): "green"}
    assert whole["model"]["synthetic"] is True
    first = whole["predictions"][0]["probabilities"]
    assert list(first) == ["red", "green", "blue"]
    assert first["blue"] == pytest.approx(np.exp(10) / (np.exp(10) + 2), abs=1e-5)


def test_the_table_names_input_probabilities_and_decision_and_says_synthetic(single, tmp_path, capsys):
    file = paint(tmp_path / "x.png", 1)
    command.main([str(single), str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["input", "red", "green", "blue", "most", "probable"]
    assert lines[1].split() == [str(file), "0.000", "1.000", "0.000", "green"]
    assert lines[2] == "brightest color 1, developed on nothing (test images included). Tests only."
    assert lines[3].startswith("SYNTHETIC")


def test_a_threshold_on_the_margin_says_positive_or_negative_and_needs_positive_classes(single, tmp_path, capsys):
    of_two = dataclasses.replace(contract(()), positive=("green", "blue"))
    probabilities = np.array([[0.5, 0.45, 0.05], [0.2, 0.1, 0.7]])
    table = command.as_table(of_two, ["a", "b"], probabilities, -0.1).splitlines()
    assert table[0].endswith("margin above -0.1")
    assert table[1].split()[-2:] == ["-0.050", "positive"] and table[2].split()[-2:] == ["+0.500", "positive"]
    first, _ = json.loads(command.as_json(of_two, ["a", "b"], probabilities, 0.0))["predictions"]
    assert first["positive"] is False and first["margin"] == pytest.approx(-0.05)
    for wrong, said in (("2", "--margin 2: must be from -1 to 1"), ("0", "brightest color has no positive classes")):
        with pytest.raises(SystemExit):
            command.main([str(single), str(paint(tmp_path / "x.png", 1)), "--margin", wrong])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limit", "scores"),
    [(0.0012, (0.00121, 0.00119)), (0.99982, (0.9996, 0.9999)), (0.31, (0.31, 0.9)), (0.4, (0.39997,))],
)
def test_a_score_is_shown_with_the_decimals_that_tell_it_from_the_threshold_as_it_was_decided(limit, scores):
    of_point = dataclasses.replace(
        contract(()), positive=("green", "blue"), operating_point=OperatingPoint("sensitivity:0.99", limit)
    )
    probabilities = np.array([[1 - score, score, 0] for score in scores])
    header, *lines = command.as_table(of_point, ["x"] * len(scores), probabilities).splitlines()
    shown = float(header.split("score from ")[1])
    for line, score in zip(lines, scores, strict=False):
        *_, value, said = line.split()
        assert (float(value) >= shown) == (said == "positive") == (score >= limit)
        assert float(value) == pytest.approx(score, abs=5e-4)
    header, line, *_ = command.as_table(
        of_point, ["x"], probabilities[:1], 1 - 2 * probabilities[0, 0] - 1e-5
    ).splitlines()
    assert float(line.split()[-2]) > float(header.split("margin above ")[1])


def test_a_decision_by_the_margin_is_not_explained_by_the_operating_point():
    of_point = dataclasses.replace(
        contract(()), positive=("green", "blue"), operating_point=OperatingPoint("youden", 0.31)
    )
    probabilities = np.array([[0.6, 0.4, 0.0]])
    assert "together at least 0.31 (youden on validation rows)" in command.as_table(of_point, ["a"], probabilities)
    assert "together at least" not in command.as_table(of_point, ["a"], probabilities, 0.0)
    by_point, by_margin = (
        json.loads(command.as_json(of_point, ["a"], probabilities, threshold)) for threshold in (None, 0.0)
    )
    assert [by_point["model"][name] for name in ("operating_point", "margin_above")] == [
        {"rule": "youden", "threshold": 0.31},
        None,
    ]
    assert [by_margin["model"][name] for name in ("operating_point", "margin_above")] == [None, 0.0]
    assert by_point["predictions"][0]["positive"] and not by_margin["predictions"][0]["positive"]


def test_a_case_folder_is_one_input_sorted_by_name_and_a_folder_of_cases_several(three_views, tmp_path, capsys):
    for case, colors in (("v1", (0, 1, 2)), ("v2", (2, 0, 0))):
        for at, color in enumerate(colors):
            paint(tmp_path / "visits" / case / f"{at}.png", color)
    one, _ = predicted(capsys, three_views, tmp_path / "visits" / "v1")
    assert one == {str(tmp_path / "visits" / "v1"): "red"}
    both, _ = predicted(capsys, three_views, tmp_path / "visits")
    assert list(both.values()) == ["red", "blue"]
    for at in range(3):  # as many as a case has, but not one: they lie beside the cases
        paint(tmp_path / "visits" / f"loose_{at}.png", 1)
    with pytest.raises(
        InputError, match=r"visits: holds images \(loose_0.png\) and folders of images \(v1/0.png\).*give the case"
    ):
        files.inputs_of([tmp_path / "visits"], cervix_tf.load(three_views).contract)


def test_a_model_that_lets_views_be_missing_takes_a_case_of_any_of_them(tmp_path, capsys):
    names = ("acetic_1", "acetic_2", "green", "iodine")
    of_any, of_all = (dataclasses.replace(contract(names), missing_views=missing) for missing in (True, False))
    pixels = keras.Input((4, 8, 8, 3))
    network = keras.Model(pixels, keras.layers.Rescaling(0.1)(keras.ops.mean(pixels, axis=(1, 2, 3))))
    for name, terms in (("any", of_any), ("all", of_all)):
        saved_model.write(serving_model(network, terms), terms, tmp_path / name)
        (tmp_path / f"{name}.tflite").write_bytes(tflite.convert(tmp_path / name, terms, "float32"))
    paint(tmp_path / "visits" / "one" / "green.png", 1)
    for at, name in enumerate(("iodine.png", "acetic.png")):
        paint(tmp_path / "visits" / "two" / name, 2 * at)
    answers, whole = predicted(capsys, tmp_path / "any.tflite", tmp_path / "visits")
    two = str(tmp_path / "visits" / "two")
    assert answers == {str(tmp_path / "visits" / "one"): "green", two: "blue"}  # an acetic image counts twice
    for each, (strong, weak) in zip(whole["predictions"], (("green", "red"), ("blue", "red")), strict=True):
        ahead = np.log(each["probabilities"][strong] / each["probabilities"][weak])
        assert ahead == pytest.approx(0.1 * 100 / 4, abs=1e-4)  # by one view of four
    assert predicted(capsys, tmp_path / "any", tmp_path / "visits")[0] == answers

    model = cervix_tf.load(tmp_path / "any.tflite")
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 160
    assert list(model.predict([["", "", red, ""]])["most_probable"]) == ["red"]
    with pytest.raises(InputError, match="an input has 0 of its 4 images; brightest color needs at least one of them"):
        model.predict([["", "", "", ""]])
    with pytest.raises(InputError, match="all its images are black, which stands for a missing view"):
        model.predict([["", "", np.zeros_like(red), ""]])
    with pytest.raises(InputError, match=r"images\[0\] is empty, which stands for a missing view only within a case"):
        model.predict([""])
    assert model.predict([[None, None, red, None]]).equals(model.predict([["", "", red, ""]]))
    (tmp_path / "black").mkdir()
    cv2.imwrite(str(tmp_path / "black" / "green.png"), np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(InputError, match=r"green.png: is all black, which stands for a missing view; leave it out"):
        model.predict(tmp_path / "black")
    with pytest.raises(InputError, match="an input has 3 of its 4 images; brightest color needs all of them"):
        cervix_tf.load(tmp_path / "all.tflite").predict([[red, red, red, ""]])
    with pytest.raises(InputError, match="holds 1 image, but brightest color takes a folder of 4 images"):
        files.inputs_of([tmp_path / "visits" / "one"], of_all)


def test_damaged_images_end_it_or_are_left_out_named_and_counted(single, tmp_path, capsys):
    good, bad = paint(tmp_path / "a.png", 0), paint(tmp_path / "b.png", 1)
    bad.write_bytes(bad.read_bytes()[:-20])
    with pytest.raises(SystemExit) as ended:
        command.main([str(single), str(tmp_path)])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "b.png: truncated or damaged" in said and "with --damaged skip" in said
    command.main([str(single), str(tmp_path), "--damaged", "skip"])
    printed = capsys.readouterr().out
    assert "1 of 2 inputs left out:\n  " in printed and "b.png: truncated or damaged" in printed
    _, found = predicted(capsys, single, tmp_path, "--damaged", "skip")
    assert [each["input"] for each in found["predictions"]] == [str(good)]
    (gone,) = found["left_out"]
    assert gone["input"] == str(bad) and gone["reason"].startswith(f"{bad}: truncated or damaged")
    with pytest.raises(SystemExit) as ended:
        command.main([str(single), str(bad), "--damaged", "skip"])
    assert ended.value.code == 2 and "none of 1 inputs can be read" in capsys.readouterr().err


def test_skipping_what_cannot_be_read_skips_formats_that_are_not_read_too(single, tmp_path, capsys):
    paint(tmp_path / "a.png", 0)
    photo = tmp_path / "from a phone.HEIC"
    photo.write_bytes(b"....ftypheic")
    with pytest.raises(SystemExit) as ended:
        command.main([str(single), str(tmp_path)])
    assert ended.value.code == 2 and f"{photo}: image in a format that is not read" in capsys.readouterr().err
    _, found = predicted(capsys, single, tmp_path, "--damaged", "skip")
    assert [Path(each["input"]).name for each in found["predictions"]] == ["a.png"]
    (gone,) = found["left_out"]
    assert gone == {"input": str(photo), "reason": f"{photo}: image in a format that is not read; convert it to PNG"}


def test_a_case_with_a_damaged_view_is_left_out_whole_and_a_missing_file_is_no_damage(three_views, tmp_path, capsys):
    for case in ("one", "two"):
        for view in range(3):
            paint(tmp_path / case / f"{view}.png", view)
    (tmp_path / "two" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    _, found = predicted(capsys, three_views, tmp_path, "--damaged", "skip")
    assert [each["input"] for each in found["predictions"]] == [str(tmp_path / "one")]
    assert [each["input"] for each in found["left_out"]] == [str(tmp_path / "two")]
    with pytest.raises(InputError, match="no such image file"):
        files.sound([("one", [str(tmp_path / "one" / "0.png")]), ("gone", [str(tmp_path / "gone.png")])])


def test_a_saved_model_answers_the_same(single, tmp_path, capsys):
    file = paint(tmp_path / "x.png", 1)
    assert predicted(capsys, single.parent / "saved_model", file)[0] == {str(file): "green"}
    assert predicted(capsys, single.parent, file)[0] == {str(file): "green"}  # a folder with model.tflite, as a run's


@pytest.mark.parametrize("views", [(), ("acetic_1", "green", "iodine")], ids=["single", "views"])
def test_paths_that_do_not_fit_the_model_are_input_errors(tmp_path, views):
    file = paint(tmp_path / "case" / "1.png", 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no such file or folder"):
        files.inputs_of([tmp_path / "none"], contract(views))
    with pytest.raises(InputError, match="no image in this folder"):
        files.inputs_of([tmp_path / "empty"], contract(views))
    if views:
        with pytest.raises(InputError, match="case: holds 1 image, but brightest color takes a folder of 3 images"):
            files.inputs_of([tmp_path / "case"], contract(views))
        with pytest.raises(InputError, match=r"1\.png: is one file, but .* order acetic_1, green, iodine"):
            files.inputs_of([file], contract(views))


def test_bad_input_ends_in_one_line_and_exit_code_2(single, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    size = b"IHDR" + (32_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r" + size + bytes(4))
    os.mkfifo(tmp_path / "pipe.jpg")
    paint(tmp_path / "some" / "1.png", 0)
    (tmp_path / "some" / "nowhere.png").symlink_to("none.png")
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(single.read_bytes()[:-100])
    good = paint(tmp_path / "good.png", 0)
    for arguments, words in (
        ((single, tmp_path / "bad.jpg"), "bad.jpg: truncated or damaged"),
        ((single, tmp_path / "huge.png"), "huge.png: has 32000 x 32000 pixels, the limit is 50000000"),
        ((single, tmp_path / "pipe.jpg"), "pipe.jpg: is a pipe or a device"),
        ((single, tmp_path / "some"), "nowhere.png: link that leads to no file"),
        ((damaged, good), "damaged.tflite: truncated, or not written by"),
        ((tmp_path / "none.tflite", good), "none.tflite: no such file or folder"),
        ((single,), "nothing to predict"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "cervix_tf.predict", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        *stages, error = done.stderr.splitlines()
        assert error.startswith("error: ") and words in error
        assert all(re.match(r"(reading the model|predicting) \.\.\.", line) for line in stages)  # on a slow machine


@pytest.mark.parametrize(
    ("command", "model"),
    [
        (["predict"], "model.tflite"),
        (["evaluate", "--manifest", "m.csv", "--resamples", "100"], "saved_model"),
    ],
)
def test_no_library_writes_to_the_terminal(command, model, single, tmp_path):
    for at, name in enumerate(("a.png", "b.png", "c.png")):
        paint(tmp_path / name, at)
    (tmp_path / "m.csv").write_text("path,label,split\na.png,red,test\nb.png,green,test\nc.png,blue,test\n")
    name, *options = command
    given = [single.parent / model, *options, *([tmp_path / "a.png"] if name == "predict" else [])]
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-m", f"cervix_tf.{name}", *map(str, given)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    own = re.compile(r"[\w ]+ \.\.\.( \(\d+ \w+\))?")  # a stage that lasts, on a busy machine each
    assert all(own.fullmatch(line) for line in done.stderr.splitlines()), done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("form", ["table", "json"])
def test_names_that_the_terminal_cannot_show_are_spelled_out(single, tmp_path, encoding, form):
    paint(tmp_path / "x.png", 0).rename(tmp_path / "синий 😀.png")
    done = subprocess.run(
        [sys.executable, "-m", "cervix_tf.predict", str(single), "синий 😀.png", *(["--json"] * (form == "json"))],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    said = done.stdout.decode(encoding)
    if form == "json":
        assert json.loads(said)["predictions"][0]["input"] == "синий 😀.png"
    else:
        assert said.splitlines()[1].startswith("синий" if encoding == "utf-8" else r"\u0441\u0438\u043d\u0438\u0439")


@pytest.fixture
def mapped(single, monkeypatch):
    """A model whose heat maps are made up."""
    from cervix_tf.explain import model_maps
    from cervix_tf.export import runtime

    monkeypatch.setattr(runtime, "keras_model", lambda model: object())
    monkeypatch.setattr(model_maps, "heat_maps", lambda network, pixels, views: [np.zeros((2, 2)) for _ in pixels])
    return single


def test_every_input_has_a_heat_map_of_its_own_whatever_its_name(mapped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ["case А", "case Б", "a b", "a_b", "синий", "A_B"]
    names += ["deep/" * 60 + end for end in "ab"]
    for name in names:
        paint(Path(f"{name}.png"), 0)
    command.main([str(mapped), *(f"{name}.png" for name in names), "--heatmap", "maps"])
    written = sorted(path.name for path in (tmp_path / "maps").glob("*.png"))
    assert sorted(Path(line).name for line in capsys.readouterr().err.splitlines() if "maps" in line) == written
    assert len(written) == len(names) and len({name.casefold() for name in written}) == len(names)
    assert not [name for name in written if name.startswith(".")]
    assert len([name for name in written if name.startswith("синий")]) == 1
    command.main([str(mapped), "a b.png", "--heatmap", "maps"])  # drawn again, since it is ours


def test_heat_maps_go_to_no_folder_whose_pictures_are_predicted(mapped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paint(Path("cells/a.png"), 0)
    for inside in ("cells", "cells/maps", str(tmp_path / "cells" / "deep" / "maps"), "maps/../cells/maps"):
        with pytest.raises(SystemExit) as ended:
            command.main([str(mapped), "cells", "--heatmap", inside])
        assert ended.value.code == 2
        assert f"--heatmap {inside}: is inside the input folder cells" in capsys.readouterr().err
    command.main([str(mapped), "cells", "--heatmap", "cells maps"])
    assert len([*Path("cells maps").glob("*.png")]) == 1


def test_heat_maps_replace_no_picture_of_somebody_else(mapped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paint(Path("a.jpg"), 0)
    theirs = Path("a.jpg.png")
    theirs.write_text("mine")
    with pytest.raises(SystemExit) as ended:
        command.main([str(mapped), "a.jpg", "--heatmap", "."])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert "a.jpg.png: already exists, and this program did not write it" in printed.err and not printed.out
    assert theirs.read_text() == "mine"
