r"""GloVe: vectors of words whose products are the logarithms of how often words stand near each other.

    J = 1/2 sum_ij f(X_ij) (v_i.u_j + b_i + c_j - log X_ij)^2,    f(x) = min(1, (x / x_max)^alpha)

over the entries X_ij that are not 0, by AdaGrad: with e = f (v.u + b + c - log X), dv_i = e u_j, du_j = e v_i, and e
for b_i and c_j. So p(j | i) ~ exp(u_j.v_i + c_j): the decoder of a code is that of the context vectors and their
biases, and b_i is the logarithm of the sum. A batch takes the sum of its gradients where the authors' program steps
from entry to entry.

Reference: Pennington, Socher & Manning, "GloVe: Global vectors for word representation" (2014), equation 8.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from lsgen.models.base import Batch, OptimizerFactory
from lsgen.models.contract import Contract, PlainNumbers
from lsgen.models.embedding.decoders import ContextDecoder
from lsgen.models.embedding.item_model import ItemModel
from lsgen.models.embedding.space import WordSpace
from lsgen.models.losses import ScalarLoss
from lsgen.models.optimised import OptimisedModel

__all__ = ["GloVe", "LogCounts"]


class LogCounts(ContextDecoder):
    """Logits of contexts that are logarithms of counts, up to one number: u_c.z + b_c.

    Args:
        items: number V of items.
        dim: dimension d of codes.

    Attributes:
        weight: the vectors of contexts (V, d), drawn uniformly from [-1/2d, 1/2d].
        bias: their biases (V, 1), drawn in the same way.

    """

    def __init__(self, items: int, dim: int) -> None:
        super().__init__(items, dim)
        nn.init.uniform_(self.weight, -0.5 / dim, 0.5 / dim)
        self.bias = nn.Parameter((torch.rand(items, 1) - 0.5) / dim)

    def forward(self, z: Tensor) -> Tensor:
        """Return u_c.z + b_c."""
        return z @ self.weight.mT + self.bias[:, 0]

    def scores(self, z: Tensor, context: Tensor) -> Tensor:
        """Return u_c.z + b_c."""
        return super().scores(z, context) + self.bias[context]


class GloVe(ItemModel, OptimisedModel):
    """GloVe: weighted least squares on the logarithms of the counts of words near each other.

    A batch holds entries (i, j, X_ij), float (B, 3), such as those of `Cooccurrences`. What the words are called and
    how often they occur is taken from the data module, and is in the checkpoint.

    Args:
        decoder: vectors and biases of contexts.
        x_max: count from which on an entry has the weight 1.
        alpha: power of the weight of smaller counts.
        summed: whether the code of a word is the sum of its two vectors, as the authors give them out, or its own
            vector, to which the decoder belongs. Of sums the decoded probabilities are none that were trained.
        optimizer: parameters -> optimiser, which takes sparse gradients. Unless given AdaGrad as in the authors'
            program, which sums squares of steps 0.05 g, not of gradients, from 1 on: g / sqrt(400 + sum g^2).
        max_steps: generator steps after which training stops.

    Raises:
        ValueError: x_max or alpha is not positive; when training starts, the data have another vocabulary.

    """

    def __init__(
        self,
        decoder: LogCounts,
        x_max: float = 100.0,
        alpha: float = 0.75,
        summed: bool = False,
        optimizer: OptimizerFactory | None = None,
        max_steps: int | None = None,
    ) -> None:
        if not x_max > 0 or not alpha > 0:
            raise ValueError(f"expected x_max and alpha greater than 0, got {x_max} and {alpha}")
        adagrad = partial(torch.optim.Adagrad, lr=1.0, initial_accumulator_value=400.0)
        space = WordSpace(decoder, summed=summed)
        OptimisedModel.__init__(self, space, adagrad if optimizer is None else optimizer, None, max_steps)
        self.x_max, self.alpha = float(x_max), float(alpha)
        self.bias = nn.Parameter((torch.rand(decoder.items, 1) - 0.5) / decoder.dim)

    def contract(self) -> Contract:
        """Return the requirements on a batch: entries of three numbers."""
        return Contract("GloVe", PlainNumbers("GloVe", (3,)))

    def loss(self, batch: Batch) -> ScalarLoss:
        """Return the average weighted squared error of an entry, halved."""
        space, x = self.latent_space, batch["x"]
        decoder = space.decoder
        assert isinstance(decoder, LogCounts)
        i, j = x[:, 0].long(), x[:, 1].long()
        assert isinstance(space.codes, nn.Parameter)
        tables = (i, space.codes), (j, decoder.weight), (i, self.bias), (j, decoder.bias)
        v, u, b, c = (embedding(rows, table, sparse=table.requires_grad) for rows, table in tables)
        count = x[:, 2].to(v)
        log_count = count.clamp(min=torch.finfo(v.dtype).tiny).log()
        weight = (count / self.x_max).clamp(0, 1) ** self.alpha
        error = (v * u).sum(-1) + b[:, 0] + c[:, 0] - log_count
        return ScalarLoss((weight * error.square()).mean() / 2)

    def summands(self, batch: Batch) -> int:
        """Return the number of entries: a step goes along the sum of their gradients."""
        return len(batch["x"])
