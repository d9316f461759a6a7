"""Weights of compiled parts have the names of parts that are not."""

import pytest
import torch

from lsgen.latent import StandardNormal
from lsgen.likelihoods import Bernoulli
from lsgen.models.vae import ELBO, VAE
from lsgen.nn import MLPDecoder, MLPEncoder


def vae(*compiled):
    model = VAE(
        MLPEncoder((6,), 2, hidden=(4,)), MLPDecoder(2, (6,), hidden=(4,)), Bernoulli((6,)), StandardNormal(2), ELBO()
    )
    space = model.latent_space
    for name in compiled:
        parent, _, child = name.rpartition(".")
        owner = space.get_submodule(parent)
        setattr(owner, child, torch.compile(owner.get_submodule(child), backend="eager"))
    return model


@pytest.mark.parametrize(
    "compiled", [("encoder",), ("decoder",), ("encoder", "decoder"), ("decoder.layers.0", "decoder")]
)
def test_a_compiled_model_saves_and_reads_plain_names(compiled):
    plain, wrapped, z = vae(), vae(*compiled), torch.randn(3, 2)
    assert any("_orig_mod" in name for name, _ in wrapped.named_parameters())
    assert set(wrapped.state_dict()) == set(plain.state_dict())
    wrapped.load_state_dict(plain.state_dict())
    assert torch.equal(wrapped.latent_space.decoder(z), plain.latent_space.decoder(z))
    other = vae()
    other.load_state_dict(wrapped.state_dict())
    assert torch.equal(other.latent_space.decoder(z), plain.latent_space.decoder(z))


def test_names_that_wrappers_left_in_older_files_are_read():
    plain, other = vae(), vae("encoder")
    older = {name.replace("decoder.", "decoder._orig_mod."): weight for name, weight in plain.state_dict().items()}
    for model in (vae(), other, vae("decoder")):
        model.load_state_dict(older)
        assert all(torch.equal(weight, plain.state_dict()[name]) for name, weight in model.state_dict().items())


def test_what_does_not_fit_is_still_refused():
    state = vae().state_dict()
    state["latent_space.other"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"Unexpected key.*latent_space.other"):
        vae("encoder").load_state_dict(state)
