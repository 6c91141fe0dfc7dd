"""Headless Chromium, to look at pages as people do; tests are skipped where there is none."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not on this machine (apt-get install chromium)"
)

POINT = """([chart, n]) => {
  const hovers = (root) => root.toolbar.tools.some((tool) => tool.name === chart)
  const plot = Bokeh.documents[0].roots().find(hovers)
  const view = Bokeh.index.find_one(plot)
  view.el.scrollIntoView({ block: "center" })
  const data = plot.renderers[n].data_source.data
  const glyph = plot.renderers[n].glyph
  const at = (field) => Array.from(data[field.field])[0]
  const box = view.canvas_view.el.getBoundingClientRect()
  return [box.x + view.frame.x_scale.compute(at(glyph.x)),
          box.y + view.frame.y_scale.compute(at(glyph.y))]
}"""
"""The place on the screen of the first point of a renderer of the chart with this hover tool."""

TOOLTIPS = """() => {
  const found = []
  const walk = (node) => {
    if (node.matches?.(".bk-Tooltip")) found.push(
      (node.shadowRoot ?? node).innerHTML.replace(/<style>.*?<\\/style>/gs, ""))
    if (node.shadowRoot) walk(node.shadowRoot)
    for (const child of node.children ?? []) walk(child)
  }
  walk(document.body)
  return found.join("")
}"""


@contextmanager
def opened(path, width=1200):
    """A page of a file, its console messages of level error, and every address that it asks for."""
    from playwright.sync_api import sync_playwright

    errors, requests = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(path.resolve().as_uri())
            page.wait_for_function("Bokeh.documents.length && Bokeh.documents[0].is_idle")
            yield page, errors, [url for url in requests if not url.startswith(("data:", "blob:"))]
        finally:
            browser.close()


def hover(page, chart, renderer=0):
    """Put the mouse on the first point of a chart; the tooltips that appear, as HTML."""
    page.mouse.move(*page.evaluate(POINT, [chart, renderer]))
    page.wait_for_function(f"({TOOLTIPS})() !== ''", timeout=5000)
    return page.evaluate(TOOLTIPS)
