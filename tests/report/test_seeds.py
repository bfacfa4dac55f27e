"""Means over seeds are of the same line of the same table of every seed, and say what each run chose for itself."""

from cervix_tf.report import seeds
from cervix_tf.report.tables import line, table


def one(value, name="row", chosen="", note="", number=1, title="T"):
    """A run's tables: one table with one number, or without one."""
    ours = [None if value is None else {"value": value, "low": 0.0, "high": 100.0, "n": 5, "method": "Wilson 95%"}]
    row = line(name + chosen, "trained", None, ours)
    return [table(number, title, ["Accuracy"], [{**row, "chosen": chosen} if chosen else row], note)]


def test_a_line_for_which_seeds_chose_another_k_is_one_line_with_the_mean_over_all_and_each_ones_choice():
    found = seeds.over({0: one(60.0, "Net, ", "1-NN"), 1: one(70.0, "Net, ", "5-NN"), 2: one(80.0, "Net, ", "5-NN")})
    (row,) = found[0]["rows"]
    assert row["name"] == "Net, 1-NN (seed 0), 5-NN (seeds 1, 2)" and "chosen" not in row
    assert row["ours"][0]["value"] == 70.0 and row["ours"][0]["n"] == 3
    assert row["ours"][0]["method"] == "mean and standard deviation over seeds 0, 1, 2"


def test_a_choice_that_all_seeds_made_stands_in_the_name_as_in_a_single_run():
    (row,) = seeds.over({0: one(60.0, "Net, ", "5-NN"), 1: one(70.0, "Net, ", "5-NN")})[0]["rows"]
    assert row["name"] == "Net, 5-NN" and row["ours"][0]["value"] == 65.0


def test_a_line_or_table_that_a_seed_lacks_says_so():
    more = [{**one(1.0)[0], "rows": [*one(1.0)[0]["rows"], *one(2.0, "ties")[0]["rows"]]}, *one(3.0, number=8)]
    first, second = seeds.over({0: more, 1: one(3.0), 2: more})
    assert first["title"] == "T, over seeds 0, 1, 2"
    assert [row["name"] for row in first["rows"]] == ["row", "ties (seed 1 without such a line)"]
    assert first["rows"][1]["ours"][0]["n"] == 2
    assert second["title"] == "T, over seeds 0, 2 (seed 1 without such a table)"
    assert second["rows"][0]["name"] == "row"


def test_a_line_that_only_a_later_seed_has_is_there_without_a_mean():
    rows = seeds.over({0: one(1.0), 1: one(2.0, "ties")})[0]["rows"]
    assert [row["name"] for row in rows] == ["row (seed 1 without such a line)", "ties (seed 0 without such a line)"]
    assert [row["ours"] for row in rows] == [[None], [None]]


def test_a_mean_without_a_number_that_a_seed_has_not_defined_says_so():
    (cell,) = seeds.over({0: one(1.0), 1: one(None), 2: one(3.0)})[0]["rows"][0]["ours"]
    assert cell["method"] == "mean and standard deviation over seeds 0, 2; not measured or not defined in seed 1"


def test_tables_of_one_number_are_told_apart_by_their_titles():
    run = [*one(1.0, title="of one network"), *one(50.0, title="of another")]
    found = seeds.over({0: run, 1: run})
    assert [each["rows"][0]["ours"][0]["value"] for each in found] == [1.0, 50.0]


def test_notes_that_differ_in_the_seed_alone_are_one_note():
    (found,) = seeds.over({seed: one(1.0, note=f"Ours: 9 epochs, seed {seed}. Per image.") for seed in (0, 1, 12)})
    assert found["note"] == "Ours: 9 epochs, seeds 0, 1, 12. Per image."


def test_what_seeds_say_differently_in_their_notes_stands_there_of_each():
    said = {0: "Best: a, K = 1.", 1: "Best: b, K = 5.", 2: "Best: a, K = 1."}
    (found,) = seeds.over({seed: one(1.0, note=f"Ours. {best} Rest.") for seed, best in said.items()})
    assert found["note"] == "Ours. Seeds 0, 2: Best: a, K = 1. Seed 1: Best: b, K = 5. Rest."


def test_notes_of_which_one_says_more_stand_there_whole():
    (found,) = seeds.over({0: one(1.0, note="Ours, seed 0."), 1: one(1.0, note="Ours, seed 1. Second reader: x.")})
    assert found["note"] == "Seed 0: Ours, seed 0. Seed 1: Ours, seed 1. Second reader: x."
