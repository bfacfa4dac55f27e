import contextlib

from cervix_tf import progress
from cervix_tf.data import each_file


def test_every_file_is_worked_on_once_and_in_order_by_many_threads():
    files = [f"{at}.png" for at in range(1000)]
    assert list(each_file.found(str.upper, files, "looking", 8)) == [name.upper() for name in files]
    assert list(each_file.found(str.upper, [], "looking")) == []


def test_the_stage_counts_files_and_not_tasks(monkeypatch):
    begun = []

    @contextlib.contextmanager
    def stage(what, total, unit):
        begun.append(progress.Stage(what, total, unit))
        yield begun[0]

    monkeypatch.setattr(progress, "stage", stage)
    list(each_file.found(str.upper, ["a.png"] * 600, "looking", 2))
    assert [(one.what, one.done, one.total, one.unit) for one in begun] == [("looking", 600, 600, "images")]
