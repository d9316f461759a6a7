"""Updates of Ising lattices leave the exact distribution as it is, and reach it; the data set keeps its grid."""

import numpy as np
import pytest
import torch

from lsgen.data import Ising, ParameterGrid
from lsgen.data.physics import ising
from lsgen.data.physics.ising_exact import enumerated_ising, ising_statistics
from lsgen.data.physics.spin_updates import checkerboard, draw_spins, flip_clusters

NATURAL = np.array([[0.44, 0.0], [0.3, 0.15], [0.5, -0.1], [0.0, 0.4]])
EACH = 8_000


@pytest.fixture(scope="module")
def exact():
    """States of 4 x 4 lattices with their statistics and probabilities at four nodes."""
    states = enumerated_ising(4)
    statistics = ising_statistics(states)
    return states, statistics, (torch.from_numpy(NATURAL) @ statistics.T).softmax(-1)


def deviations(spins, exact):
    """Means of bonds, spins, their squares and a product over their exact values, in standard errors, (nodes, 5)."""
    _, statistics, probability = exact

    def features(values):
        bonds, total = values.unbind(-1)
        return torch.stack([bonds, total, bonds**2, total**2, bonds * total], -1)

    ours = features(ising_statistics((torch.from_numpy(spins) + 1) / 2)).unflatten(0, (len(NATURAL), -1))
    theirs = features(statistics)
    mean = probability @ theirs
    error = (probability @ theirs**2 - mean**2).sqrt() / ours.shape[1] ** 0.5
    return (ours.mean(1) - mean) / error


@pytest.mark.parametrize("update", ["checkerboard", "wolff", "swendsen_wang"])
def test_an_update_keeps_the_exact_distribution(update, exact):
    random = np.random.default_rng(0)
    drawn = torch.multinomial(exact[2], EACH, replacement=True, generator=torch.Generator().manual_seed(0))
    spins = (2 * exact[0][drawn.flatten()].to(torch.int8) - 1).numpy()
    coupling, field = NATURAL.repeat(EACH, 0).T
    if update == "checkerboard":
        after = checkerboard(spins, coupling, field, random)
    else:
        after = flip_clusters(spins, coupling, field, random, single=update == "wolff")
    assert (after != spins).mean() > 0.05
    assert deviations(after, exact).abs().max() < 4.5


@pytest.mark.slow
@pytest.mark.parametrize("update", ["checkerboard", "wolff", "swendsen_wang"])
def test_chains_reach_the_exact_distribution(update, exact):
    coupling, field = NATURAL.repeat(2_000, 0).T
    steps = 300 if update == "checkerboard" else 25  # local updates seldom turn a lattice that points against its field
    spins = draw_spins(4, coupling, field, update, steps, np.random.default_rng(1))
    assert deviations(spins, exact).abs().max() < 4.5


def test_configurations_belong_to_their_nodes():
    grid = ParameterGrid((0.3, -0.3), (0.5, 0.3), (2, 3), each=400)
    data = Ising((1, 4, 4), grid=grid, held_out=(0.2, 0.2))
    parts = [data.dataset(split) for split in ("train", "val", "test")]
    batches = [part[torch.arange(len(part))] for part in parts]
    x, factors = (torch.cat([batch[name] for batch in batches]) for name in ("x", "factors"))
    statistics = ising_statistics(enumerated_ising(4))
    for first in range(2):
        for second in range(3):
            node = data.parameters.unflatten(0, (2, 3))[first, second]
            weight = (statistics @ node).softmax(0)
            mine = ising_statistics(x[(factors == torch.tensor([first, second])).all(-1)][:, 0])
            assert len(mine) == 400
            error = (weight @ statistics**2 - (weight @ statistics) ** 2).sqrt() / 20
            assert ((mine.mean(0) - weight @ statistics) / error).abs().max() < 4.5


def test_many_spins_are_kept_in_a_file(tmp_path, monkeypatch, capsys):
    grid = ParameterGrid((1.0, -1.0), (3.0, 1.0), (2, 2), each=5)
    options = {"grid": grid, "coordinates": "physical", "held_out": (4, 4), "root": tmp_path}
    here = Ising(**options).dataset("train")
    monkeypatch.setattr(ising, "_IN_MEMORY", 0)
    kept = Ising(**options)
    kept.prepare_data()
    assert "Drawing 20 pictures into" in capsys.readouterr().err
    assert len(list((tmp_path / "physics").glob("ising_*.pictures"))) == 1
    rows = torch.arange(12)
    assert torch.equal(kept.dataset("train")[rows]["x"], here[rows]["x"])
    assert torch.equal(kept.natural_parameters[-1], torch.tensor([1 / 3, 1 / 3], dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (1, 5, 5)}, r"L even and at least 4\), which Ising provides, got \(1, 5, 5\)"),
        ({"grid": {"low": (0.0, 0.0), "high": (1.0, 1.0)}, "coordinates": "physical"}, "temperatures above 0, got 0.0"),
        ({"grid": {"low": (-0.1, 0.0), "high": (1.0, 1.0)}}, "inverse temperatures of at least 0, got -0.1"),
        ({"grid": {"low": (1.0, 0.0), "high": (1.0, 1.0)}}, "a finite box with low below high"),
        ({"grid": {"low": (0.1, 0.0), "high": (1.0, 1.0), "sizes": (1, 4)}}, "at least 2 nodes along each"),
        ({"steps": 0}, "at least 1 step of each chain, got 0"),
        ({"update": "glauber"}, "expected update to be one of checkerboard, wolff, swendsen_wang, got 'glauber'"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Ising(**options)
