"""The networks of BiGAN against their formulas."""

import numpy as np
import torch

from lsgen.nn.adversarial.bigan import BiGANCritic, BiGANEncoder, BiGANGenerator

SHAPE, DIM, WIDTH = (1, 3, 3), 4, 6
EPS = 1e-5  # of the normalisation


def weights(net: torch.nn.Module) -> dict[str, np.ndarray]:
    """Return the weights, made larger, so that no layer is nearly linear."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(40)
    return {name.removesuffix(".weight"): p.detach().numpy() for name, p in net.double().named_parameters()}


def leaky(h: np.ndarray) -> np.ndarray:
    return np.where(h > 0, h, 0.2 * h)


def normal(h: np.ndarray) -> np.ndarray:
    return (h - h.mean(0)) / np.sqrt(h.var(0) + EPS)


def test_formulas() -> None:
    torch.manual_seed(0)
    x, z = torch.rand(7, *SHAPE, dtype=torch.float64), 2 * torch.rand(7, DIM, dtype=torch.float64) - 1
    flat, code = x.flatten(1).numpy(), z.numpy()

    encoder = BiGANEncoder(SHAPE, DIM, WIDTH)
    w = weights(encoder)
    features = leaky(normal(leaky(flat @ w["first"].T) @ w["second"].T))
    np.testing.assert_allclose(encoder.features(x).detach().numpy(), features)
    np.testing.assert_allclose(encoder(x).detach().numpy(), 2 / (1 + np.exp(-features @ w["last"].T)) - 1)

    generator = BiGANGenerator(DIM, SHAPE, WIDTH)
    w = weights(generator)
    h = np.maximum(normal(code @ w["first"].T), 0)
    h = np.maximum(normal(h @ w["second"].T + code @ w["code"].T), 0)
    expected = 1 / (1 + np.exp(-h @ w["last"].T))
    np.testing.assert_allclose(generator(z).detach().numpy(), expected.reshape(-1, *SHAPE))

    critic = BiGANCritic(SHAPE, DIM, WIDTH)
    w = weights(critic)
    h = leaky(normal(leaky(flat @ w["first"].T) @ w["second"].T + code @ w["code"].T))
    np.testing.assert_allclose(critic(x, z).detach().numpy(), (h @ w["last"].T)[:, 0])
