import importlib
import pkgutil

import pytest

import experiments
from cervix_tf.study import published

STUDIES = [module.name for module in pkgutil.iter_modules(experiments.__path__) if module.ispkg]


def test_a_table_is_an_attribute_and_its_lists_are_tuples(tmp_path):
    (tmp_path / "published.yaml").write_text("table_1: {VGG11: [84.80, [1, 2]]}\n")
    assert published.read(str(tmp_path / "config.py")).table_1 == {"VGG11": (84.8, (1, 2))}


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_has_its_papers_numbers_as_data(study):
    assert vars(published.read(importlib.import_module(f"experiments.{study}").__file__))
