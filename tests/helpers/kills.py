"""Kill runs at random points, and see that the next run ends with the results of an undisturbed one.

    python tests/helpers/kills.py --kills 30 --seed 0 [--first 12] [--folder FOLDER]

The run is killed in one of three parts: all that needs no diffusion; painting; controls, scores and report.
Each starts from what an undisturbed run left of those before. All draws come from the seed and the number of
the kill, so that `--first N --kills 1` repeats one of them (as nearly as clocks repeat).
"""

import argparse
import collections
import contextlib
import hashlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers import tiny_run
from neural_recon.workflow.provenance import CONFIGURATIONS, FOLDER, HASHES
from neural_recon.workflow.verify import verify

PARTS = {
    "decoding": ["results/base_images/subj01/decoded.h5", "results/targets/subj01/vdvae.tsv"],
    "painting": ["results/pictures/subj01"],
    "scoring": ["all"],
}
SHARES = (6, 3, 1)  # of the kills: the last part takes longest
MARK = "NEURAL_RECON_KILL_TEST"
KINDS = ("job", "snakemake", "everything", "terminate", "interrupt")
MOMENTS = ("time", "start", "write")
# half a write takes no space worth a name: files of some hundred bytes that many jobs write
SHARED = (f"{FOLDER}/{HASHES}/", f"{FOLDER}/{CONFIGURATIONS}/")
MADE = ("results", "logs", "benchmarks", ".snakemake")
KNOWN = "undisturbed.json"


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: its folder, what it made, and how long that took."""

    folder: Path
    part: str
    results: dict[str, str]
    jobs: int
    seconds: float
    before: Path | None


@dataclass(frozen=True)
class Outcome:
    """What was killed, when, and what the next run met."""

    number: int
    kind: str
    part: str
    moment: str
    second: float
    too_late: bool
    orphans: int
    parts: list[str]
    unlocked: bool
    seconds: float

    def __str__(self) -> str:
        met = [f"{self.orphans} orphans" * bool(self.orphans), f"{len(self.parts)} parts" * bool(self.parts),
               "locked" * self.unlocked, "was over" * self.too_late]  # fmt: skip
        return (
            f"{self.number:3} {self.part} {self.kind:10} by {self.moment:5} after {self.second:4.1f} s: "
            f"same results {self.seconds:4.1f} s later; met: {', '.join(filter(None, met)) or 'nothing'}"
        )


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen, str]:
    """Start Snakemake as a user would, in a session of its own, and the mark that its processes carry."""
    mark = secrets.token_hex(8)
    command = [
        *(sys.executable, "-m", "snakemake", *arguments, "--configfile", "config.yaml"),
        *("--cores", "2", "--max-threads", "1", "--resources", "gpu=2", "--quiet", "host"),
    ]
    with (folder / "terminal.txt").open("w") as terminal:
        run = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, MARK: mark, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
    return run, mark


def finished(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run Snakemake to its end: exit status, and what it said."""
    run, mark = start(folder, *arguments)
    try:
        status = run.wait(600)
    finally:
        kill(processes(mark).values())
    return status, (folder / "terminal.txt").read_text(encoding="utf-8")


def processes(mark: str, of: str = "") -> dict[str, int]:
    """The processes with a mark in their environment, by command; those that are over have none."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (place / "environ").read_bytes():
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if of in command:
                    found[f"{command} ({place.name})"] = int(place.name)
    return found


def kill(numbers, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to processes that may be over by now."""
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, how)


def kill_everything(mark: str) -> None:
    """As a machine that stops: none of the processes sees another one end."""
    kill(processes(mark).values(), signal.SIGSTOP)
    while found := processes(mark):
        kill(found.values())
        time.sleep(0.02)


def parts(folder: Path) -> list[str]:
    """What half writes left."""
    found = (path.relative_to(folder / "results").as_posix() for path in folder.glob("results/**/.part-*"))
    return sorted(path for path in found if not path.startswith(SHARED))


def contents(folder: Path) -> dict[str, str]:
    """What must be the same after every run: bytes of results, and what records say of their making."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        name = path.relative_to(folder / "results").as_posix()
        if path.is_dir() or name.startswith(SHARED) or path.name == ".snakemake_timestamp":
            continue
        content = path.read_bytes()
        if name.startswith(f"{FOLDER}/"):
            record = json.loads(content)
            del record["run"]  # times
            if name.startswith(f"{FOLDER}/report/"):
                del record["output"]
            content = json.dumps(record, sort_keys=True).encode()
        elif name.startswith("report/"):
            content = b""  # it shows times
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def undisturbed(folder: Path, part: str, before: Path | None = None) -> Undisturbed:
    """Run a part of the workflow in peace; `before` has what it starts from."""
    renew(folder, before)
    begun = time.monotonic()
    status, said = finished(folder, *PARTS[part])
    assert status == 0, said
    seconds = time.monotonic() - begun
    jobs = len(re.findall(r"^Finished jobid:", said, flags=re.M))
    assert not verify(folder / "results", thorough=True).wrong
    return Undisturbed(folder, part, contents(folder), jobs, seconds, before)


def decoded_run(folder: Path) -> None:
    """Fill a folder with the first part's undisturbed run (`made_once`); `known` reads its copies."""
    plan = undisturbed(tiny_run.make(folder), "decoding")
    (folder / KNOWN).write_text(json.dumps({"jobs": plan.jobs, "seconds": plan.seconds}), encoding="utf-8")


def known(folder: Path) -> Undisturbed:
    """The undisturbed run of a copy of `decoded_run`."""
    numbers = json.loads((folder / KNOWN).read_text(encoding="utf-8"))
    return Undisturbed(folder, "decoding", contents(folder), before=None, **numbers)


def renew(folder: Path, before: Path | None) -> None:
    """Take away all that runs made, or put back what they start from."""
    for name in MADE:
        shutil.rmtree(folder / name, ignore_errors=True)
        if before is not None and (before / name).exists():
            shutil.copytree(before / name, folder / name)


def wait_for(moment: str, run: subprocess.Popen, plan: Undisturbed, draw: random.Random) -> None:
    """Until a random time; or a random job's start; or, from a random time on, somebody's writing."""
    begun = time.monotonic()
    if moment == "start":
        old = len(list(plan.folder.glob("logs/**/*.log")))
        wanted = old + draw.randint(1, plan.jobs)
        while len(list(plan.folder.glob("logs/**/*.log"))) < wanted and run.poll() is None:
            time.sleep(0.01)
        return
    share = 1.0 if moment == "time" else 0.9
    end = begun + draw.uniform(0, share * plan.seconds)
    while time.monotonic() < end and run.poll() is None:
        time.sleep(0.01)
    while moment == "write" and run.poll() is None and not parts(plan.folder):
        pass


def strike(kind: str, run: subprocess.Popen, mark: str, draw: random.Random) -> int:
    """Kill, and wait for what a user waits for; the number of jobs that continue."""
    if kind == "everything":
        kill_everything(mark)
    elif kind == "job":
        jobs: list[int] = []
        while not jobs and run.poll() is None:
            jobs = sorted(processes(mark, of=".snakemake/scripts/").values())
        kill(jobs and [draw.choice(jobs)])
    else:
        how = {"snakemake": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}[kind]
        if kind == "interrupt" and run.poll() is None:
            os.killpg(run.pid, how)  # as a terminal does
        else:
            kill([run.pid], how)
    run.wait(600)  # a terminated Snakemake waits for its jobs
    return len(processes(mark, of=".snakemake/scripts/"))


def disturb(plan: Undisturbed, number: int, seed: int) -> Outcome:
    """Kill one run, start the next one as a user would, and compare with the undisturbed run."""
    draw = random.Random(f"{seed} {number}")
    kind = KINDS[number % len(KINDS)]
    moment = MOMENTS[number // len(KINDS) % len(MOMENTS)]
    folder = plan.folder
    renew(folder, plan.before)
    begun = time.monotonic()
    run, mark = start(folder, *PARTS[plan.part])
    try:
        wait_for(moment, run, plan, draw)
        second, too_late = time.monotonic() - begun, run.poll() is not None
        orphans = strike(kind, run, mark, draw)
        left = parts(folder)
        status, said = finished(folder, *PARTS[plan.part])
        if unlocked := status != 0 and "--unlock" in said:  # the sentence that Snakemake prints
            assert finished(folder, *PARTS[plan.part], "--unlock")[0] == 0
            status, said = finished(folder, *PARTS[plan.part])
        seconds = time.monotonic() - begun - second
        what = f"kill {number} of seed {seed} ({kind} by {moment} after {second:.1f} s)"
        assert status == 0, f"{what}: {said}"
        end = time.monotonic() + 60
        while processes(mark) and time.monotonic() < end:  # orphans may still write
            time.sleep(0.1)
        compare(plan, what)
    finally:
        kill_everything(mark)
    return Outcome(number, kind, plan.part, moment, second, too_late, orphans, left, unlocked, seconds)


def compare(plan: Undisturbed, what: str) -> None:
    """Fail where anything differs from the undisturbed run, or is left over."""
    found, wanted = contents(plan.folder), plan.results
    differing = [name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)]
    assert not differing, f"{what}: {sorted(differing)}"
    assert not parts(plan.folder), f"{what}: left over: {parts(plan.folder)}"
    verdict = verify(plan.folder / "results", thorough=True)
    assert (verdict.wrong, verdict.unchecked) == ([], []), what
    held = [path for name in ("locks", "incomplete") for path in plan.folder.glob(f".snakemake/{name}/*")]
    assert not held, f"{what}: {held}"
    status, said = finished(plan.folder, *PARTS[plan.part], "--dry-run")
    assert status == 0, said
    assert "Nothing to be done" in said, f"{what}: {said}"


def in_peace(folder: Path) -> list[Undisturbed]:
    """All parts undisturbed, one after the other."""
    plans: list[Undisturbed] = []
    before = None
    for part in PARTS:
        plan = undisturbed(folder, part, before)
        plans.append(plan)
        print(
            f"undisturbed {part}: {plan.jobs} jobs, {plan.seconds:.1f} s, {len(plan.results)} files",
            flush=True,
        )
        before = folder.with_name(f"after {part}")
        for name in MADE:
            shutil.copytree(folder / name, before / name)
    return plans


def main() -> None:
    """Kill as often as asked, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first kill")
    parser.add_argument("--folder", type=Path, help="where to run; default: a temporary folder")
    arguments = parser.parse_args()
    outcomes, failed = [], 0
    with tempfile.TemporaryDirectory() as temporary:
        plans = in_peace(tiny_run.make((arguments.folder or Path(temporary)) / "killed run"))
        for number in range(arguments.first, arguments.first + arguments.kills):
            (plan,) = random.Random(f"{arguments.seed} {number} part").choices(plans, SHARES)
            try:
                outcomes.append(disturb(plan, number, arguments.seed))
                print(outcomes[-1], flush=True)
            except AssertionError as error:
                failed += 1
                print(f"{number:3} FAILED {error}", flush=True)
    for kind, count in collections.Counter(outcome.kind for outcome in outcomes).items():
        print(f"{kind}: {count} kills, then the same results")
    sys.exit(f"{failed} of {arguments.kills} kills failed" if failed else None)


if __name__ == "__main__":
    main()
