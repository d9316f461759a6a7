"""The panels that compute, where codes are few, alike or curved, are decoded, or a worker is refused."""

import numpy as np
import pytest
import torch
from browser import SHOWN, WITHOUT_GL, opened, settled
from pages import blobs
from torch import nn

from lsgen.explorer import CodeMap, Contents, write_page
from lsgen.explorer.decoder import decoder_program
from lsgen.geometry import geodesic, immersion
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.latent.codes import Codes
from lsgen.latent.manifolds import PoincareBall
from lsgen.latent.manifolds.supports import Simplex
from lsgen.likelihoods import FixedGaussian
from lsgen.nn import MLPDecoder

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FLAGS = WITHOUT_GL  # a panel beside the map is looked at


def poor(count, dim, manifold=None, spread=1, **columns):
    """Contents with codes alone."""
    z = spread * np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)
    z = z if manifold is None else 0.3 * z / np.linalg.norm(z, axis=1, keepdims=True)
    z = z**2 / 0.09 if isinstance(manifold, Simplex) else z
    place = np.stack([np.arange(count), np.arange(count)], 1).astype(float)
    codes = Codes(z, columns=columns) if manifold is None else Codes(z, manifold=manifold, columns=columns)
    return Contents("poor", codes, [CodeMap("line", place)])


LACKING = {
    "few": (
        lambda: poor(3, 3),
        {
            "paths": "Percentiles compare with the distances of 3 items",
            "attributes": "at least four items",
            "scores": "No scores were computed",
            "compare": "holds one space",
        },
    ),
    "one class and one dimension": (
        lambda: poor(12, 1, label=np.zeros(12, dtype=int)),
        {"attributes": "holds every item", "dimensions": "1 dimension, 1 active"},
    ),
    "equal codes": (
        lambda: poor(12, 2, spread=0, label=np.arange(12) % 2),
        {"attributes": "cannot be told from noise", "dimensions": "0 active", "paths": "as near to the data"},
    ),
    "a simplex": (lambda: poor(12, 2, Simplex(2)), {"attributes": "Probability vectors cannot be added"}),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_panel_says_what_it_cannot_show(browser, tmp_path, case):
    made, sentences = LACKING[case]
    with opened(browser, write_page(tmp_path / "page.html", made())) as page:
        page.evaluate("__lsgen.store.set({focus: 0, pins: {A: 0, B: 1, C: 1}})")
        for tab, sentence in sentences.items():
            page.evaluate(f"__lsgen.store.set({{tab: '{tab}'}})")
            page.wait_for_function(f"document.getElementById('panel-{tab}').innerText.includes({sentence!r})")


@pytest.mark.shows("metric", "paths")
def test_paths_of_a_curved_space_follow_its_geodesics(browser, tmp_path):
    made = poor(40, 2, PoincareBall(2.0))
    with opened(browser, write_page(tmp_path / "page.html", made)) as page:
        page.evaluate("__lsgen.store.set({tab: 'paths', pins: {A: 0, B: 5, C: -1}})")
        routes = {route["kind"]: route for route in settled(page, "paths")}
        ends = made.codes.tensor().double()[[0, 5]]
        expected = PoincareBall(2.0).geodesic(ends[0], ends[1], 9)
        np.testing.assert_allclose(routes["geodesic"]["points"], expected, atol=1e-9)
        steps = routes["geodesic"]["speed"]
        np.testing.assert_allclose(steps, PoincareBall(2.0).distance(*ends).item(), rtol=1e-6)


@pytest.mark.shows("decode")
def test_what_is_decoded_is_what_pytorch_decodes(browser, tmp_path):
    torch.manual_seed(0)
    space = LatentSpace(
        MLPDecoder(4, (1, 6, 8), (16,), nn.SiLU), FixedGaussian((1, 6, 8), 1.0), StandardNormal(4)
    ).eval()
    base = blobs(60, 4)
    program = decoder_program(space, base.codes.tensor(), (-1.0, 1.0))
    made = Contents("decoded", base.codes, base.maps, base.pictures, decoder=program)
    with opened(browser, write_page(tmp_path / "page.html", made)) as page:
        page.evaluate("__lsgen.store.set({tab: 'paths', focus: 2, pins: {A: 0, B: 1, C: 2}})")
        route = settled(page, "paths")[0]
        with torch.no_grad():
            mean = space.decode(torch.tensor(route["points"])).mean.flatten(1)
        np.testing.assert_allclose(route["frames"], mean, atol=1e-2)
        np.testing.assert_allclose(route["speed"], 8 * mean.diff(dim=0).norm(dim=1), rtol=0.02)
        page.wait_for_selector(".route[data-kind=geodesic]", timeout=20000)
        found = {route["kind"]: route for route in settled(page, "paths")}["geodesic"]
        ends = base.codes.tensor()[:2]
        curve = geodesic(immersion(space, "euclidean"), ends[:1], ends[1:], 9)
        points = curve.points[0].detach()
        assert bool(curve.converged)
        np.testing.assert_allclose(found["points"], points, atol=0.02)
        with torch.no_grad():
            images = space.decode(points).mean.flatten(1)
        assert found["decoded"]["length"] == pytest.approx(float(images.diff(dim=0).norm(dim=1).sum()), rel=2e-3)
        assert found["decoded"]["length"] < mean.diff(dim=0).norm(dim=1).sum()
        page.evaluate("__lsgen.store.set({tab: 'dimensions'})")
        page.wait_for_selector(".axisrow[data-axis='3'] input")
        page.focus(".axisrow[data-axis='3'] input")
        page.keyboard.press("Home")
        code = torch.tensor(page.evaluate(f"Array.from({SHOWN}.code)"))
        assert code[3] < base.codes.z[2, 3] - 1
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        pixels = page.evaluate(
            "(() => { const c = document.querySelector('.panel-dimensions .tile.large canvas');"
            " const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            " return [...all].filter((_, i) => i % 4 === 0); })()"
        )
        code = torch.tensor(page.evaluate(f"Array.from({SHOWN}.code)"))
        with torch.no_grad():
            shown = space.decode(code[None]).mean.flatten()
        np.testing.assert_allclose(np.array(pixels) / 255, ((shown + 1) / 2).clamp(0, 1), atol=1e-2)


@pytest.mark.shows("uncertainty")
def test_noise_is_called_noise_also_where_a_worker_is_refused(browser, tmp_path):
    failing = "class { postMessage() { setTimeout(() => this.onerror({ message: 'refused' })); } }"
    made = poor(60, 20, label=np.arange(60) % 2)
    with opened(browser, write_page(tmp_path / "page.html", made)) as page:
        page.evaluate(f"window.Worker = {failing}; 0")
        page.evaluate("__lsgen.store.set({tab: 'attributes'})")
        found = settled(page, "direction")
        assert found["p"] > 0.05
        assert "cannot be told from noise" in page.inner_text(".panel-attributes .verdict")
