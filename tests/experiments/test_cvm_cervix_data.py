"""Data that is not what the study asks for is refused by name."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cervix_tf.config import Source
from cervix_tf.data import manifest
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir, write_json
from experiments.cvm_cervix import data
from experiments.cvm_cervix.config import DATA_SOURCES, DEMO, Config
from tests.experiments.pap_cells import images


def refusal(tmp_path, task, **files):
    """The error for a folder of these class folders, each with so many images."""
    for name, count in files.items():
        for at in range(count):
            path = tmp_path / "images" / name.replace("__", "/") / f"{at + 1}_{at + 1}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", np.full((20, 20, 3), 10 * at, np.uint8))[1].tobytes())
    out = RunDir(tmp_path / "run")
    write_json(out.environment, {})
    with pytest.raises(InputError) as refused:
        data.read(Config(data=Source(root=tmp_path / "images"), task=task), out)
    return str(refused.value)


def test_an_empty_class_is_named_with_the_folder_that_is_spelt_otherwise(tmp_path):
    folders = dict.fromkeys(DATA_SOURCES["herlev"].label_map["abnormal"], 2)
    error = refusal(tmp_path, "herlev", **folders, normal_superficial=2)
    assert "no image of class normal" in error and "normal_superficiel or normal_intermediate" in error
    assert "normal_superficial/1_1.png: not in one of the class folders" in error


def test_folders_of_another_data_set_are_refused_with_the_names_that_are_looked_for(tmp_path):
    assert "looked for class folders basophil" in refusal(tmp_path, "blood", NILM=2, HSIL=2)


def test_a_combined_root_without_one_of_its_two_folders_says_which(tmp_path):
    folders = {f"sipakmed__im_{name}__CROPPED": 2 for name in DATA_SOURCES["sipakmed"].classes}
    error = refusal(tmp_path, "combined", **folders)
    assert "has no folder 'cric_crops'" in error and "name it with --cric" in error


def test_one_empty_class_of_eleven_is_an_error(tmp_path):
    folders = {f"sipakmed__im_{name}__CROPPED": 2 for name in DATA_SOURCES["sipakmed"].classes}
    folders |= {f"cric_crops__{name}": 2 for name in ("ASC-H", "ASC-US", "HSIL", "LSIL", "NILM")}
    assert "no image of class SCC among 20 labeled ones (1 of 11 classes are empty)" in refusal(
        tmp_path, "combined", **folders
    )


def test_a_manifest_that_mixes_data_sets_is_refused_with_row_and_label(tmp_path):
    mixed = images({"Parabasal": 3, "Koilocytotic": 3, "neutrophil": 2})
    path = tmp_path / "mixed.csv"
    manifest.write(mixed, path)
    with pytest.raises(InputError) as refused:
        data.read(Config(data=Source(manifest=path), task="sipakmed"), RunDir(tmp_path / "run"))
    error = str(refused.value)
    assert "mixed.csv: neutrophil/0.png: label 'neutrophil' is not one of Dyskeratotic, Koilocytotic" in error
    assert "2 such rows" in error


def test_a_manifest_of_another_task_is_refused_with_its_labels_and_the_option_to_choose_the_task(tmp_path):
    path = tmp_path / "blood.csv"
    manifest.write(images({"neutrophil": 2}), path)
    with pytest.raises(InputError, match=r"the labels there are neutrophil: .*choose the --task of these images"):
        data.read(Config(data=Source(manifest=path), task="sipakmed"), RunDir(tmp_path / "run"))


def test_a_split_that_lacks_a_class_is_refused():
    everything = images({"abnormal": 40, "normal": 2})
    with pytest.raises(InputError, match=r"split \w+ \(\d+ images\) has no normal"):
        data.split(everything, replace(DEMO, task="herlev", validation_share=0.05, test_share=0.05))
