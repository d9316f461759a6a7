"""Networks of sentences against PyTorch's own layers, and what each of them sees."""

import pytest
import torch
from torch import Tensor, nn

from lsgen.nn import GRUDecoder, GRUEncoder, TransformerDecoder, TransformerEncoder

L, V, D, H = 6, 5, 3, 4
ENCODERS = [
    lambda: GRUEncoder((L,), V, D, embedding=4, width=8, layers=2),
    lambda: TransformerEncoder((L,), V, D, width=8, attention=2),
]
DECODERS = [
    lambda: GRUDecoder((L,), V, H, embedding=4, width=8),
    lambda: GRUDecoder((L,), V, H, embedding=4, width=8, every_step=False),
    lambda: TransformerDecoder((L,), V, H, width=8, attention=2),
]


def _double(made: nn.Module) -> nn.Module:
    return made.double().eval()


@pytest.mark.parametrize("make", ENCODERS, ids=["gru", "transformer"])
def test_what_comes_after_the_end_is_not_looked_at(make) -> None:
    encoder = _double(make())
    x = torch.tensor([[1.0, 2, 0, 0, 0, 0], [1, 2, 0, 3, 4, 1], [1, 2, 3, 4, 1, 2], [1, 0, 0, 0, 0, 0]])
    codes = encoder(x)
    torch.testing.assert_close(codes[0], codes[1])
    torch.testing.assert_close(encoder(x.long()), codes)
    apart = torch.pdist(codes[[0, 2, 3]])
    assert bool((apart > 1e-3).all())
    assert not torch.allclose(encoder(torch.tensor([[2.0, 1, 0, 0, 0, 0]]))[0], codes[0], atol=1e-3)


def test_the_state_after_the_last_token_is_that_of_the_sentence_alone() -> None:
    encoder = _double(ENCODERS[0]())
    x = torch.tensor([[3.0, 1, 2, 0, 0, 0]])
    states, _ = encoder.gru(encoder.words(x[:, :4]))
    torch.testing.assert_close(encoder(x), encoder.last(states[:, -1]))


@pytest.mark.parametrize("make", DECODERS, ids=["gru", "gru from its first state", "transformer"])
def test_a_word_is_told_by_those_before_it_and_the_condition(make) -> None:
    decoder = _double(make())
    words = torch.tensor([[0, 1, 2, 3, 4, 1]])
    h = torch.randn(1, H, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = decoder(words, h)
    assert logits.shape == (1, L, V)
    for t in range(L):
        other = words.clone()
        other[:, t] = (words[:, t] + 1) % V
        differs = (decoder(other, h) - logits).abs().amax(-1)[0] > 1e-9
        assert differs.tolist() == [False] * t + [True] * (L - t)
    assert bool(((decoder(words, h + 0.1) - logits).abs().amax(-1) > 1e-9).all())


@pytest.mark.parametrize("make", DECODERS, ids=["gru", "gru from its first state", "transformer"])
def test_steps_are_the_whole_pass(make) -> None:
    decoder = _double(make())
    words = torch.randint(V, (3, L), generator=torch.Generator().manual_seed(0))
    h = torch.randn(3, H, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    state, logits = decoder.start(h), []
    for t in range(L):
        one, state = decoder.step(words[:, t], state)
        logits.append(one)
    torch.testing.assert_close(torch.stack(logits, 1), decoder(words, h))


def test_the_decoder_is_the_gated_recurrent_unit_of_pytorch() -> None:
    decoder = _double(DECODERS[0]())
    gru = nn.GRU(4 + H, 8, batch_first=True).double()
    with torch.no_grad():
        gru.weight_ih_l0.copy_(decoder.inputs.weight)
        gru.bias_ih_l0.copy_(decoder.inputs.bias)
        gru.weight_hh_l0.copy_(decoder.states.weight)
        gru.bias_hh_l0.copy_(decoder.states.bias)
    words = torch.randint(V, (3, L), generator=torch.Generator().manual_seed(0))
    h = torch.randn(3, H, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = torch.cat([decoder.words(words), h[:, None].expand(-1, L, -1)], 2)
    states, _ = gru(x, decoder.first(h).tanh()[None])
    torch.testing.assert_close(decoder(words, h), decoder.last(states))


def _layer(block: nn.Module) -> nn.Module:
    """Return a block as PyTorch's own layer."""
    layer = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).double().eval()
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(block.project.weight)
        layer.self_attn.in_proj_bias.copy_(block.project.bias)
    layer.self_attn.out_proj.load_state_dict(block.out.state_dict())
    layer.linear1.load_state_dict(block.mlp[0].state_dict())
    layer.linear2.load_state_dict(block.mlp[2].state_dict())
    layer.norm1.load_state_dict(block.norms[0].state_dict())
    layer.norm2.load_state_dict(block.norms[1].state_dict())
    return layer


def _run(blocks: nn.ModuleList, x: Tensor, **masks: Tensor) -> Tensor:
    for block in blocks:
        x = _layer(block)(x, **masks)
    return x


def test_the_transformers_are_made_of_the_layers_of_pytorch() -> None:
    encoder, decoder = _double(ENCODERS[1]()), _double(DECODERS[2]())
    x = torch.tensor([[1, 2, 0, 0, 0, 0], [3, 1, 2, 4, 4, 2]])
    padding = torch.tensor([[False] * 3 + [True] * 3, [False] * 6])
    states = encoder.norm(_run(encoder.blocks, encoder.words(x) + encoder.places, src_key_padding_mask=padding))
    means = torch.stack([states[0, :3].mean(0), states[1].mean(0)])
    torch.testing.assert_close(encoder(x), encoder.last(means))
    h = torch.randn(2, H, dtype=torch.float64)
    places = torch.cat([decoder.first(h)[:, None], decoder.words(x) + decoder.places], 1)
    states = _run(decoder.blocks, places, src_mask=~torch.ones(L + 1, L + 1, dtype=torch.bool).tril())
    torch.testing.assert_close(decoder(x, h), decoder.last(decoder.norm(states[:, 1:])))


@pytest.mark.parametrize("kind", [GRUEncoder, TransformerEncoder])
def test_what_is_no_sentence_is_refused(kind) -> None:
    with pytest.raises(ValueError, match=r"a network of sentences expected the shape \(L,\) .*, got \(1, 8, 8\)"):
        kind((1, 8, 8), V, D)
    with pytest.raises(ValueError, match="expected at least 2 words and a width of at least 1, got 1"):
        kind((L,), 1, D)
