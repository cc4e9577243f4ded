"""Jobs of the workflow in forks of a process that has torch, diffusers and the package loaded already.

A job's start costs one to four seconds of imports, and the tests run thousands of jobs that compute for less.
Only tests do so: Snakemake itself starts an interpreter per job. `python loaded_jobs.py SOCKET` serves until
its standard input ends, each test worker has one.
"""

import atexit
import functools
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

CLIENT = Path(__file__).with_name("job_client.py")


def read_at_import() -> dict[str, str]:
    """The variables that libraries read when they are imported, and not again."""
    return {name: value for name, value in os.environ.items() if name.startswith("HF_")}


AT_START = read_at_import()


@functools.cache
def server() -> str:
    """The socket of this process's server, which ends with it."""
    folder = tempfile.TemporaryDirectory()
    place = str(Path(folder.name) / "jobs")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__)), place]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )

    def end() -> None:
        process.kill()
        process.wait()
        folder.cleanup()

    atexit.register(end)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return place


def serve(place: str) -> None:
    """Take scripts from `job_client`s, a process each."""
    import neural_recon

    for module in pkgutil.walk_packages(neural_recon.__path__, "neural_recon."):
        importlib.import_module(module.name)
    # what jobs import of them, they load when it is first asked for
    for lazily in ("diffusers", "transformers"):
        importlib.import_module(lazily)
    gc.collect()
    gc.freeze()  # or collections of the forks would copy all of this
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen(64)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes of clients
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            client, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _attend(client)
            client.close()


def _attend(client: socket.socket) -> None:
    """In a process of its own: run a client's script, pass on its signals, and say how it ended."""
    head, descriptors, _, _ = socket.recv_fds(client, 8, 3)
    size, message = int.from_bytes(head, "big"), b""
    while len(message) < size:
        part = client.recv(size - len(message))
        if not part:  # the client was killed
            os._exit(1)
        message += part
    script, folder, *variables = os.fsdecode(message).split("\0")
    job = os.fork()
    if job == 0:
        client.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os._exit(_run(script, folder, dict(one.split("=", 1) for one in variables)))
    ended = os.pidfd_open(job)
    while True:
        ready, _, _ = select.select([client, ended], [], [])
        if ended in ready:
            break
        number = client.recv(1)
        os.kill(job, number[0] if number else signal.SIGKILL)
        if not number:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    try:
        client.sendall(bytes([status if status >= 0 else 128 - status]))
    finally:
        os._exit(0)


def _run(script: str, folder: str, environment: dict[str, str]) -> int:
    """A script as Python runs it, from its own start to its own end."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [script]
    status = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    try:
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
