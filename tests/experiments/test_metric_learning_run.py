"""The whole study, tiny: one plain network, 60 synthetic women, every table."""

import json
import shutil

import h5py
import numpy as np
import pytest

from cervix_tf import contract, runs
from cervix_tf.data import inputs
from cervix_tf.export import reading, runtime
from cervix_tf.metrics import embeddings, predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from experiments.metric_learning import __main__ as study
from experiments.metric_learning.config import METHODS, SPLITS, TABLES
from tests import options

TINY = [
    *("--preset", "demo", "--networks", "mobilenet", "--main", "mobilenet", "--synthetic-women", "60"),
    *("--images.height", "48", "--images.width", "48", "--val1-share", "0.3"),
    *(word for row in ("fine-tuning", "contrastive", "n-pair", "batch-hard") for word in (f"--{row}.epochs", "2")),
    *("--batches.images", "2"),
]
EVERY = [f"mobilenet-{method}" for method in METHODS]


def run(out, *arguments):
    words = options.replacing([*TINY, "--out", out], arguments)
    main(study.STUDY, words)


@pytest.fixture(scope="module")
def finished(plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    run(out, "--tables", *map(str, TABLES))
    return RunDir(out / "metric_learning" / "demo")


def test_a_run_writes_everything_that_users_take_away(finished):
    for path in (
        finished.config,
        finished.environment,
        finished.manifest,
        finished.predictions,
        finished.validation_predictions,
        finished.metrics,
        finished.tables,
        finished.model,
        finished.contract,
        finished.neighbors,
        finished.saved_model / "saved_model.pb",
        finished.tflite(),
        finished.exports,
        finished.model_card,
        finished.paper_figures,
        finished.report,
    ):
        assert path.exists(), path
    assert set(finished.rows) == {*EVERY, "mobilenet-classifier"}
    for name in EVERY:
        row = finished.row(name)
        assert row.embeddings.exists() and row.retrieval.exists() and row.metrics.exists()
        assert row.history.exists() == (name != "mobilenet-pretrained")


def test_every_table_stands_beside_the_papers_with_intervals(finished):
    found = {table["number"]: table for table in json.loads(finished.tables.read_text())}
    assert list(found) == [*TABLES[:-1], "Table 7, counts", TABLES[-1], "Hold-out"]
    for table in found.values():
        if table.get("unit") == "counts":
            continue
        measured = [each for row in table["rows"] for each in row["ours"]]
        assert all({"value", "low", "high", "n", "method"} <= set(each) for each in measured)
        assert "synthetic" in table["note"]
    assert [row["name"] for row in found["Hold-out"]["rows"]][2] == "MobileNet, Fine-tuned, softmax"
    assert any("cluster bootstrap" in each["method"] for each in found[4]["rows"][0]["ours"])
    assert {each["method"] for row in found[7]["rows"] for each in row["ours"] if each["n"]} == {"Clopper-Pearson 95%"}


def test_the_report_shows_loss_curves_and_a_map_of_every_rows_embeddings(finished):
    names = [each["name"] for each in json.loads(finished.paper_figures.read_text())]
    assert names == ["Fig. 3 MobileNet, Contrastive", "Fig. 3 MobileNet, N-Pair Embedding",
                     "Fig. 3 MobileNet, Batch-hard", "Fig. 4"]  # fmt: skip
    page = finished.report.read_text()
    assert "t-SNE of the embeddings" in page and "val1" in page


def test_parts_share_no_woman_and_embeddings_are_of_every_image(finished):
    found = embeddings.read(finished.row("mobilenet-batch_hard").embeddings)
    assert tuple(dict.fromkeys(found.table["split"])) == SPLITS
    assert (found.table.groupby("group")["split"].nunique() == 1).all()
    np.testing.assert_allclose(np.linalg.norm(found.values, axis=1), 1, atol=1e-5)


def test_keras_saved_model_and_tflite_give_the_runs_embeddings(finished):
    terms = contract.read(finished.contract)
    listed = runs.manifest(finished)
    tested = inputs.from_images(listed.part("test"), terms.classes)
    kept = [embeddings.read(finished.row(name).embeddings).part("test") for name in EVERY]
    network = runs.model(finished)
    pixels = np.stack([reading.read_input(files, terms) for files in tested.files])
    of_keras = np.asarray(network(pixels))
    assert min(np.abs(each.values - of_keras).max() for each in kept) < 1e-4  # of one row, the best on val2
    for path in (finished.saved_model, finished.tflite()):
        np.testing.assert_allclose(runtime.load(path).network(pixels), of_keras, atol=1e-4)


def test_the_deployed_files_answer_as_the_run_did(finished):
    expected = predictions.read(finished.predictions)
    tested = inputs.from_images(runs.manifest(finished).part("test"), expected.classes)
    for path in (finished.saved_model, finished.tflite()):
        found = runtime.probabilities(runtime.load(path), tested.files)
        assert (found.argmax(axis=1) == expected.decisions).mean() > 0.95


def test_losses_may_start_from_the_fine_tuned_network(plain_backbone, finished, tmp_path):
    """With a learning rate that moves nothing, batch-hard's weights stay those of the fine-tuned row."""
    unmoved = ["--batch-hard.epochs", "1", "--batch-hard.learning-rate", "1e-12"]
    run(tmp_path, "--start", "fine_tuned", "--only", "mobilenet-batch_hard", *unmoved)
    started = RunDir(tmp_path / "metric_learning" / "demo").row("mobilenet-batch_hard").best_weights
    fine_tuned = finished.row("mobilenet-fine_tuned").best_weights
    moved = finished.row("mobilenet-batch_hard").best_weights
    kernels = [h5py.File(file)["layers/functional/layers/conv2d/vars/0"][()] for file in (started, fine_tuned, moved)]
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-6)
    assert not np.allclose(kernels[2], kernels[1], atol=1e-6)


def test_an_interrupted_study_goes_on_and_ends_with_the_same_tables(finished, capsys):
    before = {path: path.read_bytes() for path in (finished.metrics, finished.predictions, finished.tables)}
    row = finished.row("mobilenet-n_pair")
    row.embeddings.unlink()
    weights = row.best_weights.stat().st_mtime_ns
    run(finished.root.parents[1], "--tables", *map(str, TABLES))
    assert {path: path.read_bytes() for path in before} == before
    assert row.embeddings.exists() and row.best_weights.stat().st_mtime_ns == weights
    assert "mobilenet-contrastive:" not in capsys.readouterr().out  # finished rows are not even built


def test_a_command_for_fewer_rows_leaves_the_best_row_deployed_and_all_finished_rows_in_the_tables(finished, tmp_path):
    shutil.copytree(finished.root.parents[1], tmp_path, dirs_exist_ok=True)
    out = RunDir(tmp_path / "metric_learning" / "demo")
    kept = (out.model, out.contract, out.neighbors, out.predictions, out.metrics, out.exports)
    before = [path.read_bytes() for path in kept]
    whole = json.loads(out.tables.read_text())[-1]
    for asked in (("--only", EVERY[0]), ("--only", EVERY[2]), ("--tables", "1")):
        run(tmp_path, *asked)
        assert [path.read_bytes() for path in kept] == before
        assert json.loads(out.tables.read_text())[-1] == whole


def test_the_list_says_how_far_every_row_is(finished, tmp_path, capsys):
    run(finished.root.parents[1], "--list")
    lines = capsys.readouterr().out.splitlines()
    assert sum("finished" in line for line in lines) == len(METHODS)
    assert any("main model" in line and "mobilenet-batch_hard" in line for line in lines)
    run(tmp_path, "--list")
    assert capsys.readouterr().out.count("not begun") == len(METHODS)
    run(tmp_path, "--list", "--start", "fine_tuned")
    assert capsys.readouterr().out.count("fine-tuning") == len(METHODS) - 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "mobilenet-triplet"), "--only mobilenet-triplet: no such row; choose from mobilenet-pretrained"),
        (("--batches.images", "40"), "40 of different groups are to meet in a batch"),
        (("--synthetic-women", "0"), "--data.root is missing: give the folder of the study's images"),
    ],
)
def test_wrong_input_ends_in_one_clear_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, *arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_a_network_trained_in_16_bits_is_tested_and_exported_in_float32(plain_backbone, tmp_path):
    run(tmp_path, "--only", "mobilenet-fine_tuned", "mobilenet-batch_hard", "--precision", "bfloat16")
    out = RunDir(tmp_path / "metric_learning" / "demo")
    with h5py.File(out.row("mobilenet-batch_hard").best_weights) as weights:
        assert weights  # it was trained
    assert {layer.compute_dtype for layer in runs.model(out).layers if layer.weights} == {"float32"}
    values = embeddings.read(out.row("mobilenet-fine_tuned").embeddings).values
    rounded = np.frombuffer((values.view(np.uint32) & 0xFFFF0000).tobytes(), np.float32).reshape(values.shape)
    assert (values != rounded).mean() > 0.9  # numbers of 16 bits would stay as they are
