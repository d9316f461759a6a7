"""Pages in chromium by file://: no request leaves, no error on the console, what is clicked does what it says."""

import pytest
from browser import chromium, opened
from pages import HOSTILE, blobs

from lsgen.explorer import write_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "page.html", blobs())


def test_it_opens_and_shows_hostile_text_as_text(browser, path):
    with opened(browser, path) as page:
        assert page.text_content("h1").strip() == HOSTILE
        page.evaluate("__lsgen.store.set({focus: 1})")
        page.wait_for_selector(".panel-inspect h2")
        assert page.text_content(".panel-inspect h2").strip() == f"{HOSTILE} 1"
