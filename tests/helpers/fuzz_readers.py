"""Break every file that the project reads, and see that each reading ends well.

    python tests/helpers/fuzz_readers.py --cases 10000 --seed 0
    python tests/helpers/fuzz_readers.py --seed 0 --case 4711

A reading ends well if it succeeds, or with one clear error, an `InputError` of one sentence; within a time
and a memory that do not depend on what a file declares; without running what a file contains; and without
writing anything outside its folder. A case is made from the seed and its number alone. Cases are read in
processes of their own, so that a crash of a library or an endless reading costs one case only.
"""

import argparse
import contextlib
import json
import logging
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import neural_recon  # noqa: F401  # isort: skip  # before what imports torchvision
import numpy as np

from helpers.fuzz_samples import READERS, Reader, write_samples
from neural_recon.core.errors import InputError

CPU = 20  # seconds a case may compute
WALL = 120  # and take, on however busy a machine
MEMORY = 600 * 2**20  # bytes more than before it
ADDRESSES = 4 * 2**30  # of address space more, for all of a process's cases
LONGEST = 1000  # characters of a sentence
ENDED_WELL = ("success", "clear error")
PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn")
PROGRAMS += ("pickle.find_class", "socket.connect", "ctypes.dlopen")
CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "shutil.rmtree",
)


class Watch:
    """Notes programs that are started, and changes to files outside a folder."""

    def __init__(self):
        self.folder, self.seen = None, []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple) -> None:
        if self.folder is None:
            return
        if event in PROGRAMS and not self._loaded(event, arguments):
            self.seen.append(f"{event} {arguments!r:.200}")
        path = None
        if event in CHANGES or (
            event == "open"
            and (
                arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or set(arguments[1] or "") & set("wax+")
            )
        ):
            path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            path = os.fsdecode(path)
            if not path.startswith((self.folder, "/dev/null")):
                self.seen.append(f"{event} {path}")

    @staticmethod
    def _loaded(event: str, arguments: tuple) -> bool:
        """Whether a library is asked for that is there already: threadpoolctl asks them how many threads."""
        return event == "ctypes.dlopen" and f"{arguments[0]}\n" in Path("/proc/self/maps").read_text()


def make(seed: int, number: int, samples: Path, folder: Path) -> tuple[str, Reader, Path]:
    """Lay out case `number` in `folder`: the name of its reader, and the file that is broken."""
    rng = np.random.default_rng([seed, number])
    name = list(READERS)[number % len(READERS)]
    reader = READERS[name]
    broken = reader.files[rng.integers(len(reader.files))]
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / reader.folder / broken
    for path in (samples / reader.folder).rglob("*"):
        if path.is_file():
            place = folder / path.relative_to(samples)
            place.parent.mkdir(parents=True, exist_ok=True)
            if place == target or reader.folder == "pictures":
                shutil.copy(path, place)
            else:
                place.symlink_to(path)
    if number >= len(READERS):  # the first ones are whole
        reader.mutations[rng.integers(len(reader.mutations))](target, rng)
    return name, reader, target


def judge(reader: Reader, target: Path) -> tuple[str, str]:
    """Read a case: how it ended, and what was said."""
    try:
        reader.read(target)
    except InputError as error:
        text = str(error)
        if len(text) > LONGEST or not text.isprintable():
            return "unclear error", f"{len(text)} characters: {text[:200]!r}"
        return "clear error", text
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "neural_recon" in f.filename] or frames
        return (
            "other error",
            f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].lineno}: {error}",
        )
    return "success", ""


def peak() -> int:
    """The most memory this process has held since the last `forget_peak`, in bytes."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def forget_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def work(seed: int, numbers: list[int], samples: Path, folder: Path, say) -> None:
    """Read cases one after the other, in a process of its own; `say` passes each on."""
    os.chdir(folder.parent / "sentinel")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    watch = Watch()
    for number in numbers:
        say({"number": number, "reader": list(READERS)[number % len(READERS)]})
        name, reader, target = make(seed, number, samples, folder)
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU, resource.RLIM_INFINITY)
        )
        before, started = forget_peak(), time.monotonic()
        watch.seen, watch.folder = [], str(folder)
        how, text = judge(reader, target)
        if number < len(READERS) and how == "clear error":
            how = "whole, but refused"
        watch.folder = None
        grown, seconds = peak() - before, time.monotonic() - started
        if watch.seen or any(Path.cwd().iterdir()):
            how, text = "code ran or wrote", f"{watch.seen[:3]} {list(Path.cwd().iterdir())} ({text})"
        elif grown > MEMORY:
            how, text = "memory", f"{grown / 2**20:.0f} MB ({how}: {text})"
        say(
            {
                "number": number,
                "reader": name,
                "how": how,
                "text": text[:600],
                "seconds": seconds,
                "grown": grown,
            }
        )


def run(seed: int, numbers: list[int], root: Path):
    """Yield a record of every case."""
    samples, folder = root / "samples", root / "case"
    write_samples(samples)
    (root / "sentinel").mkdir()
    rest = list(numbers)
    while rest:
        reading, writing = os.pipe()
        worker = os.fork()
        if not worker:
            os.close(reading)
            status = 1
            try:
                with os.fdopen(writing, "w") as pipe:
                    work(
                        seed,
                        rest,
                        samples,
                        folder,
                        lambda record: print(json.dumps(record), file=pipe, flush=True),
                    )
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)  # nothing of the parent's is tidied up here
        os.close(writing)
        current, killed = None, False
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            buffer = b""
            while True:
                if not select.select([pipe], [], [], WALL)[0]:
                    os.kill(worker, signal.SIGKILL)
                    killed = True
                    break
                data = pipe.read(2**16)
                if not data:
                    break
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    record = json.loads(line)
                    current = record if "how" not in record else None
                    if "how" in record:
                        rest.remove(record["number"])
                        yield record
        status = os.waitpid(worker, 0)[1]
        if current is not None:
            rest.remove(current["number"])
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            endless = killed or number == signal.SIGXCPU
            text = signal.Signals(number).name if number else f"exit status {os.WEXITSTATUS(status)}"
            yield current | {
                "how": "endless" if endless else "crash",
                "text": text,
                "seconds": WALL,
                "grown": 0,
            }
        elif status and rest:
            raise SystemExit(f"a worker ended between cases (status {status}): the fuzzing itself is broken")


def table(counts: dict[str, Counter], slowest: dict[str, float], largest: dict[str, int]) -> str:
    lines = [
        f"{'reader':18}{'cases':>7}{'success':>9}{'clear error':>13}{'failed':>8}{'slowest':>9}{'memory':>9}"
    ]
    for name, row in counts.items():
        failed = sum(row.values()) - sum(row[how] for how in ENDED_WELL)
        lines.append(
            f"{name:18}{sum(row.values()):7}{row['success']:9}{row['clear error']:13}{failed:8}"
            f"{slowest[name]:8.1f}s{largest[name] / 2**20:7.0f}MB"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="this one alone, with what was said")
    parser.add_argument("--keep", type=Path, help="a new folder that keeps the last case's files")
    arguments = parser.parse_args()
    numbers = list(range(arguments.cases)) if arguments.case is None else [arguments.case]
    counts, slowest, largest = defaultdict(Counter), defaultdict(float), defaultdict(int)
    findings: dict[tuple, list[int]] = {}
    with contextlib.ExitStack() as stack:
        if arguments.keep:
            arguments.keep.mkdir(parents=True)
        root = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-")))
        for record in run(arguments.seed, numbers, root.resolve()):
            name = record["reader"]
            counts[name][record["how"]] += 1
            slowest[name] = max(slowest[name], record["seconds"])
            largest[name] = max(largest[name], record["grown"])
            if arguments.case is not None:
                print(f"{name}: {record['how']}: {record['text']}")
            if record["how"] not in ENDED_WELL:
                key = (name, record["how"], record["text"].split(": ")[0])
                if key not in findings:
                    print(f"case {record['number']}, {name}: {record['how']}: {record['text']}", flush=True)
                findings.setdefault(key, []).append(record["number"])
            done = sum(sum(row.values()) for row in counts.values())
            if done % 1000 == 0:
                print(f"{done} cases", flush=True)
    print(table(counts, slowest, largest))
    for (name, how, text), cases in findings.items():
        print(f"{name}: {how}: {text}: {len(cases)} cases, such as {cases[:5]}")
    failed = sum(len(cases) for cases in findings.values())
    print(f"{len(numbers)} cases, seed {arguments.seed}: {failed} did not end well")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
