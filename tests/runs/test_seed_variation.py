import statistics

import pytest

from lsgen.runs import RunDirectory, index, seed_variation, write_json

CONFIG = {"model": {"beta": 1.0}, "data": {"name": "toy", "split_seed": 0}, "callbacks": {"seeding": {}}}
PAIRS = [[0, 1], [0, 2], [1, 2]]
SETTINGS = {"kind": "fisher", "points": 9}


def _run(path, seed, geodesic, euclidean=(1.0, 1.0, 1.0), model=None, observations="digest", settings=SETTINGS):
    config = {**CONFIG, "seed": seed, "data": {**CONFIG["data"], "seed": seed}, "run": {"id": path.name}}
    config["callbacks"] = {"seeding": {"seed": seed}}
    if model:
        config["model"] = model
    run = RunDirectory.create(path, config, {"id": path.name})
    (run.path / "geometry").mkdir()
    distances = {"observations": observations, "pairs": PAIRS, "geodesic": list(geodesic), "euclidean": list(euclidean)}
    record = {"step": 10, "settings": settings, "metrics": {"geometry/active_axes": 2.0}, "distances": distances}
    write_json(run.path / "geometry" / "last.json", record)
    return run


def _cv(*values):
    return statistics.stdev(values) / statistics.fmean(values)


def test_it_is_the_mean_over_pairs_of_deviation_over_mean(tmp_path):
    geodesic = [(1.0, 2.0, 3.0), (1.5, 2.0, 3.0), (2.0, 2.5, 6.0)]
    euclidean = [(1.0, 1.0, 1.0), (2.0, 1.0, 4.0), (9.0, 1.0, 2.0)]
    runs = [_run(tmp_path / str(i), i, *distances) for i, distances in enumerate(zip(geodesic, euclidean, strict=True))]
    (found,) = seed_variation(runs)
    assert found.runs == tuple(str(run.path) for run in runs)
    assert found.pairs == 3
    assert found.geodesic == pytest.approx(statistics.fmean(_cv(*pair) for pair in zip(*geodesic, strict=True)))
    assert found.euclidean == pytest.approx(statistics.fmean(_cv(*pair) for pair in zip(*euclidean, strict=True)))


def test_equal_distances_vary_by_nothing_and_pairs_that_did_not_converge_have_no_part(tmp_path):
    runs = [_run(tmp_path / "a", 0, (1.0, None, 3.0)), _run(tmp_path / "b", 1, (1.0, 2.0, 3.0))]
    (found,) = seed_variation(runs)
    assert (found.pairs, found.geodesic, found.euclidean) == (2, 0.0, 0.0)
    assert seed_variation([runs[0], _run(tmp_path / "c", 2, (None, None, None))]) == []


def test_only_runs_that_differ_in_nothing_but_seeds_are_compared(tmp_path):
    first = _run(tmp_path / "first", 0, (1.0, 2.0, 3.0))
    others = [
        _run(tmp_path / "model", 1, (1.0, 2.0, 3.0), model={"beta": 2.0}),
        _run(tmp_path / "observations", 1, (1.0, 2.0, 3.0), observations="other"),
        _run(tmp_path / "generated", 1, (1.0, 2.0, 3.0), observations=None),
        _run(tmp_path / "settings", 1, (1.0, 2.0, 3.0), settings={"kind": "euclidean", "points": 9}),
        RunDirectory.create(tmp_path / "unmeasured", {**CONFIG, "seed": 1}, {}),
    ]
    damaged = _run(tmp_path / "damaged", 1, (1.0, 2.0, 3.0))
    (damaged.path / "geometry" / "last.json").write_text("{")
    assert seed_variation([first, *others, damaged]) == []
    assert len(seed_variation([first, *others, _run(tmp_path / "seed", 1, (1.0, 2.0, 3.0))])) == 1


def test_rows_of_such_runs_hold_it_beside_their_own_geometry(tmp_path):
    runs = [_run(tmp_path / "a", 0, (1.0, 1.0, 1.0)), _run(tmp_path / "b", 1, (3.0, 3.0, 3.0))]
    alone = _run(tmp_path / "c", 1, (1.0, 1.0, 1.0), model={"beta": 2.0})
    rows = index([*runs, alone])
    assert [row["geometry/active_axes"] for row in rows] == [2.0] * 3
    assert [row.get("geometry/distance/seeds") for row in rows] == [2, 2, None]
    assert rows[0]["geometry/distance/geodesic_cv"] == pytest.approx(_cv(1.0, 3.0))
    assert rows[0]["geometry/distance/euclidean_cv"] == 0
