"""Every metric keeps the contract of torchmetrics, exactly. Metrics enrol themselves by type.

What `update` is given goes by the names of its arguments, see INPUTS; a metric of something else adds it there.
"""

import inspect
import itertools
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import members
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torchmetrics import Metric

from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian, Multinomial
from lsgen.models import Losses

N, D = 160, 3
METRICS = members.by_name(members.concrete(Metric, "lsgen.metrics"))
OFFERS = {
    "dim": D, "classes": 2, "sigma": 0.5, "prior": StandardNormal(D)(), "centres": torch.eye(D), "trees": 2,
    "depths": (1, 3), "steps": 3, "top_words": torch.tensor([[0, 1], [2, 1]]),
}  # fmt: skip


def _space() -> EncodableLatentSpace:
    """Return a space whose posterior is its prior, and whose evidence every sample gives exactly."""
    encoder, decoder = nn.Linear(4, 2 * D), nn.Linear(D, 4)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        nn.init.zeros_(parameter)
    return EncodableLatentSpace(encoder, decoder, FixedGaussian((4,)), StandardNormal(D)).eval()


def _topic_space() -> EncodableLatentSpace:
    """Return a space of counts."""
    torch.manual_seed(0)
    return EncodableLatentSpace(nn.Linear(4, 2 * D), nn.Linear(D, 4), Multinomial((4,)), StandardNormal(D)).eval()


def _codes() -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(1))


def _factors() -> Tensor:
    codes = _codes() + 0.3 * torch.randn(N, D, generator=torch.Generator().manual_seed(2))
    return (codes > 0).long()[:, :2]


INPUTS: dict[str, Callable[[], Any]] = {  # argument of `update` -> N rows, or one thing for all of them
    "posterior_mean": _codes,
    "codes": _codes,
    "factors": _factors,
    "features": _codes,
    "label": lambda: torch.arange(N) % 2,
    "image": lambda: torch.rand(N, 1, 6, 7, generator=torch.Generator().manual_seed(4)),
    "reconstruction": lambda: torch.rand(N, 1, 6, 7, generator=torch.Generator().manual_seed(5)),
    "x": lambda: _codes()[:, [0, 1, 2]],
    "observed": lambda: torch.rand(N, 4, generator=torch.Generator().manual_seed(6)) < 0.7,
    "q": lambda: Independent(Normal(_codes(), 1.0), 1),
    "losses": lambda: Losses(torch.zeros(()), _codes()[:, 0], _codes().square()),
    "kl": lambda: _codes().square(),
    "space": _space,
    "topic_space": _topic_space,
    "documents": lambda: torch.poisson(torch.full((N, 4), 2.0), generator=torch.Generator().manual_seed(7)),
    "others": lambda: _codes() + torch.randn(N, D, generator=torch.Generator().manual_seed(10)),
    "identities": lambda: torch.stack([torch.arange(N), torch.arange(N) % 130], 1),
    "attributes": lambda: _factors(),
    "told": lambda: _factors().where(torch.arange(N)[:, None] % 3 > 0, -1),
    "real": lambda: None,
    "similarity": lambda: _codes()[:, 0].where(torch.arange(N) % 7 > 0, torch.nan),
    "rating": lambda: _codes()[:, 1],
    "role": lambda: "both",
    "score": lambda: _codes()[:, 0].round(decimals=1),
    "link": lambda: _codes()[:, 1] > 0.5,
    "scores": lambda: torch.randn(N, 20, generator=torch.Generator().manual_seed(8)),
    "links": lambda: torch.rand(N, 20, generator=torch.Generator().manual_seed(9)) < 0.1,
    "source": lambda: torch.arange(N) % 20,
}


def _rows(value: Any, rows: slice) -> Any:
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, Independent):
        return Independent(Normal(value.mean[rows], value.stddev[rows]), 1)
    if isinstance(value, Losses):
        return Losses(value.loss, value.reconstruction[rows], value.kl[rows])
    return value


def _updates(metric: Metric) -> list[tuple[dict[str, Any], Callable[[slice], dict[str, Any]]]]:
    """Return for each kind of update what it is called with, as a function of the rows."""
    names = [name for name in inspect.signature(type(metric).update).parameters if name != "self"]
    unknown = ", ".join(set(names) - set(INPUTS))
    assert not unknown, f"expected update to take some of {', '.join(INPUTS)}, got {unknown}: add it to INPUTS"
    values = {name: INPUTS[name]() for name in names}
    if "kl" in values:  # codes of two models
        values = {name: torch.stack([value, value.flip(0)], 1) for name, value in values.items()}
    if "space" in values:
        values["x"] = torch.randn(N, 4, generator=torch.Generator().manual_seed(3))
    kinds = [{"real": real} for real in (True, False)] if "real" in names else [{}]
    if "real" not in names:
        return [lambda rows: {name: _rows(value, rows) for name, value in values.items()}]
    shifted = {True: values, False: {k: v + 0.5 if k == "features" else v for k, v in values.items()}}
    return [
        lambda rows, real=kind["real"]: {n: _rows(v, rows) for n, v in shifted[real].items()} | {"real": real}
        for kind in kinds
    ]


def _add(metric: Metric, *cuts: int) -> Metric:
    edges = [0, *cuts, N]
    for update in _updates(metric):
        for start, stop in itertools.pairwise(edges):
            metric.update(**update(slice(start, stop)))
    return metric


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Mapping):
        for name in value:
            yield from _numbers(value[name], f"{key}/{name}")
    elif isinstance(value, tuple | list):
        for i, one in enumerate(value):
            yield from _numbers(one, f"{key}/{i}")
    elif hasattr(value, "__dataclass_fields__"):
        yield from _numbers(vars(value), key)
    elif value is not None:
        yield key, torch.as_tensor(value)


def _computed(metric: Metric) -> dict[str, Tensor]:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(_numbers(metric.compute()))


@pytest.fixture(params=METRICS)
def make(request: pytest.FixtureRequest) -> Callable[[], Metric]:
    member = METRICS[request.param]
    offers = {**OFFERS, **({"factors": 2} if "factors" in inspect.signature(member).parameters else {})}
    return lambda: members.build(member, **offers)


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-5, atol=1e-7, equal_nan=True)


def test_the_result_is_the_same_whatever_the_batches(make: Callable[[], Metric]) -> None:
    whole = _computed(_add(make()))
    assert whole
    assert any(value.isfinite().all() for value in whole.values())
    _same(_computed(_add(make(), 30, 31, 100)), whole)


def test_states_add_up_over_processes(make: Callable[[], Metric]) -> None:
    parts = [make(), make()]
    for update in _updates(parts[0]):
        parts[0].update(**update(slice(0, 70)))
        parts[1].update(**update(slice(70, N)))
    joined = make()
    states = [part.metric_state for part in parts]
    for name, reduction in joined._reductions.items():
        values = [torch.cat(s[name]) if isinstance(s[name], list) else s[name] for s in states]
        total = reduction(torch.cat(values) if isinstance(states[0][name], list) else torch.stack(values))
        setattr(joined, name, [total] if isinstance(states[0][name], list) else total)
    joined._update_count = 2
    _same(_computed(joined), _computed(_add(make())))


def test_it_is_reset_and_pickled(make: Callable[[], Metric]) -> None:
    metric = _add(make())
    first = _computed(metric)
    _same(_computed(pickle.loads(pickle.dumps(metric))), first)
    metric.reset()
    _same(_computed(_add(metric)), first)


def test_computing_changes_nothing(make: Callable[[], Metric]) -> None:
    """No state, and no random number that training would draw."""
    metric = _add(make())
    before = {name: [v.clone() for v in value] if isinstance(value, list) else value.clone()
              for name, value in metric.metric_state.items()}  # fmt: skip
    _computed(metric)
    for name, value in metric.metric_state.items():
        pairs = zip(before[name], value, strict=True) if isinstance(value, list) else [(before[name], value)]
        assert all(torch.equal(a, b) for a, b in pairs)
