"""Every line and branch of the pure core is covered by the tests written for that very module.

The tests of `nezha/store/eviction.py` are `tests/store/test_eviction.py` and `tests/store/test_eviction_*.py`.
They run once, under coverage that notes which test ran each line; then each module is judged by its own
tests and what runs at import. A line that only a neighbour's test reaches counts as not covered (so does the
body of a function whose result a neighbour's test left in a cache).

`--others` prints what makes pytest run all tests but these.
"""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).resolve().parent.parent

# Files, and packages of which every module counts. What does not exist yet is no failure.
PURE = (
    "admission/aliases.py",
    "admission/explain.py",
    "admission/injection.py",
    "admission/obstacles.py",
    "admission/outcomes.py",
    "admission/patch.py",
    "admission/pod.py",
    "admission/policy.py",
    "admission/review.py",
    "admission/rules.py",
    "admission/target.py",
    "admission/trust.py",
    "dialects",
    "errors.py",
    "keytext.py",
    "loading.py",
    "model.py",
    "proxy/board.py",
    "proxy/figures.py",
    "proxy/shell.py",
    "routes.py",
    "semantics",
    "settings.py",
    "store/eviction.py",
    "units.py",
    "yamltext.py",
)
AT_IMPORT = "^$"


def pure_modules() -> Iterator[Path]:
    """The modules, relative to the package."""
    package = ROOT / "nezha"
    for name in PURE:
        path = package / name
        yield from (found.relative_to(package) for found in sorted([path] if path.is_file() else path.rglob("*.py")))


def own_tests(module: Path) -> list[str]:
    """The test files of `module`, relative to the root; those of a package's `__init__` bear the package's name."""
    name = module.parent.name if module.name == "__init__.py" else module.stem
    folder = ROOT / "tests" / module.parent
    found = [*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def run(files: list[str]) -> int:
    """Runs the tests of the pure core, once; pytest's exit code."""
    noting = ("--quiet", "--cov", "--cov-context=test", "--cov-report=")
    spread = ("--numprocesses=auto", "--dist=loadfile")
    return subprocess.run((sys.executable, "-m", "pytest", *noting, *spread, *files), cwd=ROOT, check=False).returncode


def misses(coverage: Coverage, module: Path, own: list[str]) -> str:
    """The report on what neither import nor its `own` tests reach of `module`, empty where they reach all."""
    contexts = [AT_IMPORT, *(f"^{re.escape(file)}::" for file in own)]
    table = io.StringIO()
    percent = coverage.report(include=[str(ROOT / "nezha" / module)], contexts=contexts, file=table)
    return "" if percent == 100 else table.getvalue()


def main() -> int:
    tests = {module: own_tests(module) for module in pure_modules()}
    files = sorted({file for own in tests.values() for file in own})
    if sys.argv[1:] == ["--others"]:
        print(*(f"--ignore={file}" for file in files))
        return 0
    if status := run(files):
        return status
    coverage = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "setup.cfg"))
    coverage.load()
    failed = 0
    for module, own in tests.items():
        if report := misses(coverage, module, own):
            failed += 1
            print(f"\nNot covered by its own tests ({' '.join(own) or 'it has none'}):\n{report}")
    print(f"{len(tests) - failed} of {len(tests)} pure modules are wholly covered by their own tests.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
