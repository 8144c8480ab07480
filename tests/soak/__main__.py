"""`python -m tests.soak [--steps N] [--seed N]`: the random model at length, as `make soak` runs it."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.soak.judge import Violation
from tests.soak.model import Model

EVERY = 5_000


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.soak")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=None, help="another one each time, where none is given")
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"seed {seed}, {options.steps} steps", flush=True)
    started = time.monotonic()

    def progress(steps: int) -> None:
        if steps % EVERY == 0:
            print(f"{steps} steps, {time.monotonic() - started:.0f} s", flush=True)

    with tempfile.TemporaryDirectory(prefix="nezha-soak-") as directory:
        model = Model(Path(directory), seed)
        try:
            uvloop.run(model.run(options.steps, progress))
        except Violation as error:
            print(f"violation: {error}", flush=True)
            return 1
    print(f"no violation in {model.steps} steps, {time.monotonic() - started:.0f} s: {model.answers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
