"""Statistics over seeds."""

import numpy as np
import pytest
from scipy import stats

from lsgen.runs.seed_statistics import Group, aggregate, best_groups, over_seeds, statistics


def rows(**settings):
    for beta, values in settings.items():
        for seed, value in enumerate(values):
            yield {"beta": beta, "seed": seed, "state": "finished", "m": value}


def group(values):
    return Group({}, values={"m": dict(enumerate(values))})


@pytest.mark.parametrize("values", [[1.0, 4.0, 10.0], [0.5, -1.0, 2.0, 8.0], [3.0, 3.5], [2.0, 2.0, 2.0]])
def test_the_interval_is_that_of_a_t_test(values):
    """The interval holds the means that a t-test does not reject, which SciPy knows by itself."""
    found = statistics(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    if found.std == 0:
        assert (found.ci_low, found.ci_high) == (2.0, 2.0)
        return
    for level in (0.95, 0.8):
        peer = stats.ttest_1samp(values, 0.0).confidence_interval(level)
        assert over_seeds(values, level) == pytest.approx((np.mean(values), *peer))
    assert (found.ci_low, found.ci_high) == over_seeds(values)[1:]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_covers_the_mean_as_often_as_it_says(n):
    rng = np.random.default_rng(0)
    hits = [low <= 3 <= high for _, low, high in (over_seeds(3 + rng.normal(size=n)) for _ in range(4000))]
    assert abs(np.mean(hits) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_an_interval_of_one_score_and_a_level_that_is_none_are_refused():
    with pytest.raises(ValueError, match=r"at least 2 scores .* got 1 and 0.95"):
        over_seeds([0.5])
    with pytest.raises(ValueError, match=r"a level in \(0, 1\), got 2 and 1"):
        over_seeds([0.5, 0.6], 1)


def test_too_few_values_have_no_spread():
    assert statistics([2.0]).mean == 2.0
    assert np.isnan([statistics([2.0]).std, statistics([2.0]).ci_low, statistics([]).mean]).all()


def test_groups_count_what_finished_and_what_failed():
    found = [*rows(a=[1.0, float("nan"), 3.0]), {"beta": "a", "seed": 7, "state": "failed", "m": 99.0}]
    (one,) = aggregate(found, ["beta"], ["m"])
    assert (one.n, one.failed, one.values) == (3, 1, {"m": {0: 1.0, 2: 3.0}})
    assert [one.keys["beta"] for one in aggregate(rows(b=[1.0], a=[2.0]), ["beta"], ["m"])] == ["b", "a"]


def test_pairing_finds_what_spread_over_seeds_hides():
    """Seeds differ by far more than settings do: an unpaired test sees nothing, the paired one does."""
    seeds = np.array([-30.0, 5.0, 18.0, 44.0, -7.0])
    noise = np.array([0.1, -0.1, 0.05, 0.0, -0.05])
    groups = [group(seeds + 1 + noise), group(seeds), group(seeds + 1 - noise)]
    assert stats.ttest_ind(seeds + 1 + noise, seeds).pvalue > 0.9
    assert best_groups(groups, "m") == {0, 2}
    assert best_groups(groups, "m", largest=False) == {1}


def test_the_correction_is_holms():
    """p-values of 0.01, 0.03, 0.04 against the best: each is below 5 %, but 2 x 0.03 is not, which ends the steps."""
    base = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    shape = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    others = []
    for p in (0.01, 0.03, 0.04):
        shift = stats.t.ppf(1 - p / 2, 5) * np.std(shape, ddof=1) / np.sqrt(6)
        others.append(base - shift + shape)
        assert stats.ttest_rel(base, others[-1]).pvalue == pytest.approx(p)
    assert best_groups([group(base), *map(group, others)], "m") == {0, 2, 3}


def test_a_setting_is_not_better_because_its_worst_seed_failed():
    whole, broken = group([1.0, 5.0, -40.0]), Group({}, values={"m": {0: 0.0, 1: 4.5}})
    assert whole.statistics("m").mean < broken.statistics("m").mean
    assert 0 in best_groups([whole, broken], "m")
    assert best_groups([group([1.0, 5.0, -40.0]), Group({}, values={"m": {0: 0.0, 1: 4.0}})], "m") == {0}


def test_what_cannot_be_paired_is_not_called_equal():
    one, other = group([5.0, 6.0]), Group({}, values={"m": {8: 4.0, 9: 5.0}})
    assert best_groups([one, other], "m") == {0}
    assert best_groups([Group({}), Group({})], "m") == set()


def test_the_range_of_values_is_shown_where_it_is_asked_for(tmp_path):
    from lsgen.cli.errors import UsageError
    from lsgen.cli.output.table_formats import FORMATS, legend
    from lsgen.cli.sweeps.tabulation import sweep_table
    from lsgen.runs import RunDirectory, Sweep

    sweep = Sweep.create(tmp_path / "s")
    for number, value in enumerate([3.0, 1.0, 2.0, 7.0]):
        overrides = [f"beta={number // 3}", f"seed={number}"]
        sweep.add(overrides, run=f"{number:03d}", code="x")
        config = {"beta": number // 3, "seed": number}
        run = RunDirectory.create(sweep.path / f"{number:03d}", config, {"id": f"{number}"})
        run.set_status("finished", metrics={"val/elbo": value})
    sweep.save()
    table = sweep_table(str(tmp_path / "s"), {"statistics": "std,min,max"})
    assert table.columns == ["beta", "n", "failed", "val/elbo_std", "val/elbo_min", "val/elbo_max"]
    assert table.rows() == [[0, 3, 0, 1.0, 1.0, 3.0], [1, 1, 0, None, 7.0, 7.0]]
    assert FORMATS["csv"](table).splitlines()[1:] == ["0,3,0,1,1,3", "1,1,0,,7,7"]
    assert FORMATS["rich"](table)[0] == table.columns
    assert r"0 & 3 & 0 & $1$ & $1$ & $3$ \\" in FORMATS["latex"](table)
    assert legend(table).startswith("standard deviation, smallest value, largest value over seed")
    assert sweep_table(str(tmp_path / "s"), {}).columns[3:] == [
        f"val/elbo_{x}" for x in ("mean", "std", "ci_low", "ci_high")
    ]
    with pytest.raises(UsageError, match="got 'median'"):
        sweep_table(str(tmp_path / "s"), {"statistics": "median"})
    with pytest.raises(UsageError, match="no run has 'sead'; did you mean seed"):
        sweep_table(str(tmp_path / "s"), {"over": "sead"})
    twice = sweep_table(str(tmp_path / "s"), {"statistics": "min,max,min", "metrics": "val/elbo,val/elbo"})
    assert twice.columns[3:] == ["val/elbo_min", "val/elbo_max"]


def test_every_run_counts_where_settings_that_are_not_shown_share_seeds():
    """Two models, whose runs differ in beta too: pairs are of one beta and one seed, whatever has failed."""
    every = [(model, beta, seed) for model in "ab" for beta in (1, 2) for seed in (0, 1)]
    rows = [
        {"state": "finished", "model": model, "beta": beta, "seed": seed, "m": 10.0 * beta + seed + (model == "b")}
        for model, beta, seed in every
        if (model, beta, seed) != ("a", 1, 0)
    ]
    first, second = groups = aggregate(rows, ["model"], ["m"], beside=["beta"])
    assert (first.n, second.n) == (3, 4)
    assert first.statistics("m").mean == (11 + 20 + 21) / 3
    assert second.statistics("m").mean == (11 + 12 + 21 + 22) / 4
    assert best_groups(groups, "m") == {1}  # by one in every pair
    assert sorted(aggregate(rows, [], ["m"])[0].values["m"].values()) == sorted(row["m"] for row in rows)
