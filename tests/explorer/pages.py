"""Contents of small pages."""

import numpy as np
import torch
from torch import nn

from lsgen.analysis import Statistic
from lsgen.explorer import CodeMap, Contents, Thumbnails
from lsgen.latent.codes import Codes

HOSTILE = "<script>alert('x')</script>\"&' עברית 😀"


def blobs(count=60, dim=4, **changes):
    """Return contents of three groups of codes with pictures, columns of every kind and four maps."""
    rng = np.random.default_rng(0)
    label = np.arange(count) % 3
    z = (rng.normal(size=(3, dim))[label] * 3 + rng.normal(size=(count, dim))).astype(np.float32)
    corners = np.array([[0, 0], [1, 0], [0.5, 0.75**0.5]])
    mixture = np.exp(z[:, :3])
    mixture /= mixture.sum(1, keepdims=True)
    maps = [
        CodeMap(
            "PCA",
            z[:, :2],
            trust={name: Statistic(value, count, (0.7, 0.9), 0.5, 0) for name, value in TRUST.items()},
            per_point={"trustworthiness": np.linspace(0, 1, count), "overlap": np.linspace(1, 0, count)},
            k=5,
        ),
        CodeMap("space", z[:, :3]),
        CodeMap("disk", np.tanh(z[:, :2] / 10), outline="disk"),
        CodeMap("ternary", mixture @ corners, outline="triangle"),
    ]
    columns = {
        "label": label,
        "amount": np.where(label == 1, np.nan, np.linspace(-1, 1, count)),
        "cluster/k-means": label[::-1].copy(),
        HOSTILE: np.array([HOSTILE, "b" * 10_000, None] * (count // 3), dtype=object),
        "seen": label == 0,
        "step": np.arange(count) % 20,
        "day": np.datetime64("2024-01-01") + label,
    }
    pictures = np.linspace(0, 1, count)[:, None, None] * np.ones((count, 6, 8))
    parts = {"maps": maps, "pictures": Thumbnails(pictures), "facts": {"model": HOSTILE}, "warnings": [HOSTILE]}
    ids = np.array([f"{HOSTILE} {i}" for i in range(count)], dtype=object)
    return Contents(HOSTILE, Codes(z, ids, columns=columns, scale=np.full_like(z, 0.25)), **(parts | changes))


TRUST = {"trustworthiness": 0.91, "continuity": 0.94, "overlap": 0.4}


class Attending(nn.Module):
    """A decoder whose places attend to each other, with sums along rows, which pages have no step for, if asked."""

    dim, heads = 4, 1

    def __init__(self, shape, summed=False):
        super().__init__()
        self.shape, self.summed = shape, summed
        self.spread, self.attend, self.out = nn.Linear(4, 64 * 16), nn.MultiheadAttention(16, 4), nn.Linear(16, 1)

    def forward(self, z):
        h = self.spread(z).view(-1, 64, 16).transpose(0, 1)
        h = h + self.attend(h, h, h, need_weights=False)[0]
        x = 3 * self.out(torch.sin(h)).transpose(0, 1).reshape(-1, *self.shape)
        return torch.cumsum(x, -1) if self.summed else x
