"""Scaling efficiency."""

import pytest

from lsgen.runs.scaling import SCALING_EFFICIENCY, add_scaling_efficiency


def row(devices, rate, nodes=1, **others):
    about = {"trainer.devices": devices, "trainer.num_nodes": nodes, "train/images_per_s": rate, "state": "finished"}
    return about | others


def efficiencies(rows, settings=("trainer.devices",)):
    add_scaling_efficiency(rows, settings)
    return [row.get(SCALING_EFFICIENCY) for row in rows]


def test_amdahls_law_comes_back():
    """With a serial share s, P processes are 1 / (s + (1 - s) / P) times as fast, so e_P = 1 / (s P + 1 - s)."""
    serial = 0.1
    counts = [(1, 1), (2, 1), (4, 1), (4, 2), ([0, 1, 2], 1), ("2", 1)]
    total = [(len(d) if isinstance(d, list) else int(d)) * n for d, n in counts]
    rows = [row(d, 80.0 / (serial + (1 - serial) / p), n) for (d, n), p in zip(counts, total, strict=True)]
    assert efficiencies(rows) == pytest.approx([1 / (serial * p + 1 - serial) for p in total])


def test_the_reference_is_the_mean_of_single_runs_that_are_alike():
    rows = [row(1, 90.0, model="a"), row(1, 110.0, model="a"), row(1, 10.0, model="b")]
    rows += [row(2, 150.0, model="a"), row(2, 19.0, model="b"), row(2, 5.0, model="c")]
    found = efficiencies(rows, ("trainer.devices", "model"))
    assert found[:2] == pytest.approx([0.9, 1.1])
    assert found[3:5] == pytest.approx([0.75, 0.95])
    assert found[5] is None


@pytest.mark.parametrize(
    "other",
    [
        row("auto", 150.0),
        row(-1, 150.0),
        row(None, 150.0),
        row(2, float("nan")),
        row(2, None),
        row(2, 150.0, state="failed"),
        row(1, 150.0),
        row(2, 150.0, **{"trainer.precision": "bf16-mixed"}),
        row(2, 150.0, **{"data.batch_size": 7}),
    ],
)
def test_what_cannot_be_compared_has_none(other):
    assert efficiencies([row(1, 100.0), other]) == [None, None]
