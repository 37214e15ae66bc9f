"""The page in a real browser: Chromium, driven over WebDriver, with nothing but this machine to reach.

Skipped where there is no chromium and chromedriver (on Debian: apt-get install chromium chromium-driver).
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from botticelli.kit.report.machine import write_files
from tests.reports import CLIENTS, matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium or chromedriver isn't installed, so the page can't be tried"
)

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
THREE = CLIENTS[2:5]
PHONE: dict[str, object] = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "matrix.html"
    write_files(matrix(THREE), {"html": path})
    return path.as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER or ""))
    yield browser
    browser.quit()


class Page:
    """The page as a user meets it."""

    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        self.address = address

    def command(self, name: str, **parameters: object) -> None:
        self.browser.execute_cdp_cmd(name, parameters)  # pyright: ignore[reportUnknownMemberType]

    def open(self, fragment: str = "") -> None:
        self.browser.get("about:blank")
        self.browser.get(self.address + fragment)

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)  # pyright: ignore[reportUnknownMemberType]

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def shown(self, selector: str) -> list[WebElement]:
        """Return the elements that are on the screen, in one go: asking each of them takes a while."""
        script = "return [...document.querySelectorAll(arguments[0])].filter((one) => one.offsetHeight)"
        return list(self.run(script, selector))

    def shown_rows(self) -> list[str]:
        script = (
            "return [...document.querySelectorAll('.matrix tr[data-l]')].filter(row => row.offsetHeight)"
            ".map(row => row.cells[0].querySelector('a').textContent)"
        )
        return list(self.run(script))

    def choose(self, name: str, word: str) -> None:
        Select(self.one(f"select[name={name}]")).select_by_visible_text(word)

    def press(self, key: str) -> None:
        self.browser.switch_to.active_element.send_keys(key)

    def _log(self, kind: str) -> list[Any]:
        return list(self.browser.get_log(kind))  # type: ignore[no-untyped-call]

    def faults(self) -> list[Any]:
        """Return what the console has complained about."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last time."""
        found: list[str] = []
        for entry in self._log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found


@pytest.fixture
def page(chromium: webdriver.Chrome, address: str) -> Iterator[Page]:
    one = Page(chromium, address)
    one.command("Emulation.setScriptExecutionDisabled", value=False)
    one.command(
        "Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False
    )
    one.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    one.faults()
    one.requests()
    one.open()
    yield one
    assert one.faults() == []
    outside = [url for url in one.requests() if not url.startswith(("file:", "about:", "data:", "chrome:"))]
    assert outside == []


def test_filters_show_what_fits_and_say_how_much_it_is(page: Page) -> None:
    every = page.shown_rows()
    assert page.one("output").text == f"{len(every)} of {len(every)} cases"
    page.choose("level", "must")
    musts = page.shown_rows()
    assert 0 < len(musts) < len(every)
    page.choose("profile", "hardening")
    page.choose("area", "sse")
    few = page.shown_rows()
    assert 0 < len(few) < len(musts)
    assert all(case.startswith("sse-") for case in few)
    assert page.one("output").text == f"{len(few)} of {len(every)} cases"
    assert len([one for one in page.all(".matrix tbody") if one.is_displayed()]) == 1, (
        "an area of which nothing is left has no heading either"
    )
    page.one("button[type=reset]").click()
    page.choose("gravity", "hang")
    hangs = page.shown_rows()
    assert len(hangs) == len(page.all(".matrix tr[data-l]:has(.f.h)")) > 0
    page.choose("gravity", "any fault")
    assert len(hangs) < len(page.shown_rows()) < len(every)


def test_the_search_finds_by_name_and_title(page: Page) -> None:
    field = page.one("input[type=search]")
    field.send_keys("BOM first")
    assert any("bom" in case for case in page.shown_rows())
    assert len(page.shown_rows()) < 10
    field.send_keys(" nothing-is-called-so")
    assert page.shown_rows() == []
    assert page.one(".nothing").is_displayed()
    page.one("button[type=reset]").click()
    assert len(page.shown_rows()) > 400


def test_a_cell_opens_its_exchange_by_keyboard_and_escape_closes_it(page: Page) -> None:
    cell = page.all(".matrix td.f a")[4]
    cell.send_keys(Keys.SHIFT)
    assert page.run("return getComputedStyle(arguments[0]).outlineStyle", cell) == "solid", "focus is seen"
    where = page.run("return scrollY")
    page.press(Keys.ENTER)
    shown = page.shown("article")
    assert len(shown) == 1
    assert len(page.shown("article .x")) == 1
    for words in ("expected", "On the wire", "POST /v1/chat", "Handed over", "Play it again", "rests on"):
        assert words in shown[0].text
    assert page.run("return document.activeElement.closest('article') !== null"), "the focus is inside"
    page.press(Keys.ESCAPE)
    assert not page.shown("article")
    assert page.browser.switch_to.active_element == cell, "the focus is back"
    assert page.run("return scrollY") == where
    page.press(Keys.ENTER)
    close = page.shown(".close")[0]
    close.send_keys(Keys.ENTER)
    assert page.browser.switch_to.active_element == cell


def test_everything_can_be_read_without_a_script(page: Page) -> None:
    page.command("Emulation.setScriptExecutionDisabled", value=True)
    page.open()
    assert not page.one(".filters").is_displayed(), "nothing is offered that does nothing"
    cell = page.all(".matrix td.f a")[0]
    cell.send_keys(Keys.ENTER)
    [shown] = page.shown("article")
    assert "On the wire" in shown.text
    page.shown(".close")[0].click()
    assert not page.shown("article")


def contrast(page: Page, selector: str) -> float:
    """Return the contrast of the first visible element's text with its background, by WCAG's formula."""
    script = """
      const element = [...document.querySelectorAll(arguments[0])].find((one) => one.offsetHeight);
      const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
      const bytes = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
      let behind = element;
      const clear = (one) => getComputedStyle(one).backgroundColor === "rgba(0, 0, 0, 0)";
      while (clear(behind)) behind = behind.parentElement;
      return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(bytes);
    """

    def luminance(colour: list[int]) -> float:
        parts = [value / 255 for value in colour]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted(luminance(colour) for colour in page.run(script, selector))
    return (lighter + 0.05) / (darker + 0.05)


TEXTS = (
    *("body", "h1", ".about", ".numbers td", ".numbers small", ".numbers td.all", ".key", ".filters label"),
    *(".matrix tbody th a", ".matrix tbody th span", ".matrix .area th", ".matrix td.p", ".legend dd"),
    "footer p",
)
LETTERS = tuple(f"[data-l={level}] .f.{letter} a" for level in ("must", "should") for letter in "shclri")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_in_light_and_dark(page: Page, scheme: str) -> None:
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open()
    background = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(23, 22, 20)") == (scheme == "dark")
    low = {selector: found for selector in TEXTS + LETTERS if (found := contrast(page, selector)) < 4.5}
    assert low == {}


def test_a_phone_scrolls_the_tables_and_not_the_page(page: Page) -> None:
    page.command("Emulation.setDeviceMetricsOverride", **PHONE)
    page.open()
    wide = "return [document.documentElement.scrollWidth, innerWidth]"
    assert page.run(wide) == [390, 390]
    grid = page.one(".grid")
    assert page.run("return arguments[0].scrollWidth - arguments[0].clientWidth", grid) > 0
    page.open(page.run("return document.querySelector('.matrix td.f a').getAttribute('href')"))
    assert page.run(wide) == [390, 390]
    article = page.shown("article")[0]
    assert page.run("return arguments[0].offsetWidth", article) == 390
    assert page.run("return arguments[0].scrollWidth", article) <= 390


@pytest.mark.parametrize("phone", [False, True])
def test_the_numbers_of_an_area_stand_below_the_names_of_the_implementations(
    page: Page, *, phone: bool
) -> None:
    if phone:
        page.command("Emulation.setDeviceMetricsOverride", **PHONE)
    page.open()
    script = """
      const left = (cell) => Math.round(cell.getBoundingClientRect().left);
      const lefts = (cells) => [...cells].slice(-3).map(left);
      const area = document.querySelector(".matrix tr.area");
      return [lefts(document.querySelectorAll(".matrix th.col")), lefts(area.cells)];
    """
    heads, numbers = page.run(script)
    assert numbers == heads


def test_the_head_and_the_names_of_the_cases_stay_in_sight(page: Page) -> None:
    page.command("Emulation.setDeviceMetricsOverride", **PHONE)
    page.open()
    script = """
      const grid = document.querySelector(".grid");
      grid.scrollTo(200, 3000);
      const box = grid.getBoundingClientRect();
      const head = grid.querySelector("thead th.col").getBoundingClientRect();
      const name = grid.querySelector("tr[data-l] th").getBoundingClientRect();
      return [head.top - box.top, name.left - box.left];
    """
    assert all(abs(distance) <= 2 for distance in page.run(script))
