import shutil
from dataclasses import replace

import pytest

from cervix_tf import contract as contracts
from cervix_tf.errors import InputError
from cervix_tf.export import model_card
from cervix_tf.run_dir import RunDir, read_json, write_json


@pytest.fixture
def run(tmp_path, single_run):
    out = RunDir(tmp_path / "run")
    out.root.mkdir()
    for name in ("contract.json", "metrics.json"):
        shutil.copy(single_run.root / name, out.root)
    return out


def test_the_card_states_use_data_metrics_and_limits(run, single_run):
    shutil.copy(single_run.environment, run.root)
    write_json(
        run.exports,
        [
            {
                "format": "tflite-int8",
                "file": "model_int8.tflite",
                "bytes": 1_234_567,
                "latency_ms_1": 2.0,
                "latency_ms_all": 1.0,
                "agreement": 0.975,
                "n": 40,
                "forced": True,
            }
        ],
    )
    model_card.write(run)
    text = run.model_card.read_text()
    for words in (
        "# Model card: colors 1.2.3",
        "SYNTHETIC: trained and tested on drawn images",
        "Not a medical device. Not evaluated, cleared or approved",
        "uint8, any size (made for 64 x 48), resized inside the model to 32 x 24 pixels (width x height)",
        "60 inputs of 60 groups (red 20, green 20, blue 20)",
        "### Positive = red, against the rest",
        "### Class blue",
        "| tflite-int8 | model_int8.tflite | 1.23 | 2.0 | 1.0 | 97.5 % of 40, kept by --force |",
        "`python -m made_up`",
    ):
        assert words in text
    card = read_json(run.model_card.with_suffix(".json"))
    accuracy = card["metrics"]["overall"]["accuracy"]
    row = next(line for line in text.splitlines() if line.startswith("| accuracy |"))
    assert row.startswith(
        f"| accuracy | {accuracy['value']:.3f} | {accuracy['low']:.3f} to {accuracy['high']:.3f} | 60 |"
    )


def test_a_stand_in_and_strata_and_undefined_metrics_are_shown(run):
    contract = replace(contracts.read(run.contract), synthetic=False, stand_in=True, views=("a", "b"))
    contract.write(run.contract)
    metrics = read_json(run.metrics)
    undefined = {"value": None, "low": None, "high": None, "n": 0, "method": "undefined: no rows"}
    metrics |= {"synthetic": False, "strata": {"age": {"under 30": {"metrics": {"accuracy": undefined}}}}}
    write_json(run.metrics, metrics)
    model_card.write(run)
    text = run.model_card.read_text()
    assert "STAND-IN" in text
    assert "SYNTHETIC" not in text
    assert "### By age: under 30" in text
    assert "| accuracy | - | - | 0 | undefined: no rows |" in text
    assert "Views given in a different order" in text


def test_the_card_names_no_folder_of_the_machine_it_was_made_on(run):
    made = "python -m made_up --data.root /mnt/anna/images --weights /srv/anna/w.h5"
    write_json(run.environment, {"command_line": made, "data_root": "/mnt/anna/images"})
    model_card.write(run)
    text = run.model_card.read_text() + run.model_card.with_suffix(".json").read_text()
    assert "python -m made_up --data.root DATA --weights w.h5" in text and "anna" not in text


def test_the_card_says_on_what_the_same_weights_depend(run):
    write_json(run.environment, {"reproducible": "bit for bit with 2 threads on processors with AVX2 of this kind"})
    model_card.write(run)
    assert "same weights bit for bit with 2 threads on processors with AVX2" in run.model_card.read_text()


def test_a_card_that_a_program_wrote_alone_says_nothing_of_its_makers_and_a_broken_one_is_refused(run):
    write_json(run.environment, {"reproducible": "bit for bit"})
    model_card.write(run)
    said = contracts.read(run.contract)
    assert model_card.own_limits(run.root, said.task, said.version) == []
    write_json(run.model_card.with_suffix(".json"), {"model": "none"})
    with pytest.raises(InputError, match=r"model_card\.json: is not a model card"):
        model_card.own_limits(run.root, said.task, said.version)


def test_a_run_without_metrics_is_an_input_error(run):
    run.metrics.unlink()
    with pytest.raises(InputError, match=r"metrics\.json: no such file"):
        model_card.write(run)
