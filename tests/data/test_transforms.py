"""Gaps, hidden labels and partners: shares, what they depend on, and what stays fixed."""

import pytest
import torch
from torch import Tensor

from lsgen.data import Digits, Labels, Loading, Missing, Sprites, Table
from lsgen.data.factors.sprites import FACTOR_SIZES, render
from lsgen.data.sampler import Request
from lsgen.data.transforms import MissingValues

N = 20_000


def _mask(fraction: float, mechanism, x: Tensor, seed: int = 0) -> Tensor:
    gaps = MissingValues(x.shape[1:], fraction, mechanism, seed).fit(x)
    return gaps({"x": x}, torch.arange(len(x)), 0)["observed"]


def _x() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(N, 9) + torch.randn(N, 1)


@pytest.mark.parametrize("mechanism", ["mcar", "mar"])
def test_gaps_have_the_stated_share_and_stay_where_they_are(mechanism) -> None:
    x = _x()
    observed = _mask(0.4, mechanism, x)
    assert 1 - observed.double().mean().item() == pytest.approx(0.4, abs=5 * 0.5 / N**0.5)
    gaps = MissingValues((9,), 0.4, mechanism, 0).fit(x)
    rows = torch.tensor([5, 3, 800])
    assert torch.equal(gaps({"x": x[rows]}, rows, 7)["observed"], observed[rows])
    assert not torch.equal(_mask(0.4, mechanism, x, seed=1), observed)


def test_completely_at_random_tells_nothing_of_the_values() -> None:
    x = _x()
    observed = _mask(0.3, "mcar", x).double()
    correlation = torch.corrcoef(torch.cat([x.double().T, observed.T]))[:9, 9:]
    assert correlation.abs().max().item() < 5 / N**0.5
    assert observed.mean(0).std().item() < 5 * 0.46 / N**0.5


def test_at_random_depends_on_what_is_always_observed_alone() -> None:
    x = _x()
    observed = _mask(0.4, "mar", x)
    always = observed.all(0)
    assert int(always.sum()) == 3
    s = x[:, always].mean(1)
    low, high = (observed[part][:, ~always].double().mean().item() for part in (s < s.median(), s >= s.median()))
    assert low - high > 0.2
    # Within a thin slice of s, whether a value is missing says nothing of the value.
    slice_ = (s - s.median()).abs() < 0.05
    values, seen = x[slice_][:, ~always].double(), observed[slice_][:, ~always].double()
    each = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(values.T, seen.T, strict=True)])
    assert each.abs().max().item() < 5 / int(slice_.sum()) ** 0.5


def test_the_truth_is_kept_beside_the_mask() -> None:
    data, whole = Digits(missing=0.5), Digits()
    rows = torch.arange(30)
    batch = data.dataset("val")[rows]
    assert torch.equal(batch["x"], whole.dataset("val")[rows]["x"])
    assert batch["observed"].shape == batch["x"].shape
    assert batch["observed"].dtype == torch.bool


@pytest.mark.parametrize("known", [10, 57, 1257])
def test_known_labels_are_spread_over_the_classes(known: int) -> None:
    data = Digits(labelled=known)
    rows = torch.arange(1257)
    label, truth = data.dataset("train")[rows]["label"], Digits().dataset("train")[rows]["label"]
    assert int((label >= 0).sum()) == known
    assert torch.equal(label[label >= 0], truth[label >= 0])
    counts = torch.bincount(label[label >= 0], minlength=10)
    assert int(counts.max() - counts.min()) <= (1 if known < 1000 else 40)
    assert torch.equal(Digits(labelled=known, seed=3).dataset("train")[rows]["label"], label)
    assert bool((data.dataset("val")[rows[:100]]["label"] >= 0).all())


def test_weights_undo_that_labelled_observations_are_drawn_more_often() -> None:
    share = 7 * 57 / (1200 + 7 * 57)  # each of 57 labelled observations seven times beside the other 1200
    data = Digits(labelled=Labels(57, share=share), batch_size=80)
    batches = list(data.train_dataloader())
    for batch in batches:
        count = int((batch["label"] >= 0).sum())
        assert abs(count - share * len(batch["x"])) < 1
    weight, x = (torch.cat([batch[key] for batch in batches]).double() for key in ("weight", "x"))
    whole = Digits().dataset("train")[torch.arange(1257)]["x"].double()
    torch.testing.assert_close((weight[:, None, None, None] * x).mean(0), whole.mean(0), rtol=1e-6, atol=1e-7)
    assert "weight" not in next(iter(data.val_dataloader()))
    assert "weight" not in next(iter(Digits(labelled=57).train_dataloader()))


@pytest.mark.parametrize("changes", [1, 3, 0])
def test_partners_share_all_but_the_stated_factors(changes: int) -> None:
    data = Sprites(pairs=changes)
    rows = torch.arange(300)
    pairs = data.dataset("train").transforms[0]
    pairs.render = lambda factors: factors
    batch = data.dataset("train")[rows]
    differ = (batch["pair"] != batch["factors"]).sum(1)
    assert bool((batch["pair"] < torch.tensor(FACTOR_SIZES)).all())
    assert bool((batch["pair"] >= 0).all())
    assert set(differ.tolist()) == ({changes} if changes else {1, 2, 3, 4})
    each = (batch["pair"] != batch["factors"]).double().mean(0)
    expected = (changes or 2.5) / 5
    assert bool(((each - expected).abs() < 5 * (0.25 / 300) ** 0.5).all())


def test_partners_are_drawn_anew_in_training_and_held_fixed_elsewhere() -> None:
    data, rows = Sprites(pairs=1), torch.arange(50)
    first, again, later = (data.dataset("train")[Request(rows, epoch)]["pair"] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    val = [data.dataset("val")[Request(rows, epoch)] for epoch in (0, 1)]
    assert torch.equal(val[0]["pair"], val[1]["pair"])
    assert torch.equal(render(val[0]["factors"]), val[0]["x"])
    assert not torch.equal(val[0]["pair"], val[0]["x"])


def test_self_masked_values_are_those_above_their_mean_in_the_first_half() -> None:
    for fraction in (1.0, 0.5):
        data = Table(shape=(13,), name="wine", missing=Missing(fraction, "self_masked"))
        train = data.dataset("train")[torch.arange(len(data.dataset("train")))]
        high = train["x"] > 1e-6  # standardised over the training split
        assert bool(train["observed"][:, 6:].all())
        assert bool(train["observed"][~high].all())
        share = (~train["observed"])[:, :6][high[:, :6]].double().mean().item()
        assert share == 1.0 if fraction == 1 else abs(share - 0.5) < 0.1
    with pytest.raises(ValueError, match=r"expected a share of missing values in \(0, 1\) for self_masked, got 1.5"):
        Table(missing=Missing(1.5, "self_masked"))


def test_tables_are_standardised_over_the_training_split() -> None:
    data = Table(shape=(13,), name="wine")
    x = data.dataset("train")[torch.arange(len(data.dataset("train")))]["x"].double()
    torch.testing.assert_close(x.mean(0), torch.zeros(13, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(13, dtype=torch.float64), atol=1e-5, rtol=0)
    assert set(Table(shape=(10,), name="diabetes").dataset("val")[torch.arange(3)]) == {"x"}


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match='expected mechanism "mcar", "mar" or "self_masked", got \'mnar\''):
        Digits(missing=Missing(0.5, "mnar"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected a share of missing values in \(0, 0.67\) for mar, got 0.7"):
        Digits(missing=Missing(0.7, "mar"))
    with pytest.raises(ValueError, match="expected between 10 and 1257 labelled observations, got 5"):
        Digits(labelled=5).dataset("train")
    with pytest.raises(ValueError, match="expected pairs between 0 and 5, the number of factors, got 6"):
        Sprites(pairs=6)
    with pytest.raises(ValueError, match=r"expected a table out of breast_cancer, .*, yeast, got 'abalone'"):
        Table(name="abalone")
    with pytest.raises(ValueError, match=r"expected a share in \(0, 1\) of a number of known labels, got 0.5 of None"):
        Labels(share=0.5)
    with pytest.raises(ValueError, match="expected fewer known labels than the 1257 observations for a share of them"):
        Digits(labelled=Labels(1257, share=0.5)).dataset("train")


def test_partners_are_nearest_neighbours_drawn_anew():
    """Each of five neighbours is drawn as often as another over the epochs, and an observation is never its own."""
    data = Digits(batch_size=32, loading=Loading(neighbours=5))
    chosen = data.dataset("train")
    everything = chosen[torch.arange(len(chosen))]["x"].flatten(1)
    apart = torch.cdist(everything, everything).fill_diagonal_(torch.inf)
    allowed = apart.topk(5, largest=False).indices
    rows, seen = torch.arange(8), torch.zeros(8, 5)
    for epoch in range(200):
        pair = chosen[Request(rows, epoch)]["pair"].flatten(1)
        places = (pair[:, None] == everything[allowed[:8]]).all(-1)
        assert (places.sum(1) == 1).all()
        seen += places
    assert seen.min() > 40 - 5 * (200 * 0.2 * 0.8) ** 0.5
    val = data.dataset("val")
    assert torch.equal(val[Request(rows, 0)]["pair"], val[Request(rows, 7)]["pair"])


def test_pairs_are_distorted_alike_or_by_themselves():
    """With one view an observation and its partner get the same numbers; with two each its own."""
    for views in (1, 2):
        loading = Loading(neighbours=1, views=views, augment=[lambda image: torch.zeros_like(image) + torch.rand(())])
        data = Digits(batch_size=32, loading=loading)
        for loader in (data.train_dataloader(), data.val_dataloader()):
            batch = data.on_after_batch_transfer(data.on_before_batch_transfer(next(iter(loader)), 0), 0)
            assert torch.equal(batch["x"], batch["pair"]) == (views == 1)
    with pytest.raises(ValueError, match=r"expected data.loading.neighbours of at least 1, got 0"):
        Loading(neighbours=0)
