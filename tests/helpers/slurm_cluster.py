"""A SLURM cluster of one node on this machine, for tests: no systemd, cgroups or database. As root on Debian:

    apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
    python tests/helpers/slurm_cluster.py start [--gpus 2]       # returns when the node takes jobs
    python tests/helpers/slurm_cluster.py stop

Partitions "cpu" and "gpu", GPUs of the type "a100", as in workflow/profiles/slurm. The GPUs are devices every
machine has, so jobs queue for them and compute on the CPU. An /etc/slurm/slurm.conf that is not this
script's own is never touched.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

MARK = "# written by tests/helpers/slurm_cluster.py\n"
# srun drops SLURM_CONF inside jobs, so that the configuration must lie where SLURM looks by itself
ETC = Path("/etc/slurm")
# short, as a socket's path may have 107 characters; open to all, as munge wants it
HOME = Path("/run/neural-recon-slurm")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch")
DEVICES = ("/dev/null", "/dev/zero")
PATIENCE = 30  # seconds

# cpu goes first (PriorityTier): on one node its jobs would otherwise wait behind those that wait for a GPU
SLURM_CONF = """\
ClusterName=ci
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge.sock
CredType=cred/munge
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
ReturnToService=2
MinJobAge=900
KillWait=5
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:a100:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={node} Default=YES PriorityTier=2 MaxTime=24:00:00 DefMemPerCPU=500 State=UP
PartitionName=gpu Nodes={node} MaxTime=24:00:00 DefMemPerCPU=500 State=UP
"""


def obstacle() -> str | None:
    """Why no cluster can be started here, or None."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if os.geteuid() != 0:
        return "a SLURM cluster is started by root only"
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurmctld slurmd slurm-client munge"
    conf = ETC / "slurm.conf"
    if conf.is_file() and not conf.read_text(encoding="utf-8").startswith(MARK):
        return f"{conf} belongs to another cluster"
    return None


def start(gpus: int = 1, cpus: int = 4) -> None:
    """Start the daemons and wait until the node is idle; one of this script's is stopped first."""
    if reason := obstacle():
        raise SystemExit(reason)
    stop()
    for folder in (ETC, HOME, HOME / "state", HOME / "spool"):
        folder.mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o755)
    node = socket.gethostname().split(".")[0]
    conf = SLURM_CONF.format(node=node, home=HOME, cpus=cpus, gpus=gpus)
    (ETC / "slurm.conf").write_text(MARK + conf, encoding="utf-8")
    devices = ",".join(DEVICES[:gpus])
    gres = f"NodeName={node} Name=gpu Type=a100 File={devices}\n"
    (ETC / "gres.conf").write_text(MARK + gres, encoding="utf-8")
    key = HOME / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    munge = [
        *("munged", f"--key-file={key}", f"--socket={HOME}/munge.sock", f"--pid-file={HOME}/munged.pid"),
        *(f"--log-file={HOME}/munged.log", f"--seed-file={HOME}/munge.seed"),
    ]
    for command in (munge, ["slurmctld", "-c"], ["slurmd"]):
        subprocess.run(command, check=True)
    wait_until(lambda: told("sinfo", "-h", "-p", "cpu", "-o", "%T") == "idle", "the node to be idle")


def stop() -> None:
    """Stop what `start` started, jobs too, and remove its files."""
    pids = [int(path.read_text()) for name in ("slurmctld", "slurmd", "munged")
            if (path := HOME / f"{name}.pid").is_file()]  # fmt: skip
    running = [pid for pid in pids if is_running(pid)]
    if running and running == pids:
        # jobs would outlive the daemons, which all have to be there to end them
        subprocess.run(["scancel", f"--user={os.getuid()}"], check=True)
        wait_until(lambda: not told("squeue", "-h"), "the jobs to end")
    for pid in running:
        # no state is worth saving
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, running)), "the daemons to end")
    shutil.rmtree(HOME, ignore_errors=True)
    for path in (ETC / "slurm.conf", ETC / "gres.conf"):
        if path.is_file() and path.read_text(encoding="utf-8").startswith(MARK):
            path.unlink()


def told(*command: str) -> str:
    """What one of SLURM's commands says, empty where the controller does not answer yet."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def is_running(pid: int) -> bool:
    """Whether a daemon runs; a pid that another program has meanwhile does not count."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return name in ("slurmctld", "slurmd", "munged") and state != "Z"


def wait_until(condition, what: str) -> None:
    """Ask ten times a second."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {PATIENCE} s for {what}; the logs are in {HOME}")
        time.sleep(0.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--gpus", type=int, default=1, choices=[1, 2])
    parser.add_argument("--cpus", type=int, default=4)
    arguments = parser.parse_args()
    start(arguments.gpus, arguments.cpus) if arguments.action == "start" else stop()
