"""The network in Chromium, offline: its steps and stages, its numbers, and what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from looking import STAGES, W5, Open, differing, embedded, positions, scrub, shown_numbers, told

pytestmark = pytest.mark.browser


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


def test_steps_that_were_left_out_are_not_counted_away(visit: Open) -> None:
    page = visit("sampled").page
    seen = []
    for _ in range(3):
        seen.append(told(page))
        page.get_by_role("button", name="next step", exact=True).click()
    assert seen == [f"step {step} of 7 · the update" for step in (1, 4, 7)]


def test_the_buttons_move_by_stages_and_by_steps(visit: Open) -> None:
    page = visit("mazur").page
    scrub(page, 0)
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
    page.get_by_role("button", name="Play").click()
    assert told(page) == "step 1 of 3 · the input"


def test_a_page_that_agrees_shows_the_whole_first_step_and_plays_it_from_its_beginning(
    visit: Open,
) -> None:
    page = visit("mazur").page
    assert told(page) == "step 1 of 3 · the update"
    assert page.locator(".item.later").count() == 0
    page.get_by_role("button", name="Play").click()
    assert told(page) == "step 1 of 3 · the input"
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="next stage", exact=True).click()
    page.get_by_role("button", name="Play").click()
    assert told(page) == "step 1 of 3 · forward through hidden"


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
