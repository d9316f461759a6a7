"""A chromium that opens pages by file:// and holds what went wrong: requests that leave, errors on the console."""

import shutil
from contextlib import contextmanager

import pytest

SOFTWARE_GL = [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-gpu-compositing",
]
WITHOUT_GL = ["--disable-gpu", "--disable-3d-apis"]  # maps on a canvas
SHOWN = "__lsgen.data.engine.shown"  # what panels have computed last


@contextmanager
def chromium(flags=SOFTWARE_GL):
    """Yield a browser; the test is skipped where playwright or chromium is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on the PATH")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, path, width=1000, height=600, dark=False, address="", **options):
    """Yield a page once it is ready; on leaving, fail for requests beyond the file and for errors it has met."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **options
    )
    page = context.new_page()
    faults = []
    page.on("console", lambda message: message.type == "error" and faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda r: r.url.startswith((path.as_uri(), "data:", "blob:")) or faults.append(f"request {r.url}")
    )
    page.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
    try:
        page.goto(path.as_uri() + address)
        page.wait_for_function("window.__lsgen && (window.__lsgen.ready || window.__lsgen.error)", timeout=30000)
        assert page.evaluate("window.__lsgen.error") is None, page.evaluate("window.__lsgen.error")
        yield page
    finally:
        context.close()
    assert not faults, faults


def settled(page, key):
    """Return what a panel has computed, once it has."""
    page.wait_for_function(f"{SHOWN}.{key}", timeout=20000)
    text = f"JSON.stringify({SHOWN}.{key}, (name, v) => ArrayBuffer.isView(v) ? Array.from(v) : v)"
    return page.evaluate(f"JSON.parse({text})")
