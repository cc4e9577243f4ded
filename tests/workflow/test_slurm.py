"""The workflow on a SLURM cluster of one node, through the profile that users submit with."""

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from helpers import kills, made_once, slurm_cluster, tiny_run
from helpers.places import ROOT

BASE, FINAL = "base_images/subj01/decoded.h5", "reconstructions/subj01/decoded.h5"
# those that the profile sends to the cluster
FIRST = {
    *("features", "betas", "quality", "responses"),
    *("ridge_kernel", "ridge", "base_images"),
}
RULES = FIRST | {"features", "unconditional", "reconstruct"}
# a small machine, and jobs of seconds: threads that fit, GPU jobs that are not grouped, and jobs looked at
# when most have ended, as a look that finds none puts the next off by ten more
HERE = [
    *("--group-components", "features=1", "painting=1"),
    *("--max-threads", "1", "--latency-wait", "5"),
    *("--slurm-init-seconds-before-status-checks", "10"),
]


def command(*arguments: str) -> list[str]:
    """Snakemake's; targets come first."""
    return [sys.executable, "-m", "snakemake", *arguments, "--quiet", "host"]


def submit(folder: Path, target: str, *arguments: str) -> subprocess.Popen:
    """Start a run through the profile."""
    profile = ("--workflow-profile", "workflow/profiles/slurm", "--configfile", "cluster.yaml")
    return subprocess.Popen(
        command(f"cluster/{target}", *profile, *HERE, *arguments),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(run: subprocess.Popen) -> str:
    """Wait for a run, and what it said."""
    try:
        return run.communicate(timeout=900)[0]
    finally:
        run.kill()  # one that hangs


def jobs() -> list[dict[str, str]]:
    """What the controller knows of all jobs, also of those that ended."""
    told = subprocess.run(["scontrol", "-o", "show", "job"], capture_output=True, text=True, check=True)
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in told.stdout.splitlines() if "JobId=" in line]


def rules_of(records: list[dict[str, str]]) -> set[str]:
    """The rules of some jobs, of groups too: sessions_betas are jobs of betas in the group sessions."""
    names = set()
    for job in records:
        name = job["Comment"].removeprefix("rule_").split("_wildcards_")[0]
        names |= {rule for rule in RULES if re.search(rf"(^|_){rule}(_|$)", name)} or {name}
    return names


def gpu_times(records: list[dict[str, str]]) -> list[tuple[datetime, datetime, datetime]]:
    """When the jobs on GPUs were submitted, began and ended, in the order they began."""
    stamps = [[datetime.fromisoformat(job[key]) for key in ("SubmitTime", "StartTime", "EndTime")]
              for job in records if "gpu" in job.get("TresPerJob", "")]  # fmt: skip
    return sorted(map(tuple, stamps), key=lambda job: job[1:])


def at_once(records: list[dict[str, str]]) -> int:
    """The most jobs that were on GPUs at the same time."""
    times = gpu_times(records)
    return max(sum(start <= when < end for _, start, end in times) for _, when, _ in times)


def running(run: subprocess.Popen, rule: str) -> str:
    """The number of a rule's first job that runs, as soon as there is one."""
    end = time.monotonic() + 300
    while True:
        for job in jobs():
            if job["JobState"] == "RUNNING" and rule in job["Comment"]:
                return job["JobId"]
        assert run.poll() is None, finish(run)
        assert time.monotonic() < end, f"no job of {rule} came"
        time.sleep(0.2)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all arrays and tables."""
    files = [path for path in folder.rglob("*.*") if path.suffix in (".h5", ".tsv", ".parquet")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A finished local run, and a configuration whose results a cluster is to compute again."""
    if reason := slurm_cluster.obstacle():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm") / "my project"
    made_once.copied(tmp_path_factory, kills.decoded_run, folder)
    shutil.rmtree(folder / "results/targets")  # which no run here asks for
    paths = {"results": "cluster", "logs": "cluster_logs", "benchmarks": "cluster_benchmarks"}
    cluster = yaml.safe_dump(tiny_run.CONFIG | {"pathvars": paths})
    (folder / "cluster.yaml").write_text(cluster, encoding="utf-8")
    status, said = kills.finished(folder, f"results/{FINAL}")
    assert status == 0, said
    yield folder
    slurm_cluster.stop()


@pytest.mark.slow
def test_gpu_jobs_queue_for_one_gpu(project):
    """And a job that was lost comes again by itself, with more memory and time."""
    slurm_cluster.start(gpus=1)
    run = submit(project, BASE)
    lost = running(run, "quality")
    subprocess.run(["scancel", lost], check=True)
    told = finish(run)
    assert run.returncode == 0, told
    records = jobs()
    assert [job["JobId"] for job in records if job["JobState"] != "COMPLETED"] == [lost]
    asked = [(job["MinMemoryNode"], job["TimeLimit"]) for job in records if "quality" in job["Comment"]]
    assert sorted(asked) == [("3000M", "00:20:00"), ("6000M", "00:40:00")]
    # trials and voxels ran alongside Snakemake
    assert rules_of(records) == FIRST
    for job in records:
        assert job["Partition"] == ("gpu" if "gpu:a100:1" in job.get("TresPerJob", "") else "cpu")
    times = gpu_times(records)
    assert len(times) == 4  # two chunks of features, the regressions, the base images
    assert at_once(records) == 1
    assert times[1][0] < times[0][2], "the second chunk of features did not wait for the first"
    local, cluster = hashes(project / "results"), hashes(project / "cluster")
    assert BASE in cluster
    assert cluster == {name: local[name] for name in cluster}


@pytest.mark.slow
def test_two_gpus_two_jobs_and_what_failed_is_named_and_mended(project):
    """One job is cancelled, one runs out of time; the others end, and the next run does what is missing."""
    slurm_cluster.start(gpus=2)
    run = submit(project, FINAL, "--retries", "0")
    # first the one that waits for no GPU, and would be over before the other begins
    cancelled = running(run, "unconditional")
    subprocess.run(["scancel", cancelled], check=True)
    late = running(run, "features")
    # stopped, it cannot end before its time is over
    subprocess.run(["scancel", "--signal=STOP", "--full", late], check=True)
    # not "now", which the controller refuses when its clock is already at the next second
    subprocess.run(["scontrol", "update", f"JobId={late}", "EndTime=now+10"], check=True)
    told = finish(run)
    assert run.returncode == 1, told
    states = {job["JobId"]: job["JobState"] for job in jobs()}
    assert (states[cancelled], states[late]) == ("CANCELLED", "TIMEOUT")
    for job, rule in ((cancelled, "unconditional"), (late, "features")):
        assert re.search(rf"log: cluster_logs/{rule}.*check log file", told), told
        (log,) = set(re.findall(rf"log: (?:[^\n]*, )?(/[^\n]*/{job}\.log) \(check log", told))
        assert "CANCELLED" in Path(log).read_text(encoding="utf-8")
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in told
    first = jobs()
    assert at_once(first) == 2

    run = submit(project, FINAL)
    told = finish(run)
    assert run.returncode == 0, told
    second = [job for job in jobs() if job["JobId"] not in states]
    missing = {
        "features",
        "unconditional",
        "ridge",
        "reconstruct",
    }
    assert rules_of(second) == missing
    assert rules_of(first) | rules_of(second) == RULES - FIRST | {"ridge", "features"}
    assert at_once(second) == 2  # two chunks are painted at once
    assert hashes(project / "cluster") == hashes(project / "results")


def test_profile_names_all_rules_that_ask_for_a_gpu():
    """A rule that is not named there would wait for a GPU in a partition that has none."""
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").rglob("*.smk"))
    rules = re.split(r"^ *rule (?=\w+:)", text, flags=re.M)[1:]
    asking = {rule.partition(":")[0] for rule in rules if re.search(r"^ +gpu=1,", rule, flags=re.M)}
    copies = re.findall(r"use rule (\w+) as (\w+) with:", text)
    asking |= {copy for rule, copy in copies if rule in asking}
    assert set(profile["set-resources"]) == asking
