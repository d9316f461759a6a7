"""Pages in chromium by file://: no request leaves, no error on the console, what is clicked does what it says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from browser import opened, settled
from pages import HOSTILE, blobs

from lsgen.analysis.projections import measure_faithfulness
from lsgen.explorer import read_selection, write_page
from lsgen.explorer.decoder import decoder_program
from lsgen.latent import LatentSpace, StandardNormal
from lsgen.likelihoods import Poisson
from lsgen.nn import MLPDecoder

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SETTLE = "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 40))"

VALUES = "() => { const m = __lsgen.view.current; return [...m.places].map((v, i) => v * m.half + m.centre[i % 2]); }"
INK = """(c) => { __lsgen.view.surface.now?.();
  const copy = document.createElement('canvas'); copy.width = c.width; copy.height = c.height;
  const context = copy.getContext('2d'); context.drawImage(c, 0, 0);
  const p = context.getImageData(0, 0, copy.width, copy.height).data;
  let n = 0;
  for (let i = 0; i < p.length; i += 4) if (p[i + 3] > 0 && Math.min(p[i], p[i + 1], p[i + 2]) < 200) n++;
  return n; }"""


@pytest.fixture(scope="module")
def contents():
    return blobs()


@pytest.fixture(scope="module")
def shared(browser, path):
    with opened(browser, path) as page:
        yield page


@pytest.fixture
def page(shared):
    """The page, as it was when it was opened."""
    shared.evaluate(
        """() => __lsgen.store.set({map: 'PCA', axes: null, colour: 'column:label', selection: [], focus: -1,
        filters: {},
        pins: {A: -1, B: -1, C: -1}, groups: [], search: '', tab: 'inspect', tool: 'pan', worst: [], notes: ''})"""
    )
    shared.evaluate("() => __lsgen.view.surface.fit()")
    shared.evaluate(SETTLE)
    return shared


def state(page, key):
    return page.evaluate(
        f"() => {{ const value = __lsgen.store.get('{key}'); return ArrayBuffer.isView(value) ? [...value] : value; }}"
    )


def place(page, row):
    """Return where an item is on the screen."""
    x, y = page.evaluate(f"() => __lsgen.view.surface.project({row})")
    box = page.locator(".surface").bounding_box()
    return box["x"] + x, box["y"] + y


@pytest.mark.shows("file")
def test_hostile_text_is_shown_as_text(page):
    assert page.text_content("h1").strip() == HOSTILE
    page.mouse.click(*place(page, 1))
    page.wait_for_selector(".panel-inspect h2")
    assert page.text_content(".panel-inspect h2").strip() == f"{HOSTILE} 1"
    assert page.evaluate("() => document.querySelectorAll('main script, header script').length") == 0
    assert page.text_content(".known >> nth=0").endswith("a standard deviation of 0.25, on average over dimensions")
    assert page.text_content(".known >> nth=1").count("bbbb") > 10
    longest = page.evaluate(
        "() => Math.max(...[...document.querySelectorAll('.text')].map((one) => one.textContent.length))"
    )
    assert longest <= 300


def test_points_are_where_the_map_says_and_colours_follow_classes(page, contents):
    at = np.array(page.evaluate("() => Array.from(__lsgen.view.surface.all())")).reshape(-1, 2)
    wanted = contents.maps[0].coordinates
    for axis, sign in ((0, 1), (1, -1)):
        fit = np.polyfit(wanted[:, axis], at[:, axis], 1)
        assert fit[0] * sign > 0
        np.testing.assert_allclose(np.polyval(fit, wanted[:, axis]), at[:, axis], atol=0.02)
    shown = page.evaluate(
        """([x, y]) => { const c = __lsgen.view.surface.canvas, s = c.width / c.clientWidth;
        const copy = document.createElement('canvas'); copy.width = c.width; copy.height = c.height;
        const context = copy.getContext('2d'); context.drawImage(c, 0, 0);
        return [...context.getImageData(Math.round(x * s), Math.round(y * s), 1, 1).data]; }""",
        at[np.argmax(at[:, 0])].tolist(),
    )
    label = int(contents.codes.columns["label"][np.argmax(at[:, 0])])
    okabe = [(0, 114, 178), (230, 159, 0), (0, 158, 115)][label]
    assert np.abs(np.array(shown[:3]) - okabe).max() < 4


@pytest.mark.parametrize("name", ["space", "disk", "ternary", "axes"])
@pytest.mark.shows("maps", "three_dimensions")
def test_every_map_is_drawn(page, name):
    page.select_option("select[aria-label=map]", name)
    page.evaluate(SETTLE)
    assert page.evaluate("() => __lsgen.view.current.name") == name
    kind = page.evaluate("() => __lsgen.view.surface.constructor.name")
    assert kind == ("WebglSurface" if name == "space" else "ReglSurface")
    drawn = "() => (" + INK + ")(__lsgen.view.%s)"
    assert page.evaluate(drawn % "surface.canvas") > 200
    if name in ("disk", "ternary", "axes"):
        assert page.evaluate(drawn % "over") > 100


@pytest.mark.shows("live_axes")
def test_axes_are_dimensions_directions_of_pins_or_of_groups(page, contents):
    z = contents.codes.z
    page.evaluate(
        "() => __lsgen.store.set({map: 'axes', axes: {x: 'dimension:3', y: 'pins:A:B'}, pins: {A: 0, B: 4, C: -1}})"
    )
    page.evaluate(SETTLE)
    got = np.array(page.evaluate(VALUES))
    direction = (z[4] - z[0]) / np.linalg.norm(z[4] - z[0])
    np.testing.assert_allclose(got.reshape(-1, 2), np.stack([z[:, 3], z @ direction], 1), atol=1e-5)
    assert page.text_content("select[aria-label='axis x'] option:checked") == "dimension 3"  # as in its panel
    page.evaluate(
        """() => __lsgen.store.set({groups: [{name: 'a', rows: [0, 3, 6]}, {name: 'b', rows: [1, 4]}],
        axes: {x: 'groups:0:1', y: 'dimension:0'}})"""
    )
    page.evaluate(SETTLE)
    got = np.array(page.evaluate(VALUES))
    direction = z[[1, 4]].mean(0) - z[[0, 3, 6]].mean(0)
    np.testing.assert_allclose(got.reshape(-1, 2)[:, 0], z @ direction / np.linalg.norm(direction), atol=1e-5)
    assert "from a to b" in page.text_content("select[aria-label='axis x']")


@pytest.mark.shows("contours")
def test_contours_are_those_of_a_density_and_go_into_figures(page, contents, tmp_path):
    page.click("text=density contours")
    page.wait_for_function("() => __lsgen.view.contours?.made")
    at, bandwidth, half, lines = page.evaluate(
        "() => { const { found, lines } = __lsgen.view.contours.made, { half } = __lsgen.view.current;"
        "return [[...found.at], found.bandwidth, half, lines]; }"
    )
    places = contents.maps[0].coordinates.astype(float) / half
    widths = places.std(0, ddof=1) * 60 ** (-1 / 6)

    def density(x):
        apart = (x[:, None] - places) / widths
        return np.exp(-0.5 * (apart**2).sum(-1)).mean(1) / (2 * np.pi * widths.prod())

    np.testing.assert_allclose(bandwidth, widths, rtol=1e-4)
    np.testing.assert_allclose(at, density(places), rtol=0.01)
    assert [line["share"] for line in lines] == [0.25, 0.5, 0.75, 0.95]
    ends = np.array(lines[1]["pieces"]).reshape(-1, 2) + (places.max(0) + places.min(0)) / 2
    np.testing.assert_allclose(density(ends), np.sort(density(places))[::-1][29], rtol=0.02)  # it encloses 30 of 60
    assert "25, 50, 75 and 95% of the 60 items shown" in page.text_content(".under")
    before = page.evaluate("() => (" + INK + ")(__lsgen.view.over)")
    page.evaluate("() => __lsgen.store.set({tab: 'save'})")
    with page.expect_download() as download:
        page.click(".panel-save button:text-is('SVG')")
    download.value.save_as(tmp_path / "map.svg")
    assert (tmp_path / "map.svg").read_text().count("<path") == 4
    page.click("text=density contours")
    page.evaluate(SETTLE)
    assert page.evaluate("() => (" + INK + ")(__lsgen.view.over)") < before - 200


@pytest.mark.shows("live_faithfulness")
def test_live_axes_are_as_faithful_as_python_says(page, contents):
    page.evaluate(
        "() => { __lsgen.data.engine.shown.faithfulness = null;"
        " __lsgen.store.set({map: 'axes', axes: {x: 'dimension:0', y: 'dimension:3'}}); }"
    )
    found = settled(page, "faithfulness")
    exact = measure_faithfulness(contents.codes, contents.codes.z[:, [0, 3]], 5)
    for name in ("trustworthiness", "continuity", "overlap"):
        np.testing.assert_allclose(found["values"][name], getattr(exact, f"{name}_at"), atol=1e-9)
        assert found["chance"][name] == pytest.approx(getattr(exact, name).baseline)
    page.wait_for_function("() => document.querySelector('.trust summary').textContent.includes('neighbours kept')")
    assert f"neighbours kept {exact.overlap.value * 5:.2g} of 5" in page.text_content(".trust summary")
    assert "Measured here at all 60 items" in page.text_content(".trust")


@pytest.mark.shows("keyboard")
def test_dragging_moves_the_wheel_zooms_and_keys_do_both(page):
    x, y = place(page, 0)
    page.mouse.move(x + 60, y + 60)
    page.mouse.down()
    page.mouse.move(x + 100, y + 90, steps=3)
    page.mouse.up()
    assert np.allclose(place(page, 0), (x + 40, y + 30), atol=12)
    page.mouse.wheel(0, -500)
    page.evaluate(SETTLE)
    assert page.evaluate("() => __lsgen.view.surface.view.scale") > 1.5
    page.focus(".surface")
    page.keyboard.press("0")
    assert page.evaluate("() => __lsgen.view.surface.view") == {"x": 0, "y": 0, "scale": 1, "turn": 0, "tilt": 0}
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("() => __lsgen.view.surface.view.x") == 40
    for key in ("n", "n", "a"):
        page.keyboard.press(key)
    assert (state(page, "focus"), state(page, "pins")["A"]) == (1, 1)
    page.evaluate("() => __lsgen.store.set({map: 'space'})")
    page.evaluate(SETTLE)
    page.keyboard.press("ArrowUp")
    assert page.evaluate("() => __lsgen.view.surface.view.tilt") != pytest.approx(0.35)


@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_a_box_and_a_loop_select_what_lies_in_them(page, tool):
    page.click(f"button[data-tool={tool}]")
    at = np.array([place(page, row) for row in range(60)])
    (x0, y0), (x1, y1) = np.quantile(at, 0.2, axis=0), np.quantile(at, 0.8, axis=0)
    page.mouse.move(x0, y0)
    page.mouse.down()
    for corner in ((x1, y1),) if tool == "box" else ((x1, y0), (x1, y1), (x0, y1)):
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.evaluate(SETTLE)
    within = ((at > (x0, y0)) & (at < (x1, y1))).all(1).nonzero()[0]
    assert state(page, "selection") == within.tolist()
    page.click("text=Make a group")
    assert page.evaluate("() => __lsgen.store.get('groups')[0].rows.length") == len(within)


@pytest.mark.shows("filter")
def test_filters_search_and_legend_agree_with_the_table(page, contents):
    label, amount = contents.codes.columns["label"], contents.codes.columns["amount"]
    page.click("#tab-table")
    page.evaluate("() => __lsgen.store.set({filters: {amount: {range: [-0.5, 0.5]}}})")
    page.click(".key .entry:has(.text:text-is('2'))")
    page.evaluate(SETTLE)
    wanted = ((np.abs(amount) <= 0.5) & (label == 2)).nonzero()[0].tolist()
    assert (
        page.evaluate("() => [...__lsgen.store.get('visible').keys()].filter((i) => __lsgen.store.get('visible')[i])")
        == wanted
    )
    assert page.locator(".items tbody tr").count() == len(wanted)
    page.click(".panel-table >> text=Select what is shown")
    assert state(page, "selection") == wanted
    page.click("text=Clear filters")
    page.fill("input[type=search]", "/ (3|59)$/")
    page.wait_for_function("() => __lsgen.store.get('visible')")
    assert page.evaluate("() => __lsgen.store.get('visible').reduce((a, b) => a + b)") == 2
    page.fill("input[type=search]", "/(/")
    page.wait_for_selector(".hits.wrong")
    assert "no regular expression" in page.text_content(".hits")


@pytest.mark.shows("filter")
def test_a_histogram_filters_by_dragging(page, contents):
    page.click("#tab-table")
    steps = page.locator(".filter:has(.text:text-is('step')) svg rect")
    assert [
        steps.count(),
        *steps.evaluate_all("(all) => [...new Set(all.map((one) => one.getAttribute('height')))]"),
    ] == [
        40,
        "44",
    ]
    box = page.locator(".filters svg.pick").first.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20, steps=3)
    page.mouse.up()
    low, high = page.evaluate("() => __lsgen.store.get('filters').amount.range")
    assert low == pytest.approx(-1, abs=0.05)
    assert high == pytest.approx(0, abs=0.05)


@pytest.mark.shows("faithfulness")
def test_trust_is_said_in_words_and_its_worst_regions_are_marked(page):
    assert "neighbours kept 2 of 5" in page.text_content(".trust summary")
    page.click(".trust summary")
    assert "of the 5 nearest items on the map, 2 are truly among" in page.text_content(".trust")
    page.click("text=Select the worst tenth")
    assert state(page, "selection") == [54, 55, 56, 57, 58, 59]
    page.click("text=Mark the worst regions")
    assert 1 <= page.evaluate("() => __lsgen.store.get('worst').length") <= 3
    page.click(".meter >> text=Colour by it")
    page.evaluate(SETTLE)
    assert state(page, "colour") == "trust:trustworthiness"
    page.click(".trust summary")


@pytest.mark.shows("state", "figures")
def test_a_state_goes_to_python_and_back_by_file_and_address(page, browser, path, contents, tmp_path):
    page.evaluate(
        """() => __lsgen.store.set({selection: [2, 5, 7], pins: {A: 3, B: -1, C: -1},
        groups: [{name: 'odd ones', rows: [1, 9]}],
        filters: {label: {levels: ['2']}}, notes: 'seen', map: 'disk', focus: 7})"""
    )
    page.click("#tab-save")
    with page.expect_download() as download:
        page.click("text=Save the state")
    file = tmp_path / "state.json"
    download.value.save_as(file)
    assert contents.codes.select(ids=read_selection(file)).ids.tolist() == contents.codes.ids[[2, 5, 7]].tolist()
    assert read_selection(file, "odd ones") == contents.codes.ids[[1, 9]].tolist()
    assert read_selection(file, "A") == [contents.codes.ids[3]]
    with pytest.raises(ValueError, match="which has odd ones, got 'even'"):
        read_selection(file, "even")
    page.wait_for_function("() => location.hash.includes('odd')")
    address = page.evaluate("() => location.hash")
    with opened(browser, path, address=address) as again:
        for key in ("selection", "pins", "map", "notes", "focus"):
            assert state(again, key) == state(page, key)
        assert again.evaluate("() => __lsgen.store.get('groups')") == [{"name": "odd ones", "rows": [1, 9]}]
    changed = json.loads(file.read_text()) | {"selection": [contents.codes.ids[4], "gone"], "notes": "read"}
    file.write_text(json.dumps(changed))
    page.set_input_files(".panel-save input[type=file]", file)
    page.wait_for_function("() => __lsgen.store.get('notes') === 'read'")
    assert state(page, "selection") == [4]
    assert "1 items of this state are not on this page" in page.text_content(".panel-save")
    for kind, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with page.expect_download() as download:
            page.click(f".panel-save button:text-is('{kind}')")
        download.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).read_bytes().startswith(start)
    assert (tmp_path / "SVG").read_text().count("<circle") >= 20


def test_hovering_shows_the_item_and_lines_to_its_true_neighbours(page):
    asked = page.evaluate(
        """() => { window.asked = []; __lsgen.data.neighbours = (row, k) => { window.asked.push([row, k]);
        return {index: [5, 6], distance: [1, 2], name: 'distance'}; }; }"""
    )
    assert asked is None
    page.mouse.move(*place(page, 8))
    page.wait_for_selector(".tip:visible")
    assert page.text_content(".tip b").strip() == f"{HOSTILE} 8"
    page.evaluate(SETTLE)
    assert page.evaluate("() => window.asked.at(-1)") == [8, 10]
    page.mouse.click(*place(page, 8))
    page.wait_for_selector(".film .frame")
    assert page.locator(".film .frame").count() == 2


def test_without_pictures_names_stand_beside_points_and_words_for_decoded_rates(browser, tmp_path):
    torch.manual_seed(0)
    space = LatentSpace(MLPDecoder(4, (5,), (6,)), Poisson((5,)), StandardNormal(4)).eval()
    weights = {"the": 0.0, "cat": 1.0, "sat": 2.0, "mat": 1.5, "rat": 1.2}
    plain = blobs(pictures=None)
    program = decoder_program(space, plain.codes.tensor(), (0.0, 1.0))
    contents = replace(plain, decoder=program, vocabulary=weights)
    with opened(browser, write_page(tmp_path / "page.html", contents), address="?webgl=off") as page:
        before = page.evaluate("() => (" + INK + ")(__lsgen.view.over)")
        page.click("button[aria-label='zoom in']", click_count=2)
        page.evaluate(SETTLE)
        assert page.evaluate("() => (" + INK + ")(__lsgen.view.over)") > before + 500
        page.evaluate("() => __lsgen.store.set({pins: {A: 7, B: 8, C: -1}, tab: 'paths'})")
        settled(page, "paths")
        with torch.no_grad():
            rates = space.decode(plain.codes.tensor()[7:8]).mean[0].numpy() * np.array(list(weights.values()))
        expected = [list(weights)[i] for i in np.argsort(-rates)[:3]]
        assert page.inner_text(".route[data-kind=linear] .wordtile >> nth=0").split() == expected


@pytest.mark.shows("keyboard")
def test_narrow_and_dark_and_without_webgl(browser, path):
    with opened(browser, path, 390, 844, dark=True, address="?webgl=off", has_touch=True) as page:
        for tab in ("inspect", "table", "save"):
            page.evaluate(f"() => __lsgen.store.set({{tab: '{tab}', focus: 0}})")
            page.evaluate(SETTLE)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
        assert page.evaluate("() => __lsgen.view.surface.constructor.name") == "CanvasSurface"
        assert "no WebGL" in page.text_content(".mapnote")
        page.select_option("select[aria-label=map]", "space")
        page.evaluate(SETTLE)
        page.evaluate("() => __lsgen.store.set({focus: -1})")
        page.touchscreen.tap(*place(page, 3))
        page.wait_for_function("() => __lsgen.store.get('focus') >= 0")
        found, wanted = (np.array(place(page, row)) for row in (state(page, "focus"), 3))
        assert np.abs(found - wanted).max() <= 24


def test_inside_another_page_it_says_that_it_has_no_address(browser, path):
    context = browser.new_context(viewport={"width": 1000, "height": 600})
    try:
        page = context.new_page()
        page.evaluate(
            """(html) => { const frame = document.createElement('iframe'); frame.sandbox = 'allow-scripts';
            frame.srcdoc = html; document.body.append(frame); }""",
            path.read_text(),
        )
        frame = page.frames[1]
        frame.wait_for_function("window.__lsgen && window.__lsgen.ready")
        frame.evaluate("() => __lsgen.store.set({tab: 'save', selection: [1, 2]})")
        frame.wait_for_function("__lsgen.data.homeless")
        frame.evaluate("() => __lsgen.store.set({selection: [1]})")
        frame.wait_for_selector("text=It holds 1 selected item and")
        assert "no address of its own: the file holds the state" in frame.text_content(".panel-save")
    finally:
        context.close()
