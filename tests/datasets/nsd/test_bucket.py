"""Fetching NSD's files, from a bucket on the loopback."""

import base64
import errno
import hashlib
import logging
import os
from types import SimpleNamespace

import pytest
from helpers.s3 import serving

from neural_recon.core import transfer
from neural_recon.core.errors import InputError
from neural_recon.datasets.nsd import bucket
from neural_recon.datasets.nsd.bucket import Object

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several blocks
FOLDER = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf"
KEY = f"{FOLDER}/betas_session01.nii.gz"


@pytest.fixture
def store(monkeypatch):
    with serving({KEY: CONTENT}) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.address)
        # whoever has credentials is not asked for them, nor are they shown
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield running


@pytest.fixture
def place(tmp_path):
    """Where the file goes, and where its parts gather."""
    return tmp_path / KEY, tmp_path / FOLDER / ".part-betas_session01.nii.gz"


def put_part(place, content: bytes) -> None:
    place[1].parent.mkdir(parents=True)
    place[1].write_bytes(content)


def test_whole_file(store, place, caplog):
    caplog.set_level(logging.INFO, "neural_recon")
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert not place[1].exists()
    assert store.gets() == [(KEY, None)]
    assert f"3072000 bytes, ETag {hashlib.md5(CONTENT).hexdigest()}" in caplog.text
    assert "34 % of 0.00 GB" in caplog.text


def test_restart_after_a_kill_asks_only_for_the_rest(store, place):
    put_part(place, CONTENT[:2_000_000])
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert store.gets() == [(KEY, "bytes=2000000-")]


def test_dropped_connection_goes_on_as_long_as_something_comes(store, place, caplog):
    store.cuts = [2_000_000, 500_000]
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert [wanted is None for _, wanted in store.gets()] == [True, False, False]
    assert "the connection dropped" in caplog.text


def test_dropped_connection_that_brings_nothing_more(store, place):
    store.cuts = [2_000_000, *[0] * 10]
    with pytest.raises(
        InputError, match=r"session01\.nii\.gz: expected to fetch s3://natural-sc.*failing.*where it stopped"
    ):
        bucket.fetch_object(KEY, place[0])
    assert not place[0].exists()
    have = place[1].stat().st_size
    assert 1_000_000 < have <= 2_000_000
    store.cuts, store.asked = [], []
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert store.gets() == [(KEY, f"bytes={have}-")]


def test_cut_after_the_last_byte(store, place):
    put_part(place, CONTENT)
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert store.gets() == []


@pytest.mark.usefixtures("store")
def test_part_longer_than_the_file_is_dropped(place):
    put_part(place, CONTENT + b"more")
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT


def test_mirror_without_ranges_starts_again(store, place):
    store.ranges = False
    put_part(place, b"x" * 2_000_000)
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT


def test_empty_file(store, place):
    store.objects[KEY] = b""
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == b""


@pytest.mark.parametrize("sent", [CONTENT[:-7], CONTENT + b"more"])
def test_other_size_than_announced(store, place, sent):
    store.sent[KEY] = sent
    with pytest.raises(InputError, match=rf"expected 3072000 bytes from s3://.*found {len(sent)}; try again"):
        bucket.fetch_object(KEY, place[0])
    assert not place[0].exists()
    assert not place[1].exists()


def test_other_bytes_than_announced(store, place):
    store.sent[KEY] = b"x" + CONTENT[1:]
    with pytest.raises(InputError, match=rf"expected the ETag {store.etag(KEY)} from s3.*file was removed"):
        bucket.fetch_object(KEY, place[0])
    assert not place[0].exists()
    assert not place[1].exists()  # so that the next try does not continue with it
    store.sent.clear()
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT


@pytest.mark.usefixtures("store")
def test_part_of_another_version_is_found_out(place):
    put_part(place, b"x" * 2_000_000)
    with pytest.raises(InputError, match="expected the ETag"):
        bucket.fetch_object(KEY, place[0])
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT


@pytest.mark.parametrize(
    "sizes", [[1_500_000, 1_500_000, 72_000], [1_536_000] * 2, [3_072_000], [1_000_000, 2_000_000, 72_000]]
)
def test_file_uploaded_in_parts(store, place, sizes):
    store.part_sizes[KEY] = sizes
    assert store.etag(KEY).endswith(f"-{len(sizes)}")
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    place[0].unlink()
    store.sent[KEY] = CONTENT[:-1] + b"x"
    with pytest.raises(InputError, match=f"expected the ETag {store.etag(KEY)}"):
        bucket.fetch_object(KEY, place[0])


def test_sha256_where_the_store_has_one(store, place):
    store.etags[KEY] = "of-another-kind"
    store.sha256[KEY] = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    store.sent[KEY] = CONTENT[:-1] + b"x"
    with pytest.raises(InputError, match=f"expected the sha256 {hashlib.sha256(CONTENT).hexdigest()}"):
        bucket.fetch_object(KEY, place[0])
    store.sent.clear()
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT


def test_store_without_checksums(store, place, caplog):
    store.etags[KEY] = "of-another-kind"
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert "only the size was" in caplog.text


def test_file_that_changes_meanwhile(store, place, monkeypatch):
    right = store.etag(KEY)
    monkeypatch.setattr(store, "etag", lambda _: right if store.asked[-1][0] == "HEAD" else "f" * 32)
    with pytest.raises(InputError, match="answering 412"):
        bucket.fetch_object(KEY, place[0])


def test_file_that_the_bucket_lacks(store, place):
    store.objects.clear()
    with pytest.raises(
        InputError, match=r"nii\.gz: expected to fetch s3://.*no such file in the bucket; .*preparation"
    ) as caught:
        bucket.fetch_object(KEY, place[0])
    assert "\n" not in str(caught.value)


def test_store_that_refuses(store, place):
    store.refuse = [403] * 3
    with pytest.raises(InputError, match="found its server answering 403"):
        bucket.fetch_object(KEY, place[0])


def test_store_that_is_busy_is_asked_again(store, place):
    store.refuse = [503]
    bucket.fetch_object(KEY, place[0])
    assert place[0].read_bytes() == CONTENT
    assert [method for method, *_ in store.asked] == ["HEAD", "HEAD", "GET"]


def test_store_that_cannot_be_reached(place, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(InputError, match=r"found the connection failing \(.*refused.*put the file there"):
        bucket.fetch_object(KEY, place[0])
    said = bucket.summary({KEY: place[0]})
    assert len(said) == 1
    assert (
        "NSD, to fetch: 1 file, of how many gigabytes is not known: s3://natural-scenes-dataset: exp"
        in said[0]
    )


def test_mirror_that_is_no_address(place, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "mirror")
    with pytest.raises(
        InputError, match=r"AWS_ENDPOINT_URL: expected an address such as .*, Invalid endpoint: mirror"
    ):
        bucket.fetch_object(KEY, place[0])


@pytest.mark.usefixtures("store")
def test_disk_that_is_too_small(place, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"betas_fithrf: expected 0\.00 GB free .* make room"):
        bucket.fetch_object(KEY, place[0])


@pytest.mark.usefixtures("store")
def test_disk_that_fills_up(place, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(InputError, match=r"expected to write it.*No space left.*make room"):
        bucket.fetch_object(KEY, place[0])
    assert not place[0].exists()


@pytest.fixture
def tree(store):
    """A bucket with more than is asked for."""
    store.objects = {
        **{
            f"{FOLDER}/betas_session{k:02d}.{end}": bytes(k)
            for k in range(1, 6)
            for end in ("nii.gz", "hdf5")
        },
        f"{FOLDER}/more/betas_session01.nii.gz": b"",
        "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5": bytes(30_000_000),
        "nsddata_stimuli/stimuli/nsd/shared1000/shared0001.png": b"",
    }
    return store


def test_listing_asks_once_a_folder(tree):
    keys = [f"{FOLDER}/betas_session{k:02d}.nii.gz" for k in (2, 4, 9)]
    keys.append("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
    found = bucket.listing(keys)
    assert found == {key: Object(len(tree.objects[key]), tree.etag(key)) for key in keys if key != keys[2]}
    # two folders; the first has ten entries, two per page
    assert tree.listings() == 5 + 1


@pytest.mark.usefixtures("tree")
def test_summary_by_subject(tmp_path):
    keys = [f"{FOLDER}/betas_session{k:02d}.nii.gz" for k in (2, 4)]
    keys.append("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5")
    part = tmp_path / "nsddata_stimuli/stimuli/nsd/.part-nsd_stimuli.hdf5"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(10_000_000))
    missing = {key: tmp_path / key for key in keys}
    assert bucket.still_to_fetch(missing, bucket.listing(keys)) == [
        ("shared", (1, 20_000_000)),
        ("subj01", (2, 6)),
    ]
    assert bucket.summary(missing) == [
        "NSD, to fetch: shared 0.02 GB in 1 file",
        "NSD, to fetch: subj01 0.00 GB in 2 files",
        "NSD, to fetch: in all 0.02 GB in 3 files",
    ]


@pytest.mark.usefixtures("tree")
def test_summary_names_what_the_bucket_lacks(tmp_path):
    keys = [f"{FOLDER}/betas_session{k:02d}.nii.gz" for k in (2, 8, 9)]
    with pytest.raises(InputError, match=r"session08\.nii\.gz: .*no such file in the bucket \(and 1 more\)"):
        bucket.summary({key: tmp_path / key for key in keys})
