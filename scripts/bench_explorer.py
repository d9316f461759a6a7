"""Pages of codes against their budgets: size, time until they are ready, pictures a second, neighbours, decoding.

A page of 20,000 codes of 64 dimensions with pictures and a decoder of a million weights, one of 100,000 codes, and one
of a million points, in a chromium that draws with software. A ratio is what was measured over the budget; the first
page is opened three times, and the median counts.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Browser, sync_playwright
from sklearn.datasets import load_digits
from torch import nn

from lsgen.explorer import CodeMap, Contents, Thumbnails, write_page
from lsgen.explorer.decoder import decoder_program
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.latent.codes import Codes
from lsgen.likelihoods import Bernoulli

# A page is put together in software, as chromium does by itself where there is no graphics card.
DRAWING = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]
PAN = """async () => { const { view } = __lsgen, spans = []; let last = performance.now();
  for (let i = 0; i < 60; i++) {
    view.surface.pan(i % 2 ? 6 : -5, i % 3 ? 4 : -3);
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now(); spans.push(now - last); last = now; }
  return spans.sort((a, b) => a - b)[30]; }"""
SEARCH = """() => { const spans = [];
  for (let i = 0; i < 21; i++) {
    const start = performance.now();
    __lsgen.data.neighbours(97 * i, 10); spans.push(performance.now() - start); }
  return spans.sort((a, b) => a - b)[10]; }"""

DECODE = """async () => { const decode = await __lsgen.decoder(), spans = [];
  for (let i = 0; i < 21; i++) {
    const start = performance.now();
    decode(__lsgen.data.codes.row(i)); spans.push(performance.now() - start); }
  return spans.sort((a, b) => a - b)[10]; }"""


def contents(count: int, dim: int, pictures: bool) -> Contents:
    """Return ten groups of codes, with digits of 28 x 28 pixels and a decoder where asked for."""
    rng = np.random.default_rng(0)
    centres, label = rng.normal(size=(10, dim)) * 2, rng.integers(0, 10, count)
    z = (centres[label] + rng.normal(size=(count, dim))).astype(np.float32)
    axes = np.linalg.svd(centres, full_matrices=False)[2][:2].T if dim > 2 else np.eye(2)
    codes = Codes(z, columns={"label": label, "amount": rng.normal(size=count)})
    maps = [CodeMap("PCA", z @ axes)]
    if not pictures:
        return Contents(f"{count:,} codes", codes, maps)
    digits = np.repeat(np.repeat(load_digits().images / 16, 3, 1), 3, 2)
    shown = np.pad(digits, ((0, 0), (2, 2), (2, 2)))[rng.integers(0, len(digits), count)]
    moves = rng.integers(-2, 3, (count, 2))
    shown = np.stack([np.roll(image, move, (0, 1)) for image, move in zip(shown, moves, strict=True)])
    network = nn.Sequential(nn.Linear(dim, 512), nn.ReLU(), nn.Linear(512, 768), nn.ReLU(), nn.Linear(768, 784))
    decoder = nn.Sequential(network, nn.Unflatten(1, (1, 28, 28)))
    space = LatentSpace(decoder, Bernoulli((1, 28, 28)), StandardNormal(dim)).eval()
    program = decoder_program(space, torch.from_numpy(z[:100]), (0.0, 1.0))
    return Contents(f"{count:,} codes", codes, maps, Thumbnails(shown), decoder=program)


def rows() -> list[Mapping[str, Any]]:
    """Return one row for each budget."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as room, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", *DRAWING])
        made = []
        for count, dim, pictures, size in ((20_000, 64, True, 25), (100_000, 64, False, 30), (1_000_000, 2, False, 25)):
            page = write_page(Path(room) / f"{count}.html", contents(count, dim, pictures))
            made += list(_measured(browser, page, f"{count:,} x {dim}", size, count))
        browser.close()
    return made


def _measured(browser: Browser, path: Path, name: str, size: float, count: int) -> Iterator[Mapping[str, Any]]:
    yield _row(f"{name}: page", path.stat().st_size / 1e6, size, "MB")
    context, times = browser.new_context(viewport={"width": 1400, "height": 900}), []
    for _ in range(3 if count <= 20_000 else 1):
        for earlier in context.pages:
            earlier.close()
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_function("() => __lsgen.ready", timeout=120_000)
        times.append(page.evaluate("() => performance.getEntriesByName('ready')[0].startTime") / 1000)
    if count <= 20_000:
        yield _row(f"{name}: ready", sorted(times)[1], 2, "s")
    yield _row(f"{name}: between pictures while panning", page.evaluate(PAN), 1000 / 30, "ms")
    if count <= 100_000:
        yield _row(f"{name}: 10 exact neighbours", page.evaluate(SEARCH), 30, "ms")
    if page.evaluate("() => Boolean(__lsgen.data.decoder)"):
        yield _row(f"{name}: decoding a code", page.evaluate(DECODE), 20, "ms")
    context.close()


def _row(work: str, value: float, budget: float, unit: str) -> Mapping[str, Any]:
    note = f"{value:.3g} {unit}"
    return {
        "work": work,
        "bound_or_peer": f"{budget:.3g} {unit}",
        "ratio": value / budget,
        "target": "<= 1",
        "met": value <= budget,
        "note": note,
    }
