import pytest
import torch
from sklearn.linear_model import LinearRegression

from lsgen.metrics import FactorRegression


def _data(n: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(n, 5, dtype=torch.float64, generator=generator)
    codes[:, 3] = 0.5 * codes[:, 0] + 2.0
    codes[:, 4] = -1.0
    noise = torch.randn(n, 3, dtype=torch.float64, generator=generator)
    mixing = torch.tensor([[1.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0, 0], [0.0, 0, 0]]).double()
    return codes, codes @ mixing + torch.tensor([0.5, 0.1, 1.0]) * noise + 7


def test_agrees_with_least_squares_of_another_library() -> None:
    codes, factors = _data()
    metric = FactorRegression(5, 3)
    for start in range(0, len(codes), 999):
        metric.update(codes[start : start + 999], factors[start : start + 999])
    value = metric.compute()
    for k in range(3):
        y = factors[:, k].numpy()
        expected = LinearRegression().fit(codes.numpy(), y).score(codes.numpy(), y)
        assert value["r2"][k].item() == pytest.approx(expected, abs=1e-9)
        single = [torch.corrcoef(torch.stack([codes[:, i], factors[:, k]]))[0, 1].item() ** 2 for i in range(4)]
        assert value["r2_single"][k].item() == pytest.approx(max(single), abs=1e-9)
    assert value["latent"][1].item() == 1


def test_a_constant_factor_has_no_coefficient() -> None:
    metric = FactorRegression(2, 1)
    metric.update(torch.randn(10, 2), torch.ones(10, 1))
    value = metric.compute()
    assert value["r2"].isnan().all()
    assert value["r2_single"].isnan().all()


def test_constant_factors_that_are_no_binary_fractions_have_no_coefficient() -> None:
    constants = torch.linspace(0.1, 0.9, 50, dtype=torch.float64)
    metric = FactorRegression(5, 50)
    for codes in _data()[0].split(99):
        metric.update(codes, constants.expand(len(codes), -1))
    value = metric.compute()
    assert value["r2"].isnan().all()
    assert value["r2_single"].isnan().all()


def test_coefficients_do_not_depend_on_the_origin_nor_on_the_processes() -> None:
    codes, factors = _data()
    origins = torch.tensor([0.0, 1e7, -1e8, 1.0, 0.0]).double(), torch.tensor([2.0**31, 1e8, -1e9]).double()
    whole, near, far = FactorRegression(5, 3), FactorRegression(5, 3), FactorRegression(5, 3)
    whole.update(codes, factors)
    for metric, half in ((near, slice(0, 1000)), (far, slice(1000, None))):
        for part_codes, part_factors in zip(codes[half].split(300), factors[half].split(300), strict=True):
            metric.update(part_codes + origins[0], part_factors + origins[1])
    near.merge_state(far)
    for name, value in near.compute().items():
        torch.testing.assert_close(value, whole.compute()[name], rtol=1e-6, atol=0)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected codes \(4, 2\) and factors \(4, 1\), got \(4, 3\) and \(4, 1\)"):
        FactorRegression(2, 1).update(torch.zeros(4, 3), torch.zeros(4, 1))
