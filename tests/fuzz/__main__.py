"""`python -m tests.fuzz TARGET [libFuzzer's arguments]`: one target under Atheris, until it is told to end."""

import sys

import atheris

if __name__ == "__main__":
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["nezha"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
