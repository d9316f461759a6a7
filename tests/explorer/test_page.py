"""The file of a page, without a browser: its arrays, its text, what is refused."""

import json
import re
import zlib
from base64 import b64decode
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from io import BytesIO

import numpy as np
import pytest
from pages import HOSTILE, blobs
from PIL import Image
from scipy.spatial.distance import pdist

from lsgen.explorer import CodeMap, Contents, Thumbnails, encoding, write_page
from lsgen.explorer.page import SCRIPTS, render
from lsgen.latent.codes import Codes


class Parts(HTMLParser):
    """Collects tags, and the text of every script by its array or id."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._open = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        about = dict(attrs)
        self._open = (about.get("data-array") or about.get("id") or "code") if tag == "script" else None

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data

    @property
    def header(self):
        return json.loads(self.scripts["header"])

    def array(self, name):
        about, raw = self.header["arrays"][name], b64decode(self.scripts[name])
        if about["type"] == "webp":
            return np.asarray(Image.open(BytesIO(raw)))
        raw = zlib.decompress(raw)
        assert len(raw) == about["bytes"]
        return json.loads(raw) if about["type"] == "json" else np.frombuffer(raw, about["type"]).reshape(about["shape"])


def test_everything_is_found_again_in_the_page(tmp_path):
    contents = blobs()
    parts = Parts(write_page(tmp_path / "page.html", contents).read_text())
    header = parts.header
    assert header["count"] == 60
    assert parts.array(header["ids"]["array"]) == contents.codes.ids.tolist()
    np.testing.assert_array_equal(parts.array(header["codes"]["array"]), contents.codes.z)
    for about, place in zip(header["maps"], contents.maps, strict=True):
        got = parts.array(about["array"]) / 32767 * about["half"] + np.array(about["centre"])
        np.testing.assert_allclose(got, place.coordinates, atol=about["half"] / 65000)
    assert header["maps"][0]["trust"][0]["value"] == 0.91
    kinds = {}
    for about in header["columns"]:
        values, kinds[about["name"]] = parts.array(about["array"]), about["kind"]
        if "levels" in about:
            levels = parts.array(about["levels"])
            values = [None if i < 0 else levels[i] for i in values]
            wanted = contents.codes.columns[about["name"]].tolist()
            assert values == [str(v).lower() if isinstance(v, bool) else None if v is None else str(v) for v in wanted]
        else:
            np.testing.assert_allclose(values, contents.codes.columns[about["name"]], rtol=1e-6)
    assert list(kinds.values()) == ["category", "number", "category", "text", "category", "number", "date"]
    sheet = parts.array("pictures/0")
    for row in (0, 7, 59):
        at = header["pictures"]
        y, x = row // at["across"] * 6, row % at["across"] * 8
        assert np.all(sheet[y : y + 6, x : x + 8] == round(row / 59 * 255))


def test_the_same_contents_give_the_same_bytes_and_no_text_of_them_is_markup():
    page = render(blobs())
    assert page == render(blobs())
    tags = Parts(page).tags
    assert tags.count("script") == len(re.findall(r"<script", page)) == 3 + len(Parts(page).header["arrays"])
    assert HOSTILE not in page
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"(?s)<script>var lsgenVendor.*?</script>", "", page))


@pytest.mark.parametrize(
    ("shape", "kind", "error"),
    [((500, 8), "float32", 1e-7), ((8000, 64), "float16", 1e-3), ((9000, 64), "int8", 1e-2)],
)
def test_codes_are_rounded_by_their_number(shape, kind, error, monkeypatch):
    monkeypatch.setattr(encoding, "HALF", 8500 * 64)
    z = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    parts = Parts(render(Contents("many", Codes(z), [CodeMap("two", z[:, :2])])))
    about = parts.header["codes"]
    got = parts.array("codes").astype(float)
    assert parts.header["arrays"]["codes"]["type"] == kind
    if "step" in about:
        got = got * about["step"] + about["centre"]
    assert np.abs(got - z).max() < error
    assert ("rounded" in about["about"]) == (kind != "float32")


@pytest.mark.parametrize("shape", [(200, 40), (30, 60)])
def test_codes_of_too_many_dimensions_are_their_leading_components(shape, monkeypatch):
    monkeypatch.setattr(encoding, "BYTES", 1000)
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(shape[0], 3)) @ rng.normal(size=(3, shape[1]))).astype(np.float32)
    parts = Parts(render(Contents("wide", Codes(z), [CodeMap("two", z[:, :2])])))
    about = parts.header["codes"]
    assert (about["leading"], about["full"]) == (True, shape[1])
    assert about["dim"] == min(1000 // shape[0], shape[0])
    assert "100.0% of the variance" in about["about"]
    got = parts.array("codes") * about.get("step", 1.0) + about.get("centre", 0.0)
    np.testing.assert_allclose(pdist(got), pdist(z), rtol=1e-4, atol=1e-5)


def test_large_pictures_become_small_and_few_pictures_keep_their_rows():
    values = np.random.default_rng(0).random((3, 200, 100, 3))
    parts = Parts(render(blobs(pictures=Thumbnails(values, np.array([5, 2, 9])))))
    assert (parts.header["pictures"]["width"], parts.header["pictures"]["height"]) == (32, 64)
    assert parts.array("pictures/rows").tolist() == [5, 2, 9]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Contents("none", Codes(np.zeros((0, 2), np.float32))), "at least one code"),
        (lambda: Contents("line", Codes(np.zeros((3, 1), np.float32))), "at least two dimensions"),
        (lambda: CodeMap("m", np.zeros((3, 4))), r"\(N, 2\) or \(N, 3\)"),
        (lambda: CodeMap("m", np.array([[0, np.nan]])), "not in row 0"),
        (lambda: CodeMap("m", np.zeros((3, 3)), outline="disk"), "two dimensions inside a disk"),
        (lambda: CodeMap("m", np.zeros((3, 2)), per_point={"t": np.zeros(2)}), "3 values of t"),
        (lambda: blobs(maps=[CodeMap("m", np.zeros((3, 2)))]), "60 places on the map 'm', got 3"),
        (lambda: blobs(maps=[CodeMap("m", np.zeros((60, 2)))] * 2), "different names"),
        (lambda: blobs(pictures=Thumbnails(np.zeros((61, 2, 2)))), "rows below 60"),
        (lambda: Thumbnails(np.zeros((2, 2, 2, 4))), r"got \(2, 2, 2, 4\)"),
        (lambda: Thumbnails(np.full((2, 2, 2), np.nan)), "finite"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_no_two_scripts_of_the_page_declare_one_name():
    room = files("lsgen.explorer") / "page"
    assert sorted(SCRIPTS) == sorted(path.name for path in room.iterdir() if path.name.endswith(".js"))
    names = Counter(
        name
        for script in SCRIPTS
        for line in (room / script).read_text().splitlines()
        for name in re.findall(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", line)
    )
    assert [name for name, count in names.items() if count > 1] == []
    assert all((room / script).read_text().count("\n") <= 400 for script in SCRIPTS)
