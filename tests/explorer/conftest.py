"""What tests of pages share: a browser, the page of a module's contents, and the numerics of pages."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="module")
def browser(request):
    """A chromium with the `FLAGS` of a module, or one that draws with software."""
    from browser import SOFTWARE_GL, chromium

    with chromium(getattr(request.module, "FLAGS", SOFTWARE_GL)) as made:
        yield made


@pytest.fixture(scope="module")
def path(tmp_path_factory, contents):
    """The page of the `contents` of a module."""
    from lsgen.explorer import write_page

    return write_page(tmp_path_factory.mktemp("page") / "page.html", contents)


@pytest.fixture(scope="module")
def script(browser):
    """A function that runs a line of JavaScript on arguments that JSON holds, with the numerics of the page."""
    from numerics import runner

    return runner(browser.new_page())
