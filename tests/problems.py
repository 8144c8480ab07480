"""What is said of settings that are wrong."""

import pytest

from nezha.errors import SettingsError
from nezha.loading import load


def problems(text: str, **variables: str) -> list[str]:
    """The lines of the error that `text` and `variables` raise."""
    with pytest.raises(SettingsError) as raised:
        load(text, variables)
    lines = str(raised.value).split("\n")
    assert all(line and "Input should" not in line and "Value error" not in line for line in lines)
    return lines
