"""Everything a command lacks is named at once, before its first row is trained."""

import dataclasses

import pytest

from cervix_tf.errors import InputError
from cervix_tf.models import backbones
from cervix_tf.run_dir import RunDir
from cervix_tf.study import Preset, Study, main, ready


@dataclasses.dataclass(frozen=True)
class Config:
    """A study."""

    devices: str = "all"
    seed: int = 0


def lacking(message):
    calls = []

    def check():
        calls.append(message)
        raise InputError(message)

    check.calls = calls
    return check


def test_all_that_is_missing_is_named_with_its_rows_and_looked_for_once(tmp_path):
    one, other = lacking("--weights a.h5: no such file"), lacking("--vt-weights imagenet: Keras has none")
    needs = {"first": [one], "second": [one, other], "third": [lambda: None]}
    with pytest.raises(InputError) as raised:
        ready.check(Config(), needs, RunDir(tmp_path))
    assert str(raised.value).splitlines() == [
        "--weights a.h5: no such file (needed by first, second)",
        "--vt-weights imagenet: Keras has none (needed by second)",
    ]
    assert len(one.calls) == 1


def test_devices_that_are_not_there_are_named_with_the_rest(tmp_path):
    with pytest.raises(InputError, match=r"--devices 9: [^\n]*\ngone"):
        ready.check(Config(devices="9"), {"row": [lacking("gone")]}, RunDir(tmp_path))


def test_a_study_trains_nothing_while_something_is_missing(tmp_path, capsys):
    def run(config, out, request):
        raise AssertionError("must not be run")

    study = Study(
        "study", "A study", {"paper": Preset(Config(), "")}, (1,), lambda config, out, request: [], run,
        lambda config, out, request: {"row": [lacking("--weights: gone")]},
    )  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(study, ["--out", str(tmp_path)])
    assert ended.value.code == 2 and "--weights: gone (needed by row)" in capsys.readouterr().err


def test_a_network_that_starts_at_random_is_checked_without_being_built(monkeypatch):
    def built(*arguments, **options):
        raise AssertionError("must not be built")

    monkeypatch.setattr(backbones, "backbone", built)
    backbones.check("vgg19", 64, 64, weights="random")
    with pytest.raises(InputError, match="its shorter side is at least 75"):
        backbones.check("inception_v3", 64, 64, weights="random")


def test_weights_that_keras_does_not_offer_are_named_with_the_option_that_sets_them():
    with pytest.raises(InputError, match=r"^--baselines\.resnet18 imagenet: Keras has none for resnet18; .*random$"):
        backbones.check("resnet18", 64, 64, option="--baselines.resnet18")


def test_a_weights_file_of_another_network_does_not_pass(tmp_path):
    file = tmp_path / "wrong.weights.h5"
    backbones.backbone("resnet10_narrow", 32, 32, weights="random").get_layer("features").save_weights(file)
    backbones.check("resnet10_narrow", 32, 32, weights=str(file))
    with pytest.raises(InputError, match=r"--own .*wrong\.weights\.h5: does not fit"):
        backbones.check("resnet18", 32, 32, weights=str(file), option="--own")
