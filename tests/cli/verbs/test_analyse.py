"""`lsgen analyse` writes figures, numbers and a table, and leaves the run as it was."""

import csv
import json

import pytest

from lsgen.latent import Codes


@pytest.mark.slow
def test_a_run_is_analysed(lsgen, trained):
    before = (trained / "config.yaml").read_bytes()
    outcome = lsgen(
        "analyse",
        str(trained),
        "what=projections,anomalies,comparison",
        "n=90",
        "k=3",
        "maps=pca",
        "seed=1",
        f"compare={trained}",
    )
    assert outcome.code == 0, outcome.err
    assert "trustworthiness of pca" in outcome.out
    record = json.loads((trained / "analysis" / "last.json").read_text())
    one = record["statistics"]["analysis/map/pca/trustworthiness"]
    assert one["interval"][0] <= one["value"] <= one["interval"][1]
    assert (record["step"], record["left_out"], one["n"]) == (6, {}, 90)
    assert record["statistics"]["analysis/comparison/trained/cka"]["value"] == pytest.approx(1)
    with open(trained / "analysis" / "last.csv", encoding="utf-8") as file:
        rows = {row["statistic"]: row for row in csv.DictReader(file)}
    assert rows.keys() == record["statistics"].keys()
    assert float(rows["analysis/map/pca/trustworthiness"]["value"]) == one["value"]
    assert "p_knn" in Codes.load(trained / "figures" / "analysis" / "codes" / "00000006.npz").columns
    page = (trained / "report.html").read_text()
    assert "Maps of codes" in page
    assert "Analysis of codes of a checkpoint" in page
    assert (trained / "config.yaml").read_bytes() == before
    for mistake, words in (
        ("what=nothing", "parts out of neighbours"),
        ("n=x", "whole number for n"),
        ("k=0", "k of at"),
    ):
        refused = lsgen("analyse", str(trained), mistake)
        assert refused.code == 2
        assert words in refused.err
