"""The page in Chromium, offline: what a reader sees, and reaches with mouse, finger and keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

STAGES = ["the input", "forward through hidden", "forward through output", "the loss"]
STAGES += [f"backward through {block}" for block in ("the loss", "output", "hidden")] + [
    "the update"
]
W5 = '[data-key="weight:output/kernel[0,0]"]'
SHIFTS = """() => {
  window.shifts = 0;
  const add = (list) => list.getEntries().forEach((one) => (window.shifts += one.value));
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
}"""
TEXTS = ["ink", "muted", "keras", "hand", "good", "bad", "warn"]
LINES = ["line", "plus", "minus"]
FILLS = ["plus-fill", "minus-fill", "warn-fill", "good-fill", "bad-fill"]


def told(page: Any) -> str:
    return str(page.locator(".told").text_content())


def scrub(page: Any, to: int) -> None:
    page.locator("input[type=range]").evaluate(
        "(range, to) => { range.value = to; range.dispatchEvent(new Event('input')); }", to
    )


def positions(page: Any) -> int:
    return int(page.locator("input[type=range]").get_attribute("max")) + 1


def shown_numbers(page: Any) -> dict[str, tuple[str, str]]:
    """Return what the details say of each quantity: Keras's number, and that by hand."""
    rows = page.locator(".details tr[data-quantity]").evaluate_all(
        "rows => rows.map(row => [row.dataset.quantity,"
        " row.querySelector('.keras').textContent, row.querySelector('.hand').textContent])"
    )
    return {key: (keras, by_hand) for key, keras, by_hand in rows}


def numbers_of(contents: Any, frame: int, quantity: str) -> tuple[str, str]:
    """Return the same two numbers from what the page embeds."""
    phase, name, index = re.fullmatch(r"(.*?) · (.*)\[([\d,]*)\]", quantity).groups()  # type: ignore[union-attr]
    found = contents["chapters"][0]["film"]["frames"][frame]["quantities"][phase][name]
    both = []
    for side in ("keras", "by_hand"):
        number = found[f"all_of_{side}" if side == "keras" else f"all_{side}"]
        for i in filter(None, index.split(",")):
            number = number[int(i)]
        both.append(f"{number:.10g}")
    return both[0], both[1]


def embedded(page: Any) -> Any:
    return json.loads(page.locator("#contents").text_content())


def differing(page: Any, contents: Any, frame: int) -> list[str]:
    """Return the quantities whose numbers in the details aren't those of these contents."""
    shown = shown_numbers(page)
    assert shown
    return [key for key, both in shown.items() if both != numbers_of(contents, frame, key)]


# ---------------------------------------------------------------------- walking through a step


def test_every_stage_of_every_step_can_be_scrubbed_to(visit: Open) -> None:
    page = visit("mazur").page
    seen = []
    for position in range(positions(page)):
        scrub(page, position)
        seen.append(told(page))
    expected = [f"step {step} of 3 · {stage}" for step in (1, 2, 3) for stage in STAGES]
    assert seen == expected
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") == expected[-1]


def test_the_buttons_move_by_stages_and_by_steps(visit: Open) -> None:
    page = visit("mazur").page
    assert told(page) == "step 1 of 3 · the input"
    for label, expected in {
        "next stage": "step 1 of 3 · forward through hidden",
        "next step": "step 2 of 3 · forward through hidden",
        "previous stage": "step 2 of 3 · the input",
        "previous step": "step 1 of 3 · the input",
    }.items():
        page.get_by_role("button", name=label, exact=True).click()
        assert told(page) == expected


def test_it_plays_to_the_end_and_stops(visit: Open) -> None:
    page = visit("mazur").page
    last = positions(page) - 1
    scrub(page, last - 1)
    page.get_by_role("button", name="Play").click()
    assert page.get_by_role("button", name="Pause").is_visible()
    page.get_by_role("button", name="Play").wait_for(timeout=5000)
    assert told(page) == "step 3 of 3 · the update"


def test_what_is_not_reached_yet_has_no_colour(visit: Open) -> None:
    page = visit("mazur").page
    later = []
    for position in range(4):
        scrub(page, position)
        later.append(page.locator(".item.unit.later, .item.block.later").count())
    assert later == [5, 3, 1, 0]  # two hidden units, two outputs, the loss


# ---------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("name", ["mazur", "bug"])
def test_the_details_show_the_numbers_of_the_comparison(visit: Open, name: str) -> None:
    one = visit(name)
    page, contents = one.page, embedded(one.page)
    assert contents["chapters"][0]["report"] == json.loads(one.made.report.to_json())
    for frame in range(3):
        scrub(page, frame * len(STAGES) + 6)
        for key in ("weight:output/kernel[1,0]", "weight:hidden/bias[1]", "unit:hidden[1]"):
            page.locator(f'[data-key="{key}"]').dispatch_event("click")
            assert differing(page, contents, frame) == []


def test_another_number_would_be_noticed(visit: Open) -> None:
    one = visit("mazur")
    contents = embedded(one.page)
    one.page.locator(W5).dispatch_event("click")
    before = contents["chapters"][0]["film"]["frames"][0]["quantities"]["before"]["output/kernel"]
    before["all_by_hand"][0][0] = float(np.nextafter(np.float32(0.4), np.float32(1)))
    assert differing(one.page, contents, 0) == ["before · output/kernel[0,0]"]


def test_a_click_on_a_weight_tells_all_of_it(visit: Open) -> None:
    page = visit("mazur").page
    page.locator('[data-key="weight:output/kernel[1,1]"] .label').click()
    details = page.locator(".details")
    assert details.locator("h4").text_content() == "w8 output/kernel[1,1]"
    text = details.text_content()
    for expected in (
        "∂E/∂w8",
        "dW = xᵀ · dz",
        "w⁺ = w − η g",
        "derived in manual/layers/",
        "0.55 → ",
    ):
        assert expected in text
    scrub(page, 9)
    assert details.locator("h4").text_content() == "w8 output/kernel[1,1]"


def test_another_sample_has_other_numbers(visit: Open) -> None:
    one = visit("hostile")
    page, contents = one.page, embedded(one.page)
    page.locator('.item.unit[data-key^="unit:input"]').first.dispatch_event("click")
    for sample in (0, 1, 2):
        page.locator(f'input[name="sample-1"][value="{sample}"]').check()
        assert list(shown_numbers(page)) == [f"input · x[{sample},0]"]
        assert differing(page, contents, 0) == []


def test_a_larger_network_is_told_by_what_is_furthest_off(visit: Open) -> None:
    one = visit("digits")
    page = one.page
    page.locator('[data-key="block:hidden_1"]').click()
    frame = one.made.contents["chapters"][0]["film"]["frames"][0]
    kernel = frame["quantities"]["weight gradient"]["hidden_1/kernel"]
    index = ",".join(map(str, kernel["index"]))
    expected = f"{kernel['keras']:.10g}", f"{kernel['by_hand']:.10g}"
    assert shown_numbers(page)[f"weight gradient · hidden_1/kernel[{index}]"] == expected


def test_numbers_are_written_as_in_a_terminal(visit: Open) -> None:
    page = visit("mazur").page
    generator = np.random.default_rng(0)
    drawn = generator.normal(size=400) * 10.0 ** generator.integers(-320, 300, 400)
    numbers = [*drawn.tolist(), 0.0, 1.0, -100.0, 1e-5, 9999999999.5, 0.0001, 123456.789, 5e-324]
    written = page.evaluate("numbers => numbers.map(tenDigits)", numbers)
    assert written == [f"{number:.10g}" for number in numbers]
    written = page.evaluate("numbers => numbers.map(told)", [0.25, 999.4, 1e6, 4.2e15, "inf"])
    assert written == ["0.25", "1e+03", "1.0e+06", "4.2e+15", "inf"]


def test_the_chain_rule_is_shown_where_it_is_told(visit: Open) -> None:
    page = visit("explained").page
    page.locator(W5).dispatch_event("click")
    assert page.locator(".details pre").text_content() == "a < b & c"
    page.locator('[data-key="weight:output/kernel[0,1]"]').dispatch_event("click")
    assert page.locator(".details pre").count() == 0


# ---------------------------------------------------------------------- what is wrong


def test_what_is_first_wrong_has_a_ring_in_every_colouring(visit: Open) -> None:
    page = visit("bug").page
    assert told(page) == "step 1 of 3 · backward through output"
    assert page.locator(".details h4 .symbol").text_content() == "w5"
    for mode in ("activation", "gradient", "verdict"):
        page.get_by_role("radio", name=mode).check()
        assert page.locator(".item.first-wrong").get_attribute("data-key") == W5[11:-2]
        ring = page.locator(".ring").bounding_box()
        line = page.locator(f"{W5} .shape").bounding_box()
        assert ring["x"] < line["x"] + line["width"] / 2 < ring["x"] + ring["width"]
        assert ring["y"] < line["y"] + line["height"] / 2 < ring["y"] + ring["height"]
        assert page.locator(".flag").text_content() == "first wrong"
    scrub(page, 8)
    assert page.locator(".flag").text_content() == "first wrong: step 1"


def test_in_a_larger_network_its_box_has_the_ring(visit: Open) -> None:
    page = visit("larger bug").page
    assert told(page) == "step 1 of 2 · backward through hidden_2"
    ring, box = page.locator(".ring").bounding_box(), page.locator(".first-wrong").bounding_box()
    assert page.locator(".first-wrong").get_attribute("data-key") == "block:hidden_2"
    assert ring["x"] < box["x"] and ring["y"] < box["y"]
    assert page.locator(".details tr", has_text="✕ weight gradient").count() == 2


def test_a_network_that_agrees_has_no_ring(visit: Open) -> None:
    page = visit("mazur").page
    assert page.locator(".flag, .first-wrong").count() == 0
    page.get_by_role("radio", name="verdict").check()
    scrub(page, positions(page) - 1)
    assert page.locator(".item.differs").count() == 0
    assert page.locator(".item.unit.agrees").count() == 4


def test_verdicts_are_those_of_the_comparison(visit: Open) -> None:
    page = visit("bug").page
    page.get_by_role("radio", name="verdict").check()
    scrub(page, 7)
    wrong = page.locator(".item.differs").evaluate_all("all => all.map(one => one.dataset.key)")
    kernels = [f"weight:output/kernel[{i},{j}]" for i in (0, 1) for j in (0, 1)]
    assert sorted(wrong) == sorted(
        [*kernels, "weight:output/bias[0]", "weight:output/bias[1]", "block:output"]
    )


def test_a_finding_and_a_cell_of_the_matrix_lead_to_the_network(visit: Open) -> None:
    page = visit("bug").page
    scrub(page, 0)
    page.get_by_role("button", name="Show in the network").nth(1).click()
    assert told(page) == "step 1 of 3 · backward through output"
    assert page.locator(".item.chosen").get_attribute("data-key") == "weight:output/bias[0]"
    page.locator('[data-step="2"][data-block="hidden"]').first.dispatch_event("click")
    assert told(page) == "step 2 of 3 · backward through hidden"
    assert page.locator(".item.chosen").get_attribute("data-key") == "block:hidden"


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
