"""The image's pinned versions are such as setup.cfg allows, and none is missing."""

import configparser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_each_dependency_is_pinned_within_its_bounds() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    stated = setup["options"]["install_requires"] + setup["options.extras_require"]["tracing"]
    lines = [line.strip() for line in stated.splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pins = [line.split("==") for line in (ROOT / "image" / "constraints.txt").read_text().split()]
    pinned = {canonicalize_name(name): version for name, version in pins}
    assert len(wanted) > 10
    for requirement in wanted:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), str(requirement)
