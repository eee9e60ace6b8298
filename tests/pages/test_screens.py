"""The page in Chromium, offline: keys and fingers, screens, colours, files, hostile names."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from looking import Open, embedded, positions, scrub, told

pytestmark = pytest.mark.browser

SHIFTS = """() => {
  window.shifts = 0;
  const add = (list) => list.getEntries().forEach((one) => (window.shifts += one.value));
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
}"""
TEXTS = ["ink", "muted", "keras", "hand", "good", "bad", "warn"]
LINES = ["line", "plus", "minus"]
FILLS = ["plus-fill", "minus-fill", "warn-fill", "good-fill", "bad-fill"]


# ---------------------------------------------------------------------- keys, fingers, screens


def test_with_the_keyboard_alone(visit: Open) -> None:
    page = visit("mazur").page
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.item')"):
            break
    focused = "document.activeElement.dataset.key"
    page.keyboard.press("Enter")
    assert page.locator(".item.chosen").get_attribute("data-key") == page.evaluate(focused)
    walked = set()
    for key in ("ArrowLeft", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
        walked.add(page.evaluate(focused))
    assert len(walked) >= 4
    assert page.locator(".details h4 code").text_content() in page.evaluate(focused)
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="Pause").is_visible()
    page.keyboard.press("Space")
    page.locator("input[type=range]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert told(page) == "step 1 of 3 · forward through hidden"


def test_a_matrix_is_walked_with_arrow_keys(visit: Open) -> None:
    page = visit("bug").page
    page.locator('td[data-step="1"][data-block="output"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    focused = "[document.activeElement.dataset.step, document.activeElement.dataset.block]"
    assert page.evaluate(focused) == ["2", "hidden"]
    page.keyboard.press("Enter")
    assert told(page) == "step 2 of 3 · backward through hidden"


def test_pointing_shows_and_a_click_keeps(visit: Open) -> None:
    page = visit("mazur").page
    symbol = page.locator(".details h4 .symbol")
    assert symbol.text_content() == "w1"
    page.locator('[data-key="unit:hidden[1]"]').hover()
    assert symbol.text_content() == "out_h2"
    page.locator("h1").hover()
    assert symbol.text_content() == "w1"
    page.locator('[data-key="unit:hidden[1]"]').click()
    page.locator("h1").hover()
    assert symbol.text_content() == "out_h2"


def test_with_a_finger(visit: Open) -> None:
    page = visit("mazur", width=360, has_touch=True).page
    page.locator('[data-key="unit:output[0]"]').tap()
    assert page.locator(".details h4 .symbol").text_content() == "out_o1"


def test_every_part_has_a_name_and_is_reached(visit: Open) -> None:
    page = visit("mazur").page
    items = page.locator(".item")
    names = items.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert len(names) == 6 + 8 + 4 + 4  # units, lines, biases, blocks
    assert all(names)
    assert page.locator('.item[tabindex="0"]').count() == 1


@pytest.mark.parametrize("name", ["mazur", "bug", "digits", "hostile"])
def test_nothing_is_wider_than_a_phone(visit: Open, name: str) -> None:
    page = visit(name, width=360).page
    scrub(page, positions(page) - 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_is_wider_would_be_noticed(visit: Open) -> None:
    page = visit("mazur", width=360).page
    page.evaluate("document.querySelector('h1').style.width = '400px'")
    assert page.evaluate("document.documentElement.scrollWidth") > 360


@pytest.mark.parametrize(("name", "width"), [("bug", 360), ("digits", 1280), ("hostile", 1920)])
def test_nothing_moves(visit: Open, name: str, width: int) -> None:
    page = visit(name, width=width).page
    page.evaluate(SHIFTS)
    page.locator(".stage").scroll_into_view_if_needed()
    for position in range(positions(page)):
        page.evaluate(
            "position => stages.get(0).move(position ? 1 : -1000)", position
        )  # as play does
    page.wait_for_timeout(200)
    assert page.evaluate("window.shifts") == 0


def test_what_moves_would_be_noticed(visit: Open) -> None:
    page = visit("mazur").page
    page.evaluate(SHIFTS)
    page.evaluate("document.querySelector('h1').style.marginBottom = '200px'")
    page.wait_for_timeout(200)
    assert page.evaluate("window.shifts") > 0.01


def test_no_transition_runs_where_motion_is_unwanted(visit: Open) -> None:
    running = []
    for motion in ("reduce", "no-preference"):
        page = visit("mazur", reduced_motion=motion).page
        scrub(page, 2)
        running.append(page.evaluate("document.getAnimations().length"))
        page.get_by_role("button", name="Play").click()
        page.locator(".told", has_text="the loss").wait_for()  # it plays all the same
    assert running[0] == 0 < running[1]


@pytest.mark.parametrize("name", ["bug", "digits"])
def test_it_is_there_in_a_second(visit: Open, name: str) -> None:
    page = visit(name).page
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    print(f"{name}: interactive after {ready:.0f} ms")
    assert ready < 5000  # a second on an idle machine; tests share theirs


# ---------------------------------------------------------------------- colours


def luminance(colour: str) -> float:
    channels = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_of_contrast() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(visit: Open, scheme: str) -> None:
    page = visit("bug", color_scheme=scheme).page
    colours = page.evaluate(
        """names => Object.fromEntries(names.map((name) => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(--${name})`;
            return [name, getComputedStyle(probe).color];
        }))""",
        ["paper", "panel", *TEXTS, *LINES, *FILLS],
    )
    for ground in ("paper", "panel"):
        for text in TEXTS:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for line in LINES:
            assert contrast(colours[line], colours[ground]) >= 3, (line, ground)
    for fill in FILLS:
        assert contrast(colours["ink"], colours[fill]) >= 4.5, fill
    assert contrast(colours["good"], colours["good-fill"]) >= 4.5
    assert contrast(colours["bad"], colours["bad-fill"]) >= 4.5


# ---------------------------------------------------------------------- hostile names, files


def test_hostile_names_do_nothing_and_are_shown(visit: Open) -> None:
    one = visit("hostile")
    page = one.page
    names = page.locator(".item.block title").all_text_contents()
    assert any(name.startswith("<script>alert(1): Dense") for name in names)
    assert any(name.startswith('"><img src=x onerror=alert(1)>') for name in names)
    for key in page.locator(".item").evaluate_all("all => all.map(one => one.dataset.key)"):
        page.evaluate("key => stages.get(0).choose(key)", key)
    assert page.locator("img").count() == 0
    assert page.locator("h1").text_content() == "</title><script>alert(3)</script>"


def test_a_script_that_slipped_in_would_not_run(visit: Open) -> None:
    one = visit("mazur")
    one.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
        }"""
    )
    assert one.page.evaluate("window.ran") is None
    assert [told for told in one.wrong if "Content Security Policy" in told]
    one.wrong.clear()


def test_files_can_be_saved(visit: Open, tmp_path: Any) -> None:
    one = visit("bug")
    for link, name, expected in (
        ("reproduce.sh", "reproduce.sh", "#!/bin/sh\npython -m compare run mazur --steps 1\n"),
        ("The numbers of this page as JSON", "numbers.json", None),
    ):
        with one.page.expect_download() as saving:
            one.page.get_by_role("link", name=link).first.click()
        assert saving.value.suggested_filename == name
        saving.value.save_as(tmp_path / name)
        text = (tmp_path / name).read_text("utf-8")
        assert text == expected if expected else json.loads(text) == embedded(one.page)


def test_the_command_can_be_copied(visit: Open) -> None:
    page = visit("mazur", permissions=["clipboard-read", "clipboard-write"]).page
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "python -m compare report mazur"


def test_without_scripts_everything_else_is_there(visit: Open) -> None:
    page = visit("bug", java_script_enabled=False).page
    assert not page.locator(".stage").is_visible()
    assert page.locator("noscript p").is_visible()
    assert page.locator(".finding pre").first.is_visible()
