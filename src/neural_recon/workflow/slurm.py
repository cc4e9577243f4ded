"""What SLURM does not take ends the run in a sentence.

Snakemake's plugin for SLURM (snakemake-executor-plugin-slurm 2.8.0) submits jobs in threads whose errors
nobody sees. Its handler of errors asks a group of jobs for its rule's name, which a group does not have, and
the run waits for ever; what sbatch says of a group is not printed; no command has a limit of time; and users
who may not list accounts are not let through. The guard around its executor relies on nothing of the plugin
but the methods that Snakemake prescribes, and `get_account_arg`.
"""

import contextlib
import getpass
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from neural_recon.core.errors import InputError, quoted

QUESTION = 8  # seconds for a list of accounts: not all clusters answer, and sbatch decides in the end
TEST = 20  # seconds for all test submissions together
# Seconds for a submission before any has succeeded, and after: a busy controller lets sbatch wait minutes.
FIRST, LATER = 30, 300
COMMANDS = ("sbatch", "sacctmgr", "sshare", "sacct")
# What a test submission may say that no waiting will change. Other reasons, such as busy nodes, do not hold
# up a real one, which is the judge.
FINAL = re.compile(
    r"invalid (account|partition|qos|generic resource|feature)|time limit is invalid|not permitted"
    r"|permission denied|unable to contact",
    re.IGNORECASE,
)
EDIT = "correct it in the profile (workflow/profiles/slurm/config.yaml, the lines marked EDIT)"


def guard() -> None:
    """Have runs through the SLURM plugin end in a sentence where a job cannot be submitted."""
    registry = ExecutorPluginRegistry()
    if not registry.is_installed("slurm"):
        return
    plugin = registry.get_plugin("slurm")
    # a workflow may be read more than once in a process
    if not issubclass(plugin.executor, Guarded):
        plugin.executor = type("Executor", (Guarded, plugin.executor), {})


class Guarded(RemoteExecutor):  # type: ignore[misc]  # it has no types
    """The methods of an executor that submissions go through, before those of the plugin's own."""

    def __init__(self, workflow: Any, logger: Any):
        self._accepted = False
        self._ended = False
        self._silent = ""
        self._first = threading.Lock()
        jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
        try:
            if jobs:
                check_paths(Path(workflow.main_snakefile), Path.cwd(), Path(shlex.split(sys.executable)[0]))
            check(jobs)
        except InputError as error:
            raise WorkflowError(str(error)) from None
        super().__init__(workflow, logger)

    def run_job(self, job: Any) -> None:
        """Submit a job, or report why that failed."""
        if self._ended:
            return
        over = threading.Event()
        threading.Thread(target=self._end_commands, args=(over,), daemon=True).start()
        try:
            super().run_job(job)
        except Exception as error:
            # the plugin's handler failed at what it was called for
            self.report_job_error(SubmittedJobInfo(job), msg=str(error.__context__ or error))
        finally:
            over.set()

    def _end_commands(self, over: threading.Event) -> None:
        """End commands of SLURM that do not answer: what called them then says that they failed."""
        patience = LATER if self._accepted else FIRST
        while not over.wait(patience):
            for child in psutil.Process().children(recursive=True):
                try:
                    names = {word.rpartition("/")[2] for word in child.cmdline()}.intersection(COMMANDS)
                    if names and time.time() - child.create_time() > patience / 2:
                        self._silent = f"no answer from {names.pop()} within {patience} s"
                        for one in [*child.children(recursive=True), child]:
                            one.kill()
                except psutil.Error:  # gone meanwhile
                    continue

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The account as sbatch's argument: `check` has looked whether it is right, and sbatch will say."""
        if accounts := _accounts(job.resources):
            yield f" -A {shlex.quote(accounts[0])}"
        else:
            yield from super().get_account_arg(job)

    def report_job_submission(self, job_info: Any, register_job: bool = True) -> None:
        """A job was submitted."""
        self._accepted = True
        super().report_job_submission(job_info, register_job=register_job)

    def report_job_error(self, job_info: Any, msg: str | None = None, **more: Any) -> None:
        """A job failed. Where the very first cannot be submitted, the run ends: nothing would be lost.

        What is said of a group is printed here, as Snakemake leaves it out.
        """
        job = job_info.job
        if job_info.external_jobid is None:
            # without the call, which has kilobytes
            silent, self._silent = self._silent, ""
            said = silent or (msg or "no reason").partition("\n    sbatch call:")[0]
            sentence = str(refusal(_rules(job), job.resources, said))
            with self._first:
                ended, self._ended = self._ended, self._ended or not self._accepted
            if self._ended:
                if not ended:
                    self.workflow.scheduler.executor_error_callback(WorkflowError(sentence))
                return
            msg = sentence
        if msg and job.is_group():
            self.logger.error(msg)
        super().report_job_error(job_info, msg=msg, **more)


def check_paths(*paths: Path) -> None:
    """Raise an InputError on the first path that would not reach a job as it is.

    The plugin puts the whole command between double quotes, and SLURM fills in % in the paths of logs.
    """
    for path in paths:
        if found := sorted(set("'$`\\%") & set(str(path))):
            raise InputError(
                f"{path}: expected a path without {' '.join(found)}, which does not reach a job of SLURM as "
                "it is; rename that folder."
            )


def check(jobs: list[Any]) -> None:
    """Raise an InputError where SLURM would take some of these jobs never, before the first is submitted.

    Args:
        jobs: those for the cluster, as Snakemake has them.
    """
    if not jobs:
        return
    if shutil.which("sbatch") is None:
        raise InputError(
            "sbatch: expected SLURM's commands on the PATH, found none; run this on a login node of the "
            "cluster, or without the profile for SLURM."
        )
    ordered = sorted(jobs, key=_rules)
    requests = {tuple(request(job.resources)): job for job in ordered}
    accounts = {account for job in requests.values() for account in _accounts(job.resources)}
    known = listed_accounts() if accounts else set()
    for account in sorted(accounts):
        if known and account.lower() not in known:
            raise InputError(
                f"slurm_account: expected an account that you may use ({', '.join(sorted(known))}), found "
                f"{account}; {EDIT}."
            )
    end = time.monotonic() + TEST
    for arguments, job in requests.items():
        left = end - time.monotonic()
        if left <= 0:
            return  # a slow controller: what is left shows when it is submitted
        try:
            answer = _ask(["sbatch", "--test-only", *arguments, "--wrap", "true"], left)
        except subprocess.TimeoutExpired:
            if left < TEST / 2:
                return
            raise InputError(
                f"sbatch: expected an answer within {TEST} s, found none; look at the cluster with sinfo, "
                "and try again when it answers."
            ) from None
        except OSError as error:
            raise InputError(
                f"sbatch: expected SLURM's command, found one that does not start ({error.strerror}); have "
                "the cluster's administrators look at it, or load SLURM's module again."
            ) from None
        if answer.returncode and FINAL.search(answer.stderr):
            raise refusal(_rules(job), job.resources, answer.stderr)


def request(resources: Any) -> list[str]:
    """What a job asks SLURM for, as arguments of sbatch.

    Raises:
        InputError: extra options that no shell could read.
    """
    known = {
        "slurm_partition": "--partition={}",
        "slurm_cluster": "--clusters={}",
        "runtime": "--time={}",
        "mem_mb": "--mem={}",
        "constraint": "--constraint={}",
        "qos": "--qos={}",
        "gres": "--gres={}",
        "_cores": "--cpus-per-task={}",
    }
    asked = [f"--account={account}" for account in _accounts(resources)[:1]]
    asked += [form.format(value) for name, form in known.items() if (value := resources.get(name))]
    gpus, model = resources.get("gpu"), resources.get("gpu_model")
    if gpus or model:
        asked.append(f"--gpus={f'{model}:' if model else ''}{gpus or 1}")
    extra = str(resources.get("slurm_extra") or "")
    try:
        return asked + shlex.split(extra)
    except ValueError:  # a quotation mark without its partner
        raise InputError(
            f"slurm_extra: expected options of sbatch with quotation marks in pairs, found {quoted(extra)}; "
            "correct it in the profile."
        ) from None


def refusal(rules: str, resources: Any, said: str) -> InputError:
    """The sentence about a job that SLURM does not take."""
    return InputError(
        f"{rules}: expected SLURM to take a job with {' '.join(request(resources))}, found: "
        f"{said.strip().rstrip('.')}; where account, partition, GPU or a limit is wrong, {EDIT}."
    )


def listed_accounts() -> set[str]:
    """The accounts that this user has, in small letters; none where that cannot be known."""
    user = getpass.getuser()
    for command in (
        ["sacctmgr", "-n", "-s", "list", "user", user, "format=account%256"],
        ["sshare", "-U", "--format", "Account%256", "--noheader"],
    ):
        try:
            answer = _ask(command, QUESTION)
        except (OSError, subprocess.TimeoutExpired):
            continue
        accounts = {line.strip().lower() for line in answer.stdout.splitlines() if line.strip()}
        if answer.returncode == 0 and accounts:
            return accounts
    return set()


def _accounts(resources: Any) -> list[str]:
    return [part for part in re.split(r"[,\s]+", str(resources.get("slurm_account") or "")) if part]


def _rules(job: Any) -> str:
    """The names of the rules of a job or of a group of jobs."""
    return ", ".join(sorted({one.rule.name for one in (job.jobs if job.is_group() else [job])}))


def _ask(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command, which ends with all it started when its time is over."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(psutil.Error):  # gone meanwhile
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)
