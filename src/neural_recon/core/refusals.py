"""What a system says when it refuses a file, told apart from damage.

A file that another program has open, that one may not read, or that lies on a share that does not answer is
whole for all one knows: nobody is told to fetch 40 GB again for it. Libraries hide the system's word in
their own: the number of the error is taken from the exception, or from its text.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from neural_recon.core.errors import InputError

# a number in the text of HDF5 ("errno = 11"), Arrow ("[errno 13]"), Rust ("os error 2"), torch ("(12)"); it
# counts only where the system's words for it are there, too
_NUMBER = re.compile(r"(?:errno ?=? ?|os error |error code |\()(\d{1,3})\b", re.IGNORECASE)
_LOCK = "unable to lock"  # HDF5's words
_BY_KIND = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
    TimeoutError: errno.ETIMEDOUT,
}
# what calls on the content of a broken file lead to, such as a place before its beginning
_OF_CONTENT = {0, errno.EINVAL, errno.ERANGE, errno.EILSEQ, errno.EDOM}
_RIGHTS = {errno.EACCES, errno.EPERM}
_BUSY = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK, errno.EBUSY, errno.ETXTBSY}
FOLDER = "the folder of "  # what is expected is one
FULL = {errno.ENOSPC, errno.EDQUOT}
_AWAY = {
    errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
    errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED,
    errno.ESHUTDOWN, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO, errno.ENOLINK, errno.ENODATA,
}  # fmt: skip


def number_of(error: BaseException) -> int:
    """The number of the system's error in an exception, its text or its stated cause; 0: it has none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, InputError):
        return 0
    text = str(error).lower()
    for number in map(int, _NUMBER.findall(text)):
        if os.strerror(number).lower() in text:
            return number
    for kind, number in _BY_KIND.items():
        if isinstance(error, kind):
            return number
    return number_of(error.__cause__) if error.__cause__ is not None else 0


def refusal(
    path: str | os.PathLike[str], error: BaseException, what: str = "a file that can be read"
) -> InputError | None:
    """The sentence for a system that does not let one read `path`; None: the error tells of its content.

    Args:
        path: the file, or the folder that it lies in where the error names it.
        error: as a library raised it.
        what: the file is expected to be.
    """
    path = _named(Path(path), error)
    number = _asked_again(path, number_of(error))
    if number in _OF_CONTENT:
        if "already open for write" not in str(error):  # HDF5's own mark, no lock of the system
            return None
        found = "found it marked as open for writing"
        way = (
            "wait for the program that writes it, or, if that ended without closing it, take the mark away "
            f"with h5clear -s {path}"
        )
    else:
        found, way = _reading(path, number, error)
    return InputError(f"{path}: expected {what}, {found}; {way}.")


def writing_refused(path: str | os.PathLike[str], error: OSError) -> InputError | None:
    """The sentence for a system that does not let one write `path`; None: the error tells something else."""
    number, path = number_of(error), Path(path)
    if number in _OF_CONTENT:
        return None
    said = os.strerror(number)
    if number in FULL:
        return InputError(f"{said}: {path}; free some space on the disk of {_disk(path)} and run again.")
    above = _nearest(path.absolute().parent)
    if number in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY):
        if path.is_dir():
            found, way = "found a folder of that name", "move it away, or take another name"
        else:
            blocking = _dangling(path.absolute()) or above
            found = f"found that no folder can be made where {blocking} is ({said})"
            way = "move that away, correct the link, or take another folder"
    elif number in {*_RIGHTS, errno.EROFS}:
        found = f"found no permission to write in the folder {above} ({said})"
        way = "change its rights, or take another folder"
    elif number in _BUSY:
        found, way = f"found it open in another program ({said})", "close it there and run again"
    elif number in _AWAY | {errno.ENOENT}:
        found = f"found that the disk or share of {above} does not answer ({said})"
        way = "see that it is mounted and can be reached, and run again"
    else:
        found, way = _other(number)
    return InputError(f"{path}: expected to write it, {found}; {way}.")


@contextlib.contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Turn what the system says within the block, where `path` is written, into one sentence.

    That the disk is full, or another refusal that names the file, its part or a folder above it. Others are
    of what the block reads.
    """
    try:
        yield
    except OSError as error:
        if number_of(error) not in FULL and not _is_about(path, error):
            raise
        raise (writing_refused(path, error) or error) from error


def of_system(error: OSError) -> InputError | None:
    """The sentence for an error that nobody turned into one where it arose; None: it names no file."""
    names = _names(error)
    if not names:
        return None
    number, path = number_of(error), names[0]
    forbidden = number in _RIGHTS and (not os.path.lexists(path) or os.access(path, os.R_OK))
    if number in {*FULL, errno.EROFS, errno.EEXIST} or (forbidden and _closed_folder(path) is None):
        return writing_refused(path, error)
    return refusal(path, error)


def kind_of(path: str | os.PathLike[str], what: str = "a file") -> Literal["file", "folder", "nothing"]:
    """What there is, if the system lets one know.

    Raises:
        InputError: there is something that cannot be reached: a link to what is gone, a folder that one may
            not enter, a disk that does not answer; or something else, such as a pipe.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except ValueError:  # a name that no file can have
        return "nothing"
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and _dangling(path) is None:
            return "nothing"
        raise (refusal(path, error, what) or _odd(path, what, str(error))) from error
    if stat.S_ISDIR(mode):
        return "folder"
    if not stat.S_ISREG(mode):
        raise _odd(path, what, "a pipe or device; write its content into a file and name that")
    return "file"


def is_there(path: str | os.PathLike[str], what: str = "a file") -> bool:
    """Whether there is a file, or, where `what` begins with `FOLDER`, a folder, if the system lets one know.

    Raises:
        InputError: as of `kind_of`, or there is a folder instead of a file.
    """
    kind = kind_of(path, what)
    if kind == "folder" and not what.startswith(FOLDER):
        raise _odd(Path(path), what, "a folder; name the file, or put it there")
    return kind in ("file", "folder")


def require_file(
    path: str | os.PathLike[str], what: str = "a file", absent: str = "found no such file."
) -> None:
    """Raise the InputError "PATH: expected WHAT, ABSENT" unless there is a file, or that of `is_there`."""
    if not is_there(path, what):
        raise InputError(f"{path}: expected {what}, {absent}")


def _is_about(path: Path, error: OSError) -> bool:
    """Whether an error names a file, the part that it is written to, or a folder above it."""
    if not _names(error):  # Arrow has it in its text
        return re.search(rf"\.part-[0-9a-f]+-{re.escape(path.name)}", str(error)) is not None
    for name in _names(error):
        places = (name, *name.parents)
        own = any(place == path or _is_part(place, path) for place in places)
        if own and isinstance(error, FileNotFoundError):
            return not path.parent.is_dir()  # else the block wrote nothing
        if own or name in path.parents:
            return True
    return False


def _names(error: BaseException) -> list[Path]:
    """The files that an error names; `io.FileIO` keeps the path as it was given."""
    given = (getattr(error, "filename", None), getattr(error, "filename2", None))
    return [Path(os.fsdecode(name)) for name in given if isinstance(name, str | bytes | os.PathLike)]


def _is_part(place: Path, path: Path) -> bool:
    return place.parent == path.parent and place.name.startswith(".part-") and place.name.endswith(path.name)


def _odd(path: Path, what: str, found: str) -> InputError:
    return InputError(f"{path}: expected {what}, found {found}.")


def _reading(path: Path, number: int, error: BaseException) -> tuple[str, str]:
    """What was found, and what to do."""
    said = os.strerror(number)
    locking = _LOCK in str(error)
    if number in _BUSY or (locking and number in _RIGHTS):
        return (
            f"found it open in another program ({said})",
            "wait for that to end, or close it there, and run again",
        )
    if locking or number == errno.ENOLCK:
        return (
            f"found that its disk or share cannot lock files ({said})",
            "set the environment variable HDF5_USE_FILE_LOCKING=FALSE and run again",
        )
    if number in _RIGHTS:
        folder = _closed_folder(path)
        if folder is None:
            return f"found no permission to read it ({said})", f"ask its owner, or chmod u+r {path}"
        return (
            f"found no permission to look into the folder {folder} ({said})",
            f"ask its owner, or chmod u+rx {folder}",
        )
    if number in _AWAY:
        return (
            f"found that the disk or network share does not give it ({said})",
            f"see that {path.parent} is mounted and can be reached, and run again",
        )
    if number in (errno.ENOENT, errno.ENOTDIR):
        link = _dangling(path)
        if link is None:
            return f"found no such file ({said})", "correct the path, or put the file there"
        target = str(link.readlink())
        if ".git/annex" in target:
            return f"found a link of git-annex to content that is not here ({link})", f"datalad get {path}"
        return (
            f"found a symbolic link to what is not there ({link} -> {target})",
            "mount or put there what it names, or correct the link",
        )
    return _other(number, error)


def _other(number: int, error: BaseException | None = None) -> tuple[str, str]:
    said = os.strerror(number)
    if number == errno.EISDIR:
        return "found a folder", "name the file, or put it there"
    if number in (errno.EMFILE, errno.ENFILE):
        return f"found too many files open ({said})", "raise the limit (ulimit -n 4096) and run again"
    if number == errno.ENOMEM:
        return (
            f"found too little memory ({str(error or '') or said})",
            "give the job more, or free some; a small file that asks for so much is damaged",
        )
    if number == errno.ENAMETOOLONG:
        return f"found a name that is too long ({said})", "shorten it"
    if number == errno.ELOOP:
        return f"found a symbolic link that leads back to itself ({said})", "correct the link"
    if number in FULL:
        return f"found that the disk is full ({said})", "free some space and run again"
    return f"found that the system refuses ({said})", "remove the cause and run again"


def _asked_again(path: Path, number: int) -> int:
    """The system's own word where a library calls a file absent: safetensors does so of a closed one."""
    if number == errno.ENOENT and path.is_file():
        try:
            path.open("rb").close()
        except OSError as error:
            return error.errno or number
    return number


def _named(path: Path, error: BaseException) -> Path:
    """The file that an error names, where it lies below the folder `path`."""
    return next((name for name in _names(error) if path in name.parents), path)


def _dangling(path: Path) -> Path | None:
    """The link on the way to a path that leads to nothing."""
    for place in (path, *path.parents):
        try:
            if stat.S_ISLNK(place.lstat().st_mode) and not place.exists():
                return place
        except (OSError, ValueError):
            continue  # what is below such a link, or a link that leads to itself
    return None


def _closed_folder(path: Path) -> Path | None:
    """The uppermost folder on the way to a path that one may not enter."""
    for place in (*reversed(path.parents), path):
        try:
            place.lstat()
        except PermissionError:
            return place.parent
        except OSError:
            return None
    return None


def _nearest(folder: Path) -> Path:
    """The folder itself, or the first thing above it that is there."""
    for place in (folder, *folder.parents):
        try:
            place.lstat()
        except OSError:
            continue
        return place
    return folder


def _disk(path: Path) -> Path:
    disk = path.parent.absolute()
    while not os.path.ismount(disk) and disk != disk.parent:
        disk = disk.parent
    return disk


def all_there(paths: Iterable[str | Path]) -> bool:
    """Whether all files are there; what is not is said elsewhere."""
    try:
        return all(kind_of(path, "a file") in ("file", "folder") for path in paths)
    except InputError:
        return False


def mistake_of(read: Callable[[], object], files: Iterable[str | Path]) -> Iterator[str]:
    """The mistake that a reading of files meets, if they are all there."""
    if all_there(files):
        try:
            read()
        except InputError as error:
            yield str(error)
