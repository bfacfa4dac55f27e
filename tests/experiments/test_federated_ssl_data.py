"""Copies across sites, batches of a site that trains for long at once, and options that would have no effect."""

import dataclasses
import hashlib

import cv2
import numpy as np
import pytest

from cervix_tf.config import Source
from cervix_tf.data import inputs, manifest
from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import main
from experiments.federated_ssl import __main__ as study
from experiments.federated_ssl import data, training
from experiments.federated_ssl.config import DEMO, PAPER


def test_copies_of_files_are_told_of_across_sites_and_between_women_with_and_without_a_label(tmp_path, capsys):
    """Forty women with a label; the bytes of each image under another woman's name at the site, and at another one."""
    rng = np.random.default_rng(0)
    records = []
    for woman in range(40):
        png = cv2.imencode(".png", rng.integers(0, 256, (8, 8, 3), np.uint8))[1].tobytes()
        copies = (("a", "nhs", "case" if woman % 2 else "control"), ("b", "nhs", ""), ("c", "alts", ""))
        for name, site, label in copies:
            (tmp_path / f"{name}{woman}.png").write_bytes(png)
            row = {"path": f"{name}{woman}.png", "label": label, "group": f"{name}{woman}", "site": site}
            records.append({**row, "sha256": hashlib.sha256(png).hexdigest()})
    manifest.write(manifest.from_records(records, tmp_path), tmp_path / "m.csv")
    out = RunDir(tmp_path / "run")
    out.root.mkdir()
    write_json(out.environment, {})
    data.read(dataclasses.replace(PAPER, data=Source(tmp_path, tmp_path / "m.csv")), out)
    said = capsys.readouterr().err
    assert "all sites together: " in said and "images of test have the same bytes as images of train" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ssl.cosine"], "--ssl.cosine True: this study's learning rates stay as they are"),
        (["--fine-tuning.cosine"], "--fine-tuning.cosine True: this study's learning rates stay"),
        (["--federation.local-epochs", "5"], "--federation.local-epochs 5: each federation here has a row for its own"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(words, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(study.STUDY, ["--preset", "demo", "--out", str(tmp_path), *words])
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize("at_once", [1, 5])
def test_every_epoch_that_a_site_trains_at_once_has_batches_of_its_own(tmp_path, at_once):
    """Those of training without a federation, even where a site trains longer at once than SSL does altogether."""
    rows = [{"path": f"{at}.png", "label": "", "group": f"{at}"} for at in range(6)]
    for at, row in enumerate(rows):
        cv2.imwrite(str(tmp_path / row["path"]), np.random.default_rng(at).integers(0, 256, (16, 16, 3), np.uint8))
    seen = inputs.from_every_image(manifest.from_records(rows, tmp_path))
    small = dataclasses.replace(DEMO.images, height=8, width=8, cache="none")
    epochs = dataclasses.replace(DEMO.ssl, epochs=3)
    config = dataclasses.replace(DEMO, images=small, ssl=epochs, local_epochs=(at_once,))
    longer = dataclasses.replace(config, ssl=dataclasses.replace(epochs, epochs=10))
    count = training.client(config, "a", seen, 2).steps * max(3, at_once)
    found, wanted = (
        [pixels.numpy().tobytes() for pixels, _ in training.client(each, "a", seen, 2).batches(0).take(count)]
        for each in (config, longer)
    )
    assert len(set(found)) == count and found == wanted
