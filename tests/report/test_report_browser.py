"""The report in a real browser: sorting, filtering, enlarging; by mouse and keyboard, narrow and dark."""

import dataclasses
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_results import (
    CONFIGURATION,
    add_distances,
    draw,
    write_contents,
    write_controls,
    write_stimuli,
    write_subject,
)
from PIL import Image

from neural_recon.core.tables import write_table
from neural_recon.report import results
from neural_recon.report.page import build

pytestmark = pytest.mark.slow
IDS = list(range(3, 123, 4))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report of two subjects of 30 images with controls, contents and a distance."""
    folder, rng = tmp_path_factory.mktemp("report"), np.random.default_rng(0)
    files = [write_subject(folder, rng, subject, IDS) for subject in ("subj01", "subj02")]
    sessions = pd.DataFrame({"session": [1, 2], "verdict": "ok", "remark": "", "outlier": ""})
    for k, some in enumerate(files):
        add_distances(some)
        table = folder / f"quality/{some.subject}/sessions.tsv"
        write_table(table, sessions)
        files[k] = dataclasses.replace(some, quality=table, quality_page=table.parent.with_suffix(".html"))
    files[1] = write_controls(folder, rng, files[1], IDS)
    stimuli = write_stimuli(folder / "stimuli.hdf5", IDS, draw(rng, 30, 425, 20))
    contents = write_contents(folder / "content.parquet", IDS)
    build(folder / "report.html", files, stimuli, None, CONFIGURATION, contents=contents)
    return folder / "report.html", [results.read(some, {}) for some in files]


@pytest.fixture
def opened(browser, written):
    """Opens the report; afterwards nothing was said on the console and nothing was asked of a network."""
    said, asked, contexts, addresses = [], [], [], []

    def open_page(width=1280, address=None, **settings):
        addresses.append(address or written[0].as_uri())
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(addresses[-1])
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [
        url for url in asked if url not in (*addresses, "about:srcdoc") and not url.startswith("data:")
    ] == []


def shown(page):
    """(subject, id, score) of the gallery's cards."""
    return [
        (card["subject"], int(card["id"]), float(card["score"]))
        for card in page.eval_on_selector_all(".whole .card", "cards => cards.map(c => ({...c.dataset}))")
    ]


def test_first_view_is_an_even_spread(opened):
    page = opened()
    cards = shown(page)
    assert len(cards) == 2 * 8
    assert page.locator(".count").inner_text().startswith("16 of 16 cards shown")
    assert page.locator(".without").count() == 0
    ranks = [int(r) for r in re.findall(r"rank (\d+) of 30", page.locator(".whole").inner_text())]
    assert ranks[:2] == [1, 1]
    assert ranks[-2:] == [30, 30]


def test_sorting_by_any_score(opened, written):
    page, people = opened(), written[1]
    page.select_option("select[name=show]", "all")
    for metric, best in (("pixcorr", max), ("efficientnet_distance", min)):
        page.select_option("select[name=metric]", metric)
        page.select_option("select[name=order]", "best")
        for person in people:
            page.select_option("select[name=subject]", person.subject)
            expected = person.per_image("decoded", "final", metric)
            cards = shown(page)
            assert {subject for subject, _, _ in cards} == {person.subject}
            scores = [score for _, _, score in cards]
            assert scores == sorted(scores, reverse=best is max)
            assert scores[0] == pytest.approx(best(expected.values()), abs=1e-4)
        page.select_option("select[name=order]", "worst")
        assert shown(page)[-1][2] != scores[0]
        assert shown(page)[0][2] == pytest.approx((min if best is max else max)(expected.values()), abs=1e-4)
    page.select_option("select[name=order]", "id")
    ids = [image_id for _, image_id, _ in shown(page)]
    assert ids == IDS[:24]
    page.locator(".more").click()  # the last six
    assert [image_id for _, image_id, _ in shown(page)] == IDS
    assert not page.locator(".more").is_visible()
    assert page.locator(".count").inner_text().startswith("30 of 30 cards shown")


def test_filtering_by_subject_category_and_objects(opened):
    page = opened()
    page.select_option("select[name=show]", "all")
    page.select_option("select[name=subject]", "subj02")
    page.select_option("select[name=category]", "animal")
    assert {image_id for _, image_id, _ in shown(page)} == {i for i in IDS if i // 4 % 2 == 0}
    page.select_option("select[name=objects]", "2")
    assert {image_id for _, image_id, _ in shown(page)} == {i for k, i in enumerate(IDS) if k % 10 == 2}
    page.select_option("select[name=objects]", "6+")
    assert {k for k, i in enumerate(IDS) if i in {c[1] for c in shown(page)}} == {6, 8, 16, 18, 26, 28}
    page.select_option("select[name=objects]", "1")
    assert shown(page) == []
    assert "No test image fits." in page.locator(".count").inner_text()


def test_pictures_are_those_of_the_files(opened, written):
    page, people = opened(), written[1]
    page.select_option("select[name=show]", "all")
    page.select_option("select[name=order]", "id")
    page.select_option("select[name=subject]", "subj02")
    card = page.locator(f".whole .card[data-id='{IDS[2]}']")
    assert card.locator(".row span").all_text_contents() == [
        "seen", "base image", "final image", "true features", "nearest training image", "shuffled decoder",
    ]  # fmt: skip
    image = card.get_by_alt_text(f"final image, image id {IDS[2]}, subj02")
    pixels = image.evaluate(
        """async image => {
          await image.decode();
          const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          pen.drawImage(image, 0, 0);
          return Array.from(pen.getImageData(0, 0, canvas.width, canvas.height).data);
        }"""
    )
    truth = dict(results.each_picture(people[1].files.final, [IDS[2]]))[IDS[2]]
    found = np.array(pixels).reshape(*truth.shape[:2], 4)[..., :3]
    assert np.abs(found - truth.astype(float)).mean() < 8
    # the ceiling was painted for the first half only
    other = page.locator(f".whole .card[data-id='{IDS[20]}']").first
    assert "true features" not in other.locator("summary").inner_text()
    assert other.locator("img").count() == 5


def test_enlarging_by_keyboard_alone(opened):
    page = opened(reduced_motion="reduce")
    page.locator("select[name=order]").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "enlarge"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    first, second, *_, last = [f"image {image_id}" for _, image_id, _ in shown(page)]
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("b").first.inner_text() == first
    page.keyboard.press("ArrowRight")
    assert dialog.locator("b").first.inner_text() == second
    assert dialog.locator(".place").inner_text() == "2 of 16"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert dialog.locator("b").first.inner_text() == last
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.className") == "enlarge"


def test_enlarging_by_mouse(opened):
    page = opened()
    page.locator(".whole .card > .row").nth(3).click()
    dialog = page.locator("dialog")
    assert dialog.locator(".place").inner_text() == "4 of 16"
    large = dialog.locator("img").first.bounding_box()["width"]
    assert large > 1.5 * page.locator(".whole .row img").first.bounding_box()["width"]
    dialog.locator(".on").click()
    dialog.locator(".back").click()
    assert dialog.locator(".place").inner_text() == "4 of 16"
    dialog.locator(".close").click()
    assert not dialog.is_visible()
    page.locator(".cards:not(.whole) .row").first.click()  # the other sections' cards are steps by themselves
    assert dialog.locator(".place").inner_text() == "1 of 6"


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_sticks_out_and_pictures_are_seen(opened, tmp_path, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".whole .enlarge").first.click()
    assert page.locator("dialog").bounding_box()["width"] <= width
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": width, "height": 1600})
    page.screenshot(path=tmp_path / "shot.png")
    pixels = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    assert pixels.shape[0] >= 1000
    assert pixels.std() > 10
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500  # pictures, not only text


# contrast of text against the nearest background that is not transparent (WCAG 2.2, 1.4.3)
CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parse(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    const clear = (parse(colour)[3] ?? 1) === 0;
    return clear && element.parentElement ? ground(element.parentElement) : colour;
  };
  let lowest = [99, ""];
  for (const element of document.querySelectorAll("body *:not(script, style, option)")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility()) continue;
    const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < lowest[0]) lowest = [ratio, element.outerHTML.slice(0, 200)];
  }
  return lowest;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(opened, scheme):
    page = opened(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(v) for v in re.findall(r"\d+", ground)) < 60) == (scheme == "dark")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_without_scripts_there_is_a_first_view(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".without .card").count() == 2 * 8
    assert page.locator(".without").is_visible()
    assert not page.locator(".tools").is_visible()


def test_headings_are_in_order_and_what_changes_is_announced(opened):
    page = opened()
    levels = page.eval_on_selector_all("h1, h2, h3, h4, h5, h6", "all => all.map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.locator(".count").get_attribute("role") == "status"
    assert page.locator("img:not([alt])").count() == 0
    unnamed = page.eval_on_selector_all(
        "select, button", "all => all.filter(f => !f.labels?.length && !f.textContent.trim()).length"
    )
    assert unnamed == 0


def test_it_works_inside_another_page(opened, written, tmp_path):
    """As in Snakemake's report: a sandboxed frame without forms or an address of its own."""
    frame = written[0].read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    outer = tmp_path / "outer.html"
    around = '<!DOCTYPE html><iframe sandbox="allow-scripts" width="1200" height="800" srcdoc="{}"></iframe>'
    outer.write_text(around.format(frame), encoding="utf-8")
    page = opened(address=outer.as_uri())
    inside = page.frame_locator("iframe")
    inside.locator("select[name=show]").select_option("all")
    inside.locator(".whole .enlarge").first.click()
    assert inside.locator("dialog").is_visible()
    inside.locator("dialog .close").click()
    assert not inside.locator("dialog").is_visible()
    assert inside.locator(".whole .card").count() == 24
    assert inside.locator('a:not([href^="#"])').count() == 0  # pages alongside it are out of reach
