"""Fetching weights, from a server on the loopback."""

import errno
import hashlib
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers.server import serving

from neural_recon.core import transfer
from neural_recon.core.errors import InputError
from neural_recon.models import fetch
from neural_recon.models.weights import Download

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several blocks
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/assets/model.th"


@pytest.fixture
def server():
    with serving({PATH: CONTENT}) as running:
        yield running


@pytest.fixture
def place(tmp_path):
    """Where the file goes, and where its parts gather."""
    return tmp_path / "models/entry/model.th", tmp_path / "models/entry/.part-model.th"


def wanted(server, **known) -> Download:
    return Download(source=f"{server.address}/assets/", path="model.th", **known)


def test_first_digits_of_the_sha256_are_checked(server, place):
    fetch.fetch(wanted(server, sha256_begins=SHA256[:8]), place[0])
    assert place[0].read_bytes() == CONTENT
    place[0].unlink()
    with pytest.raises(InputError, match=rf"expected the sha256 7be5be79\.\.\. .*found {SHA256}"):
        fetch.fetch(wanted(server, sha256_begins="7be5be79"), place[0])
    assert not place[0].exists()
    assert not place[1].exists()


def test_whole_file(server, place, caplog):
    caplog.set_level(logging.INFO)
    fetch.fetch(wanted(server, size=len(CONTENT), sha256=SHA256), place[0])
    assert place[0].read_bytes() == CONTENT
    assert not place[1].exists()
    assert server.asked == [(PATH, None)]
    assert f"3072000 bytes, sha256 {SHA256}" in caplog.text
    assert "34 % of 0.00 GB" in caplog.text  # one line a block of 1 MiB


def test_cut_connection_goes_on_where_it_stopped(server, place):
    server.cut = 2_000_000
    with pytest.raises(
        InputError, match=r"model\.th: expected to fetch http://127.*connection failing.*try again"
    ):
        fetch.fetch(wanted(server, sha256=SHA256), place[0])
    assert not place[0].exists()
    have = place[1].stat().st_size
    assert 1_000_000 < have <= 2_000_000
    fetch.fetch(wanted(server, sha256=SHA256), place[0])
    assert place[0].read_bytes() == CONTENT
    assert server.asked == [(PATH, None), (PATH, f"bytes={have}-")]


def test_server_without_ranges_starts_again(server, place):
    server.ranges = False
    place[1].parent.mkdir(parents=True)
    place[1].write_bytes(b"older" * 1000)
    fetch.fetch(wanted(server, sha256=SHA256), place[0])
    assert place[0].read_bytes() == CONTENT


def test_cut_after_the_last_byte(server, place):
    place[1].parent.mkdir(parents=True)
    place[1].write_bytes(CONTENT)
    fetch.fetch(wanted(server, sha256=SHA256), place[0])
    assert place[0].read_bytes() == CONTENT


def test_part_longer_than_the_file_is_dropped(server, place):
    place[1].parent.mkdir(parents=True)
    place[1].write_bytes(CONTENT + b"more")
    with pytest.raises(InputError, match="answering 416"):
        fetch.fetch(wanted(server), place[0])
    fetch.fetch(wanted(server), place[0])
    assert place[0].read_bytes() == CONTENT


def test_other_size_than_the_tables(server, place):
    with pytest.raises(InputError, match=r"expected 10 bytes, found a file of 3072000.*fix the table"):
        fetch.fetch(wanted(server, size=10), place[0])
    assert not place[0].exists()
    assert not place[1].exists()


def test_other_checksum_than_the_tables(server, place):
    with pytest.raises(
        InputError, match=rf"model\.th: expected the sha256 0{{64}} .*found {SHA256}; the file was rem"
    ):
        fetch.fetch(wanted(server, sha256="0" * 64), place[0])
    assert not place[0].exists()
    assert not place[1].exists()  # so that the next try does not continue with it


@pytest.mark.parametrize(("login", "message"), [(None, "answering 404"), ("secret", "401.*set HF_TOKEN")])
def test_refusals(server, place, login, message):
    server.files, server.login = {}, login
    with pytest.raises(InputError, match=message) as caught:
        fetch.fetch(wanted(server), place[0])
    assert "\n" not in str(caught.value)


def test_server_that_cannot_be_reached(place):
    nobody = Download(source="http://127.0.0.1:9/", path="model.th")
    with pytest.raises(
        InputError, match=r"fetch http://127\.0\.0\.1:9/model\.th, found .*refused.*put the file there"
    ):
        fetch.fetch(nobody, place[0])


def test_disk_that_is_too_small(server, place, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"entry: expected 0\.00 GB free .* make room"):
        fetch.fetch(wanted(server), place[0])


def test_disk_that_fills_up(server, place, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(InputError, match=r"model\.th: expected to write it.*No space left.*make room"):
        fetch.fetch(wanted(server), place[0])
    assert not place[0].exists()


# The hub's address is read when its library is imported: in a process of its own, as in a job.
HUB = """
import sys, pathlib
from neural_recon.core import errors
from neural_recon.models import fetch, weights
try:
    wanted = weights.Download(source="hub:lab/model", revision="v1", path="vae/model.bin")
    fetch.fetch(wanted, pathlib.Path("model.bin"))
except errors.InputError as error:
    sys.exit(str(error))
"""


def fetch_from_hub(server, folder, **environment) -> subprocess.CompletedProcess:
    # HF_HUB_OFFLINE, as in `make demo`, does not hinder a fetch that the configuration asks for
    known = {**os.environ, "HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", HUB],
        cwd=folder,
        env={**known, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def hub():
    """Sends on to where the file lies, and announces its sha256, as the hub does."""
    asked = "/lab/model/resolve/v1/vae/model.bin"
    with serving({"/cdn/blob": CONTENT}, redirects={asked: ("/cdn/blob", SHA256)}) as running:
        yield running


def test_file_of_the_hub(hub, tmp_path):
    done = fetch_from_hub(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert [path for path, _ in hub.asked] == ["/lab/model/resolve/v1/vae/model.bin", "/cdn/blob"]


def test_file_of_the_hub_goes_on_where_it_stopped(hub, tmp_path):
    hub.cut = 2_000_000
    assert "connection failing" in fetch_from_hub(hub, tmp_path).stderr
    have = (tmp_path / ".part-model.bin").stat().st_size
    assert fetch_from_hub(hub, tmp_path).returncode == 0
    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert hub.asked[-1] == ("/cdn/blob", f"bytes={have}-")


def test_file_of_the_hub_that_is_not_what_was_announced(hub, tmp_path):
    hub.files["/cdn/blob"] = b"something else"
    done = fetch_from_hub(hub, tmp_path)
    assert f"expected the sha256 {SHA256}" in done.stderr
    assert not (tmp_path / "model.bin").exists()


def test_hub_that_asks_for_a_login(hub, tmp_path):
    hub.login = "secret"
    assert "set HF_TOKEN" in fetch_from_hub(hub, tmp_path).stderr
    assert fetch_from_hub(hub, tmp_path, HF_TOKEN="secret").returncode == 0


def test_terms_are_said_before_the_first_byte(server, place, caplog):
    terms = "for non-commercial use only"
    with pytest.raises(InputError, match="404"):
        fetch.fetch(Download(source=f"{server.address}/assets/", path="none.th", terms=terms), place[0])
    assert [record.getMessage() for record in caplog.records] == [f"{server.address}/assets/: {terms}"]
