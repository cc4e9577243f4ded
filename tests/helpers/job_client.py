"""`python job_client.py SOCKET SCRIPT`: have a loaded process (`loaded_jobs`) run a script as this one.

It imports as little as can be, as it is started once per job.
"""

import os
import signal
import socket
import sys


def main() -> None:
    place, script = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        variables = [f"{name}={value}" for name, value in os.environ.items()]
        message = os.fsencode("\0".join([script, os.getcwd(), *variables]))  # noqa: PTH109 (pathlib is slow to import)
        socket.send_fds(server, [len(message).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(message)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        status = server.recv(1)
    os._exit(status[0] if status else 1)


if __name__ == "__main__":
    main()
