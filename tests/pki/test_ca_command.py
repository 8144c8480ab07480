"""What `nezha ca` says, and which pods it names."""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from nezha.pki import command
from nezha.pki.certificates import keepers
from nezha.pki.keeper import Keeper
from nezha.pki.shelf import Directory
from tests.running import settings_for
from tests.serving import clean, document
from tests.serving import command as nezha

WEB = {"name": "web", "dialect": "http", "hosts": ["data.example", "10.0.0.1"]}


@pytest.fixture
def both(tmp_path: Path) -> dict[str, Keeper]:
    """The keepers of both CAs, which there are."""
    settings = settings_for(tmp_path, [WEB])
    found = {}
    for use, keeper in keepers(settings, ["data.example", "10.0.0.1"], Directory(tmp_path / "tls")).items():
        assert keeper is not None
        keeper.open()
        found[use] = keeper
    return found


def test_show_names_each_ca_its_hosts_and_its_times(both: dict[str, Keeper]) -> None:
    first = both["pods"].read().rotation.signing.id
    both["pods"].rotate(at_once=True)
    both["pods"].rotate()
    rotation = both["pods"].read().rotation
    assert rotation.next is not None
    shown = list(command.show({"pods": both["pods"], "admission": None}))
    stamp = command.stamp
    ends = stamp(rotation.signing.expires_at)
    assert shown[0] == "pods: what injected pods trust"
    assert shown[1] == f"  signing  {rotation.signing.id}  expires {ends}  for data.example, 10.0.0.1"
    assert shown[2].startswith(f"  next     {rotation.next.authority.id}  expires ")
    assert shown[2].endswith(f"signs from {stamp(rotation.next.signs_at)}")
    assert shown[3].startswith(f"  retired  {first}  expires ")
    assert shown[3].endswith(f"trusted until {stamp(rotation.retired[0].until)}")
    assert shown[4:] == ["admission: what the API server trusts", "  mounted: renewed where it is made"]


def test_a_rotation_at_once_lists_the_pods_that_were_injected_before(both: dict[str, Keeper]) -> None:
    asked = []

    def injected(before: float) -> Sequence[str]:
        asked.append(before)
        return ["default/train-0", "default/train-1"]

    said = list(command.rotate(both["pods"], injected, at_once=True))
    assert asked == [pytest.approx(time.time(), abs=30)]
    assert said[-3:] == ["  default/train-0", "  default/train-1", "2 such pods run now."]
    assert "their requests fail until they are restarted" in said[1]


def test_who_was_injected_since_the_publishing_is_not_left_behind(both: dict[str, Keeper]) -> None:
    asked = []

    def injected(before: float) -> Sequence[str]:
        asked.append(before)
        return []

    assert list(command.rotate(both["pods"], injected, at_once=False))
    waiting = both["pods"].read().rotation.next
    assert waiting is not None
    assert asked == []
    list(command.rotate(both["pods"], injected, at_once=True))
    assert asked == [waiting.published_at]


def test_a_revocation_says_what_the_stolen_key_is_still_good_for(both: dict[str, Keeper]) -> None:
    old = both["pods"].read().rotation.signing.id
    said = "\n".join(command.revoke(both["pods"], None, None))
    assert f"CA {old} is in the trust bundle no more" in said
    assert f"Pods that run go on trusting the key of {old} until they are restarted" in said
    assert "whoever has that key can pose as\n  data.example, 10.0.0.1" in said
    assert said.endswith("Which these are, only a cluster knows.")


def test_a_ca_that_does_not_sign_is_revoked_without_leaving_anybody_behind(both: dict[str, Keeper]) -> None:
    waiting = both["pods"].rotate().rotation.next
    assert waiting is not None
    said = "\n".join(command.revoke(both["pods"], None, waiting.authority.id))
    assert "do not trust" not in said
    assert both["pods"].read().rotation.next is None


def test_of_the_admission_ca_the_api_server_is_spoken(both: dict[str, Keeper]) -> None:
    said = "\n".join(command.rotate(both["admission"], None, at_once=True))
    assert said.endswith("Reviews fail until the API server trusts it: until the webhook's caBundle holds it.")
    said = "\n".join(command.revoke(both["admission"], None, None))
    assert "The API server goes on trusting the key of" in said


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = directory / "nezha.yaml"
    path.write_text(yaml.safe_dump(document(directory, WEB)))
    return subprocess.run(
        [*nezha("ca", *arguments, "--config", path)], capture_output=True, text=True, check=False, env=clean(None)
    )


def test_the_command_line(tmp_path: Path, both: dict[str, Keeper]) -> None:
    pods = both["pods"].read().rotation.signing
    shown = json.loads(run(tmp_path, "show", "--json").stdout)
    assert shown["pods"] == {
        "signing": {
            "id": pods.id,
            "subject": f"CN=Nezha CA {pods.id}",
            "expires_at": pods.expires_at,
            "hosts": ["data.example", "10.0.0.1"],
        },
        "next": None,
        "retired": [],
    }
    assert set(shown) == {"pods", "admission"}
    assert run(tmp_path, "rotate").returncode == 0
    again = run(tmp_path, "rotate")
    assert (again.returncode, again.stdout) == (2, "")
    assert "is published already and waits to sign" in again.stderr
    unknown = run(tmp_path, "revoke", "--id", "cafe")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("nezha: no CA is called 'cafe'; there are ")
