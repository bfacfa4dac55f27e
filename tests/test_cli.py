import dataclasses
import json

import pytest

from cervix_tf import cli
from cervix_tf.config import Optimiser
from cervix_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    """A study."""

    net: Optimiser = dataclasses.field(default_factory=lambda: Optimiser(epochs=3))
    """Sec. 2."""
    seed: int = 0


PRESETS = {"paper": Config(), "demo": Config(net=Optimiser(epochs=1))}
DESCRIPTIONS = {"paper": "as published", "demo": "small"}


def call(tmp_path, *arguments, run=None):
    seen = []
    cli.main(
        "study",
        PRESETS,
        DESCRIPTIONS,
        run or (lambda *got: seen.append(got)),
        ["--out", str(tmp_path), *arguments],
    )
    return seen[0] if seen else None


def test_a_preset_is_overridden_field_by_field(tmp_path):
    config, out = call(tmp_path, "--preset", "demo", "--net.learning-rate", "0.5", "--seed", "7")
    assert config == Config(net=Optimiser(epochs=1, learning_rate=0.5), seed=7)
    assert out.root == tmp_path / "study" / "demo"


def test_a_run_writes_its_configuration_and_environment_first(tmp_path):
    _, out = call(tmp_path, "--run", "mine")
    assert json.loads(out.config.read_text())["net"]["epochs"] == 3
    environment = json.loads(out.environment.read_text())
    assert environment["command_line"].startswith("python -m experiments.study --out")
    assert environment["seed"] == 0 and environment["versions"]["tensorflow"].startswith("2.")


def test_the_same_command_goes_on_but_another_configuration_is_refused(tmp_path, capsys):
    call(tmp_path, "--run", "mine")
    assert call(tmp_path, "--run", "mine")
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, "--run", "mine", "--net.epochs", "4")
    assert ended.value.code == 2
    assert "net.epochs was 3, now 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--preset", "nope"], "there are paper, demo"), (["--net.epochs", "many"], "many")],
)
def test_wrong_options_end_with_exit_code_2(tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit) as ended:
        call(tmp_path, *arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_input_errors_of_a_run_are_one_line_without_traceback(tmp_path, capsys):
    def run(config, out):
        raise InputError("a.csv: line 3: label 'x': mend it")

    with pytest.raises(SystemExit) as ended:
        call(tmp_path, run=run)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: a.csv: line 3: label 'x': mend it\n"


def test_a_full_disk_is_reported_with_a_remedy(tmp_path, capsys):
    def run(config, out):
        raise OSError(28, "No space left on device", "model.keras")

    with pytest.raises(SystemExit) as ended:
        call(tmp_path, run=run)
    assert ended.value.code == 2
    assert "model.keras: the disk is full" in capsys.readouterr().err


def test_bugs_keep_their_traceback(tmp_path):
    def run(config, out):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(tmp_path, run=run)
