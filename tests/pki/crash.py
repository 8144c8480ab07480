"""`python -m tests.pki.crash DIRECTORY STEP`: a change of the CA, once for each change of a file, ended there.

Each time a child begins the step on a copy of DIRECTORY/before and dies right before its n-th change, with no
chance to clean up; then the CA is read as the next process would. Prints a JSON list of [serial numbers that are
published, whether there was a journal]; the last child ran to its end.
"""

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from nezha.pki.keeper import Keeper
from nezha.pki.shelf import JOURNAL, Directory

HOSTS = ["data.example"]
STEPS: dict[str, Callable[[Path], object]] = {
    "create": lambda directory: keeper(directory).open(),
    "publish": lambda directory: keeper(directory).rotate(),
    "sign": lambda directory: keeper(directory).rotate(at_once=True),
    "rename": lambda directory: keeper(directory, "other.example").open(),
}
_CHANGES = {"os.rename", "os.remove", "os.mkdir"}


def keeper(directory: Path, *hosts: str) -> Keeper:
    return Keeper(Directory(directory), hosts or HOSTS, 3600.0)


def is_written(event: str, arguments: tuple[object, ...]) -> bool:
    return event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & os.O_WRONLY)


def dying_at(operation: int, directory: Path, step: Callable[[Path], object]) -> bool:
    """Runs `step` in a child; whether it died on the way."""
    child = os.fork()
    if child == 0:
        left = iter(range(operation, -1, -1))

        def count(event: str, arguments: tuple[object, ...]) -> None:
            is_change = event in _CHANGES or is_written(event, arguments)
            if is_change and str(directory) in str(arguments[0]) and next(left) == 0:
                os._exit(77)

        sys.addaudithook(count)
        step(directory)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 77}, code
    return code == 77


def main() -> None:
    root, step = Path(sys.argv[1]), STEPS[sys.argv[2]]
    found = []
    for operation in itertools.count():
        directory = root / str(operation)
        if (root / "before").exists():
            shutil.copytree(root / "before", directory)
        died = dying_at(operation, directory, step)
        had_journal = (directory / JOURNAL).exists()
        rotation = keeper(directory).open().rotation
        found.append([[each.serial_number for each in rotation.published], had_journal])
        if not died:
            break
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
