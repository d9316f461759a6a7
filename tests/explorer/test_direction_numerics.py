"""Directions, comparisons and axes of the page, in a browser, against lsgen, numpy and scikit-learn."""

from collections.abc import Iterator

import numpy as np
import pytest
from numerics import Script, codes_on
from sklearn.metrics import roc_auc_score

from lsgen.analysis.comparisons import chance_jaccard, debiased_cka, linear_cka
from lsgen.analysis.directions import compare_directions, group_direction
from lsgen.latent import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.manifolds import Euclidean, Manifold, PoincareBall, Sphere
from lsgen.latent.manifolds.description import describe
from lsgen.latent.manifolds.supports import Simplex
from lsgen.latent.neighbours import nearest_neighbours

pytestmark = pytest.mark.browser


def mulberry(seed: int) -> Iterator[float]:
    """Yield uniform numbers of the 32-bit generator that the page names."""
    state = seed
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ (state >> 15)) * (1 | state)) & 0xFFFFFFFF
        t = ((t + (((t ^ (t >> 7)) * (61 | t)) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        yield (t ^ (t >> 14)) / 2**32


def two_groups(effect: float, counts: tuple[int, int] = (30, 50), dim: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(sum(counts), dim)) * np.linspace(0.5, 2, dim)
    z[: counts[0], 1] += effect
    return z.astype(np.float32).astype(np.float64)


DIRECTION = "const s = made(z, manifold), found = directions.direction(s, a, b);"


@pytest.mark.parametrize("effect", [0.0, 0.7, 3.0])
def test_the_reliability_of_a_direction_is_its_formula(script: Script, effect: float) -> None:
    z = two_groups(effect)
    a, b = z[:30], z[30:]
    difference = a.mean(0) - b.mean(0)
    noise = a.var(0, ddof=1).sum() / 30 + b.var(0, ddof=1).sum() / 50
    found = script(
        f"(() => {{ {DIRECTION} return [[...found.vector], found.rho, found.sd]; }})()",
        z=z,
        manifold=describe(Euclidean()),
        a=list(range(30)),
        b=list(range(30, 80)),
    )
    np.testing.assert_allclose(found[0], difference, rtol=1e-10, atol=1e-12)
    assert found[1] == pytest.approx(max(0.0, 1 - noise / (difference @ difference)), abs=1e-10)
    assert found[2] == pytest.approx((z @ difference / np.linalg.norm(difference)).std(), rel=1e-10)


@pytest.mark.parametrize(("effect", "counts"), [(0.0, (20, 11)), (0.8, (20, 11)), (0.8, (11, 20)), (4.0, (15, 15))])
def test_the_permutation_p_is_that_of_the_same_shuffles(script: Script, effect: float, counts: tuple[int, int]) -> None:
    z, n, times = two_groups(effect, counts, seed=3), sum(counts), 99
    uniform, order, m = mulberry(5), list(range(n)), min(counts)

    def size(rows: list[int]) -> float:
        others = [i for i in range(n) if i not in rows]
        noise = sum(z[group].var(0, ddof=1).sum() / len(group) for group in (rows, others))
        return float(((z[rows].mean(0) - z[others].mean(0)) ** 2).sum() / noise)

    reached, observed = 0, size(list(range(counts[0])))
    for _ in range(times):
        for i in range(m):
            j = i + int(next(uniform) * (n - i))
            order[i], order[j] = order[j], order[i]
        reached += size(order[:m]) >= observed
    found = script(
        "directions.permutation(f64(z.flat()), 8, na, nb, times, 5)", z=z, na=counts[0], nb=counts[1], times=times
    )
    assert found == (1 + reached) / (1 + times)
    assert (found == 0.01) == (effect > 3)


def test_groups_of_unequal_size_and_spread_are_no_direction(script: Script) -> None:
    rng, low = np.random.default_rng(0), 0
    for _ in range(30):
        z = np.concatenate([3 * rng.normal(size=(10, 8)), rng.normal(size=(60, 8))])
        low += script("directions.permutation(f64(z.flat()), 8, 10, 60, 99, 1)", z=z) <= 0.1
    assert low <= 3 + 4 * (30 * 0.09) ** 0.5


def test_the_auc_counts_pairs_as_scikit_learn(script: Script) -> None:
    rng = np.random.default_rng(0)
    above, below = rng.integers(0, 9, 40) + 2.0, rng.integers(0, 9, 30) * 1.0
    truth = roc_auc_score([1] * 40 + [0] * 30, [*above, *below])
    assert script("directions.auc(above, below)", above=above, below=below) == pytest.approx(truth, abs=1e-12)


def test_the_held_out_auc_is_half_without_an_effect_and_near_the_best_with_one(script: Script) -> None:
    line = "directions.crossValidated(f64(z.flat()), 8, na, nb)"
    noise = np.mean([script(line, z=two_groups(0.0, (60, 60), seed=s), na=60, nb=60) for s in range(12)])
    assert abs(noise - 0.5) < 0.05  # the same groups projected on their own direction give 0.7
    z = two_groups(6.0, (60, 60))
    assert script(line, z=z, na=60, nb=60) > 0.97
    assert script(line, z=z[:8], na=4, nb=4) is None


def test_the_cosine_of_two_noisy_estimates_is_corrected(script: Script) -> None:
    rng = np.random.default_rng(1)
    truth, plain, corrected = rng.normal(size=40) * 0.35, [], []
    for _ in range(30):
        halves = [rng.normal(size=(60, 40)) + np.where(np.arange(60) < 30, 1, 0)[:, None] * truth for _ in range(2)]
        found = script(
            f"(() => {{ const pair = zs.map((z) => {{ {DIRECTION} return found; }});"
            " return directions.cosine(...pair); })()",
            zs=np.stack(halves),
            manifold=describe(Euclidean()),
            a=list(range(30)),
            b=list(range(30, 60)),
        )
        plain.append(found["plain"])
        corrected.append(found["corrected"] or 0.0)
    assert np.mean(plain) < 0.8 < np.mean(corrected)  # both estimate one direction: the cosine is 1


def test_groups_that_share_items_or_are_too_small_are_refused(script: Script) -> None:
    line = f"(() => {{ try {{ {DIRECTION} }} catch (e) {{ return e.message; }} }})()"
    z, flat = two_groups(1.0), describe(Euclidean())
    assert "must not share" in script(line, z=z, manifold=flat, a=[0, 1, 2], b=[2, 3])
    assert "at least 2" in script(line, z=z, manifold=flat, a=[0], b=[2, 3])


@pytest.mark.parametrize("manifold", [Euclidean(), Sphere(), PoincareBall(0.5), Simplex(4)], ids=repr)
def test_directions_and_their_cosines_are_those_of_python(script: Script, manifold: Manifold) -> None:
    z = codes_on(manifold, 90, 4, seed=8)[:40].repeat(2, 1)
    z = (z + z.flip(0)) / 2 if isinstance(manifold, Euclidean | Simplex | PoincareBall) else z
    z[:40, 0] = z[:40, 0].abs() + 0.8  # far from each other's antipodes, and different in two groups
    z = {Sphere: manifold.onto, Simplex: lambda p: p / p.sum(-1, keepdim=True)}.get(type(manifold), lambda p: p / 2)(z)
    groups = [([*range(30)], [*range(40, 75)]), ([*range(12, 42)], [*range(50, 80)])]
    codes = Codes(z.numpy(), manifold=manifold)
    expected = [group_direction(codes, second, first) for first, second in groups]
    compared = compare_directions(codes, expected)
    found = script(
        "(() => { const s = made(z, manifold), pair = groups.map(([a, b]) => directions.direction(s, a, b));"
        "return [pair.map((one) => [[...one.vector], one.rho, one.sd]),"
        " [...directions.moved(s, f64(z[50]), pair[0], 1.5)], directions.cosine(...pair)]; })()",
        z=z.double(),
        manifold=describe(manifold),
        groups=groups,
    )
    for one, other in zip(found[0], expected, strict=True):
        np.testing.assert_allclose(one[0], other.vector, atol=1e-6)
        assert one[1] == pytest.approx(other.reliability.value, abs=1e-6)
        assert one[2] == pytest.approx(other.deviation, rel=1e-5)
    np.testing.assert_allclose([found[1]], expected[0].moved(z[50:51].numpy(), 1.5), atol=1e-5)
    assert found[2]["plain"] == pytest.approx(compared.cosines[0, 1], abs=1e-5)
    assert found[2]["shared"] == compared.shared[0, 1] > 0
    assert found[2]["corrected"] == pytest.approx(compared.corrected[0, 1], abs=1e-4)
    assert [found[2]["low"], found[2]["high"]] == pytest.approx(compared.intervals[0, 1], abs=1e-4)


def test_the_jaccard_index_of_neighbourhoods_is_that_of_sets(script: Script) -> None:
    one, other = codes_on(Euclidean(), 120, seed=10), codes_on(Sphere(), 120, seed=10)
    near = [nearest_neighbours(z, None, 7, distance_on(m)).indices for z, m in ((one, Euclidean()), (other, Sphere()))]
    expected = [len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(*(n.tolist() for n in near), strict=True)]
    found = script(
        "[...comparison.jaccard(made(one, flat), made(other, sphere), one.map((_, i) => i), 7)]",
        one=one.double(),
        other=other.double(),
        flat=describe(Euclidean()),
        sphere=describe(Sphere()),
    )
    np.testing.assert_allclose(found, expected)
    assert script("comparison.chance(120, 7)") == pytest.approx(chance_jaccard(120, 7), rel=1e-9)
    assert script("comparison.chance(5, 4)") == pytest.approx(1)
    order = script("ascending(values)", values=found)
    np.testing.assert_array_equal(order, np.argsort(expected, kind="stable"))


def test_cka_is_that_of_python(script: Script) -> None:
    one, other = codes_on(Euclidean(), 60, 5, seed=12), codes_on(Euclidean(), 60, 3, seed=13)
    other[:, 0] = one[:, 0] + other[:, 1] / 2
    found = script("comparison.alignment(f64(one.flat()), 5, f64(other.flat()), 3, 60)", one=one, other=other)
    x, y = one.double().numpy(), other.double().numpy()
    assert found == pytest.approx({"linear": linear_cka(x, y), "debiased": debiased_cka(x, y)}, rel=1e-9)


def test_figures_of_axes_are_those_of_numpy(script: Script) -> None:
    z, labels = two_groups(2.0), ["a"] * 30 + ["b"] * 20 + ["c"] * 30
    column = z[:, 1] + z[:, 2]
    found = script(
        "[axes.moments(new Float32Array(z.flat()), 80, 8, 3), binned(column, 12).counts, "
        "axes.correlation(column, z.map((r) => r[1])), axes.ratio(column, labels), "
        "axes.correlation(column, column.map(() => 1))]",
        z=z,
        column=column,
        labels=labels,
    )
    assert found[0] == pytest.approx(
        {"mean": z[:, 3].mean(), "sd": z[:, 3].std(ddof=1), "low": z[:, 3].min(), "high": z[:, 3].max()}
    )
    assert found[1] == np.histogram(column, 12)[0].tolist()
    assert found[2] == pytest.approx(np.corrcoef(column, z[:, 1])[0, 1])
    dummies = np.array([[label == name for name in "abc"] for label in labels], dtype=float)
    fitted = dummies @ np.linalg.lstsq(dummies, column, rcond=None)[0]
    assert found[3] == pytest.approx(np.corrcoef(fitted, column)[0, 1])
    assert found[4] is None
