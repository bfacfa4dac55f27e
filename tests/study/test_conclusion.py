"""What a study says at its end."""

import pytest

from cervix_tf.run_dir import RunDir, write_json
from cervix_tf.study import conclusion


@pytest.mark.parametrize(
    ("synthetic", "stand_in", "label"), [(True, False, "SYNTHETIC, "), (False, True, "STAND-IN, "), (False, False, "")]
)
def test_the_last_lines_have_the_models_accuracy_and_say_of_what(tmp_path, capsys, synthetic, stand_in, label):
    out = RunDir(tmp_path / "run")
    accuracy = {"value": 0.9, "low": 0.8, "high": 0.96, "n": 50, "method": "Wilson 95%"}
    write_json(
        out.metrics,
        {
            "n": 50,
            "metrics": {"accuracy": accuracy},
            "data": "visits",
            "synthetic": synthetic,
            "stand_in": stand_in,
        },
    )
    conclusion.write_report("A study", [], out)
    said = capsys.readouterr().out.splitlines()
    assert said[said.index("A study") + 1] == f"accuracy 90.0 % [80.0, 96.0], n = 50 ({label}visits)"


def test_without_a_model_of_its_own_a_run_claims_nothing(tmp_path, capsys):
    out = RunDir(tmp_path / "run")
    write_json(out.config, {})
    conclusion.write_report("A study", [], out)
    assert "accuracy" not in capsys.readouterr().out
