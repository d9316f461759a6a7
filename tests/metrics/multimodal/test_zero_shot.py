"""Zero-shot accuracy by hand, of collapsed codes, and its interval against another library."""

import pytest
import torch
from scipy.stats import binomtest
from torch.nn.functional import normalize

from lsgen.latent.distances import EuclideanDistance
from lsgen.metrics.multimodal import ZeroShot, prompt_centres


def test_prompts_of_a_class_are_averaged_on_the_sphere() -> None:
    codes = normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=1)
    centres = prompt_centres(codes, [2, 3])
    torch.testing.assert_close(centres[0], normalize(codes[0] + codes[1], dim=0))
    torch.testing.assert_close(centres[1], normalize(codes[2:].sum(0), dim=0))
    torch.testing.assert_close(prompt_centres(codes, [2, 3], directions=False)[1], codes[2:].mean(0))


def test_codes_are_of_the_class_whose_centre_is_nearest() -> None:
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    codes = torch.tensor([[5.0, 1.0], [0.1, 0.3], [-1.0, 0.2], [1.0, 1.0], [0.0, -1.0], [9.0, 9.1]])
    metric = ZeroShot(centres)
    metric.update(codes, torch.tensor([0, 1, 2, 1, 0, -1]))
    found = metric.compute()
    # the fourth is as near to two centres; the fifth to the first and the last
    assert float(found["accuracy"]["value"]) == pytest.approx((3 + 0.5 + 0.5) / 5)
    assert float(found["accuracy"]["chance"]) == pytest.approx(1 / 3)
    assert float(found["accuracy"]["majority"]) == pytest.approx(2 / 5)
    assert int(found["observations"]["value"]) == 5
    flat = ZeroShot(torch.tensor([[1.0, 0.0], [9.0, 0.0]]), EuclideanDistance())
    flat.update(torch.tensor([[4.0, 0.0], [6.0, 0.0]]), torch.tensor([0, 1]))
    assert float(flat.compute()["accuracy"]["value"]) == 1.0


def test_collapsed_codes_score_what_a_guess_does() -> None:
    metric = ZeroShot(torch.ones(4, 3))
    metric.update(torch.ones(12, 3), torch.arange(12) % 4)
    assert float(metric.compute()["accuracy"]["value"]) == pytest.approx(0.25)


@pytest.mark.parametrize("right", [0, 3, 37, 40])
def test_the_interval_is_that_of_another_library(right: int) -> None:
    metric = ZeroShot(torch.eye(2))
    metric.update(torch.eye(2)[(torch.arange(40) >= right).long()], torch.zeros(40, dtype=torch.int64))
    of = metric.compute()["accuracy"]
    ends = binomtest(right, 40).proportion_ci(0.95, "wilson")
    assert float(of["value"]) == pytest.approx(right / 40)
    assert (float(of["low"]), float(of["high"])) == (pytest.approx(ends.low, abs=1e-9), pytest.approx(ends.high))


def test_what_has_no_prompts_is_refused_in_a_sentence() -> None:
    metric = ZeroShot(torch.eye(3))
    metric.update(torch.ones(2, 3), torch.tensor([1, 4]))
    with pytest.raises(ValueError, match="expected labels of the 3 classes that have prompts, got 4"):
        metric.compute()
    metric.reset()
    with pytest.raises(ValueError, match=r"expected codes \(B, 3\) and integer labels \(B,\), got \(2, 2\)"):
        metric.update(torch.ones(2, 2), torch.tensor([1, 2]))
    metric.update(torch.ones(2, 3), torch.tensor([-1, -1]))
    with pytest.raises(ValueError, match="expected codes whose labels are known, got none"):
        metric.compute()
    with pytest.raises(ValueError, match="expected at least one prompt of each class, 3 together, got"):
        prompt_centres(torch.ones(3, 2), [3, 0])
    with pytest.raises(ValueError, match="expected at least one prompt of each class, 0 together, got"):
        prompt_centres(torch.ones(0, 2), [])
    with pytest.raises(ValueError, match="expected prompts with a mean direction, got those of class 1"):
        prompt_centres(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), [1, 2])
    with pytest.raises(ValueError, match="of two classes or more"):
        ZeroShot(torch.ones(1, 3))
