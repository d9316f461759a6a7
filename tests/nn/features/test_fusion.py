"""Fusions of the features of modalities, against their formulas written out and what they cannot depend on."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import relu

from lsgen.nn import ConcatenationFusion, FiLMFusion

N = 5


def test_without_hidden_layers_a_concatenation_is_a_sum_of_linear_maps() -> None:
    fusion = ConcatenationFusion({"a": 3, "b": 2}, 4, hidden=())
    a, b = torch.randn(N, 3), torch.randn(N, 2)
    weight, bias = fusion.layers[0].weight, fusion.layers[0].bias
    expected = a @ weight[:, :3].T + b @ weight[:, 3:].T + bias
    torch.testing.assert_close(fusion({"b": b, "a": a}), expected)


def _film() -> tuple[FiLMFusion, dict[str, Tensor]]:
    torch.manual_seed(0)
    fusion = FiLMFusion({"image": 9 * 2, "question": 4}, 3, "image", 3, width=5, blocks=2, hidden=7).double()
    return fusion, {"image": torch.randn(N, 18).double(), "question": torch.randn(N, 4).double()}


def test_film_is_its_formula_cell_by_cell() -> None:
    fusion, features = _film()
    places = [(-1.0, -1.0), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]
    c = torch.tensor(places, dtype=torch.float64)  # row and column of each cell
    modulation = fusion.modulation(features["question"]).view(N, 2, 2, 5)  # scale or shift, block, channel
    scale, shift = modulation[:, 0], modulation[:, 1]

    def placed(x: Tensor, conv: torch.nn.Module) -> Tensor:
        x = torch.cat([x, c.expand(N, -1, -1)], 2)
        return relu(x @ conv.weight[:, :, 0, 0].T + conv.bias)

    x = placed(features["image"].view(N, 9, 2), fusion.first)
    for block in range(2):
        y, conv = placed(x, fusion.before[block]), fusion.inside[block]
        out = torch.zeros(N, 9, 5, dtype=torch.float64) + conv.bias
        for i, (r, q) in enumerate(places):
            for j, (s, t) in enumerate(places):
                if abs(r - s) <= 1 and abs(q - t) <= 1:
                    out[:, i] += y[:, j] @ conv.weight[:, :, int(s - r) + 1, int(t - q) + 1].T
        out = (out - out.mean((0, 1))) / (out.var((0, 1), correction=0) + 1e-5).sqrt()
        x = y + relu(out * (1 + scale[:, None, block]) + shift[:, None, block])
    expected = fusion.last(torch.cat([x.mean(1), x.amax(1)], 1))
    torch.testing.assert_close(fusion(features), expected)


def test_a_question_changes_nothing_where_modulation_is_the_identity() -> None:
    fusion, features = _film()
    torch.nn.init.zeros_(fusion.modulation.weight)
    torch.nn.init.zeros_(fusion.modulation.bias)
    other = {**features, "question": torch.randn(N, 4).double()}
    torch.testing.assert_close(fusion(features), fusion(other), rtol=0, atol=0)


def test_only_coordinates_tell_places_apart_where_convolutions_look_at_one_cell() -> None:
    fusion, features = _film()
    for conv in fusion.inside:
        centre = conv.weight.data[:, :, 1:2, 1:2].clone()
        conv.weight.data.zero_()[:, :, 1:2, 1:2] = centre
    moved = {**features, "image": features["image"].view(N, 9, 2).flip(1).flatten(1)}
    assert not torch.allclose(fusion(features), fusion(moved))
    fusion.coordinates.zero_()
    torch.testing.assert_close(fusion(features), fusion(moved))


def test_a_single_cell_lies_in_the_middle() -> None:
    fusion = FiLMFusion({"image": 6, "question": 4}, 3, "image", 1)
    assert fusion.coordinates.tolist() == [[[0.0]], [[0.0]]]
    assert fusion({"image": torch.randn(N, 6), "question": torch.randn(N, 4)}).shape == (N, 3)


@pytest.mark.parametrize(
    ("features", "side", "message"),
    [
        ({"image": 18}, 3, "and another modality"),
        ({"sound": 18, "question": 4}, 3, "a grid 'image'"),
        ({"image": 17, "question": 4}, 3, "on 3 x 3 cells, got 17"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(features: dict[str, int], side: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FiLMFusion(features, 3, "image", side)
    with pytest.raises(ValueError, match="at least one modality"):
        ConcatenationFusion({}, 3)
