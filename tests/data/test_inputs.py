import pytest

from cervix_tf.data import inputs, manifest
from cervix_tf.errors import InputError

CLASSES = ("normal", "cancer")
VIEWS = ("acetic_1", "acetic_2", "acetic_3", "acetic_4", "acetic_5", "green", "iodine")


def visit(case, acetic, *others, label="normal", **more):
    views = [f"acetic_{k + 1}" for k in range(acetic)] + list(others)
    return [
        {"path": f"{case}/{view}.jpg", "label": label, "group": case, "case": case, "view": view, **more}
        for view in views
    ]


def of(*records):
    return manifest.from_records([row for rows in records for row in rows], "/data")


def test_a_kind_is_the_views_name_without_its_number():
    assert [inputs.kind(view) for view in ("acetic_12", "green", "green_saline")] == [
        "acetic",
        "green",
        "green_saline",
    ]


def test_a_complete_case_gives_its_seven_images_in_order():
    found, left_out = inputs.from_cases(of(visit("a", 5, "green", "iodine", label="cancer")), CLASSES, VIEWS)
    assert [file.rsplit("/")[-1] for file in found.files[0]] == [f"{view}.jpg" for view in VIEWS]
    assert list(found.labels) == [1] and not left_out
    assert found.rows.iloc[0][["id", "group", "case", "label"]].tolist() == ["a", "a", "a", "cancer"]


@pytest.mark.parametrize(("there", "slots"), [(1, "11111"), (2, "11122"), (3, "11223"), (4, "11234"), (7, "12356")])
def test_five_slots_repeat_or_choose_from_what_there_is_in_order(there, slots):
    found, _ = inputs.from_cases(of(visit("a", there, "green", "iodine")), CLASSES, VIEWS)
    assert [file[-5] for file in found.files[0][:5]] == list(slots)


def test_ten_acetic_images_stay_in_numerical_not_alphabetical_order():
    found, _ = inputs.from_cases(of(visit("a", 10, "green", "iodine")), CLASSES, VIEWS)
    assert [int(file.rsplit("_")[-1][:-4]) for file in found.files[0][:5]] == [1, 3, 5, 7, 9]


def test_incomplete_and_unlabeled_cases_are_counted_with_their_reason():
    found, left_out = inputs.from_cases(
        of(
            visit("a", 5, "green", "iodine"),
            visit("b", 5, "iodine"),
            visit("c", 5),
            visit("d", 5, "green", "iodine", label=""),
        ),
        CLASSES,
        VIEWS,
    )
    assert list(found.rows["id"]) == ["a"]
    assert left_out == {
        "no green image": 1,
        "no green and no iodine image": 1,
        "no label among the classes": 1,
    }


def test_missing_views_may_be_black_images_as_long_as_a_case_has_one_view():
    table = of(visit("a", 2), visit("b", 0, "iodine"), visit("c", 0, "saline"), visit("d", 5, "green", "iodine"))
    found, left_out = inputs.from_cases(table, CLASSES, VIEWS, missing="black")
    names = {case: [file.rsplit("/")[-1] for file in files] for case, files in zip("abd", found.files, strict=True)}
    assert names["a"] == ["acetic_1.jpg"] * 3 + ["acetic_2.jpg"] * 2 + ["", ""]
    assert names["b"] == [""] * 6 + ["iodine.jpg"]
    assert names["d"] == [f"{view}.jpg" for view in VIEWS]
    assert left_out == {"no acetic and no green and no iodine image": 1}
    with pytest.raises(InputError, match="no case has one of acetic, green, iodine"):
        inputs.from_cases(of(visit("c", 0, "saline")), CLASSES, VIEWS, missing="black")


def test_a_case_with_two_labels_is_an_error_that_names_both():
    rows = visit("a", 5, "green") + visit("a", 0, "iodine", label="cancer")
    with pytest.raises(InputError, match=r"case 'a' has several values of label \(cancer, normal\)"):
        inputs.from_cases(of(rows), CLASSES, VIEWS)


def test_no_complete_case_is_an_error_that_says_what_is_missing():
    with pytest.raises(InputError, match="no iodine image: 2"):
        inputs.from_cases(of(visit("a", 5, "green"), visit("b", 5, "green")), CLASSES, VIEWS)


def test_single_images_of_a_kind_are_chosen_by_view_and_label():
    table = of(visit("a", 2, "green"), visit("b", 1, label=""))
    found = inputs.from_images(table, CLASSES, "acetic")
    assert [file for (file,) in found.files] == ["/data/a/acetic_1.jpg", "/data/a/acetic_2.jpg"]
    assert list(found.rows["id"]) == ["a/acetic_1.jpg", "a/acetic_2.jpg"]
    with pytest.raises(InputError, match="none of 4 rows are iodine images"):
        inputs.from_images(table, CLASSES, "iodine")


def test_joined_inputs_stand_one_after_the_other():
    first, second = (
        inputs.from_images(of(visit(case, 1, label=label)), CLASSES)
        for case, label in (("a", "normal"), ("b", "cancer"))
    )
    both = inputs.joined([first, second, first])
    assert both.files == first.files + second.files + first.files
    assert list(both.labels) == [0, 1, 0] and list(both.rows["group"]) == ["a", "b", "a"]


def test_a_case_whose_images_are_of_several_devices_is_of_none(tmp_path):
    def of(*devices):
        records = [
            {"path": f"{view}.png", "label": "a", "case": "1", "view": view, "device": device}
            for view, device in zip(("green", "iodine"), devices, strict=True)
        ]
        found, _ = inputs.from_cases(manifest.from_records(records, tmp_path), ("a",), ("green", "iodine"))
        return list(found.rows["device"])

    assert of("A", "A") == ["A"] and of("A", "B") == [""]
