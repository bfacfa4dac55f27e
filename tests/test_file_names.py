import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cervix_tf import file_names
from cervix_tf.errors import InputError
from cervix_tf.run_dir import RunDir

TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)


@pytest.mark.parametrize("id", ["visit_000", "train0", "fold-1-acetic-population", "csfssl-alts", "0.9", "a" * 100])
def test_a_plain_id_is_its_own_file_name(id):
    assert file_names.of_id(id) == id


@pytest.mark.parametrize(
    ("id", "readable"),
    [
        ("case А", "case_А-"),  # the letter is Cyrillic
        ("a b", "a_b-"),
        ("синий", "синий-"),
        ("img/CIN 2/7.jpg", "img_CIN_2_7.jpg-"),
        ("/x/y", "x_y-"),
        ("../z", "z-"),
        ("A", "A-"),
        ("con", "con-"),
        ("nul.tar", "nul.tar-"),
        ("a.", "a-"),
        ("-rf", "rf-"),
        ("", "unnamed-"),
        ("\u202e", "unnamed-"),
        ("a-0123456789ab", "a-0123456789ab-"),  # looks like the name of another id
        ("deep/" * 60 + "end", "deep_end-"),
    ],
)
def test_any_other_id_stays_readable_and_ends_in_a_digest(id, readable):
    name = file_names.of_id(id)
    assert re.fullmatch(r".*-[0-9a-f]{12}", name) and name[:-12].endswith(readable)


@given(TEXT)
def test_every_id_has_a_name_that_any_file_system_takes(id):
    name = file_names.of_id(id)
    assert len(f"{name}.weights.h5".encode()) <= 130
    assert not re.search(r'[\x00-\x20\x7f/\\:*?"<>|]', name) and name[0] not in ".- " and name[-1] not in ". "
    assert not re.fullmatch("(con|prn|aux|nul|com[0-9]|lpt[0-9])", name.split(".")[0].casefold())
    assert all(unicodedata.category(each)[0] != "C" for each in name)


def as_a_disk_sees_it(name):
    return unicodedata.normalize("NFKC", name).casefold()


@given(st.lists(st.text("aAäÄàа/ _.-\u0308\ufb01", min_size=0, max_size=3), unique=True, max_size=30))
def test_names_of_different_ids_differ_on_disks_that_ignore_case_and_unicode_form(ids):
    assert len({as_a_disk_sees_it(file_names.of_id(id)) for id in ids}) == len(ids)


def test_the_name_of_an_id_is_no_other_ids_name():
    assert file_names.of_id(file_names.of_id("a b")) != file_names.of_id("a b")


@pytest.mark.parametrize("id", ["/etc/passwd", "../../x", "a/../../b", "..", ".", "x" * 5000])
def test_files_named_after_data_stay_in_the_run(id, tmp_path):
    run = RunDir(tmp_path)
    assert run.heat_map(id).resolve().parent == run.figures / "heatmaps"
    assert run.row(id).root.resolve().parent == tmp_path / "rows"


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "a\\b", "..", ".", ".hidden", "a.", "a ", " ", "", "CON", "a:b", "a\nb", "x" * 201]
)
def test_what_is_no_plain_name_is_refused_with_an_example(name):
    with pytest.raises(InputError, match=r"--run .*give a plain name, such as first-try"):
        file_names.check_plain(name, "--run")


@pytest.mark.parametrize("name", ["first-try", "Probe 2", "ёлка", "0"])
def test_a_plain_name_is_taken_as_it_stands(name):
    file_names.check_plain(name, "--run")
