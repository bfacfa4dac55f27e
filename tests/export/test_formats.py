"""The export stage on a finished run, and the gate that keeps bad files out."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cervix_tf import atomic, export
from cervix_tf.errors import InputError
from cervix_tf.export import __main__ as command
from cervix_tf.export import flatbuffer, formats, latency, representative, runtime
from cervix_tf.run_dir import RunDir, read_json


@pytest.fixture
def copy(tmp_path, views_run):
    """The run as it was before anything was exported."""
    out = RunDir(tmp_path / "run")
    out.root.mkdir()
    for file in views_run.root.iterdir():
        if file.suffix in (".csv", ".json", ".keras"):
            shutil.copy(file, out.root)
    return out


@pytest.fixture
def quick(monkeypatch):
    """No clock: measuring starts two processes per file."""
    monkeypatch.setattr(latency, "milliseconds", lambda path, repeats: [1.0, 1.0])


def test_every_format_is_written_measured_and_agrees(copy, quick):
    rows = export.run(copy, force=True)
    assert [row["format"] for row in rows] == list(export.FORMATS)
    assert read_json(copy.exports) == rows
    by_format = {row["format"]: row for row in rows}
    for row in rows:
        path = copy.root / row["file"]
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        assert row["bytes"] == sum(file.stat().st_size for file in files if file.name != atomic.MARKER)
        assert runtime.load(path).contract.classes == ("red", "green", "blue")
        assert row["n"] == 30
    for name in ("saved_model", "tflite-float32"):
        assert by_format[name]["agreement"] == 1
        assert by_format[name]["max_difference"] < 1e-4
    assert by_format["tflite-float16"]["agreement"] == 1
    assert by_format["tflite-int8"]["agreement"] >= 0.9
    text = formats.table(rows)
    assert all(name in text for name in export.FORMATS)
    assert not [path for path in copy.root.iterdir() if path.name.startswith(".part")]


def black(listed, contract, count, seed):
    for _ in range(3):
        yield np.zeros((3, 48, 64, 3), np.uint8)


def test_int8_calibrated_on_black_images_is_refused_with_the_figures_unless_forced(copy, quick, monkeypatch, capsys):
    monkeypatch.setattr(representative, "images", black)
    # With resizing and normalization in float this small network survives even black images.
    monkeypatch.setattr(flatbuffer, "edges", lambda model: [])
    with pytest.raises(InputError, match=r"tflite-int8: refused: only [\d.]+ % of 30 decisions agree") as refusal:
        export.run(copy, ("tflite-float32", "tflite-int8"))
    assert "accuracy changes by -" in str(refusal.value)
    assert not copy.tflite("int8").exists()
    assert copy.tflite().is_file()  # the good one is kept
    assert [row["format"] for row in read_json(copy.exports)] == ["tflite-float32"]
    with pytest.raises(SystemExit) as ended:
        command.main([str(copy.root), "--formats", "tflite-float32", "tflite-int8", "--repeats", "1"])
    said = capsys.readouterr()
    assert ended.value.code == 2 and "tflite-int8: refused" in said.err
    assert "tflite-float32" in said.out
    assert f"written to {copy.root}, but for what was refused" in said.out
    rows = export.run(copy, ("tflite-int8",), force=True)
    assert rows[0]["forced"]
    assert copy.tflite("int8").is_file()
    assert [row["format"] for row in read_json(copy.exports)] == ["tflite-float32", "tflite-int8"]


def test_figures_are_those_of_the_files_that_stand_there_also_where_an_export_ends_early(copy, quick, monkeypatch):
    export.run(copy, ("tflite-float32", "tflite-float16"))
    monkeypatch.setattr(latency, "milliseconds", lambda path, repeats: [2.0, 2.0])
    written = formats._Source.write

    def failing(source, name, target):
        written(source, name, target) if name == "tflite-float32" else 1 / 0

    monkeypatch.setattr(formats._Source, "write", failing)
    with pytest.raises(ZeroDivisionError):
        export.run(copy, ("tflite-float32", "tflite-float16"))
    assert [(row["format"], row["latency_ms_1"]) for row in read_json(copy.exports)] == [
        ("tflite-float32", 2.0),
        ("tflite-float16", 1.0),
    ]


def test_predictions_of_another_model_are_noticed(copy, quick):
    table = pd.read_csv(copy.predictions)
    columns = ["p_red", "p_green", "p_blue"]
    table[columns] = table[[columns[2], *columns[:2]]].to_numpy()
    table.to_csv(copy.predictions, index=False)
    with pytest.raises(InputError, match="tflite-float32: refused"):
        export.run(copy, ("tflite-float32",))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: out.model.unlink(), r"model\.keras: no such file"),
        (lambda out: out.model.write_bytes(b"rubbish"), r"model\.keras: not a model that Keras can load"),
        (lambda out: out.contract.unlink(), r"contract\.json: no such file"),
        (lambda out: out.manifest.unlink(), r"manifest\.csv: no such file"),
        (lambda out: out.predictions.unlink(), r"predictions\.csv: no such file"),
        (lambda out: out.predictions.write_text("id,p_a,p_b\n1,1,0\n"), r"predictions\.csv: its classes are a, b"),
        (
            lambda out: out.predictions.write_text("id,p_red,p_green,p_blue\nc999,1,0,0\n"),
            r"predictions\.csv: predicts none of the 30 test inputs",
        ),
        (lambda out: out.environment.write_text('{"data_root": "/gone"}'), "no such file; give the folder .* --root"),
    ],
    ids=lambda value: None if callable(value) else value[:20],
)
def test_an_unfinished_run_ends_with_one_line_and_exit_code_2(copy, capsys, spoil, words):
    spoil(copy)
    with pytest.raises(SystemExit) as end:
        command.main([str(copy.root), "--formats", "tflite-float32"])
    assert end.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    with pytest.raises(InputError, match=words):
        raise InputError(message)


def test_the_command_finds_moved_images_and_prints_the_table(copy, views_run, quick, capsys):
    moved = copy.root / "elsewhere"
    shutil.copytree(views_run.root / "images", moved)
    copy.environment.unlink()
    command.main([str(copy.root), "--formats", "tflite-float32", "--root", str(moved)])
    printed = capsys.readouterr().out
    assert "tflite-float32" in printed
    assert "+0.0 points" in printed


def test_latency_is_measured_in_a_process_of_its_own(single_run):
    alone, every = latency.milliseconds(single_run.tflite(), repeats=3)
    assert 0 < alone < 1000 and 0 < every < 1000
    with pytest.raises(RuntimeError, match="measuring its latency failed"):
        latency.milliseconds(Path("none.tflite"), repeats=3)
