"""The frame of the status page: nothing but itself may run in it, and it works without JavaScript."""

import base64
import hashlib
import re

from nezha.proxy.shell import HEADERS, document

POLICY = dict(HEADERS)["Content-Security-Policy"]


def test_the_policy_allows_the_pages_own_style_and_script_by_their_hashes_and_nothing_else() -> None:
    text = document("")
    for directive, tag in (("style-src", "style"), ("script-src", "script")):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in POLICY
    assert POLICY.startswith("default-src 'none';")
    assert "unsafe" not in POLICY


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = document("<p>contents</p>")
    assert not re.findall(r"(?:https?:)?//", text)
    assert " style=" not in text  # the policy forbids it
    assert not re.findall(r"\son[a-z]+=", text)


def test_without_javascript_it_loads_itself_anew() -> None:
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in document("")
    assert "<main>\n<p>contents</p></main>" in document("<p>contents</p>")
