"""Networks of torchvision as encoders: what is left out, what is frozen, and weights from a file alone."""

from pathlib import Path

import pytest
import torch

from lsgen.nn import TorchvisionBackbone

try:
    from torchvision import models
except (ImportError, RuntimeError) as error:  # wheels of torchvision that PyTorch's own wheels alone can load
    pytest.skip(f"torchvision cannot be loaded ({error})", allow_module_level=True)

NAME = "squeezenet1_0", "shufflenet_v2_x0_5"


def test_features_are_what_the_last_layer_is_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = models.get_model(NAME[1], weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pt")
    backbone = TorchvisionBackbone(NAME[1], weights=tmp_path / "weights.pt", frozen=True)
    x = torch.rand(2, 1, 32, 32)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = []
    whole.fc.register_forward_hook(lambda module, inputs, out: given.append(inputs[0]))
    whole((x.expand(-1, 3, -1, -1) - mean[:, None, None]) / deviation[:, None, None])
    assert backbone.dim == whole.fc.in_features == 1024
    torch.testing.assert_close(backbone.train()(x), given[0])
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_a_new_layer_learns_and_a_frozen_network_does_not_move() -> None:
    torch.manual_seed(0)
    backbone = TorchvisionBackbone(NAME[1], dim=5, frozen=True, size=32).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    out = backbone(torch.rand(3, 3, 8, 8))
    assert out.shape == (3, 5)
    out.square().sum().backward()
    learned = {name for name, parameter in backbone.named_parameters() if parameter.grad is not None}
    assert learned == {"network.fc.weight", "network.fc.bias"}
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())  # statistics as well


def test_what_is_no_network_or_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a network of torchvision.models such as resnet18, got 'resnet17'"):
        TorchvisionBackbone("resnet17")
    with pytest.raises(ValueError, match="expected a network that ends in a linear layer, got squeezenet1_0"):
        TorchvisionBackbone(NAME[0])
    with pytest.raises(FileNotFoundError, match="found none: lsgen downloads none; state the file"):
        TorchvisionBackbone(NAME[1], weights="DEFAULT")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ValueError, match=r"expected the weights of shufflenet_v2_x0_5 in .*, got something else"):
        TorchvisionBackbone(NAME[1], weights=tmp_path / "text.pt")
    with pytest.raises(ValueError, match=r"expected images \(N, 1, H, W\) or \(N, 3, H, W\), got \(2, 2, 8, 8\)"):
        TorchvisionBackbone(NAME[1])(torch.zeros(2, 2, 8, 8))
