import base64

import numpy as np
import pytest

from cervix_tf.errors import InputError
from cervix_tf.report import figures, page, paper_figures
from cervix_tf.run_dir import RunDir, write_json

RATE = {"value": 0.5, "low": 0.3, "high": 0.7, "n": 12, "method": "Clopper-Pearson 95%"}
NONE = {"value": None, "low": None, "high": None, "n": 0, "method": "undefined: no row of this class"}


def drawn():
    return {
        "Fig. 5": figures.rates({"plain": {"a": RATE, "b": NONE}, "weighted": {"a": RATE, "b": RATE}}, "acetic images"),
        "Fig. 8 vgg19": None,
        "Fig. 10": figures.photograph(np.zeros((8, 12, 3), np.uint8), "Heat maps.", "Four cases."),
    }


def test_figures_are_files_of_their_own_and_come_back_as_they_were(tmp_path):
    run = RunDir(tmp_path)
    paper_figures.write(run, drawn())
    assert sorted(path.name for path in run.figures.iterdir()) == ["fig_10.jpg", "fig_5.svg", "paper.json"]
    assert (run.figures / "fig_5.svg").read_text().startswith("<?xml")
    assert paper_figures.read(run) == [(name, picture) for name, picture in drawn().items() if picture]


def test_the_page_shows_them_under_their_numbers(tmp_path):
    run = RunDir(tmp_path)
    write_json(run.config, {})
    paper_figures.write(run, drawn())
    html = page.run(run).read_text()
    assert "<h3>Fig. 5</h3>" in html and "<h3>Fig. 10</h3>" in html and "vgg19" not in html


def test_a_run_without_any_has_none(tmp_path):
    assert paper_figures.read(RunDir(tmp_path)) == []


def test_a_listed_figure_that_is_gone_is_an_error_that_names_it(tmp_path):
    run = RunDir(tmp_path)
    paper_figures.write(run, drawn())
    (run.figures / "fig_10.jpg").unlink()
    with pytest.raises(InputError, match=r"fig_10\.jpg"):
        paper_figures.read(run)


def test_bars_of_rates_say_every_number_in_words():
    alt = drawn()["Fig. 5"].alt
    assert "plain: a 50 %, b not defined" in alt and "weighted: a 50 %, b 50 %" in alt


def test_a_population_is_told_in_counts_and_shares():
    picture = figures.population({"normal": 1540, "cin1": 469, "cin2_3": 854, "cancer": 140}, "Training images")
    assert "normal: 1540 (51.3 %)" in picture.alt and "cancer: 140 (4.7 %)" in picture.alt  # Fig. 3 of Buiu et al.
    assert base64.b64decode(picture.source.partition(",")[2]).startswith(b"<?xml")
