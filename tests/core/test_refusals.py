"""A file that the system does not give is never called damaged, and what is to be done is said."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from neural_recon.core import files, hdf5, refusals
from neural_recon.core.errors import InputError

SAID = {
    errno.EAGAIN: "found it open in another program",
    errno.EBUSY: "found it open in another program",
    errno.ETXTBSY: "found it open in another program",
    errno.ENOLCK: "HDF5_USE_FILE_LOCKING=FALSE",
    errno.EACCES: "found no permission to read it",
    errno.EPERM: "found no permission to read it",
    errno.ENOENT: "found no such file",
    errno.ENOTDIR: "found no such file",
    errno.ESTALE: "disk or network share does not give it",
    errno.EIO: "disk or network share does not give it",
    errno.EHOSTDOWN: "disk or network share does not give it",
    errno.ENOTCONN: "disk or network share does not give it",
    errno.ETIMEDOUT: "disk or network share does not give it",
    errno.EISDIR: "found a folder; name the file",
    errno.EMFILE: "raise the limit",
    errno.ENFILE: "raise the limit",
    errno.ENOMEM: "too little memory",
    errno.ENAMETOOLONG: "a name that is too long",
    errno.ELOOP: "leads back to itself",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EUCLEAN: "found that the system refuses (Structure needs cleaning)",
}


def as_libraries_say_it(number: int) -> list[Exception]:
    """One error of the system, as Python, HDF5, Arrow, Rust and torch put it."""
    said = os.strerror(number)
    return [
        OSError(number, said),
        OSError(f"Can't read data (file read failed: errno = {number}, error message = '{said}', buf = 0x7)"),
        RuntimeError(f"Unable to open object (file read failed: errno = {number}, error message = '{said}')"),
        OSError(f"Failed to open local file 'x'. Detail: [errno {number}] {said}"),
        OSError(f"{said} (os error {number})"),
        RuntimeError(f"unable to mmap 8 bytes from file <x>: {said} ({number})"),
    ]


@pytest.mark.parametrize(("number", "expected"), SAID.items(), ids=lambda v: errno.errorcode.get(v, ""))
def test_each_error_of_the_system_has_its_sentence(tmp_path, number, expected):
    for error in as_libraries_say_it(number):
        said = str(refusals.refusal(tmp_path / "a.h5", error, "pictures"))
        assert said.startswith(f"{tmp_path}/a.h5: expected pictures, ")
        assert expected in said
        assert "fetch" not in said
        wrapped = ValueError("no model")
        wrapped.__cause__ = error
        assert expected in str(refusals.refusal(tmp_path / "a.h5", wrapped, "pictures"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS])
def test_locks_that_are_held_or_that_there_are_none_of(number):
    said = os.strerror(number)
    error = OSError(number, f"Unable to open file (unable to lock file, errno = {number}, '{said}')")
    held = number in (errno.EACCES, errno.EAGAIN)
    expected = "found it open in another program" if held else "set the environment variable HDF5_USE_FILE_"
    assert expected in str(refusals.refusal("a.h5", error))


@pytest.mark.parametrize(
    "error",
    [
        OSError("truncated file: eof = 96, sblock->base_addr = 0, stored_eof = 2048"),
        OSError(errno.EINVAL, "Invalid argument"),
        EOFError("the data end"),
        ValueError("row 11 of (11) is no number, errno = 12"),
        RuntimeError("filter returned failure during read"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_damage_stays_damage(error):
    assert refusals.refusal("a.h5", error) is None


def test_a_file_open_for_writing_in_another_process(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import h5py; f = h5py.File({str(path)!r}, 'r+'); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        writer.stdout.readline()
        with pytest.raises(OSError, match="lock") as caught:
            h5py.File(path)
        assert "found it open in another program" in str(refusals.refusal(path, caught.value))
    finally:
        writer.communicate(b"\n", timeout=30)
    h5py.File(path).close()


def test_a_file_whose_writer_died(tmp_path):
    path = tmp_path / "a.h5"
    program = f"""
import os, h5py
file = h5py.File({str(path)!r}, "w", libver="latest")
file["x"] = 1
file.swmr_mode = True
file.flush()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(OSError, match="already open") as caught:
        h5py.File(path)
    assert f"h5clear -s {path}" in str(refusals.refusal(path, caught.value))


def test_links_say_where_they_lead(tmp_path):
    link = tmp_path / "nsd"
    link.symlink_to("/mnt/gone")
    annexed = tmp_path / "a.nii.gz"
    annexed.symlink_to(".git/annex/objects/xx/yy/SHA256E-s1--0.nii.gz/SHA256E-s1--0.nii.gz")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for path, expected in (
        (link, f"{link} -> /mnt/gone"),
        (link / "nsddata/x.mat", f"{link} -> /mnt/gone"),
        (annexed, f"datalad get {annexed}"),
        (loop, "leads back to itself"),
        (loop / "x", "leads back to itself"),
    ):
        with pytest.raises(InputError, match="expected betas, found a ") as caught:
            refusals.is_there(path, "betas")
        assert expected in str(caught.value)


def test_what_is_no_file(tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    assert refusals.is_there(tmp_path / "file")
    assert not refusals.is_there(tmp_path / "none")
    assert not refusals.is_there(tmp_path / "file/below")
    assert not refusals.is_there("a\0b")
    for path, expected in (
        (tmp_path, "found a folder; name the file"),
        (tmp_path / "pipe", "found a pipe or device"),
        (tmp_path / ("x" * 300), "found a name that is too long"),
    ):
        with pytest.raises(InputError, match=expected):
            refusals.is_there(path, "betas")
    with pytest.raises(InputError, match=r"none: expected betas, found no such file\.$"):
        refusals.require_file(tmp_path / "none", "betas")


AS_NOBODY = """
import os, sys
from pathlib import Path
from neural_recon.core import files, hdf5, refusals, tables
from neural_recon.core.errors import InputError
os.setgid(65534), os.setuid(65534)
for name in sys.argv[1:]:
    path = Path(name)
    try:
        refusals.is_there(path, "betas")
        path.read_bytes()
    except InputError as error:
        print(error)
    except OSError as error:
        print(refusals.refusal(path, error, "betas"))
try:
    path.with_name("new").touch()
except OSError as error:
    print(refusals.writing_refused(path.with_name("new"), error))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
def test_files_and_folders_without_permission():
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve()
        top.chmod(0o755)
        (top / "closed").mkdir(mode=0o700)
        for path in (top / "closed/a", top / "secret"):
            path.touch(0o600)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(top / "closed/a"), str(top / "secret")],
            capture_output=True,
            text=True,
            check=True,
        )
        folder, file, new = done.stdout.splitlines()
        assert f"closed/a: expected betas, found no permission to look into the folder {top}/closed" in folder
        assert "secret: expected betas, found no permission to read it (Permission denied)" in file
        assert f"new: expected to write it, found no permission to write in the folder {top} (" in new


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "free some space on the disk of"),
        (errno.EDQUOT, "free some space on the disk of"),
        (errno.EROFS, "found no permission to write in the folder"),
        (errno.EACCES, "found no permission to write in the folder"),
        (errno.ESTALE, "does not answer"),
        (errno.ENAMETOOLONG, "a name that is too long"),
        (errno.EMFILE, "raise the limit"),
    ],
)
def test_writing(tmp_path, number, expected):
    said = str(refusals.writing_refused(tmp_path / "a", OSError(number, os.strerror(number))))
    assert expected in said


def test_a_folder_or_file_in_the_way_of_what_is_written(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    for path, act, expected in (
        (tmp_path / "taken", lambda path: path.write_text("x"), "found a folder of that name"),
        (tmp_path / "file/a", lambda path: path.parent.mkdir(exist_ok=True), f"where {tmp_path}/file is"),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            act(path)
        assert expected in str(refusals.writing_refused(path, caught.value))


def test_what_is_written_where_one_may_not(tmp_path):
    """Each way of writing says so in one sentence, and leaves nothing."""
    (tmp_path / "taken.tsv").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("/mnt/gone")
    for place, expected in (
        ("taken.tsv", "found a folder of that name"),
        ("file/below.tsv", "found that no folder can be made where"),
        ("gone/a.tsv", f"where {tmp_path}/gone is"),
        ("x" * 240 + ".tsv", "a name that is too long"),
    ):
        with pytest.raises(InputError, match="expected to write it") as caught:
            files.write_text(tmp_path / place, "x")
        assert expected in str(caught.value)
    with pytest.raises(InputError, match="found a folder of that name"):
        hdf5.write_hdf5(tmp_path / "taken.tsv", {"x": np.zeros(3)}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "gone", "taken.tsv"]


def test_errors_of_what_is_read_while_writing_are_not_blamed_on_the_result(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic(tmp_path / "a") as part:
        part.write_bytes((tmp_path / "source").read_bytes())
    with pytest.raises(PermissionError), files.atomic(tmp_path / "a"):
        raise PermissionError(13, "Permission denied", "/elsewhere/b")


BY_LIBRARIES = """
import os, sys
from pathlib import Path
import numpy as np, pandas as pd
from neural_recon.core import files, hdf5, tables
from neural_recon.models import checkpoints
from neural_recon.core.errors import InputError
os.setuid(65534)
closed = Path(sys.argv[1])
calls = [
    lambda: hdf5.write_hdf5(closed / "new.hdf5", {"a": np.zeros(3)}, {}),
    lambda: tables.write_table(closed / "new.parquet", pd.DataFrame({"a": [1]})),
    lambda: tables.write_table(closed / "new.tsv", pd.DataFrame({"a": [1]})),
    lambda: checkpoints.read_tensors(closed / "a.safetensors"),
    lambda: checkpoints.read_tensors(closed / "a.pth"),
]
for call in calls:
    try:
        call()
    except InputError as error:
        print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_no_permission_is_a_sentence_whatever_library_writes_or_reads():
    """HDF5 and Arrow name the file in ways of their own; safetensors says that a closed file is not there."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        for name in ("a.safetensors", "a.pth"):
            (Path(folder) / name).write_bytes(b"x" * 100)
            (Path(folder) / name).chmod(0)
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", BY_LIBRARIES, folder]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
    said = ended.stdout.splitlines()
    assert len(said) == 5, ended.stdout
    assert all(f"no permission to write in the folder {folder}" in line for line in said[:3])
    assert all("found no permission to read it" in line for line in said[3:])


def test_a_file_that_is_named_as_a_path_is_named_in_the_sentence(tmp_path):
    error = PermissionError(errno.EACCES, "Permission denied", tmp_path / "a.txt")
    assert str(refusals.of_system(error)).startswith(f"{tmp_path}/a.txt: expected to write it, ")
