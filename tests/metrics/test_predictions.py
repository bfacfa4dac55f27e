import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.metrics.strata import strata, stratified

HEADER = "id,group,case,view,site,age,label,p_normal,p_cancer\n"


def written(tmp_path, *lines, header=HEADER):
    path = tmp_path / "predictions.csv"
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def of_visits():
    """Two images of visit a (cancer), one of b (normal), one without a visit."""
    return predictions.from_arrays(
        ["1.jpg", "2.jpg", "3.jpg", "4.jpg"],
        [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]],
        ("normal", "cancer"),
        labels=["cancer", "cancer", "normal", ""],
        groups=["ann", "ann", "beth", ""],
        cases=["a", "a", "b", ""],
        views=["acetic_1", "acetic_2", "green", ""],
        sites=["x", "y", "x", ""],
        ages=[30, 30, 51.5, np.nan],
    )


def test_predictions_read_back_are_the_ones_written_to_the_last_bit(tmp_path):
    p = of_visits()
    thirds = predictions.Predictions(p.table.assign(p_normal=1 / 3, p_cancer=2 / 3), p.classes)
    predictions.write(thirds, tmp_path / "predictions.csv")
    again = predictions.read(tmp_path / "predictions.csv")
    assert again.classes == p.classes
    assert again.table.equals(thirds.table)


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_printable_id_survives_the_file(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("ids") / "predictions.csv"
    predictions.write(predictions.from_arrays([name], [[0.5, 0.5]], ("a", "b")), path)
    assert predictions.read(path).table["id"].tolist() == [name]


def test_columns_give_arrays_and_missing_groups_fall_back_on_case_then_id():
    p = of_visits()
    assert p.labels.tolist() == [1, 1, 0, -1]
    assert p.decisions.tolist() == [0, 1, 0, 0]
    assert p.groups.tolist() == ["ann", "ann", "beth", "4.jpg"]
    assert predictions.from_arrays(["i"], [[1, 0]], ("a", "b"), cases=["visit"]).groups.tolist() == ["visit"]
    truth, called, score = p.positive(["cancer"])
    assert truth.tolist() == [True, True, False, False]
    assert called.tolist() == [False, True, False, False]
    assert score.tolist() == [0.1, 0.8, 0.4, 0.5]


def test_only_id_and_probabilities_are_needed(tmp_path):
    path = written(tmp_path, "i.jpg,0.25,0.75", header="id,p_a,p_b\n")
    p = predictions.read(path)
    assert (p.classes, p.labels.tolist()) == (("a", "b"), [-1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("i,,,,,,normal,0.5,0.6", "line 2: probabilities sum to 1.1, not 1: are these logits"),
        ("i,,,,,,normal,-0.5,1.5", r"line 2: p_normal -0.5: is not a probability in \[0, 1\]"),
        ("i,,,,,,normal,nan,1", "line 2: p_normal nan: is not a probability"),
        ("i,,,,,,normal,0.5,half", "line 2: p_cancer nan: is not a probability"),
        ("i,,,,,,normal,0,inf", "line 2: p_cancer inf: is not a probability"),
        ("i,,,,,,cin9,0.5,0.5", "line 2: label 'cin9': is not among the classes normal, cancer"),
        ("i,,,,,-3,normal,0.5,0.5", "line 2: age '-3': is not an age"),
        (",,,,,,normal,0.5,0.5", "line 2: id '': is empty"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        predictions.read(written(tmp_path, line))


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 3: id 'i': occurs twice"):
        predictions.read(written(tmp_path, "i,,,,,,,0.5,0.5", "i,,,,,,,0.5,0.5"))


def test_rounded_probabilities_are_accepted(tmp_path):
    assert len(predictions.read(written(tmp_path, "i,,,,,,normal,0.3333,0.6668"))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its header names the columns id"),
        (HEADER, "no rows"),
        ("path,label\nx,y\n", "no column 'id'; there are path, label"),
        ("id,path,p_a,p_b\nx,y,1,0\n", "line 1: unknown column 'path'"),
        ("id,label\nx,y\n", "needs at least two columns p_<class>"),
    ],
)
def test_a_file_that_holds_no_predictions_is_refused(tmp_path, text, message):
    path = tmp_path / "predictions.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        predictions.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        predictions.read(tmp_path / "predictions.csv")
    with pytest.raises(InputError, match="is a folder"):
        predictions.read(tmp_path)


def test_a_case_is_the_mean_of_its_images():
    p = predictions.aggregate(of_visits())
    assert p.table["id"].tolist() == ["a", "b", "4.jpg"]
    assert p.probabilities.tolist() == [pytest.approx([0.55, 0.45]), [0.6, 0.4], [0.5, 0.5]]
    assert p.table["label"].tolist() == ["cancer", "normal", ""]
    assert p.table["site"].tolist() == ["", "x", ""]
    assert p.table["age"].tolist()[:2] == [30, 51.5]
    assert p.groups.tolist() == ["ann", "beth", "4.jpg"]


def test_the_maximum_of_a_case_keeps_its_most_certain_class_and_sums_to_one():
    p = predictions.aggregate(of_visits(), by="group", how="max")
    assert p.table["id"].tolist() == ["ann", "beth", "4.jpg"]
    assert p.probabilities[0] == pytest.approx([0.9 / 1.7, 0.8 / 1.7])


def test_images_of_a_case_must_agree_on_the_label():
    p = of_visits()
    mixed = predictions.Predictions(p.table.assign(case="a"), p.classes)
    with pytest.raises(InputError, match="case 'a': its 4 rows are labeled cancer and normal"):
        predictions.aggregate(mixed)


def test_cases_that_share_a_name_across_women_are_refused_and_not_one_case():
    ids, halves = ["1.jpg", "2.jpg", "3.jpg"], np.full((3, 2), 0.5)
    two = predictions.from_arrays(
        ids, halves, ("a", "b"), cases=["visit 1", "visit 1", "x"], groups=["ann", "beth", "ann"]
    )
    with pytest.raises(
        InputError, match=r"case 'visit 1': its rows have several values of group \('ann', 'beth'\); give"
    ):
        predictions.aggregate(two)
    named = predictions.from_arrays(ids, halves, ("a", "b"), cases=["2.jpg", "", "x"], groups=["ann", "beth", "ann"])
    with pytest.raises(InputError, match=r"case '2\.jpg': is also the id of a row without a case"):
        predictions.aggregate(named)


def test_ages_fall_into_bins_and_views_into_kinds():
    p = of_visits()
    assert {name: part.table["id"].tolist() for name, part in strata(p, "age").items()} == {
        "25-49": ["1.jpg", "2.jpg"],
        "50+": ["3.jpg"],
        "unknown": ["4.jpg"],
    }
    assert {name: len(part) for name, part in strata(p, "view").items()} == {
        "acetic": 2,
        "green": 1,
        "unknown": 1,
    }
    edges = predictions.from_arrays(list("abcd"), [[0.5, 0.5]] * 4, ("n", "c"), ages=[24.9, 25, 49.9, 50])
    assert {name: len(part) for name, part in strata(edges, "age").items()} == {
        "<25": 1,
        "25-49": 2,
        "50+": 1,
    }


def test_every_stratum_that_has_labels_gets_its_own_metrics():
    found = stratified(of_visits(), "site", positive=["cancer"], resamples=20)
    assert list(found) == ["x", "y"]
    assert found["x"]["metrics"]["accuracy"]["value"] == 0.5
    assert found["y"]["metrics"]["accuracy"]["n"] == 1


def test_a_stratum_that_no_row_has_is_refused():
    p = predictions.from_arrays(["i"], [[0.5, 0.5]], ("a", "b"))
    with pytest.raises(InputError, match="--by site: none of the 1 rows has its site"):
        strata(p, "site")


def test_rows_of_a_manifest_keep_what_predictions_say_of_them():
    rows = pd.DataFrame(
        {
            "id": ["a", "b"], "path": ["a.jpg", "b.jpg"], "label": ["case", ""], "group": ["w1", "w2"],
            "case": ["c1", ""], "view": ["", "green"], "site": ["s", "t"], "age": [31.0, np.nan],
        }
    )  # fmt: skip
    table = predictions.from_rows(rows, [[0.25, 0.75], [1.0, 0.0]], ("control", "case")).table
    pd.testing.assert_frame_equal(
        table[["id", "group", "case", "view", "site", "label", "age"]],
        rows[["id", "group", "case", "view", "site", "label", "age"]],
        check_dtype=False,
    )
    assert list(table["p_case"]) == [0.75, 0.0]


def test_rows_are_found_by_their_ids_in_the_order_of_these():
    whole = of_visits()
    ids = list(whole.table["id"])
    assert list(whole.of([ids[2], ids[0]]).table["id"]) == [ids[2], ids[0]]
    assert np.array_equal(whole.of([ids[2], ids[0]]).probabilities, whole.probabilities[[2, 0]])
