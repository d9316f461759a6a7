import json
import re
import shutil
import subprocess
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from urllib.parse import unquote

import numpy as np
import pytest
import yaml
from PIL import Image

from lsgen import viz
from lsgen.callbacks.logging.sink import Sink
from lsgen.report import write_report, write_sweep_report
from lsgen.report.curves import charts, thinned
from lsgen.report.media import choose, sound_sources
from lsgen.report.parts import number
from lsgen.report.run_contents import Medium, collect
from lsgen.runs import RunDirectory, RunError, Sweep, index, provenance
from lsgen.runs.seed_statistics import SweepTable, aggregate

HOSTILE = "<script>alert('tag')</script>&\"$name"
KEYS = ("reconstruction/grid", "sample/grid", "traversal/axes", "traversal/plane", "interpolation/linear")


def _picture(step, seed=0):
    return np.random.default_rng(seed + step).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def _run(path, steps=(100, 200, 300)):
    """Write a run directory with every part that a finished run has."""
    config = {
        "run": {"name": f"name {HOSTILE}", "tags": [HOSTILE, "second"]},
        "seed": 3,
        "model": {"_target_": "lsgen.models.VAE", "note": HOSTILE},
        "data": {"_target_": "lsgen.data.Digits"},
    }
    run = RunDirectory.create(path, config, provenance("abcd1234", 3, ["lsgen", HOSTILE], {"model": "vae"}, []))
    run.set_status("finished", generator_steps=300, metrics={"test/elbo": -23.5, "val/elbo": -24.25})
    lines = ["step,train/elbo,val/elbo,geometry/eigenvalue/00,geometry/eigenvalue/01,odd/" + "key"]
    lines += [f"{i},{-50 + i / 20},,,," for i in range(1, 1001)]
    lines += [f"{1000 + step},,-24.25,2.5,1.25,nan" for step in steps]
    run.metrics_file.write_text("\n".join(lines) + "\n")
    for key in (*KEYS, "geometry/plane", "own/figure"):
        for step in steps:
            file = run.figures / key / f"{step:08d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(viz.png(_picture(step)))
    animation = run.figures / "traversal" / "animation" / f"{steps[-1]:08d}.gif"
    animation.parent.mkdir(parents=True)
    animation.write_bytes(viz.gif(np.stack([_picture(i) for i in range(3)])))
    (run.path / "evaluation").mkdir()
    best = {"checkpoint": "checkpoints/best.ckpt", "step": 250, "metrics": {"val/kl": 2.5, "test/kl": 2.625}}
    (run.path / "evaluation" / "best.json").write_text(json.dumps(best))
    return run


class Page(HTMLParser):
    """Collects elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._stack = [], [], []
        self.scripts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._stack.append(tag)

    def handle_endtag(self, tag):
        if self._stack and self._stack[-1] == tag:
            self._stack.pop()

    def handle_data(self, data):
        if self._stack:
            if self._stack[-1] == "script":
                self.scripts.append(data)
        else:
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture
def page(tmp_path):
    path = write_report(_run(tmp_path / "run").path)
    assert path == tmp_path / "run" / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_text_of_a_config_stays_text(page):
    assert len(page.all("script")) == 1
    assert "alert('tag')" not in page.scripts[0]
    text = "".join(page.text)
    assert text.count(HOSTILE) >= 3, "name, tag and config are shown as they are"


def test_nothing_is_asked_from_the_network_or_from_other_files(page):
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            if name in attrs:
                assert (attrs[name] or "").startswith("data:image/"), (tag, name)
        assert tag not in ("link", "iframe", "object", "embed", "base")
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    styles = [attrs.get("style") or "" for _, attrs in page.elements]
    assert not any("url(" in style for style in styles)


def test_every_picture_is_there_pixel_for_pixel_with_its_history(page, tmp_path):
    shown = [image for image in page.all("img") if "src" in image]
    for key in KEYS:
        steps = [int(image["data-step"]) for image in shown if image["src"].startswith("data:image/png")]
        assert steps.count(300) == len(KEYS) + 2, key
    contents = [b64decode(image["src"].partition("base64,")[2]) for image in shown]
    for path in (tmp_path / "run" / "figures").rglob("*.*"):
        assert path.read_bytes() in contents
    visible = [image for image in shown if "hidden" not in image]
    assert {int(image["data-step"]) for image in visible} == {300}
    assert len(visible) == len(KEYS) + 3
    assert "own/figure" in "".join(page.text), "figures that the page does not know are shown too"


def test_the_latest_sounds_are_in_the_page_and_large_ones_beside_it(tmp_path):
    run = _run(tmp_path / "run")
    for key, samples in (("traversal/sound/z3", 400), ("sample/sound", 900)):
        for step in (100, 200):
            Sink(run.path, step).sound(key, np.full((2, samples), step / 1000), 8000)
    page = Page(write_report(run.path).read_text(encoding="utf-8"))
    sources = [one["src"] for one in page.all("audio")]
    latest = [run.figures / key / "00000200.wav" for key in ("sample/sound", "traversal/sound/z3")]
    prefix = "data:audio/wav;base64,"
    assert [b64decode(source.removeprefix(prefix)) for source in sources] == [file.read_bytes() for file in latest]
    assert {"Axis z3, heard", "Samples, heard"} <= set(page.text)
    beside = sound_sources(collect(run.path).sounds, budget=9000)
    assert beside["traversal/sound/z3"].startswith(prefix)
    assert (run.path / unquote(beside["sample/sound"])).read_bytes() == latest[0].read_bytes()


def test_numbers_of_the_run_are_on_the_page(page):
    text = " ".join("".join(page.text).split())
    for expected in ("−24.25", "finished", "seed", "abcd1234", "step 250", "2.625", "-23.5", "second", "nan"):
        assert expected in text
    data = json.loads(re.search(r"const CHARTS = (.*);\n", page.scripts[0]).group(1))
    elbo = next(chart for chart in data if chart["title"] == "ELBO")
    assert [series["key"] for series in elbo["series"]] == ["train/elbo", "val/elbo"]
    assert elbo["series"][1]["points"] == [[1100, -24.25], [1200, -24.25], [1300, -24.25]]
    assert elbo["series"][0]["points"][0] == [1, -49.95]
    (eigenvalues,) = [chart for chart in data if chart["title"] == "geometry/eigenvalue"]
    assert [series["name"] for series in eigenvalues["series"]] == ["00", "01"]
    assert not [chart for chart in data if "odd/key" in json.dumps(chart)], "what is never finite has no curve"


def test_an_evaluation_names_quantities_and_units_beside_their_keys(tmp_path):
    run = _run(tmp_path / "run")
    config = run.config() | {"trainer": {"limit_val_batches": 16}}
    run.config_file.write_text(yaml.safe_dump(config))
    run.set_status("finished", generator_steps=300, metrics={"test/elbo": -23.5, "train/elbo_epoch": -21.5})
    metrics = {"val/own_score": 0.5, "val/kl_dimension/03": 0.125, "val/elbo": -7.5, "test/elbo": -8.5}
    (run.path / "evaluation" / "best.json").write_text(json.dumps({"step": 250, "metrics": metrics}))
    words = " ".join(" ".join(Page(write_report(run.path).read_text(encoding="utf-8")).text).split())
    assert (
        "at the end of training, step 300, val over 16 batches metric train test ELBO, nats elbo -21.5 -23.5" in words
    )
    table = words[words.index("checkpoint best, step 250") :]
    for row in ("ELBO, nats elbo -7.5 -8.5", "KL of z3, nats kl_dimension/03 0.125", "own_score 0.5"):
        assert row in table
    assert table.index("ELBO, nats") < table.index("KL of z3") < table.index("own_score"), "main values come first"


@pytest.mark.parametrize(
    ("logged", "value", "unit"),
    [
        ({"geometry/active_axes": 3, "curvature/active/q50": 0.25}, "0.25", "scalar, active axes, median"),
        ({"geometry/active_axes": 0}, "—", "needs two active axes, got 0"),
        ({"geometry/active_axes": 1}, "—", "needs two active axes, got 1"),
        ({"geometry/active_axes": 3, "curvature/active/not_finite": 16}, "—", "the metric is singular"),
        ({"geometry/active_axes": 60}, "—", "not computed for 60 active axes"),
        (
            {"geometry/active_axes": 2, "curvature/active/q50": 0.0, "curvature/piecewise_linear": 1},
            "0",
            "the decoder is piecewise linear",
        ),
    ],
)
def test_curvature_is_that_of_the_last_turn_or_the_reason_why_there_is_none(tmp_path, logged, value, unit):
    run = _run(tmp_path / "run")
    first = {"geometry/active_axes": 2, "curvature/active/q50": 8.125}
    keys = sorted({**first, **logged})
    rows = [
        ["step", *keys],
        *([step, *(now.get(key, "") for key in keys)] for step, now in ((100, first), (200, logged))),
    ]
    run.metrics_file.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    words = " ".join(" ".join(Page(write_report(run.path).read_text(encoding="utf-8")).text).split())
    card = re.search(r"Curvature (\S+) (.*?) Curves", words).groups()
    assert card[0] == value
    assert unit in card[1]
    assert "8.125" not in card[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-205.2449, "−205.2"),
        (8.76123e-05, "8.76e−05"),
        (-8.761e-05, "−8.8e−05"),
        (0.00012345, "0.000123"),
        (-0.00012345, "−0.00012"),
        (1234567.8, "1,234,568"),
        (123456789.0, "1.23e+08"),
        (0.0, "0"),
    ],
)
def test_a_number_has_room_on_its_card(value, text):
    assert number(value) == text


def test_geometry_of_a_checkpoint_is_a_table_of_quantiles_and_values(tmp_path):
    run = _run(tmp_path / "run")
    metrics = {f"geodesic/length/q{q:02d}": q / 8 for q in (5, 25, 50, 75, 95)}
    metrics |= {"geodesic/length/not_finite": 3.0, "geodesic/pairs": 17.0}
    (run.path / "geometry").mkdir()
    record = {"step": 250, "settings": {"kind": "fisher"}, "metrics": metrics}
    (run.path / "geometry" / "best.json").write_text(json.dumps(record))
    text = " ".join(" ".join(Page(write_report(run.path).read_text(encoding="utf-8")).text).split())
    assert "checkpoint best, step 250, kind = fisher" in text
    assert "length of geodesics geodesic/length 0.625 3.125 6.25 9.375 11.875 3" in text
    assert "geodesics looked for geodesic/pairs 17" in text
    (run.path / "geometry" / "best.json").write_text("[")
    assert "best.json could not be read" in write_report(run.path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "missing", ["config.yaml", "provenance.json", "status.json", "metrics.csv", "figures", "evaluation"]
)
def test_a_run_that_lacks_a_part_has_a_page_all_the_same(tmp_path, missing):
    run = _run(tmp_path / "run")
    part = run.path / missing
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    text = write_report(run.path).read_text(encoding="utf-8")
    assert ('"geometry/eigenvalue"' in text) == (missing != "metrics.csv")
    assert ('src="data:image/png' in text) == (missing != "figures")


def test_a_run_that_ended_before_its_first_step_has_a_page(tmp_path):
    run = RunDirectory.create(tmp_path / "run", {"seed": 0}, {"id": "x"})
    run.set_status("failed", error=f"it broke: {HOSTILE}")
    page = Page(write_report(run.path).read_text(encoding="utf-8"))
    assert f"it broke: {HOSTILE}" in page.text
    assert len(page.all("script")) == 1


def test_damaged_parts_are_named_and_the_others_shown(tmp_path):
    run = _run(tmp_path / "run")
    run.status_file.write_text("{")
    run.provenance_file.write_text("[1]")
    run.config_file.write_text("a: [1")
    with run.metrics_file.open("a") as file:
        file.write("1400,1,2,3")
    found = collect(run.path)
    assert [problem.split(" could not be read: ")[0] for problem in found.problems] == [
        "config.yaml",
        "provenance.json",
        "status.json",
    ]
    assert found.latest["val/elbo"] == (1300, -24.25), "a line cut short does not count"
    text = write_report(run.path).read_text(encoding="utf-8")
    assert "provenance.json could not be read" in text
    assert "a: [1" in text


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"expected a run directory at .*, got nothing"):
        write_report(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="got a file"):
        write_report(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"expected a run at .* \(config.yaml, metrics.csv or figures/\), found none"):
        write_report(tmp_path / "empty")


def test_thinned_curves_keep_ends_peaks_and_order():
    points = [(float(i), float(np.sin(i / 50))) for i in range(5000)]
    points[1234] = (1234.0, 99.0)
    points[777] = (777.0, -99.0)
    thin = thinned(points, 200)
    assert len(thin) <= 202
    assert [list(points[0]), list(points[-1])] == [thin[0], thin[-1]]
    assert [1234.0, 99.0] in thin
    assert [777.0, -99.0] in thin
    assert thin == sorted(thin)
    assert thinned(points[:10], 200) == [list(point) for point in points[:10]]


def test_quantiles_share_a_chart_and_featured_keys_come_once():
    curves = {key: [(1.0, 2.0)] for key in ("train/kl", "val/kl", "a/b/q05", "a/b/q50", "a/b/other", "c")}
    featured, others = charts(curves)
    assert [chart["title"] for chart in featured] == ["KL"]
    assert {chart["title"]: [s["name"] for s in chart["series"]] for chart in others} == {
        "a/b": ["q05", "q50"],
        "a/b/other": ["a/b/other"],
        "c": ["c"],
    }


def test_the_latest_pictures_always_fit_and_history_is_even_and_within_the_budget(tmp_path):
    def medium(key, step, size, suffix="png"):
        file = tmp_path / f"{key}{step}.{suffix}"
        file.write_bytes(bytes(size))
        return Medium(step, file)

    many = [medium("a", step, 100) for step in range(0, 2100, 100)]
    few = [medium("b", step, 100) for step in (1, 2)]
    moving = [medium("c", step, 100, "gif") for step in (1, 2)]
    chosen = choose({"a": many, "b": few, "c": moving}, budget=10_000)
    assert [picture.step for picture in chosen["b"]] == [1, 2]
    assert [picture.step for picture in chosen["c"]] == [2]
    steps = [picture.step for picture in chosen["a"]]
    assert len(steps) == 10
    assert (steps[0], steps[-1]) == (0, 2000)
    assert max(np.diff(steps)) <= 400
    tight = choose({"a": many, "b": few, "c": moving}, budget=500)
    assert [picture.step for picture in tight["a"]] == [0, 2000]
    assert [picture.step for picture in choose({"a": many}, budget=10)["a"]] == [2000]


def _open(path, tmp_path):
    """Return the page as a browser left it, what its console said, and how many requests the page itself made."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on the PATH")
    log = tmp_path / f"{path.stem}.net.json"
    quiet = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    watched = [f"--user-data-dir={tmp_path / path.stem}", f"--log-net-log={log}", "--enable-logging=stderr"]
    command = [chromium, *quiet, *watched, "--virtual-time-budget=5000", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    initiators = re.findall(r'"initiator":"([^"]*)"', log.read_text(errors="replace"))
    return Page(done.stdout), console, [one for one in initiators if one != "not an origin"]


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_opens_it_without_a_request_or_an_error(tmp_path):
    page, console, requests = _open(write_report(_run(tmp_path / "run").path), tmp_path)
    assert console == []
    assert requests == []
    assert dict(page.elements)["html"].get("data-ready") == "true", "the script ran to its end"
    assert len(page.all("svg")) >= 1
    assert len([image for image in page.all("img") if "src" in image]) >= len(KEYS)


@pytest.mark.browser
@pytest.mark.slow
def test_requests_and_errors_of_a_page_would_be_noticed(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://example.invalid/a.png"><script>throw Error("oh")</script>')
    _, console, requests = _open(bad, tmp_path)
    assert any("oh" in line for line in console)
    assert requests


def _sweep(path):
    """Write a sweep of three runs that finished, the last of them without a page of its own, and one that failed."""
    sweep = Sweep.create(path)
    for beta, seed in ((1, 0), (1, 1), (4, 0), (4, 1)):
        job = sweep.add([f"model.beta={beta}", f"seed={seed}", "data=digits"], run=f"{beta} {seed}", code="x")
        config = {"seed": seed, "model": {"beta": beta}}
        run = RunDirectory.create(sweep.path / job.run, config, {"id": job.run})
        if (beta, seed) == (4, 1):
            run.set_status("failed", error=f"it broke: {HOSTILE}")
            continue
        run.set_status("finished", generator_steps=200)
        rows = [f"{step},{-beta - seed - 100 / step},{step}" for step in (100, 200)]
        run.metrics_file.write_text("\n".join(["step,val/elbo,train/loss", *rows]) + "\n")
        for key in ("traversal/axes", "sample/grid", "geometry/plane"):
            for step in (100, 200):
                file = run.figures / key / f"{step:08d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(viz.png(np.full((300, 600, 3), step, dtype=np.uint8)))
        if beta == 1:
            write_report(run.path)
    sweep.save()
    return sweep


def _sweep_page(sweep, notes=()):
    groups = aggregate(index([sweep.run(job) for job in sweep.jobs]), ["model.beta"], ["val/elbo"])
    settings = SweepTable(("model.beta",), ("val/elbo",), tuple(groups), frozenset({0}), "val/elbo", "seed")
    plots = {"val/elbo against model.beta": viz.png(_picture(0))}
    return write_sweep_report(sweep, settings, sweep.states(), plots, notes)


def _words(page):
    return " ".join(" ".join(page.text).split())


def test_a_sweep_is_compared_on_one_page(tmp_path):
    path = _sweep_page(_sweep(tmp_path / "s"), [f"note {HOSTILE}"])
    assert path == tmp_path / "s" / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    text = _words(page)
    assert "model.beta 1, 4 seed 0, 1" in text, "what was swept; not what all runs have in common"
    assert "3 done 1 failed" in text
    assert "1 2 0 −2 0.70711 −8.3531 to 4.3531" in text, "12.7062 standard errors of two seeds to either side"
    assert "4 1 1 −4.5" in text, "a single run has a mean and nothing else"
    bold = re.findall(r'<tr class="best">(.*?)</tr>', path.read_text(encoding="utf-8"))
    assert [row.startswith("<td>1</td><td>2</td>") for row in bold] == [True]
    assert f"it broke: {HOSTILE}" in page.text
    assert f"note {HOSTILE}" in page.text
    assert len(page.all("script")) == 1


def test_validation_curves_of_all_runs_share_a_chart_and_settings_share_a_colour(tmp_path):
    page = Page(_sweep_page(_sweep(tmp_path / "s")).read_text(encoding="utf-8"))
    (chart,) = json.loads(re.search(r"const CHARTS = (.*);\n", page.scripts[0]).group(1))
    assert chart["title"] == "ELBO"
    assert {series["name"]: series["points"] for series in chart["series"]} == {
        f"beta={beta} seed={seed}": [[100, -beta - seed - 1], [200, -beta - seed - 0.5]]
        for beta, seed in ((1, 0), (1, 1), (4, 0))
    }
    assert [(series["colour"], series["group"]) for series in chart["series"]] == [
        (0, "beta=1"),
        (0, "beta=1"),
        (1, "beta=4"),
    ]


def test_last_pictures_of_runs_are_small_and_lead_to_the_pages_that_exist(tmp_path):
    path = _sweep_page(_sweep(tmp_path / "s"))
    page = Page(path.read_text(encoding="utf-8"))
    shown = [image for image in page.all("img") if image.get("src", "").startswith("data:image/jpeg")]
    assert sorted(image["alt"] for image in shown) == [
        f"beta={beta} seed={seed}, {key}, step 200"
        for beta, seed in ((1, 0), (1, 1), (4, 0))
        for key in ("sample/grid", "traversal/axes")
    ]
    for image in shown:
        with Image.open(BytesIO(b64decode(image["src"].partition("base64,")[2]))) as still:
            assert still.size == (260, 130)
            assert abs(still.getpixel((5, 5))[0] - 200) < 4, "the picture of the last step"
    links = {link["href"] for link in page.all("a")}
    assert links == {"1%200/report.html", "1%201/report.html"}
    assert all((path.parent / unquote(link)).is_file() for link in links)
    assert not any((attrs.get("src") or "data:").partition(":")[0] != "data" for _, attrs in page.elements)


def test_what_cannot_be_read_of_a_sweep_is_named_and_the_rest_shown(tmp_path):
    sweep = _sweep(tmp_path / "s")
    first, second, third, _ = (sweep.run(job) for job in sweep.jobs)
    shutil.rmtree(first.path)
    second.provenance_file.write_text("{")
    (third.figures / "sample" / "grid" / "00000200.png").write_bytes(b"no picture")
    text = _words(Page(_sweep_page(sweep).read_text(encoding="utf-8")))
    assert "beta=1 seed=0: expected a run directory at" in text
    assert "beta=1 seed=1: provenance.json could not be read" in text
    assert "beta=4 seed=0: sample/grid could not be read" in text
    with pytest.raises(RunError, match=r"expected a sweep with jobs at .*, got one without any"):
        _sweep_page(Sweep.create(tmp_path / "empty"))


def test_pictures_of_a_large_sweep_stay_within_the_budget_and_what_lacks_is_said(tmp_path, monkeypatch):
    sweep = _sweep(tmp_path / "s")
    whole = _sweep_page(sweep).read_text(encoding="utf-8")
    (one,) = {len(b64decode(found)) for found in re.findall(r"data:image/jpeg;base64,([^\"]*)", whole)}
    monkeypatch.setattr("lsgen.report.sweep.BUDGET", 5 * one)
    text = _sweep_page(sweep).read_text(encoding="utf-8")
    assert text.count("data:image/jpeg") == 4
    assert "The pictures of 1 runs are left out" in text


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_opens_the_page_of_a_sweep_without_a_request_or_an_error(tmp_path):
    page, console, requests = _open(_sweep_page(_sweep(tmp_path / "s")), tmp_path)
    assert console == []
    assert requests == []
    assert dict(page.elements)["html"].get("data-ready") == "true"
    assert len(page.all("svg")) == 1
    assert "beta=1 beta=4" in _words(page), "the legend has a line for each setting"


def test_the_latest_table_of_a_key_is_shown(tmp_path):
    run = _run(tmp_path / "run")
    folder = run.figures / "topics" / "words"
    folder.mkdir(parents=True)
    (folder / "00000010.csv").write_text("topic,top words\n0,old\n")
    (folder / "00000020.csv").write_text('topic,top words\n0,"<b>cat, dog"\n' + "1,owl\n" * 250)
    page = write_report(run.path).read_text()
    assert "<td>&lt;b&gt;cat, dog</td>" in page
    assert "251 rows, 200 shown" in page
    assert page.count("<td>owl</td>") == 199
    assert "<td>old</td>" not in page


def test_cells_of_tables_hold_breaks_of_lines_of_any_kind(tmp_path):
    run = _run(tmp_path / "run")
    words = ["next\x85line", "para\u2029graph", "two\nlines"]
    Sink(run.path, 10).rows("words/unknown", ["test", "words", "times"], [["a", word, 1] for word in words])
    assert [row[1] for row in collect(run.path).tables["words/unknown"][1:]] == words
