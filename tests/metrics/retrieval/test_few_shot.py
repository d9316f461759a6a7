"""Few-shot accuracy against a classification episode by episode, scikit-learn, and closed forms."""

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from torch import Tensor

from lsgen.latent import Euclidean, Manifold, PoincareBall, Simplex, Sphere
from lsgen.latent.distances import WeightedL1Distance
from lsgen.metrics.retrieval import Episodes, FewShot, episode_accuracy


def _episodes(e: int = 6, n: int = 4, k: int = 3, q: int = 5, d: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(e, n, 1, d, generator=generator, dtype=torch.float64)
    support, queries = (
        centre + 0.8 * torch.randn(e, n, m, d, generator=generator, dtype=torch.float64) for m in (k, q)
    )
    return support, queries


@pytest.mark.parametrize("rule", ["nearest", "prototype"])
def test_it_is_the_accuracy_of_a_classifier(rule: str) -> None:
    support, queries = _episodes()
    found = episode_accuracy(support, queries, Euclidean(), rule)
    classifier = KNeighborsClassifier(1) if rule == "nearest" else NearestCentroid()
    for a, b, value in zip(support, queries, found, strict=True):
        known, asked = torch.arange(4).repeat_interleave(3), torch.arange(4).repeat_interleave(5)
        score = classifier.fit(a.flatten(0, 1).numpy(), known.numpy()).score(b.flatten(0, 1).numpy(), asked.numpy())
        assert float(value) == pytest.approx(score)


def test_a_learned_distance_is_that_of_the_classifier_and_prototypes_are_plain_means() -> None:
    support, queries = _episodes()
    weights = torch.tensor([3.0, 0.0, 0.5], dtype=torch.float64)
    learned = WeightedL1Distance(weights)
    for rule, known in (("nearest", support), ("prototype", support.mean(2, keepdim=True))):
        found = episode_accuracy(support, queries, Euclidean(), rule, learned)
        apart = ((queries[:, :, :, None, None] - known[:, None, None]).abs() * weights).sum(-1).amin(-1)
        right = (apart.argmin(-1) == torch.arange(4)[:, None]).double().mean((1, 2))
        torch.testing.assert_close(found, right)
        assert not torch.equal(found, episode_accuracy(support, queries, Euclidean(), rule))


@pytest.mark.parametrize("manifold", [Sphere(), Simplex(3), PoincareBall(), PoincareBall(2.0)])
def test_prototypes_lie_on_the_manifold_and_are_means_there(manifold: Manifold) -> None:
    """Classes around points far apart are told apart; one shot is its own prototype."""
    support, queries = (manifold.parametrised(0.5 * x) for x in _episodes())
    one = support[:, :, :1]
    torch.testing.assert_close(
        episode_accuracy(one, queries, manifold, "prototype"), episode_accuracy(one, queries, manifold, "nearest")
    )
    centre = manifold.parametrised(torch.eye(3, dtype=torch.float64)[None, :, None] * 4)
    near = manifold.parametrised(torch.eye(3, dtype=torch.float64)[None, :, None] * 4 + 0.1)
    assert episode_accuracy(centre.expand(1, 3, 2, 3), near, manifold, "prototype").tolist() == [1.0]


def test_ties_share_the_credit_and_collapsed_codes_score_chance() -> None:
    metric = FewShot(Episodes(ways=4, shots=2, queries=3, number=20))
    metric.update(torch.ones(50, 2), torch.arange(50) % 5)
    found = metric.compute()
    for rule in ("nearest", "prototype"):
        assert {key: float(value) for key, value in found[rule].items()} == pytest.approx(dict.fromkeys(
            ("value", "low", "high", "chance"), 0.25))  # fmt: skip


def test_episodes_have_the_expected_accuracy_and_interval() -> None:
    """Two classes of one-shot codes on a line: by all choices of a known code each and a query."""
    a, b = torch.tensor([0.0, 1.0, 2.1, 5.3]), torch.tensor([1.4, 3.2, 6.0, 4.0])
    right = total = 0.0
    for own, other in ((a, b), (b, a)):
        for i in range(4):
            for j in range(4):
                for other_known in other:
                    if i != j:
                        right += float((own[i] - own[j]).abs() < (own[j] - other_known).abs())
                        total += 1
    metric = FewShot(Episodes(ways=2, shots=1, queries=1, number=20_000))
    metric.update(torch.cat([a, b])[:, None], torch.tensor([0] * 4 + [7] * 4))
    found = metric.compute()["nearest"]
    half = float(found["high"] - found["low"]) / 2
    assert 0 < half < 0.01
    assert abs(float(found["value"]) - right / total) < 2 * half


def test_classes_with_too_few_members_are_left_out_or_refused() -> None:
    metric = FewShot(Episodes(ways=2, shots=1, queries=1, number=10))
    metric.update(torch.tensor([[0.0], [0.0], [5.0], [5.0], [2.0], [9.0]]), torch.tensor([0, 0, 1, 1, 2, -1]))
    found = metric.compute()
    assert float(found["nearest"]["value"]) == 1.0
    assert found["classes"] == {"value": torch.tensor(2), "left_out": torch.tensor(1)}
    metric = FewShot(Episodes(ways=3, shots=1, queries=1, number=10))
    metric.update(torch.zeros(4, 1), torch.tensor([0, 0, 1, 2]))
    with pytest.raises(ValueError, match=r"expected 3 classes with at least 1 \+ 1 members for 1-shot"):
        metric.compute()
    metric.update(torch.full((1, 1), torch.nan), torch.tensor([0]))
    metric._computed = None
    with pytest.raises(ValueError, match="expected finite codes, got 1 that are not"):
        metric.compute()
    with pytest.raises(ValueError, match="expected at least 2 ways and episodes"):
        Episodes(ways=1)
