"""Decoders that ONNX Runtime runs in a page: its pinned files, what is refused, and that it decodes as PyTorch does."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import WITHOUT_GL, opened, settled
from pages import Attending

import lsgen.explorer
from lsgen.callbacks import PageOptions
from lsgen.callbacks.analysis.collection import decoded_codes
from lsgen.callbacks.analysis.contents import explorer_contents
from lsgen.cli.errors import UsageError
from lsgen.cli.verbs.explore import settings_of
from lsgen.explorer import OnnxDecoder, write_page
from lsgen.explorer.decoder import UndecodableError, decoder_program
from lsgen.explorer.onnx_runtime import FILES, OnnxRuntimeFiles, onnx_decoder, onnx_runtime_files
from lsgen.latent import Codes, LatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli

FLAGS = WITHOUT_GL
SHAPE = (1, 8, 8)
SCRIPTS = Path(lsgen.explorer.__file__).parent / "page"


def space():
    torch.manual_seed(0)
    return LatentSpace(Attending(SHAPE, summed=True), Bernoulli(SHAPE), StandardNormal(4)).eval()


def test_the_files_are_those_of_the_pinned_version_or_one_sentence_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("LSGEN_ONNXRUNTIME_WEB", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"ort\.wasm\.bundle\.min\.mjs of onnxruntime-web .* got no bytes"):
        PageOptions(decoder="onnx")
    (tmp_path / next(iter(FILES))).write_text("something else")
    with pytest.raises(FileNotFoundError, match=r"got other bytes: python scripts/onnxruntime_web\.py fetches it"):
        onnx_runtime_files()
    with pytest.raises(ValueError, match="decoder to be True, False or 'onnx', got 'wasm'"):
        PageOptions(decoder="wasm")
    with pytest.raises(UsageError, match="decoder= to be page or onnx, got 'wasm'"):
        settings_of({"decoder": "wasm"})


def test_a_decoder_that_draws_random_numbers_is_refused():
    class Noisy(Attending):
        def forward(self, z):
            return super().forward(z) + torch.randn(1)

    noisy = LatentSpace(Noisy(SHAPE), Bernoulli(SHAPE), StandardNormal(4)).eval()
    with pytest.raises(UndecodableError, match="draws random numbers"):
        onnx_decoder(noisy, torch.randn(5, 4), (0.0, 1.0), OnnxRuntimeFiles("", b""))


@pytest.mark.browser
def test_a_decoder_that_fails_leaves_the_nearest_items_in_place_of_what_it_decodes(browser):
    page = browser.new_page()
    for name in ("elements.js", "tiles.js"):
        page.add_script_tag(content=(SCRIPTS / name).read_text())
    found = page.evaluate(
        """async () => {
          engineOf = () => ({ problem: "", search: { nearest: () => ({ indices: [7] }) } });
          decoderOf = async () => Object.assign(async () => { throw new Error("out of memory"); }, { waits: true });
          const data = { decoder: { shape: [1], onnx: true }, codes: { dim: 1, full: 1 }, id: (row) => `item ${row}` };
          const tiles = tilesOf(data), places = [[0], [1]].map(() => document.createElement("span"));
          await tiles.ready;
          places.forEach((place, i) => tiles.paint(place, [i], 10));
          const before = tiles.words();
          await new Promise((resolve) => setTimeout(resolve, 50));
          return [before, tiles.words(), tiles.decodes(), ...places.map((place) => place.textContent)];
        }"""
    )
    assert found[0] == "Pictures are decoded in this page by ONNX Runtime."
    assert found[1] == "ONNX Runtime does not run here (out of memory): each step shows the nearest real item."
    assert found[2:] == [False, "item 7", "item 7"]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxscript") is None, reason="onnxscript is not installed")
def test_what_the_interpreter_refuses_is_decoded_as_pytorch_does(browser, tmp_path):
    try:
        onnx_runtime_files()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    made = space()
    z = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    with pytest.raises(UndecodableError, match="no step for"):
        decoder_program(made, z, (0.0, 1.0))
    contents = explorer_contents(made, decoded_codes(made, Codes(z)), "onnx", options=PageOptions((), "onnx", False))
    assert isinstance(contents.decoder, OnnxDecoder)
    assert any(said.startswith("ONNX Runtime decodes codes, as") for said in contents.warnings)
    with torch.no_grad():
        truth = made.decode(z[:6]).mean.flatten(1).numpy()
    assert truth.std() > 0.1
    with opened(browser, write_page(tmp_path / "page.html", contents)) as page:
        found = page.evaluate(
            "async (codes) => { const decode = await __lsgen.decoder(), made = [];"
            "for (const z of codes) made.push([...(await decode(z))]); return made; }",
            z[:6].tolist(),
        )
        np.testing.assert_allclose(found, truth, atol=1e-2)
        page.evaluate("__lsgen.store.set({pins: {A: 0, B: 1, C: -1}, tab: 'paths'})")
        routes = {route["kind"]: route for route in settled(page, "paths")}
        np.testing.assert_allclose(routes["linear"]["frames"][0], truth[0], atol=1e-2)
        assert "by ONNX Runtime" in page.inner_text(".panel-paths .said")
        page.click("#tab-dimensions")
        page.wait_for_selector(".panel-dimensions .tile.large canvas")
