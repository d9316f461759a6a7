"""LPIPS against its formula, step by step, and torchmetrics' with the same random weights; VGG16; what is refused."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, relu
from torchmetrics.functional.image import lpips
from torchmetrics.functional.image.lpips import _LPIPS, ScalingLayer

from lsgen.data import Digits
from lsgen.metrics.quality import LPIPS, VGG16, ClassifierDistance, DatasetClassifier, PerceptualDistance, diversity
from lsgen.metrics.quality.perceptual.vgg import resized_as_tensorflow


class Doubled(PerceptualDistance):
    """Two layers: the image itself, and its neighbours' sums."""

    def __init__(self) -> None:
        super().__init__("doubled", 2)

    def maps(self, x: Tensor) -> list[Tensor]:
        return [x, conv2d(x, torch.ones(2, 3, 2, 2))]

    def heads(self) -> list[Tensor]:
        return [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 4.0])]


def _network(name: str) -> nn.Module:
    from torchvision import models

    network: nn.Module = getattr(models, name)()
    return network


def _alexnet(folder: Path) -> tuple[Path, Path, dict[str, Tensor], list[Tensor]]:
    """Write random weights of AlexNet's features and of heads; return the paths and the weights."""
    torch.manual_seed(0)
    features = {
        f"features.{key}": value for key, value in _network("alexnet").get_submodule("features").state_dict().items()
    }
    heads = [torch.rand(1, channels, 1, 1) for channels in (64, 192, 384, 256, 256)]
    torch.save(features, folder / "alexnet.pth")
    torch.save({f"lin{i}.model.1.weight": head for i, head in enumerate(heads)}, folder / "heads.pth")
    return folder / "alexnet.pth", folder / "heads.pth", features, heads


def test_the_formula_is_that_of_the_paper_place_by_place() -> None:
    a, b = torch.rand(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    distance = Doubled()
    expected = torch.zeros(2)
    for y, other, w in zip(distance.maps(a), distance.maps(b), distance.heads(), strict=True):
        for n in range(2):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    u, v = y[n, :, i, j], other[n, :, i, j]
                    gap = u / u.norm() - v / v.norm()
                    expected[n] += (w * gap * gap).sum() / (y.shape[2] * y.shape[3])
    torch.testing.assert_close(distance(a, b), expected)
    torch.testing.assert_close(distance(a, b + 5), distance(a, torch.ones_like(b)))
    dark = torch.zeros(1, 3, 4, 5, requires_grad=True)
    distance(dark, a[:1]).sum().backward()
    assert dark.grad is not None
    assert dark.grad.isfinite().all(), "places without any activation have no direction"


def test_lpips_of_alexnet_is_its_formula_and_that_of_torchmetrics(tmp_path: Path) -> None:
    weights, path, features, heads = _alexnet(tmp_path)
    ours = LPIPS(weights, "alexnet", path)
    a, b = torch.rand(2, 2, 3, 40, 37, generator=torch.Generator().manual_seed(1))
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    expected = torch.zeros(2)
    y = [(2 * x - 1 - shift[:, None, None]) / scale[:, None, None] for x in (a, b)]
    for layer, (number, head) in enumerate(zip((0, 3, 6, 8, 10), heads, strict=True)):
        pool = layer in (1, 2)
        options = {"stride": 4 if layer == 0 else 1, "padding": (2, 2, 1, 1, 1)[layer]}
        weight, bias = features[f"features.{number}.weight"], features[f"features.{number}.bias"]
        y = [relu(conv2d(max_pool2d(x, 3, 2) if pool else x, weight, bias, **options)) for x in y]
        units = [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in y]
        expected += ((units[0] - units[1]).square() * head).sum(1).mean((1, 2))
    torch.testing.assert_close(ours(a, b), expected)
    peer = _LPIPS(pretrained=False, net="alex", pnet_rand=True)
    peer.net.load_state_dict({own: features["features." + own.split(".", 1)[1]] for own in peer.net.state_dict()})
    for own, head in zip(peer.lins, heads, strict=True):
        own.model[-1].weight.data = head
    torch.testing.assert_close(ours(a, b), peer.eval()(a, b, normalize=True).flatten(), rtol=1e-3, atol=1e-5)
    grey = a[:, :1]
    torch.testing.assert_close(ours(grey, b[:, :1]), ours(grey.repeat(1, 3, 1, 1), b[:, :1].repeat(1, 3, 1, 1)))
    assert float(ours(a, a).abs().max()) == 0
    assert (ours.name, ours.path_length_key()) == ("lpips_alexnet", "path_length_lpips_alexnet")
    with pytest.raises(ValueError, match=r"images of shape \(1 or 3, H, W\), H and W at least 31, got \(3, 30, 40\)"):
        ours(torch.rand(1, 3, 30, 40), torch.rand(1, 3, 30, 40))
    assert ours(torch.rand(1, 3, 31, 31), torch.rand(1, 3, 31, 31)).isfinite().all()


def test_lpips_of_vgg16_is_that_of_torchmetrics_with_the_heads_that_it_brings(tmp_path: Path) -> None:
    with torch.device("meta"):
        peer = _LPIPS(pretrained=False, net="vgg", pnet_rand=True)
    generator = torch.Generator().manual_seed(3)
    state = {key: 0.05 * torch.randn(value.shape, generator=generator) for key, value in peer.net.state_dict().items()}
    torch.save({"features." + key.split(".", 1)[1]: value for key, value in state.items()}, tmp_path / "vgg16.pth")
    ours = LPIPS(tmp_path / "vgg16.pth")
    peer.net.load_state_dict(state, assign=True)
    peer.scaling_layer = ScalingLayer()
    shipped = Path(lpips.__file__).parent / "lpips_models" / "vgg.pth"
    peer.load_state_dict(torch.load(shipped, map_location="cpu"), strict=False, assign=True)
    peer.eval()
    a, b = torch.rand(2, 1, 3, 16, 18, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours(a, b), peer(a, b, normalize=True).flatten(), rtol=1e-3, atol=1e-5)
    assert (ours.name, ours.path_length_key()) == ("lpips_vgg16", "ppl")


def test_files_that_are_missing_or_of_something_else_are_refused_in_a_sentence(tmp_path: Path) -> None:
    weights, heads, _, _ = _alexnet(tmp_path)
    for make in (lambda: LPIPS(), lambda: LPIPS(tmp_path / "none.pth"), lambda: VGG16()):
        with pytest.raises(FileNotFoundError, match=r"torchvision's weights of vgg16, got .*fetch https.*=PATH"):
            make()
    with pytest.raises(ValueError, match="got those of another network"):
        LPIPS(weights, "vgg16")
    with pytest.raises(ValueError, match=r"heads of vgg16 with \(64, 128, 256, 512, 512\) weights"):
        LPIPS(_only_features(tmp_path), "vgg16", heads)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="a file that torch cannot read"):
        VGG16(tmp_path / "text.pth")
    with pytest.raises(ValueError, match="a backbone out of vgg16, alexnet, got squeeze"):
        LPIPS(weights, "squeeze")  # type: ignore[arg-type]


def _only_features(folder: Path) -> Path:
    """Write the features of VGG16, all zero, in a file of a few numbers."""
    with torch.device("meta"):
        shapes = _network("vgg16").state_dict()
    torch.save({key: torch.zeros(()).expand(value.shape) for key, value in shapes.items()}, folder / "zeros.pth")
    return folder / "zeros.pth"


def test_vgg16_gives_the_activations_of_its_second_full_layer(tmp_path: Path) -> None:
    """Convolutions that give their bias, and two full layers with equal columns, have a closed form."""
    with torch.device("meta"):
        shapes = _network("vgg16").state_dict()
    state = {key: torch.zeros(()).expand(value.shape) for key, value in shapes.items()}
    state["features.28.bias"] = torch.linspace(-1, 1, 512)
    state["classifier.0.weight"] = torch.full((), 1e-3).expand(4096, 25088)
    state["classifier.0.bias"] = torch.linspace(-2, 2, 4096)
    state["classifier.3.weight"] = torch.full((), 1e-3).expand(4096, 4096)
    state["classifier.3.bias"] = torch.linspace(-30, 2, 4096)
    torch.save(state, tmp_path / "vgg16.pth")
    extractor = VGG16(tmp_path / "vgg16.pth")
    mean = relu(state["features.28.bias"]).sum() * 49 * 1e-3
    first = relu(mean + state["classifier.0.bias"])
    expected = relu(1e-3 * first.sum() + state["classifier.3.bias"])
    features = extractor(torch.rand(1, 1, 8, 8))
    assert 0 < int((features == 0).sum()) < 4096
    torch.testing.assert_close(features[0], expected, rtol=1e-4, atol=1e-3)
    assert (extractor.name, extractor.frechet_key(), extractor.dim) == ("vgg16", "fd_vgg16", 4096)
    assert not extractor.train().net.training


def test_images_are_resized_as_in_tensorflow() -> None:
    x = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    resized = resized_as_tensorflow(x, 9)
    for i in range(9):
        for j in range(9):
            v, u = i * 5 / 9, j * 7 / 9
            top, left = int(v), int(u)
            rows, columns = (top, min(top + 1, 4)), (left, min(left + 1, 6))
            weights = torch.tensor([[(1 - v % 1) * (1 - u % 1), (1 - v % 1) * (u % 1)],
                                    [(v % 1) * (1 - u % 1), (v % 1) * (u % 1)]], dtype=torch.float64)  # fmt: skip
            torch.testing.assert_close(resized[..., i, j], (x[..., rows, :][..., columns] * weights).sum((-1, -2)))
    torch.testing.assert_close(resized_as_tensorflow(x[..., :5], 5), x[..., :5])


def test_the_diversity_is_the_mean_distance_of_two_observations() -> None:
    """Of normal numbers, E |x - y|^2 = 2; half the pairs have the error 2 sqrt(2) / sqrt(pairs)."""
    x = torch.randn(8001, 1, generator=torch.Generator().manual_seed(0))
    mean, error = diversity(lambda a, b: (a - b).square().sum(1), x, 1000)
    assert error.item() == pytest.approx(2 * 2**0.5 / 4000**0.5, rel=0.1)
    assert abs(mean.item() - 2) < 4 * error.item()
    with pytest.raises(ValueError, match="at least 4 observations, got 3"):
        diversity(lambda a, b: a, x[:3])


def test_a_classifier_of_the_data_set_serves_where_there_are_no_weights() -> None:
    data, distance = Digits(), ClassifierDistance(DatasetClassifier((1, 8, 8), dim=16, steps=20))
    x = data.dataset("test")[torch.arange(4)]["x"]
    with pytest.raises(ValueError, match=r"expected prepare\(data\) before maps"):
        distance(x[:2], x[2:])
    distance.prepare(data)
    found = distance(x[:2], x[2:])
    net = distance.classifier.net
    expected = torch.zeros(2)
    for layers in (2, 4):
        y, other = (nn.functional.normalize(net[:layers](part), dim=1) for part in (x[:2], x[2:]))
        expected += (y - other).square().sum(1).mean((1, 2))
    torch.testing.assert_close(found, expected)
    assert distance.path_length_key() == "path_length_classifier"
