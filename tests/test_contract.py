import json
from dataclasses import asdict, fields, replace

import hypothesis
import hypothesis.strategies as st
import pytest

from cervix_tf import contract as contracts
from cervix_tf.contract import Contract
from cervix_tf.decision import Calibration, OperatingPoint
from cervix_tf.errors import InputError

WHOLE = Contract("t", ("a", "b"), ("b",), (), 24, 32, 48, 64, "1", "free", "tests", "drawn – ä", True, False)


def test_what_is_written_is_read(tmp_path):
    WHOLE.write(tmp_path / "contract.json")
    assert contracts.read(tmp_path / "contract.json") == WHOLE
    assert contracts.parse(WHOLE.text().encode(), "x") == WHOLE


def test_image_files_of_an_input():
    assert WHOLE.image_files == 1
    assert Contract(**{**asdict(WHOLE), "views": ("v", "w")}).image_files == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": "24"}, "height '24': is not a valid value"),
        ({"synthetic": 1}, "synthetic 1: is not a valid value"),
        ({"classes": "ab"}, "classes 'ab': is not a valid value"),
        ({"views": [1]}, r"views \[1\]: is not a valid value"),
        ({"surplus": 1}, "has others"),
    ],
)
def test_another_value_than_a_contract_holds_is_an_input_error(change, words):
    with pytest.raises(InputError, match=f"c.json: .*{words}"):
        contracts.parse(json.dumps({**asdict(WHOLE), **change}).encode(), "c.json")


def test_a_lacking_field_no_json_and_no_file_are_input_errors(tmp_path):
    lacking = asdict(WHOLE)
    del lacking["license"]
    with pytest.raises(InputError, match="lacks: license"):
        contracts.parse(json.dumps(lacking).encode(), "x")
    for raw in (b"\xff", b"{", b"[]"):
        with pytest.raises(InputError, match=r"export (the model )?again"):
            contracts.parse(raw, "x")
    with pytest.raises(InputError, match="no such file"):
        contracts.read(tmp_path / "contract.json")


def test_whether_views_may_be_missing_is_part_of_the_seal():
    allowed = replace(WHOLE, views=("a", "b"), missing_views=True)
    assert contracts.parse(allowed.text().encode(), "x") == allowed
    assert allowed.sealed({}).digest != replace(allowed, missing_views=False).sealed({}).digest


def test_a_contract_from_before_supersampling_keeps_its_seal():
    sealed = WHOLE.sealed({"model": "0"})
    older = asdict(sealed)
    del older["supersampling"], older["missing_views"]
    found = contracts.parse(json.dumps(older).encode(), "x")
    assert found.supersampling == 1 and not found.missing_views
    found.check_seal({"model": "0"}, "x")
    with pytest.raises(InputError, match="damaged or changed"):
        replace(found, supersampling=4).check_seal({"model": "0"}, "x")
    with pytest.raises(InputError, match="supersampling 9: is 1 to 8"):
        contracts.parse(json.dumps({**older, "supersampling": 9}).encode(), "x")


KINDS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@hypothesis.given(st.dictionaries(st.sampled_from([each.name for each in fields(Contract)]), KINDS, min_size=1))
def test_any_value_in_any_field_gives_a_contract_or_one_readable_line(change):
    try:
        found = contracts.parse(json.dumps({**asdict(WHOLE), **change}).encode(), "c.json")
    except InputError as refusal:
        assert str(refusal).isprintable()
    else:
        assert all(1 <= side <= 16_384 for side in (found.height, found.width, found.native_height, found.native_width))
        assert len(set(found.classes)) == len(found.classes) >= 2


def test_calibration_and_operating_point_are_read_as_written_and_part_of_the_seal():
    whole = replace(
        WHOLE,
        calibration=Calibration("platt", (0.1, 0.1), (1 / 3, -1 / 3)),
        operating_point=OperatingPoint("sensitivity:0.95", 0.1 + 0.2),
    )
    assert contracts.parse(whole.text().encode(), "x") == whole
    assert len({each.sealed({"model": "0"}).digest for each in (WHOLE, whole, replace(whole, calibration=None))}) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"calibration": {"method": "magic", "scale": [1, 1], "bias": [0, 0]}}, "calibration 'magic': is one of"),
        ({"calibration": {"method": "platt", "scale": [1], "bias": [0, 0]}}, "a scale above 0 and a bias for each"),
        ({"calibration": {"method": "platt", "scale": [1, 0], "bias": [0, 0]}}, "a scale above 0 and a bias for each"),
        ({"calibration": {"method": "platt", "scale": 1, "bias": [0, 0]}}, "calibration .*: is not a valid value"),
        ({"calibration": {"method": "platt", "scale": [1, 1e999], "bias": [0, 0]}}, "export the model again"),
        ({"operating_point": {"rule": "youden", "threshold": "0.5"}}, "operating_point .*: is not a valid value"),
        ({"operating_point": {"rule": "youden", "threshold": 1.5}}, "threshold 1.5: is a score from 0 to 1"),
        ({"operating_point": {"rule": "best of all", "threshold": 0.5}}, "is not a rule"),
        ({"operating_point": {"rule": "youden", "threshold": 0.5}, "positive": []}, "no class is positive"),
    ],
)
def test_a_calibration_or_operating_point_that_cannot_be_is_refused(change, words):
    with pytest.raises(InputError, match=words):
        contracts.parse(json.dumps({**asdict(WHOLE), **change}).encode(), "x")
