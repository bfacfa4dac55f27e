"""Every field of every study's configuration has a range, and a value outside it is named before anything runs."""

import dataclasses
import importlib
import math
from pathlib import Path
from typing import get_args, get_type_hints

import hypothesis
import hypothesis.strategies as st
import pytest
import tyro

from cervix_tf import ranges
from cervix_tf.errors import InputError
from cervix_tf.federated.policy import Policy
from cervix_tf.train import __main__ as train
from experiments._template import config as template

STUDIES = (
    *("cross_dataset", "cvm_cervix", "federated_ssl", "label_efficiency", "metric_learning"),
    *("mobilenetv2_ensemble", "resnet50_types"),
)

WRONG = """
cross_dataset --data-sets sipakmed sipakmed
cross_dataset --local-cases 10
cross_dataset --local-cases 21
cross_dataset --recalibrations 0
cross_dataset --most-training-images 0
cross_dataset --distance-images 0
cross_dataset --test-share 1
cross_dataset --validation-share 0.8
cross_dataset --synthetic-cells 5
cross_dataset --weights gone.h5
cvm_cervix --optimizer.learning-rate -1
cvm_cervix --optimizer.learning-rate nan
cvm_cervix --optimizer.beta-2 2
cvm_cervix --optimizer.beta-1 -0.1
cvm_cervix --optimizer.epsilon 0
cvm_cervix --optimizer.weight-decay -0.01
cvm_cervix --optimizer.epochs 0
cvm_cervix --augmentation.horizontal-flip 7
cvm_cervix --augmentation.vertical-flip -0.5
cvm_cervix --augmentation.rotation 20 -20
cvm_cervix --augmentation.scale 0 1
cvm_cervix --augmentation.shear 0 90
cvm_cervix --augmentation.gamma -1 1
cvm_cervix --augmentation.shift -2 2
cvm_cervix --augmentation.brightness 1 inf
cvm_cervix --augmentation.contrast -1 1
cvm_cervix --augmentation.saturation 2 1
cvm_cervix --images.height 0
cvm_cervix --images.size 4
cvm_cervix --images.width 100000
cvm_cervix --images.batch-size 0
cvm_cervix --synthetic-cells -1
cvm_cervix --folds -1
cvm_cervix --folds 0
cvm_cervix --validation-share 1
cvm_cervix --validation-share 0.9
cvm_cervix --test-share 0
cvm_cervix --label-smoothing 1
cvm_cervix --hidden 0
cvm_cervix --head-width -4
cvm_cervix --compared-epochs -1
cvm_cervix --timed-passes 0
cvm_cervix --criterion val_acuracy
cvm_cervix --main resnet51
cvm_cervix --weights no_such_file.h5
cvm_cervix --vt-weights no_such_file.h5
cvm_cervix --devices none
cvm_cervix --seed -1
cvm_cervix --cric ""
federated_ssl --federation.rounds 0
federated_ssl --federation.local-epochs 0
federated_ssl --federation.minimum -1
federated_ssl --federation.deadline -1
federated_ssl --batch-sizes 8 8
federated_ssl --batch-sizes 1
federated_ssl --local-epochs 0
federated_ssl --federated-batch-size 1
federated_ssl --temperature 0
federated_ssl --projection 0
federated_ssl --patience -1
federated_ssl --ssl.momentum 1
federated_ssl --fine-tuning.learning-rate 0
federated_ssl --fine-tuning-batch 0
federated_ssl --synthetic-labeled 0
federated_ssl --validation-share 0.85
federated_ssl --weights random
label_efficiency --shares 0 100
label_efficiency --shares 50 25
label_efficiency --shares 50 50
label_efficiency --draws 1 1
label_efficiency --draws -1
label_efficiency --sites 1
label_efficiency --neighbors 0
label_efficiency --vote-temperature 0
label_efficiency --temperature -1
label_efficiency --regularization 0
label_efficiency --folds 1
label_efficiency --projection 0
label_efficiency --test-share 1
label_efficiency --data-sets sipakmed sipakmed
label_efficiency --synthetic-cells 5
label_efficiency --weights gone.h5
metric_learning --margins.m-neg 0
metric_learning --margins.m-pos -1
metric_learning --margins.batch-hard 0
metric_learning --batches.classes 1
metric_learning --batches.images 1
metric_learning --batches.pairs 0
metric_learning --batches.n-pairs 0
metric_learning --networks resnet50 resnet50
metric_learning --contrastive.momentum 1.5
metric_learning --val2-share 0.85
metric_learning --val1-share nan
metric_learning --synthetic-women -3
mobilenetv2_ensemble --network.alpha 0
mobilenetv2_ensemble --network.dropout 1
mobilenetv2_ensemble --network.std 0.5 0 0.5
mobilenetv2_ensemble --network.mean 0.5 2 0.5
mobilenetv2_ensemble --network.acetic-maps 0
mobilenetv2_ensemble --fusion.expansion 0
mobilenetv2_ensemble --fusion.dropout -0.1
mobilenetv2_ensemble --end-to-end.batch-size 0
mobilenetv2_ensemble --fine-tuning.dropout 1
mobilenetv2_ensemble --imbalance.longer 0
mobilenetv2_ensemble --imbalance.criterion accuracy_of_all
mobilenetv2_ensemble --baselines.vgg19-head 0
mobilenetv2_ensemble --baselines.vgg19 gone.h5
mobilenetv2_ensemble --layout somewhere
mobilenetv2_ensemble --feature-copies 0
mobilenetv2_ensemble --acetic.epochs -1
mobilenetv2_ensemble --seed 5000000000
mobilenetv2_ensemble --devices -1
resnet50_types --optimizer.learning-rate -0.1
resnet50_types --optimizer.momentum 1
resnet50_types --optimizer.weight-decay -1
resnet50_types --hidden 0
resnet50_types --published-epoch 9
resnet50_types --images.supersampling 9
resnet50_types --test-share 1.5
resnet50_types --validation-share 0
resnet50_types --weights gone.h5
resnet50_types --synthetic-women -1
""".strip().splitlines()


NAMES = ("network", "positive")  # in cervix_tf.train, whose zoo and manifest say what there is
OTHERS = {"new study": template.Config(), "cervix_tf.train": train.Config(Path("manifest.csv"))}


def presets(study):
    return importlib.import_module(f"experiments.{study}.config").PRESETS


def usual(study):
    """The configuration without --preset: the paper's, where there is one."""
    return next(iter(presets(study).values())).config


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_is_named_as_the_option_that_gave_it(line):
    study, option, *values = (word.replace('""', "") for word in line.split(" "))
    config = tyro.cli(type(usual(study)), args=[option, *values], default=usual(study))
    with pytest.raises(InputError) as raised:
        ranges.check(config)
    (message,) = str(raised.value).splitlines()
    assert message.startswith(f"{option} ")


def test_a_network_width_without_imagenet_weights_is_refused_with_those_there_are():
    config = usual("mobilenetv2_ensemble")
    network = dataclasses.replace(config.network, alpha=0.9)
    with pytest.raises(InputError, match=r"--weights imagenet: .* 0\.35, .* not 0\.9; give random"):
        ranges.check(dataclasses.replace(config, network=network))
    ranges.check(dataclasses.replace(config, network=network, weights="random"))


def test_all_wrong_fields_are_named_at_once():
    arguments = ["--optimizer.learning-rate", "-1", "--images.batch-size", "0", "--test-share", "2"]
    config = tyro.cli(type(usual("resnet50_types")), args=arguments, default=usual("resnet50_types"))
    with pytest.raises(InputError) as raised:
        ranges.check(config)
    lines = str(raised.value).splitlines()
    assert {line.split()[0] for line in lines} == {"--optimizer.learning-rate", "--images.batch-size", "--test-share"}


@pytest.mark.parametrize("study", STUDIES)
def test_every_preset_is_sound(study):
    for config, _ in presets(study).values():
        ranges.check(config)


def leaves(config, path=()):
    """(path, value, limits, type) of every field that is no dataclass itself."""
    hints = get_type_hints(type(config))
    for name, value, limits in ranges.limited(config):
        if dataclasses.is_dataclass(value):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value, limits, hints[name]


@pytest.mark.parametrize(
    "config", [*map(usual, STUDIES), Policy(), *OTHERS.values()], ids=[*STUDIES, "policy", *OTHERS]
)
def test_every_number_and_every_text_has_limits(config):
    free = [
        ".".join(path)
        for path, _, limits, kind in leaves(config)
        if not limits and {int, float, str} & {kind, *get_args(kind)}
    ]
    assert set(free) <= set(NAMES)


@pytest.mark.parametrize("config", OTHERS.values(), ids=OTHERS)
def test_shares_that_leave_nothing_to_train_on_are_refused(config):
    shares = dataclasses.replace(config, validation_share=0.5, test_share=0.5)
    (message,) = ranges.problems(shares)
    assert message.startswith("--validation-share 0.5") and "leave nothing to train on" in message


def replaced(config, path, value):
    name, *rest = path
    return dataclasses.replace(config, **{name: replaced(getattr(config, name), rest, value) if rest else value})


NUMBERS = [
    (study, path, limit)
    for study in STUDIES
    for path, value, limits, _ in leaves(usual(study))
    for limit in limits
    if isinstance(limit, ranges.Range) and not isinstance(value, tuple)
]


@hypothesis.given(st.sampled_from(NUMBERS), st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, math.nan, math.inf]))
def test_any_number_is_taken_or_named_as_its_range_says(of, value):
    study, path, limit = of
    option = "--" + ".".join(path).replace("_", "-")
    named = {line.split()[0] for line in ranges.problems(replaced(usual(study), path, value))}
    assert (option in named) or not limit.problem(value)
    assert named <= {
        option,
        "--weights",
        "--published-epoch",
        "--margins.m-neg",
        "--validation-share",
        "--val2-share",
    }  # these are conflicts
