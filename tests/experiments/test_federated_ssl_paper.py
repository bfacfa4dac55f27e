"""The preset paper, small, on a generated copy of the two studies' cervigrams: both tables; splits, sites and ids."""

import csv
import json

import numpy as np
import openpyxl
import pandas as pd
import pytest

from cervix_tf.data import manifest, splits
from cervix_tf.data.synthetic import two_sites
from cervix_tf.errors import InputError
from cervix_tf.metrics import predictions
from cervix_tf.run_dir import RunDir
from cervix_tf.study import main
from cervix_tf.study.data import SPLITS
from experiments.federated_ssl import __main__ as study
from experiments.federated_ssl import data, gains, training
from experiments.federated_ssl.config import PAPER, PUBLISHED, Config, Row

SMALL = [
    *("--preset", "paper", "--weights", "imagenet", "--images.size", "32", "--batch-sizes", "8", "--ssl.epochs", "1"),
    *("--federation.rounds", "2", "--local-epochs", "1", "2", "--fine-tuning.epochs", "1", "--ids-per-site"),
]
ROWS = ["random", "imagenet", "ssl-8", "cssl-8", "csfssl", "ppfssl-alts", "ppfssl-nhs", "csfssl-e2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two studies' images beside one spreadsheet: sites as the paper writes them, ids of women per site, no split."""
    root = tmp_path_factory.mktemp("nci") / "Cervigrams NCI"
    two_sites.write(root, women=40, seed=2, labeled=20, tested=8, height=48, width=64)
    book = openpyxl.Workbook()
    book.active.append(["path", "label", "woman", "site"])
    with (root / "cervigrams.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            book.active.append([row["path"], row["label"], row["woman"].split()[1], row["site"].upper()])
    (root / "cervigrams.csv").unlink()
    book.save(root / "NHS und ALTS.xlsx")
    return root


@pytest.fixture(scope="module")
def finished(folder, plain_backbone, tmp_path_factory):
    out = tmp_path_factory.mktemp("saved_models")
    main(study.STUDY, [*SMALL, "--data.root", str(folder), "--tables", "1", "2", "--out", str(out)])
    return RunDir(out / "federated_ssl" / "paper")


def test_the_papers_preset_runs_through_both_tables_beside_the_papers_columns(finished):
    found = {table["number"]: table for table in json.loads(finished.tables.read_text())}
    assert list(found) == [1, "Table 2, ALTS", "Table 2, NHS", "Abstract", "Extra"]
    assert found[1]["rows"][0]["paper"] == [124, 91]
    for site in ("alts", "nhs"):
        rows = found[f"Table 2, {site.upper()}"]["rows"]
        assert [row["row"] for row in rows] == [f"{name}-{site}" for name in ROWS]
        assert all((row["paper"][0] is None) == (name == "csfssl-e2") for row, name in zip(rows, ROWS, strict=True))


def test_the_three_differences_of_the_abstract_stand_beside_the_papers(finished):
    table = next(each for each in json.loads(finished.tables.read_text()) if each["number"] == "Abstract")
    names = ["SSL over ImageNet", "CSSL over SSL", "Federated SSL over SSL"]
    assert [row["name"] for row in table["rows"]] == names
    assert "ALTS: ssl-8 over imagenet" in table["note"]

    def accuracy(name):
        said = predictions.read(finished.row(f"{name}-alts").predictions)
        return 100 * (said.decisions == said.labels).mean()

    ours = table["rows"][0]["ours"][0]["value"]
    assert ours == pytest.approx(accuracy("ssl-8") - accuracy("imagenet"))
    assert table["rows"][0]["paper"] == pytest.approx([2.52, 2.70])


def test_of_several_rows_of_a_kind_the_one_with_the_lowest_validation_loss_is_compared_woman_by_woman():
    labels = np.tile([0, 0, 1, 1], 30)

    def said(right):
        decisions = np.where(np.arange(120) < right, labels, 1 - labels)
        names = [("control", "case")[label] for label in labels]
        return predictions.from_arrays(
            map(str, range(120)), np.eye(2)[decisions], ("control", "case"), labels=names,
            groups=[f"w{at // 2}" for at in range(120)],
        )  # fmt: skip

    rows = {Row("imagenet"): (80, 0.6), Row("ssl", 8): (90, 0.5), Row("ssl", 16): (110, 0.9)}
    found = {row: {"nhs": said(right)} for row, (right, _) in rows.items()}
    losses = {row: {"nhs": loss} for row, (_, loss) in rows.items()}
    table = gains.of_rows(found, losses, ["nhs"], "", 0)
    (first,), (second,), _ = (row["ours"] for row in table["rows"])
    assert first["value"] == pytest.approx(100 * 10 / 120) and first["low"] < first["value"] < first["high"]
    assert second is None and "NHS: ssl-8 over imagenet" in table["note"]


def test_the_abstracts_figures_are_those_of_alts_in_table_2():
    apart = {pair: [round(gains.paper(*pair, site), 1) for site in ("nhs", "alts")] for pair in gains.DIFFERENCES}
    assert apart["SSL", "ImageNet"] == [2.7, 2.5] and apart["CSSL", "SSL"] == [3.4, 1.5]
    assert gains.paper("SSL", "ImageNet", "elsewhere") is None


def test_women_without_a_label_are_never_tested(finished):
    rows = pd.read_csv(finished.manifest, keep_default_na=False)
    known = rows.groupby("group")["label"].transform("max") != ""
    assert not (rows[~known]["split"] == "test").any() and set(rows[~known]["split"]) == {"train", "validation"}
    assert (rows.groupby("group")["split"].nunique() == 1).all() and rows["group"].nunique() == 80
    assert set(rows[known]["split"]) == {"train", "validation", "test"}


def images(labeled, unlabeled, site="nhs"):
    """Two images a woman."""
    records = [
        {
            "path": f"{site}/{woman}_{image}.jpg",
            "label": "" if woman >= labeled else ("case" if woman % 3 == 0 else "control"),
            "group": f"{woman}",
            "site": site,
        }
        for woman in range(labeled + unlabeled)
        for image in range(2)
    ]
    return manifest.from_records(records, ".")


def whole(parts):
    """The rows of all splits, each with its own in the column split."""
    return splits.with_split_column(parts).rows


def test_without_a_split_the_shares_are_those_of_table_1():
    women = {name: sum(PUBLISHED.table_1[name][label][0] for label in ("case", "control")) for name in SPLITS}
    assert [round(100 * count / sum(women.values())) for count in women.values()] == [66, 16, 18]
    read = whole(data._split(images(300, 700), PAPER, ""))
    known = read[read["label"] != ""].groupby("split")["group"].nunique()
    assert [known[name] for name in SPLITS] == [198, 48, 54]
    others = read[read["label"] == ""].groupby("split")["group"].nunique()
    assert others["validation"] == pytest.approx(700 * 16 / 82, abs=1) and "test" not in others


@pytest.mark.parametrize("women", [1, 2])
def test_too_few_women_without_a_label_to_be_shared_out_are_for_training(women):
    read = whole(data._split(images(60, women), PAPER, ""))
    assert set(read[read["label"] == ""]["split"]) == {"train"}


def test_an_id_at_two_sites_is_refused_with_the_option_that_says_it_is_two_women():
    both = manifest.joined([images(4, 0), images(4, 0, "alts")]).rows
    with pytest.raises(InputError, match=r"4 women's ids are at several sites, first '0' .* give --ids-per-site where"):
        data._identified(both, Config())
    told = data._identified(both, Config(ids_per_site=True))
    assert told["group"].nunique() == 8 and set(told["group"]) >= {"nhs 0", "alts 0"}


def test_patience_of_five_epochs_ends_a_federation_whatever_a_round_holds():
    assert [training.rounds_of(PAPER.patience, e) for e in (1, 2, 5, 10)] == [5, 3, 1, 1]
    assert training.rounds_of(0, 5) == 0  # none
