"""What is on disk of a training that was killed, cut short or copied by halves, and how it goes on."""

import numpy as np
import pandas as pd
import pytest

from cervix_tf import history_file
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir
from cervix_tf.training.epoch_states import EpochStates


class Training:
    """A network of one number, 1 after the first epoch, 2 after the second; its loss is lowest where `best` says."""

    def __init__(self, folder, losses=(3.0, 2.0, 2.5, 1.0)):
        self.out = RunDir(folder)
        self.losses = losses
        self.states = EpochStates(self.out, {"loss": self.out.best_weights})
        self.history = pd.DataFrame()

    def go_on(self, until, finish=False):
        restored = self.states.restore()
        if restored:
            self.history = restored.history
            assert restored.arrays is None or [a.tolist() for a in restored.arrays.values()] == [
                [len(self.history)] * 1000,
                7,
            ]
        for epoch in range(len(self.history) + 1, until + 1):
            loss = self.losses[epoch - 1]
            if loss < min(self.losses[: epoch - 1], default=9):
                self.states.keep_best("loss", epoch, lambda part, epoch=epoch: part.write_text(f"weights of {epoch}"))
            row = pd.DataFrame([{"epoch": epoch, "seconds": 0.1, "loss": loss + 1 / 3}])
            self.history = pd.concat([self.history, row], ignore_index=True)
            if finish and epoch == until:
                self.states.finish(self.history)
            else:
                self.states.keep(self.history, {"weights": np.full(1000, epoch), "counter": np.array(7)})
        return self

    @property
    def files(self):
        return {path.name: path.read_bytes() for path in self.out.checkpoints.iterdir()}


def trained(folder, until, finish=False):
    return Training(folder).go_on(until, finish)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def missing(path):
    path.unlink()


DAMAGE = [cut, empty, zeros, flipped, missing]


def test_two_states_are_kept_until_the_end_with_the_best_weights_that_each_needs(tmp_path):
    names = []
    for epoch in range(1, 5):
        names.append(sorted(trained(tmp_path, epoch).files))
    assert names == [
        ["best.weights.h5", "epoch-1.npz"],
        ["best.weights.h5", "epoch-1-best.weights.h5", "epoch-1.npz", "epoch-2.npz"],
        ["best.weights.h5", "epoch-2.npz", "epoch-3.npz"],
        ["best.weights.h5", "epoch-2-best.weights.h5", "epoch-3.npz", "epoch-4.npz"],
    ]
    assert sorted(trained(tmp_path / "whole", 4, finish=True).files) == ["best.weights.h5", "finished.json"]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_damaged_newest_state_costs_one_epoch_and_a_line(damage, epoch, tmp_path, capsys):
    whole = trained(tmp_path / "whole", 4)
    damage(trained(tmp_path / "run", epoch).states.state(epoch))
    again = Training(tmp_path / "run").go_on(epoch - 1)
    assert len(again.history) == epoch - 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {again.states.state(epoch)}: ") and line.endswith(
        f"continues after epoch {epoch - 1}"
    )
    best = whole.losses.index(min(whole.losses[: epoch - 1])) + 1
    assert again.out.best_weights.read_text() == f"weights of {best}"
    again = trained(tmp_path / "run", 4)
    assert again.files == whole.files and again.out.history.read_bytes() == whole.out.history.read_bytes()


@pytest.mark.parametrize("damage", DAMAGE)
def test_without_a_whole_state_the_file_and_a_remedy_are_named(damage, tmp_path):
    states = trained(tmp_path, 3).states
    for epoch in (2, 3):
        damage(states.state(epoch))
    if damage is missing:
        assert Training(tmp_path).states.restore().arrays is None  # what `fit` refuses, unless all epochs are there
        return
    with pytest.raises(InputError, match=r"epoch-3\.npz: is damaged.* no earlier state is complete; .*or remove"):
        trained(tmp_path, 4)


def line_missing(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))


def of_another_training(path):
    path.write_text(path.read_text().replace("3.33", "4.33"))


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("damage", [*DAMAGE, line_missing, of_another_training])
def test_a_history_that_does_not_fit_is_named_with_a_remedy(damage, finish, tmp_path):
    damage(trained(tmp_path, 4, finish).out.history)
    with pytest.raises(InputError, match=r"history\.csv: is missing, damaged or not of the training.*or remove"):
        trained(tmp_path, 4, finish)


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
def test_best_weights_that_do_not_fit_are_named_with_a_remedy(damage, finish, tmp_path):
    damage(trained(tmp_path, 3, finish).out.best_weights)
    with pytest.raises(InputError, match=r"best\.weights\.h5: is missing, damaged or not the weights of epoch 2"):
        trained(tmp_path, 4, finish)


@pytest.mark.parametrize("damage", [cut, empty, zeros, of_another_training])
def test_a_damaged_record_of_a_finished_training_is_named(damage, tmp_path):
    damage(trained(tmp_path, 4, finish=True).out.checkpoints / "finished.json")
    with pytest.raises(InputError, match=r"finished\.json|history\.csv"):
        trained(tmp_path, 4)


def test_a_record_of_other_criteria_is_refused(tmp_path):
    out = trained(tmp_path, 2).out
    with pytest.raises(InputError, match=r"epoch-2\.npz: belongs to another training"):
        EpochStates(out, {"val_loss": out.best_weights}).restore()


def test_a_kill_between_state_and_history_loses_no_epoch(tmp_path):
    history = trained(tmp_path, 3).out.history
    before = history.read_text()
    history.write_text("".join(before.splitlines(keepends=True)[:-1]))
    assert len(Training(tmp_path).go_on(3).history) == 3
    assert history.read_text() == before


def test_the_first_state_stands_without_a_history_yet(tmp_path):
    run = trained(tmp_path, 1)
    before = run.out.history.read_text()
    run.out.history.unlink()
    assert len(Training(tmp_path).go_on(1).history) == 1
    assert run.out.history.read_text() == before


def test_the_history_of_a_resumed_training_has_every_digit_of_an_uninterrupted_one(tmp_path):
    losses = tuple(np.random.default_rng(0).uniform(size=30))
    whole = Training(tmp_path / "whole", losses).go_on(30)
    for epoch in range(1, 31):
        Training(tmp_path / "resumed", losses).go_on(epoch)
    assert (tmp_path / "resumed" / "history.csv").read_bytes() == whole.out.history.read_bytes()


def test_a_history_is_read_to_the_last_digit_and_a_damaged_one_is_named(tmp_path):
    losses = tuple(np.random.default_rng(1).uniform(size=20))
    out = Training(tmp_path, losses).go_on(20).out
    assert list(history_file.read(out.history)["loss"]) == [loss + 1 / 3 for loss in losses]
    for damage in (empty, missing):
        damage(out.history)
        with pytest.raises(InputError, match=r"history\.csv: "):
            history_file.read(out.history)
