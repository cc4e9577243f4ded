"""Size of the report, seconds to build it and to open it: two subjects of 982 test images at full size.

    python benchmarks/report.py [--images 982] [--folder DIR] [--chromium /usr/bin/chromium]
    python benchmarks/report.py --small      # four images: whether it runs

Pictures are made up so that they compress like photographs rather than like cartoons: the demo's scenes,
enlarged to 512 and 425 pixels, under coloured noise whose amplitude falls with spatial frequency (1 / f^1.3),
about as in natural images (Field 1987). No two are alike. Opening is timed in headless Chromium, from the
start of navigation to the load event, and to the first card that the page's script made; the best of --turns.
"""

import argparse
import dataclasses
import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import steps
import table
from PIL import Image

# where a run's results are made up
sys.path.insert(0, str(table.ROOT / "tests"))

SUBJECTS = ("subj01", "subj02")
SIDE = {
    "seen": 425,
    "base": 64,
    "final": 512,
    "true_features": 512,
    "guides_only": 512,
    "shuffled": 512,
    "nearest": 425,
}


class Painter:
    """Pictures like photographs: scenes under coloured noise."""

    def __init__(self, noises: int) -> None:
        rng = np.random.default_rng(0)
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(1024), np.fft.rfftfreq(1024), indexing="ij"))
        frequency[0, 0] = 1
        self.noise = []
        for _ in range(noises):
            waves = rng.standard_normal((4, *frequency.shape, 2)) @ [1, 1j] / frequency**1.3
            grey, *colours = np.fft.irfft2(waves)
            noise = np.stack([grey + 0.3 * colour for colour in colours], axis=-1)
            noise = 128 + 70 * noise / noise.std()
            self.noise.append(Image.fromarray(noise.clip(0, 255).astype(np.uint8)))

    def __call__(self, stream: int, image_id: int, side: int) -> np.ndarray:
        """uint8 (side, side, 3); the same arguments give the same picture."""
        from neural_recon.demo import scenes

        rng = np.random.default_rng([stream, image_id])
        scene = Image.fromarray(scenes.render(scenes.sample(stream, image_id), 64))
        left, top = (int(v) for v in rng.integers(0, 1024 - side, 2))
        noise = self.noise[rng.integers(len(self.noise))].crop((left, top, left + side, top + side))
        return np.asarray(Image.blend(scene.resize((side, side), Image.Resampling.BICUBIC), noise, 0.5))


def write(path: Path, ids: list[int], side: int, paint: Callable[[int], np.ndarray], name: str) -> Path:
    """A file of pictures, row by row."""
    with h5py.File(path, "w") as file:
        file["image_id"] = ids
        rows = file.create_dataset(name, (len(ids), side, side, 3), "u1", chunks=(1, side, side, 3))
        for row, image_id in enumerate(ids):
            rows[row] = paint(image_id)
    return path


def make(folder: Path, count: int, noises: int) -> tuple[list, Path, Path]:
    """Results of two subjects (`results.SubjectFiles`), the stimuli, and what these show."""
    from helpers.made_up_results import write_contents, write_subject

    rng, painter = np.random.default_rng(0), Painter(noises)
    ids = list(range(0, 3 * count, 3))
    stimuli = folder / "stimuli.hdf5"
    with h5py.File(stimuli, "w") as file:
        shape = (425, 425, 3)
        bricks = file.create_dataset("imgBrick", (max(ids) + 1, *shape), "u1", chunks=(1, *shape))
        for image_id in ids:
            bricks[image_id] = painter(0, image_id, 425)
    people = []
    for k, subject in enumerate(SUBJECTS):
        plain = np.zeros((count, 8, 8, 3), np.uint8)
        files = write_subject(folder, rng, subject, ids, pictures={"base": plain, "final": plain})
        paths = {}
        kinds = [kind for kind in SIDE if kind != "seen"]
        for stream, kind in enumerate(kinds, 1 + len(kinds) * k):
            some = ids[:100] if SIDE[kind] == 512 and kind != "final" else ids  # evaluation.control_images
            name = kind if kind == "nearest" else "images"
            paths[kind] = write(
                folder / subject / f"{kind}_pictures.h5", some, SIDE[kind],
                lambda i, stream=stream, kind=kind: painter(stream, i, SIDE[kind]), name,
            )  # fmt: skip
        paths["baselines"] = paths.pop("nearest")
        own = {name: paths.pop(name) for name in ("base", "final", "baselines")}
        people.append(dataclasses.replace(files, **own, painted=paths))
    return people, stimuli, write_contents(folder / "content.parquet", ids)


def opened(page: Path, chromium: str) -> tuple[float, float]:
    """Seconds to the load event and to the first card of the page's script."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        tab = browser.new_page(viewport={"width": 1300, "height": 900})
        tab.add_init_script("""new MutationObserver((_, observer) => {
            if (!document.querySelector(".whole .card")) return;
            window.ready = performance.now();
            observer.disconnect();
        }).observe(document, {childList: true, subtree: true});""")
        tab.goto(page.as_uri(), timeout=120_000)
        loaded, ready = tab.evaluate(
            "[performance.getEntriesByType('navigation')[0].loadEventEnd, window.ready]"
        )
        browser.close()
    return loaded / 1000, ready / 1000


def build(folder: Path, people: list, stimuli: Path, contents: Path) -> tuple[float, float]:
    """Wall and processor seconds."""
    from helpers.made_up_results import CONFIGURATION, MadeUp

    from neural_recon.report.page import build

    wall, cpu = time.perf_counter(), time.process_time()
    build(folder / "report.html", people, MadeUp(stimuli), None, CONFIGURATION, contents=contents)
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(arguments: argparse.Namespace) -> tuple[str, table.Table]:
    n = arguments.images
    size = f"size of the page, all {len(SUBJECTS) * n:,d} cards in it"
    wall, cpu = "built in", "built in, of the processors"
    memory = "most resident memory of the building process"
    card, load = "opened in headless Chromium: first card", "opened in headless Chromium: load event"
    result = table.Table({"figure": ",.1f", "unit": "s"}, (size, wall, cpu, memory, card, load))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = steps.apart(make, folder, n, 1 if arguments.small else 8).result
        built = steps.apart(build, folder, *made)
        result.add(size, (folder / "report.html").stat().st_size / 1e6, "MB")
        result.add(wall, built.result[0], "s")
        result.add(cpu, built.result[1], "s")
        result.add(memory, built.megabytes, "MB")
        absent = None
        if not arguments.chromium:
            absent = "Chromium is not installed"
        elif importlib.util.find_spec("playwright") is None:
            absent = "playwright is not installed"
        if absent:
            result.absent(card, absent)
            result.absent(load, absent)
        else:
            turns = [opened(folder / "report.html", arguments.chromium) for _ in range(arguments.turns)]
            loaded, ready = min(turns)
            result.add(card, ready, "s")
            result.add(load, loaded, "s")
    said = (
        f"{len(SUBJECTS)} subjects of {n} images, each with the picture seen, base and final image and "
        "nearest training image, 100 of them with the ceiling, guides only and the shuffled decoder; "
        "pictures that compress like photographs."
    )
    return said, result


if __name__ == "__main__":
    options = table.parser(__doc__)
    options.add_argument("--images", type=int, default=982, help="test images per subject")
    options.add_argument("--folder", type=Path, help="where 3 GB may lie; kept")
    options.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    options.add_argument("--turns", type=int, default=3)
    table.run(options, measure, small={"images": 4, "turns": 1})
