"""The panels that compute, in chromium by file://: every one is used, and its numbers are those of Python."""

import csv
import io

import numpy as np
import pytest
import torch
from browser import SHOWN, WITHOUT_GL, opened, settled
from pages import HOSTILE, blobs
from scipy.sparse.csgraph import dijkstra

from lsgen.analysis import Statistic
from lsgen.explorer import CodeMap, Contents, FurtherSpace, ScoreTable, Strip, Thumbnails
from lsgen.latent import paths
from lsgen.latent.codes import Codes
from lsgen.latent.distances import distance_on
from lsgen.latent.manifolds import Sphere
from lsgen.latent.neighbours import nearest_neighbours, neighbour_graph

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FLAGS = WITHOUT_GL  # a panel beside the map is looked at
TABS = ("paths", "attributes", "dimensions", "scores", "compare")
COUNT = 180


def figure(value, chance=0.1):
    return Statistic(value, 50, (value - 0.05, value + 0.05), chance, 0)


@pytest.fixture(scope="module")
def contents():
    """Contents of three groups with two further spaces, scores, posterior widths and a traversal."""
    base = blobs(COUNT, 5)
    z = base.codes.z
    codes = Codes(z, base.codes.ids, columns=dict(base.codes.columns), scale=np.full_like(z, 0.5))
    rng = np.random.default_rng(1)
    turned = (z[:, :3] @ rng.normal(size=(3, 3))).astype(np.float32)
    sphere = rng.normal(size=(COUNT, 4))
    sphere = (sphere / np.linalg.norm(sphere, axis=1, keepdims=True)).astype(np.float32)
    spaces = [
        FurtherSpace("turned", Codes(turned, codes.ids), [CodeMap("first", turned[:, :2])], {"CKA": figure(0.8)}),
        FurtherSpace(HOSTILE, Codes(sphere, codes.ids, manifold=Sphere()), per_point={"moved": np.ones(COUNT)}),
    ]
    tables = [
        ScoreTable(
            "Probing",
            ("method", "labels", "accuracy"),
            [[m, b, figure(a + b / 1000)] for m, a in (("probe", 0.6), (HOSTILE, 0.5)) for b in (10.0, 30.0, 100.0)],
            HOSTILE,
        ),
        ScoreTable("Others", ("score", "value"), [["=1+1", 2.5], ['a_b & "50 %"', None]]),
    ]
    strip = Strip(1, np.zeros((4, 5)), Thumbnails(np.zeros((4, 6, 8))))
    parts = {"maps": base.maps, "pictures": base.pictures, "spaces": spaces, "tables": tables, "strips": [strip]}
    return Contents("groups", codes, **parts)


def refuse_markup(page):
    assert page.evaluate("document.querySelectorAll('#panels script, #panels b[onclick]').length") == 0


@pytest.mark.shows("paths", "off_manifold", "attributes", "uncertainty", "analogies", "traversal", "compare")
def test_every_panel_computes_what_python_does(browser, path, contents):
    z = contents.codes.z.astype(np.float64)
    with opened(browser, path) as page:
        see_paths(page, z)
        see_attributes(page, z)
        see_analogies(page, z)
        see_dimensions(page, contents.codes)
        see_scores(page, contents)
        see_comparison(page, contents)
        refuse_markup(page)


def see_paths(page, z):
    page.click("#tab-paths")
    settled(page, "paths")
    label, pins = np.arange(COUNT) % 3, page.evaluate("__lsgen.store.get('pins')")
    centres = [z[label == one].mean(0) for one in (0, 1)]  # of the two largest classes, here the first of three
    near = [np.where(label == one, ((z - centres[one]) ** 2).sum(1), np.inf).argmin() for one in (0, 1)]
    assert [pins["A"], pins["B"]] == near
    assert "nearest to the centres of label = 0 and label = 1" in page.inner_text(".panel-paths .said")
    page.evaluate("__lsgen.store.set({pins: {A: -1, B: -1, C: -1}})")
    page.wait_for_selector("text=Pin A and B to see the routes")
    for row, pin in ((3, "A"), (4, "B")):
        page.evaluate(f"__lsgen.store.set({{focus: {row}}})")
        page.click(f".panel-paths .pin-{pin}")
    routes = {route["kind"]: route for route in settled(page, "paths")}
    assert set(routes) == {"linear", "slerp", "density"}
    codes = torch.from_numpy(z.astype(np.float32))
    known = nearest_neighbours(codes, None, 10).distances[:, -1].numpy()
    for kind in ("linear", "slerp"):
        points = getattr(paths, kind)(torch.from_numpy(z[3]), torch.from_numpy(z[4]), 9)
        np.testing.assert_allclose(routes[kind]["points"], points, atol=1e-12)
        points[0], points[-1] = torch.from_numpy(z[[3, 4]])
        near = nearest_neighbours(points, codes.double(), 11).distances.numpy()
        far = np.where(near[:, 0] == 0, near[:, 10], near[:, 9])  # an end is not its own neighbour
        expected = [100 * (known < value).mean() for value in far]
        np.testing.assert_allclose(routes[kind]["far"], expected)
        density = torch.distributions.Normal(0.0, 1.0).log_prob(points).sum(-1)
        mean, sd = -5 / 2 * (1 + np.log(2 * np.pi)), (5 / 2) ** 0.5
        np.testing.assert_allclose(routes[kind]["prior"], (density - mean) / sd, rtol=1e-6)
    graph = neighbour_graph(codes, 10).matrix()
    graph.data = graph.data**2
    cost = dijkstra(graph, directed=False, indices=3)[4]
    chain = routes["density"]["chain"]
    assert (chain["nodes"][0], chain["nodes"][-1]) == (3, 4)
    assert chain["cost"] == pytest.approx(cost, rel=1e-9)
    assert page.locator(".panel-paths .route[data-kind=linear] .tile").count() == 9
    off = page.locator(".panel-paths .route[data-kind=linear] .tile.off").count()
    assert off == sum(value > 99 for value in routes["linear"]["far"])
    assert page.locator(".panel-paths .charts svg").count() == 3
    page.click(".panel-paths .route[data-kind=linear] .tile >> nth=8")
    assert page.evaluate("__lsgen.store.get('focus')") == 4


def see_attributes(page, z):
    page.click("#tab-attributes")
    found = settled(page, "direction")
    label = np.arange(COUNT) % 3
    a, b = z[label == 0], z[label != 0]
    difference = a.mean(0) - b.mean(0)
    noise = a.var(0, ddof=1).sum() / len(a) + b.var(0, ddof=1).sum() / len(b)
    np.testing.assert_allclose(found["vector"], difference, rtol=1e-6)
    assert found["rho"] == pytest.approx(1 - noise / (difference @ difference), abs=1e-6)
    assert found["p"] == 0.001
    assert found["auc"] > 0.9
    assert "real and well determined" in page.inner_text(".panel-attributes .verdict")
    save_two_directions(page, z)
    page.select_option(".group-A select >> nth=0", "search")
    page.fill(".group-A input", "17")
    page.wait_for_function(
        "document.querySelector('.group-A .count').textContent === '12 items'"
    )  # 17, 117, 170 to 179
    page.evaluate("__lsgen.store.set({selection: [1, 2, 5]})")
    page.select_option(".group-A select >> nth=0", "selection")
    assert page.inner_text(".group-A .count") == "3 items"
    page.wait_for_function("document.querySelector('.panel-attributes .verdict').innerText.includes('fewer than 5')")
    slider = page.locator(".panel-attributes input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("__lsgen.store.get('alpha')") == pytest.approx(0.1)


def save_two_directions(page, z):
    """Groups by a search and by amounts; the cosine of their directions is corrected for noise."""
    page.fill(".panel-attributes input[type=text]", "first")
    page.click("text=save this direction")
    page.evaluate(f"{SHOWN}.direction = null")
    page.select_option(".group-A select >> nth=0", "range")
    page.wait_for_function(f"{SHOWN}.direction", timeout=20000)
    found = settled(page, "direction")
    amount = np.where(np.arange(COUNT) % 3 == 1, np.nan, np.linspace(-1, 1, COUNT)).astype(np.float32)
    finite = np.sort(amount[np.isfinite(amount)])
    high = amount > finite[int(0.75 * (len(finite) - 1))]
    np.testing.assert_allclose(found["vector"], z[high].mean(0) - z[~high].mean(0), atol=1e-6)
    page.fill(".panel-attributes input[type=text]", "second")
    page.click("text=save this direction")
    page.wait_for_function(f"{SHOWN}.cosines", timeout=20000)
    pair = page.evaluate(f"{SHOWN}.cosines[1][0]")
    (u, rho, g), (v, other_rho, other_g) = (contributions(z, mask) for mask in (np.arange(COUNT) % 3 == 0, high))
    lengths = np.linalg.norm(u) * np.linalg.norm(v)
    assert pair["plain"] == pytest.approx(u @ v / lengths, abs=1e-6)
    assert pair["corrected"] == pytest.approx(
        (u @ v - (g * other_g).sum()) / lengths / (rho * other_rho) ** 0.5, abs=1e-5
    )
    assert pair["low"] < pair["corrected"] < pair["high"]
    assert pair["shared"] == COUNT
    assert len(page.evaluate("__lsgen.store.get('groups')")) == 4


def contributions(z, mask):
    """Return the direction of a group and the others, its reliability and what every code adds to its noise."""
    g, means = np.zeros_like(z), []
    for sign, group in ((1, mask), (-1, ~mask)):
        n, means = group.sum(), [*means, z[group].mean(0)]
        g[group] = sign * (z[group] - means[-1]) / (n * (n - 1)) ** 0.5
    d = means[0] - means[1]
    return d, 1 - (g**2).sum() / (d @ d), g


def see_analogies(page, z):
    page.evaluate("__lsgen.store.set({pins: {A: 3, B: 4, C: 7}})")
    page.wait_for_function(f"{SHOWN}.analogy", timeout=20000)
    found = settled(page, "analogy")
    order = np.argsort(np.linalg.norm(z - (z[3] - z[4] + z[7]), axis=1), kind="stable")
    assert found["honest"] == order[:5].tolist()
    assert found["standard"] == [row for row in order if row not in (3, 4, 7)][:5]
    assert found["ranks"] == [order.tolist().index(row) + 1 for row in (3, 4, 7)]


def see_dimensions(page, codes):
    z = codes.z.astype(np.float64)
    page.click("#tab-dimensions")
    page.wait_for_selector(".panel-dimensions .axisrow")
    assert page.locator(".panel-dimensions .axisrow input").count() == 5
    kl = ((z**2 + 0.25 - 1) / 2 - np.log(0.5)).mean(0)
    assert f"sum to {kl.sum():.3g} nats" in page.inner_text(".panel-dimensions")
    page.click(".axisrow[data-axis='2'] button")
    page.wait_for_function("document.querySelector('.panel-dimensions .detail h4').textContent === 'Dimension 2'")
    between = np.array([z[np.arange(COUNT) % 3 == k, 2].mean() for k in range(3)])
    eta = (between.var() / z[:, 2].var()) ** 0.5
    assert f"η = {eta:.2g}" in page.inner_text(".panel-dimensions .bars")
    before = page.evaluate(f"Array.from({SHOWN}.code)")
    page.focus(".axisrow[data-axis='2'] input")
    page.keyboard.press("End")
    page.wait_for_function(f"{SHOWN}.code[2] !== {before[2]!r}")
    after = page.evaluate(f"Array.from({SHOWN}.code)")
    reach = max(z[:, 2].max(), z[:, 2].mean() + 3 * z[:, 2].std(ddof=1))
    assert after[2] == pytest.approx(reach, rel=1e-4)
    assert [after[j] for j in (0, 1, 3, 4)] == [before[j] for j in (0, 1, 3, 4)]
    page.click("text=reset the sliders")
    assert page.evaluate(f"Array.from({SHOWN}.code)") == before
    page.click(".axisrow[data-axis='1'] button")
    page.wait_for_selector("text=Decoded when this page was made.")


def see_scores(page, given):
    page.click("#tab-scores")
    page.wait_for_selector(".panel-scores svg.chart")
    assert page.locator(".panel-scores svg.chart polyline").count() == 2
    page.click("text=copy as CSV >> nth=0")
    page.wait_for_function(f"{SHOWN}.copied")
    rows = list(csv.reader(io.StringIO(page.evaluate(f"{SHOWN}.copied"), newline="")))
    assert rows[0] == ["method", "labels", *(f"accuracy{end}" for end in ("", " low", " high", " chance", " n"))]
    for row, (method, budget, score) in zip(rows[1:], given.tables[0].rows, strict=True):
        assert row[0] == method
        numbers = [budget, score.value, *score.interval, score.baseline, score.n]
        assert [float(value) for value in row[1:]] == pytest.approx(numbers)
    page.click("text=copy as CSV >> nth=1")
    assert list(csv.reader(io.StringIO(page.evaluate(f"{SHOWN}.copied"))))[1] == ["'=1+1", "2.5"]
    page.click("text=copy as LaTeX >> nth=1")
    latex = page.evaluate(f"{SHOWN}.copied")
    assert 'a\\_b \\& "50 \\%" & -- \\\\' in latex
    assert latex.startswith("\\begin{tabular}{lr}")


def see_comparison(page, given):
    page.evaluate("__lsgen.store.set({k: 6})")
    page.click("#tab-compare")
    for choice, space in enumerate(given.spaces):
        if choice:
            settled(page, "comparison")
            page.evaluate(f"{SHOWN}.comparison = null")
            page.select_option(".panel-compare select >> nth=0", str(choice))
        found = settled(page, "comparison")
        near = [
            nearest_neighbours(c.tensor(), None, 6, distance_on(c.manifold)).indices.tolist()
            for c in (given.codes, space.codes)
        ]
        expected = np.array([len({*a} & {*b}) / len({*a} | {*b}) for a, b in zip(*near, strict=True)])
        np.testing.assert_allclose(found["values"], expected)
        assert found["moved"] == np.argsort(expected, kind="stable")[:24].tolist()
    assert "0.8 [0.75, 0.85]" in page.inner_text(".panel-compare")
    page.click("text=select these items")
    assert page.evaluate("Array.from(__lsgen.store.get('selection'))") == sorted(found["moved"])
    canvas = page.locator(".panel-compare .small canvas >> nth=1")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2, steps=3)
    page.mouse.up()
    first = given.spaces[0].codes.z[:, 0].astype(np.float64)
    spread = np.ptp(given.spaces[0].codes.z[:, :2], axis=0).max() / 2
    left = np.flatnonzero((first - (first.max() + first.min()) / 2) / spread * 168 < 0)
    selected = page.evaluate("Array.from(__lsgen.store.get('selection'))")
    assert len(set(selected) ^ set(left.tolist())) <= 4  # pixels


def test_every_panel_fits_a_narrow_dark_window(browser, path):
    with opened(browser, path, width=390, dark=True) as page:
        page.evaluate("__lsgen.store.set({focus: 5, pins: {A: 0, B: 1, C: 2}})")
        for tab in TABS:
            page.evaluate(f"__lsgen.store.set({{tab: '{tab}'}})")
            page.wait_for_selector(f"#panel-{tab} .content *")
            page.wait_for_function(
                "[...document.querySelectorAll('.said')].every((e) => !e.textContent.endsWith(' …'))"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
