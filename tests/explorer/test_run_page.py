"""The page of a model's codes in chromium: what it decodes, finds and says is what Python decodes and finds."""

import numpy as np
import pytest
import torch
from browser import opened

from lsgen.callbacks import PageOptions
from lsgen.callbacks.analysis.collection import collect_codes
from lsgen.callbacks.analysis.contents import explorer_contents
from lsgen.callbacks.analysis.page_scores import clusters_of
from lsgen.data import Digits
from lsgen.explorer import write_page
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.latent.neighbours import nearest_neighbours
from lsgen.likelihoods import Bernoulli
from lsgen.nn import ConvDecoder, MLPEncoder

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def space():
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder(SHAPE, 3, (8,)), ConvDecoder(3, SHAPE, (4,), 8)
    return EncodableLatentSpace(encoder, decoder, Bernoulli(SHAPE), StandardNormal(3)).eval()


@pytest.fixture(scope="module")
def found(space):
    return collect_codes(space, Digits(binarise="threshold"), n=120)


@pytest.fixture(scope="module")
def contents(space, found):
    return explorer_contents(space, found, "a run", {"model": "VAE"}, PageOptions(maps=("pca",)))


@pytest.mark.shows("decode", "neighbours", "pictures", "clusters", "traversal", "file")
def test_every_panel_of_a_run_opens_and_decodes_and_finds_as_python_does(browser, path, space, found):
    z = found.codes.tensor()
    with opened(browser, path) as page:
        page.evaluate("__lsgen.store.set({focus: 7, k: 6, pins: {A: 0, B: 30, C: -1}})")
        page.wait_for_selector(".panel-inspect canvas.picture")
        assert (
            page.evaluate("[...__lsgen.data.neighbours(7, 6).index]")
            == nearest_neighbours(z, None, 6).indices[7].tolist()
        )
        for tab in ("paths", "attributes", "dimensions", "scores", "table", "save"):
            page.click(f"#tab-{tab}")
            page.wait_for_selector(f".panel-{tab}:not([hidden])")
        page.evaluate("__lsgen.data.tiles.ready")
        decoded = page.evaluate("[0, 7, 30].map((row) => [...__lsgen.data.tiles.decode(__lsgen.data.codes.row(row))])")
        with torch.no_grad():
            truth = space.decode(z[[0, 7, 30]]).mean.flatten(1)
        np.testing.assert_allclose(decoded, truth, atol=1e-2)
        assert page.evaluate("__lsgen.data.decoder.off") < 1e-3
        pixels = page.evaluate("__lsgen.data.pictures.pixels(7).then((image) => [...image.data])")
        expected = (found.observations[7].flatten() * 255).round()
        np.testing.assert_array_equal(np.array(pixels)[::4], expected)
        assert "stability" in page.text_content(".panel-scores")
        page.evaluate("__lsgen.store.set({colour: 'column:cluster/k-means'})")
        page.wait_for_function("document.querySelector('#stage').innerText.includes('k-means')")
        column = page.evaluate(
            "(() => { const column = __lsgen.data.column('cluster/k-means');"
            " return Array.from({length: __lsgen.data.count}, (_, i) => Number(column.text(i))); })()"
        )
        assert column == clusters_of(found.codes)[0]["cluster/k-means"].tolist()


def test_a_decoder_that_is_wrong_here_is_not_used(browser, space, found, tmp_path):
    contents = explorer_contents(space, found, "a run", options=PageOptions(maps=(), clusters=False))
    contents.decoder.weights["w0"][:] += 1.0
    with opened(browser, write_page(tmp_path / "page.html", contents)) as page:
        page.evaluate("__lsgen.store.set({tab: 'dimensions', focus: 1})")
        page.wait_for_function("document.querySelector('.panel-dimensions').innerText.includes('it is not used')")
