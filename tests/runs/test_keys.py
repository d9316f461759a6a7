"""The registry of log keys, and the page of documentation that is made of it."""

import importlib.util
import re
from pathlib import Path

import pytest

import lsgen
from lsgen.runs.keys import ENTRIES, GALLERIES, SECTIONS, find, logged_by_default, main_metrics, watchable

ROOT = Path(lsgen.__file__).parents[1]


def test_of_a_distribution_three_quantiles_are_logged_and_what_is_not_finite_if_there_is_any() -> None:
    values = {f"geometry/rank/q{level}": 2.0 for level in ("05", "25", "50", "75", "95")} | {
        "geometry/rank/not_finite": 0
    }
    assert list(logged_by_default(values)) == ["geometry/rank/q05", "geometry/rank/q50", "geometry/rank/q95"]
    assert logged_by_default({"geometry/rank/not_finite": 3}) == {"geometry/rank/not_finite": 3}
    assert logged_by_default({"geometry/w/rank/q25": 1.0, "geometry/w/rank/q50": 1.0}) == {"geometry/w/rank/q50": 1.0}


def test_what_is_left_out_is_the_cost_in_seconds_and_single_eigenvalues() -> None:
    values = {"geometry/eigenvalue/00": 1.0, "sample/quality/seconds": 2.0, "geodesic/energy/q50": 3.0}
    assert logged_by_default(values) == {}
    kept = {"sample/quality/modes": 1.0, "test/factor/posX/r2": 0.9, "own/q25": 3.0, "own/not_finite": 0.0}
    assert logged_by_default(kept) == kept, "keys of others are left alone"


@pytest.mark.parametrize(
    ("key", "name", "unit"),
    [
        ("val/kl_dimension/07", "KL of z7", "nats"),
        ("test/factor/posX/r2", "posX from all latents", "R²"),
        ("geometry/w_plus/log_volume/q50", "log-volume, all axes in W+", "nats"),
        ("sample/comparison/seconds", "sample/comparison: a turn", "s"),
        ("sample/comparison/fd_classifier", "fd_classifier", ""),
        ("test/aggregate/marginal_kl", "KL of q(z) from p(z)", "nats"),
        ("aggregate/marginal_kl", "KL of q(z) from p(z)", "nats"),
        ("analysis/probe/label/codes/20", "label from codes, 20 labels", ""),
        ("analysis/probe/label/codes/20_low", "label from codes, 20 labels, lower end", ""),
    ],
)
def test_a_key_has_the_name_and_the_unit_of_its_pattern(key: str, name: str, unit: str) -> None:
    match = find(key)
    assert match is not None
    assert (match.name, match.entry.unit) == (name, unit)


@pytest.mark.parametrize("key", ["own/score", "metric/rank/q50", "vals/elbo", "geometry/rank/q07", "elbows"])
def test_other_keys_are_in_no_pattern(key: str) -> None:
    assert find(key) is None


def test_no_entry_hides_a_later_one() -> None:
    for entry in ENTRIES:
        key = re.sub(r"\{\w+(\.\.\.)?\}", "x", entry.pattern)
        for stage in entry.stages or ("",):
            match = find(f"{stage}/{key}" if stage else key)
            assert match is not None
            assert match.entry.pattern == entry.pattern


def test_entries_are_whole() -> None:
    assert {entry.section for entry in ENTRIES} == set(SECTIONS)
    assert {section for _, sections in GALLERIES.values() for section in sections} <= set(SECTIONS)
    files = [(entry.pattern, entry.kind == "npz") for entry in ENTRIES]
    assert len(files) == len(set(files)), "one entry for a pattern, and one more for its npz"
    for entry in ENTRIES:
        assert entry.meaning, entry.pattern
        assert entry.better in ("", "higher", "lower"), entry.pattern
        assert set(entry.watched) <= set(entry.stages), entry.pattern
    assert main_metrics() == ["val/elbo", "test/elbo", "test/reconstruction", "test/kl", "test/active_units"]
    assert watchable("LatentModel") == ["val/loss", "test/loss"]


def test_the_page_of_logged_keys_is_that_of_the_registry() -> None:
    spec = importlib.util.spec_from_file_location("log_keys_script", ROOT / "scripts" / "log_keys.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, "run python scripts/log_keys.py"
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(ENTRIES)
    assert "| `geometry/rank/...` | distribution |  | numerical rank of the metric G |" in rows
    with pytest.raises(ValueError, match="expected one table for each of"):
        script.page(text.replace("keys: samples", "keys: sample"))
