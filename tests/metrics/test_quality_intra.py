"""The Frechet distance within classes, and labels in the order of features."""

import pytest
import torch
from torch import Tensor

from lsgen.data import Digits, Toy
from lsgen.metrics.quality import IntraFrechetDistance, Moments, Pixels, frechet_distance, real_features, real_labels


def _moments(x: Tensor) -> Moments:
    return Moments(len(x), x.double().mean(0), torch.cov(x.double().T))


def test_it_is_the_mean_of_the_distances_of_the_classes() -> None:
    metric = IntraFrechetDistance(4, 3)
    features, labels = torch.randn(2, 90, 4), torch.randint(3, (2, 90))
    for kind in (0, 1):
        for part, label in zip(features[kind].split(37), labels[kind].split(37), strict=True):
            metric.update(part, label, real=bool(kind))
    real, fake = ([features[kind][labels[kind] == c] for c in range(3)] for kind in (1, 0))
    expected = torch.stack([frechet_distance(_moments(a), _moments(b)) for a, b in zip(real, fake, strict=True)])
    torch.testing.assert_close(metric.compute()["classes"], expected)
    torch.testing.assert_close(metric.compute()["mean"], expected.mean())


def test_exchanged_classes_are_seen_within_and_not_over_all() -> None:
    x, label = torch.randn(200, 2) + torch.tensor([5.0, 0]) * (torch.arange(200) % 2)[:, None], torch.arange(200) % 2
    metric = IntraFrechetDistance(2, 2)
    metric.update(x, label, real=True)
    metric.update(x, 1 - label, real=False)
    assert metric.compute()["mean"] > 20
    assert frechet_distance(_moments(x), _moments(x)) < 1e-6


def test_what_cannot_be_compared_is_refused() -> None:
    metric = IntraFrechetDistance(2, 2)
    metric.update(torch.randn(4, 2), torch.tensor([0, 0, 1, 1]), real=True)
    metric.update(torch.randn(3, 2), torch.tensor([0, 0, 1]), real=False)
    with pytest.raises(ValueError, match="expected at least 2 generated observations of class 1, got 1"):
        metric.compute()
    with pytest.raises(ValueError, match="expected at least 1 feature and 2 classes, got 2 and 1"):
        IntraFrechetDistance(2, 1)


def test_labels_come_in_the_order_of_the_features() -> None:
    data = Digits()
    features, labels = real_features(Pixels((1, 8, 8)), data, "train", 50), real_labels(data, "train", 50)
    train = data.dataset("train")
    everything = train[torch.arange(len(train))]
    for x, label in zip(features, labels, strict=True):
        same = (everything["x"].flatten(1) == x).all(1)
        assert label in everything["label"][same]
    assert len(labels.unique()) == 10
    with pytest.raises(ValueError, match="expected between 1 and"):
        real_labels(data, "test", 100_000)
    with pytest.raises(ValueError, match="expected labelled data, got none"):
        real_labels(_Unlabelled(train_size=20, val_size=10, test_size=10), "train")


class _Unlabelled(Toy):
    def dataset(self, split):  # type: ignore[no-untyped-def, override]
        rows = super().dataset(split)

        class Rows:
            def __len__(self) -> int:
                return len(rows)

            def __getitem__(self, which: Tensor) -> dict[str, Tensor]:
                return {"x": rows[which]["x"]}

        return Rows()
