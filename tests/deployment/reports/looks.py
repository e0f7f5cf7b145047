"""What every page of lipnet must look like in a browser, whatever its width and colour scheme."""

from pathlib import Path
from typing import Any

# Elements that reach beyond the window, except inside a region that scrolls.
BEYOND = """
[...document.body.querySelectorAll("*")].filter((one) => {
  const box = one.getBoundingClientRect();
  const hidden = box.width === 0 || one.closest(".skip") || one.closest("thead");
  const scrolls = one.parentElement.closest(".scroll");
  return !hidden && !scrolls && (box.right > document.documentElement.clientWidth + 0.5 || box.left < -0.5);
}).map((one) => one.outerHTML.slice(0, 120))
"""
# Texts whose contrast with their background is below 4.5, the level AA of WCAG 2 for text of normal size.
FAINT = """
(() => {
  const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const ground = (one) => {
    const chain = [];
    for (let at = one; at; at = at.parentElement) chain.unshift(rgba(getComputedStyle(at).backgroundColor));
    return chain.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || one.closest("script, svg, .skip") || !one.checkVisibility()) continue;
    const below = ground(one), above = over(rgba(getComputedStyle(one).color), below);
    const [low, high] = [light(above), light(below)].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(`${text}: ${above} on ${below}`);
  }
  return faint;
})()
"""


def check(browser: Any, page: Path, width: int, scheme: str) -> Any:
    """Open a page, assert what must hold for every page, and return the tab."""
    tab, messages, requests = browser.new_page(), [], []
    tab.emulate_media(color_scheme=scheme)
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(page.as_uri())
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.evaluate(BEYOND) == []
    assert tab.evaluate(FAINT) == []
    assert "`" not in tab.evaluate("document.body.innerText")
    assert tab.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0 && one.alt)")
    assert tab.evaluate("[...document.querySelectorAll('svg[role=img]')].every((one) => one.ariaLabel)")
    assert tab.evaluate("[...document.querySelectorAll('table')].every((one) => one.tHead && one.ariaLabel)")
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light")
    return tab
