"""Folders and files that appear whole or not at all, also when the process is killed or two of them write at once."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yields a path beside `target` to write to; on success it replaces `target`, on an error it is removed.

    Raises:
        OSError: it could not be written, for instance because the disk is full; names `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o644)  # mkstemp makes it private
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise OSError(error.errno, f"{target} could not be written ({reason})") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target` to fill; on success it becomes `target`, on an error it is removed.

    Where another process has made `target` in the meantime, that one stays and ours is thrown away: both come from
    the same recipe.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    temporary.chmod(0o755)
    try:
        yield temporary
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether this process has the lock file alone, until the block or the process ends; yes where nothing locks files.

    The file stays. Its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        alone = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        except OSError:
            pass  # a file system without locks
        yield alone
