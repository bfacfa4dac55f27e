"""The federated study as a Flower app: its settings, a site's images, the weights that come out."""

import dataclasses
import tomllib
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

pytest.importorskip("flwr", reason="Flower is not installed: pip install -e '.[federated]' in the checkout")

from cervix_tf.data import importers, inputs, manifest
from cervix_tf.errors import InputError
from cervix_tf.federated.flower.federation_config import FederationConfig
from cervix_tf.federated.policy import Policy
from experiments.federated_ssl import flower_app, model, training
from experiments.federated_ssl.config import PRESETS

APP = Path(flower_app.__file__).parent / "flower" / "pyproject.toml"


@pytest.fixture(scope="module")
def run_config():
    """The app's settings with two sites, and the demo's small network."""
    settings = tomllib.loads(APP.read_text())["tool"]["flwr"]["app"]["config"]
    return {**settings, "sites": "a,b", "preset": "demo", "batch-size": 4, "rounds": 2}


@pytest.fixture(scope="module")
def images(picture, tmp_path_factory):
    """A manifest of six images without labels, two of them not for training."""
    root = tmp_path_factory.mktemp("site")
    for at in range(6):
        (root / "some").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "some" / f"{at}.png"), picture(at))
    found = importers.load("folder", root).manifest
    rows = found.rows.assign(label="", split=["train", "train", "", "", "test", "validation"])
    manifest.write(manifest.Manifest(rows, root), root / "manifest.csv")
    return root / "manifest.csv"


def test_every_term_can_be_set_in_the_app_and_stands_there_with_its_default():
    settings = tomllib.loads(APP.read_text())["tool"]["flwr"]["app"]["config"]
    for kind in (FederationConfig(sites=("any",)), Policy()):
        for field in dataclasses.fields(kind):
            if field.name not in ("policy", "sites", "sizes"):
                assert settings[field.name.replace("_", "-")] == getattr(kind, field.name), field.name


def test_settings_are_those_of_the_preset_unless_the_run_says_otherwise(run_config):
    assert flower_app.read(run_config).study.network == PRESETS["demo"].config.network
    changed = flower_app.read({**run_config, "network": "mobilenet_v2", "local-epochs": 3})
    assert (changed.study.network, changed.config.policy.local_epochs) == ("mobilenet_v2", 3)
    assert changed.study.patience == changed.config.patience == PRESETS["demo"].config.patience
    with pytest.raises(InputError, match="preset 'best'"):
        flower_app.read({**run_config, "preset": "best"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network": "resnet51"}, "run config: network 'resnet51': there are resnet50"),
        ({"batch-size": 1}, "run config: batch-size 1: must be at least 2, or 0"),
        ({"batch-size": "8"}, "run config: batch-size '8': is not the kind of value"),
        ({"norm-bound": 0.5}, "run config: norm-bound 0.5: must be at least 1, or 0"),
        ({"weights": "imagenet"}, "run config: weights imagenet: preset demo starts from random weights"),
    ],
)
def test_a_wrong_setting_is_refused_under_its_own_key_where_the_federation_starts(run_config, settings, words):
    with pytest.raises(InputError, match=words):
        flower_app.read({**run_config, **settings})


def test_a_file_of_first_weights_is_looked_for_at_the_server_alone(run_config, tmp_path):
    path = tmp_path / "only.weights.h5"
    study = flower_app.read({**run_config, "preset": "paper", "weights": str(path)}).study
    with pytest.raises(InputError, match=r"weights .*only.weights.h5: no such file; .* on the SuperLink's machine"):
        flower_app.initial_weights(study)
    path.touch()
    assert flower_app.initial_weights(study) == str(path)
    assert flower_app.initial_weights(PRESETS["paper"].config) == "imagenet"
    assert flower_app.initial_weights(PRESETS["demo"].config) == "random"


def test_a_site_trains_on_its_training_images_and_measures_common_weights_on_its_validation_images(run_config, images):
    federation = flower_app.read(run_config)
    found = flower_app.site(federation, "a", {"manifest": str(images)})
    assert (found.examples, found.steps) == (4, 1)
    pixels, _ = next(iter(found.batches(0)))
    assert pixels.shape == (8, 64, 64, 3)
    shown = [pixels.numpy() for pixels, _ in found.held_out]
    assert [pixels.shape for pixels in shown] == [(2, 64, 64, 3)]
    simulated = training.validation_views(
        federation.study, 4, inputs.from_every_image(manifest.read(images).part("validation"))
    )
    assert all(np.array_equal(a, b) for a, (b, _) in zip(shown, simulated, strict=True)), "those of the simulator"
    trainer = flower_app.trainer(federation, "random")
    assert np.isfinite(trainer.loss(found, trainer.weights))


def test_a_site_without_validation_images_is_told_so_before_it_trains(run_config, images, tmp_path):
    listed = manifest.read(images)
    path = tmp_path / "unsplit.csv"
    manifest.write(manifest.Manifest(listed.rows.assign(split=""), listed.root), path)
    place = {"manifest": str(path), "root": str(listed.root)}
    with pytest.raises(InputError, match="no validation images of site 'a'; fill the column split"):
        flower_app.site(flower_app.read(run_config), "a", place)
    found = flower_app.site(flower_app.read({**run_config, "validation": "none"}), "a", place)
    assert found.held_out is None and found.examples == 6


def test_a_site_with_a_woman_in_both_splits_is_refused(run_config, images, tmp_path):
    listed = manifest.read(images)
    rows = listed.rows.assign(group=["a", "b", "c", "d", "e", "b"])
    manifest.write(manifest.Manifest(rows, listed.root), tmp_path / "half.csv")
    place = {"manifest": str(tmp_path / "half.csv"), "root": str(listed.root)}
    with pytest.raises(InputError, match=r"group 'b' is in train \(1 row\) and in validation \(1 row\)"):
        flower_app.site(flower_app.read(run_config), "a", place)


def test_a_site_without_images_is_told_what_to_do(run_config, images, tmp_path):
    federation = flower_app.read(run_config)
    with pytest.raises(InputError, match="--node-config"):
        flower_app.site(federation, "a", {})
    listed = manifest.read(images)
    manifest.write(manifest.Manifest(listed.rows.assign(site="other"), listed.root), tmp_path / "other.csv")
    with pytest.raises(InputError, match="no training images of site 'a'"):
        flower_app.site(federation, "a", {"manifest": str(tmp_path / "other.csv"), "root": str(listed.root)})


def test_all_institutions_start_alike_and_the_backbones_weights_fit_the_study(run_config, tmp_path):
    federation = flower_app.read(run_config)
    first, second = (flower_app.trainer(federation, "random") for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))
    path = tmp_path / "best.weights.h5"
    first.network.get_layer("features").save_weights(path)
    encoder = model.encoder(federation.study, str(path))
    pixels = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype("float32")
    of_first = keras.Model(first.network.inputs, first.network.get_layer("average").output)
    np.testing.assert_allclose(encoder(pixels), of_first(pixels), atol=1e-5)
