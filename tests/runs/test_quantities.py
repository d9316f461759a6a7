"""Logged numbers in front of a reader."""

from lsgen.runs import grouped, in_reading_order, named, share_measured


def test_a_name_says_what_a_key_abbreviates_and_its_unit():
    assert named("kl_dimension/07") == ("KL of z7", "nats")
    assert named("kl_dimension/00") == ("KL of z0", "nats")
    assert named("factor/posX/r2_single") == ("posX from its best latent", "R²")
    assert named("my/own_metric") == ("my/own_metric", ""), "what has no name keeps its key"


def test_what_belongs_together_stands_in_one_row():
    metrics = {
        "geometry/rank/not_finite": 1.0,
        "geometry/rank/q05": 2.0,
        "geometry/rank/q50": 3.0,
        "geometry/eigenvalue/00": 5.0,
        "geometry/eigenvalue/01": 4.0,
        "curvature/active/not_finite": 16.0,
        "geometry/active_axes": 0.0,
    }
    rank, eigenvalues, curvature, axes = grouped(metrics)
    assert (rank.name, rank.levels, rank.not_finite) == ("rank of G", {"q05": 2.0, "q50": 3.0}, 1.0)
    assert (eigenvalues.key, eigenvalues.values) == ("geometry/eigenvalue", [5.0, 4.0])
    assert (curvature.levels, curvature.not_finite) == ({}, 16.0), "nothing finite: no quantile, and that is counted"
    assert (axes.key, axes.values, axes.not_finite) == ("geometry/active_axes", [0.0], None)


def test_main_values_are_read_first_and_those_without_a_name_last():
    keys = ["own", "kl_dimension/01", "loss", "kl", "kl_dimension/00", "elbo", "kl"]
    assert in_reading_order(keys) == ["elbo", "kl", "kl_dimension/01", "kl_dimension/00", "loss", "own"]


def test_a_part_of_a_data_set_is_not_taken_for_all_of_it():
    assert share_measured({"trainer": {"limit_val_batches": 16, "limit_test_batches": None}}) == "val over 16 batches"
    halves = {"trainer": {"limit_val_batches": 0.5, "limit_test_batches": 1.0}}
    assert share_measured(halves) == "val over 0.5 of its batches"
    assert share_measured({"trainer": {}}) == share_measured({}) == ""
