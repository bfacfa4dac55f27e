"""Networks of layers of our own, saved here and exported and explained in a process that has never seen them."""

import functools
import subprocess
import sys
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest

from cervix_tf.contract import Contract
from cervix_tf.data import manifest
from cervix_tf.export import runtime
from cervix_tf.export.serving import serving_model
from cervix_tf.losses import FocalLoss
from cervix_tf.metrics import predictions
from cervix_tf.models import backbones, catalog, resnet, t2t_vit, vision_transformer
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.training import FusedAdam, HarmonicMeanTPR
from experiments.cvm_cervix import model as cvm_cervix

CODE = """
import sys
from pathlib import Path
from cervix_tf.export import __main__ as export, latency
from cervix_tf.predict import __main__ as predict

latency.milliseconds = lambda *_, **__: [1.0, 1.0]  # no clock: measuring starts two processes per file
for name in sys.argv[2:]:
    run = Path(sys.argv[1]) / name
    export.main([str(run), "--formats", "tflite-float32"])
    try:
        predict.main([str(run), str(run / "2.png"), "--heatmap", str(run / "maps")])
    except SystemExit as ended:
        print(name, "ended with", ended.code)
"""
CLASSES = ("normal", "cancer")


def small_resnet(heads=0, **options):
    return resnet.resnet((1, 1), bottleneck=True, width=8, heads=heads, **options)


@pytest.fixture(scope="module")
def networks():
    """The four networks with one block where the originals have twelve: the same layers, quicker to trace."""
    encoder = vision_transformer.encoder
    small = {
        "xception": small_resnet,
        "botnet50": functools.partial(small_resnet, heads=4),
        "deit_tiny": functools.partial(vision_transformer.vision_transformer, width=24, heads=3, depth=1),
        "t2t_vit_14": t2t_vit.t2t_vit_14,
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(t2t_vit, "encoder", lambda x, depth, *rest, **options: encoder(x, 1, *rest, **options))
        for name, build in small.items():
            patched.setitem(backbones._BUILDERS, name, build)
            patched.setitem(catalog.NETWORKS, name, catalog.Network("torch", smallest=16))
        config = SimpleNamespace(
            images=SimpleNamespace(height=40, width=40),
            data_source=SimpleNamespace(classes=("a", "b")),
            weights="random",
            vt_weights="",
            weights_folder=None,
            hidden=8,
        )
        made = {name: backbones.classifier(name, 2, 40, 40, weights="random") for name in small if name != "xception"}
        return {"cvm_cervix": cvm_cervix.cvm(config), **made}


def finish(out, network):
    """The run of that network as a study leaves it before the export."""
    contract = Contract(network.name, CLASSES, (), (), 40, 40, 40, 40, "1", "free", "Tests.", "noise", True, False)
    model = serving_model(network, contract)
    out.root.mkdir()
    model.save(out.model)
    contract.write(out.contract)
    records = []
    for at in range(4):
        noise = np.random.default_rng(at).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(out.root / f"{at}.png"), noise)
        split = "train" if at < 2 else "test"
        records.append({"path": f"{at}.png", "label": CLASSES[at % 2], "group": str(at), "split": split})
    manifest.write(manifest.from_records(records, out.root), out.manifest)
    tested = ["2.png", "3.png"]
    pixels = np.stack([runtime.read_input([str(out.root / name)], contract) for name in tested])
    predictions.write(predictions.from_arrays(tested, model(pixels), CLASSES, labels=CLASSES), out.predictions)
    write_json(out.environment, {"data_root": str(out.root)})


def test_every_network_of_own_layers_is_exported_and_explained_in_a_fresh_process(networks, tmp_path):
    for name, network in networks.items():
        finish(RunDir(tmp_path / name), network)
    layers = {type(layer).__name__ for each in networks.values() for layer in each._flatten_layers()}
    assert layers >= {"ChannelSplit", "PerformerAttention", "RelativeAttention", "SelfAttention", "SoftSplit"}
    command = [sys.executable, "-c", CODE, str(tmp_path), *networks]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("cvm_cervix", "botnet50"):
        (drawn,) = (tmp_path / name / "maps").glob("*.png")
        assert cv2.imread(str(drawn)) is not None
    for name in ("deit_tiny", "t2t_vit_14"):  # a class token has no place in the image
        assert f"{name} ended with 2" in done.stdout
        assert not (tmp_path / name / "maps").exists()
    assert done.stderr.count("error: no heat maps for this model") == 2
    for name in networks:
        assert runtime.load(tmp_path / name).seen.trained.rows == 2


def test_plain_keras_loads_them_and_compiled_ones_after_the_packages_are_imported(networks, tmp_path):
    for name, network in networks.items():
        network.save(tmp_path / f"{name}.keras")
    compiled = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    compiled.compile(FusedAdam(), FocalLoss(), metrics=[HarmonicMeanTPR(2)])
    compiled.fit(np.ones((4, 3)), np.array([0, 1, 0, 1]), verbose=0)
    compiled.save(tmp_path / "compiled.keras")
    code = """
import sys, keras, cervix_tf.layers
for name in sys.argv[2:]:
    keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
import cervix_tf.losses, cervix_tf.training
keras.models.load_model(f"{sys.argv[1]}/compiled.keras")
"""
    command = [sys.executable, "-c", code, str(tmp_path), *networks]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
