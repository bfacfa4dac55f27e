import contextlib
import threading

from cervix_tf import progress
from cervix_tf.data import each_file


def test_every_file_is_worked_on_once_and_in_order():
    for count in (0, 1, 1000, 3000):
        files = [f"{at}.png" for at in range(count)]
        assert list(each_file.results(str.upper, files, "looking", 8)) == [name.upper() for name in files]


def test_a_few_files_are_worked_on_by_all_threads_at_once():
    together = threading.Barrier(4, timeout=30)
    assert len(list(each_file.results(lambda file: together.wait(), ["a.png"] * 8, "looking", 4))) == 8


def test_the_stage_counts_files_and_not_tasks(monkeypatch):
    begun = []

    @contextlib.contextmanager
    def stage(what, total, unit):
        begun.append(progress.Stage(what, total, unit))
        yield begun[0]

    monkeypatch.setattr(progress, "stage", stage)
    list(each_file.results(str.upper, ["a.png"] * 600, "looking", 2))
    assert [(one.what, one.done, one.total, one.unit) for one in begun] == [("looking", 600, 600, "images")]
