import pytest

from cervix_tf import arguments
from cervix_tf.errors import InputError
from cervix_tf.predict.__main__ import main


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--only", "random", "--only", "ssl-8"], "--only"),
        (["--images.size=32", "--images.size", "64"], "--images.size"),
        (["--images.batch-size", "8", "--images.batch_size", "4"], "--images.batch-size"),
        (["-o", "here", "-o", "there"], "-o"),
    ],
)
def test_an_option_that_is_given_twice_is_refused_since_only_the_last_would_count(words, named):
    with pytest.raises(InputError, match=f"^{named} is given 2 times; give it once, followed by all its values$"):
        arguments.once(words)


def test_values_may_be_equal_and_negative():
    words = ["--seeds", "1", "1", "--rotation", "-30", "-30", "--low=-1e-3", "--high=-1e-3", "-", "-"]
    assert arguments.once(words) == words


def test_without_arguments_those_of_the_process_count(monkeypatch):
    monkeypatch.setattr("sys.argv", ["program", "--flag"])
    assert arguments.once() == ["--flag"]


def test_a_command_ends_with_that_message(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "cell.jpg", "--batch-size", "1", "--batch-size", "2"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --batch-size is given 2 times; give it once, followed by all its values\n"
