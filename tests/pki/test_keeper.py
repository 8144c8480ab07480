"""The keeper of a CA: what the commands and time do to it on its shelf, and what it refuses to touch."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nezha.errors import Conflict, SettingsError
from nezha.pki.authority import create
from nezha.pki.keeper import Keeper
from nezha.pki.rotation import Rotation
from nezha.pki.shelf import Directory, Shelf, Shelved
from tests.pki import ids

ROOT = Path(__file__).parents[2]
DAY = 86_400.0
START = 1_800_000_000.0
OVERLAP = 30 * DAY
HOSTS = ["data.example"]
OWN = {"ca.key", "ca.crt"}


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(tmp_path: Path, clock: Clock) -> Keeper:
    return Keeper(Directory(tmp_path / "tls"), HOSTS, OVERLAP, now=clock)


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_rotation_as_files_from_first_to_last(tmp_path: Path, keeper: Keeper, clock: Clock) -> None:
    directory = tmp_path / "tls"
    first = keeper.open()
    assert names_in(directory) == OWN
    key = (directory / "ca.key").read_bytes()

    published = keeper.rotate()
    old, new = first.rotation.signing.id, published.rotation.next and published.rotation.next.authority.id
    assert ids(published.rotation) == (old, new, [])
    assert names_in(directory) == OWN | {"ca-next.key", "ca-next.crt", "ca-rotation.json"}
    assert (directory / "ca.key").read_bytes() == key
    assert keeper.look(published, may_write=True) is published

    clock.time += OVERLAP
    assert keeper.look(published, may_write=False) is published  # whoever does not lead waits for who does
    signed = keeper.look(published, may_write=True)
    assert ids(signed.rotation) == (new, None, [old])
    assert names_in(directory) == OWN | {"ca-retired.crt", "ca-rotation.json"}
    assert key not in {path.read_bytes() for path in directory.iterdir()}, "a key that signs no more is kept"
    assert keeper.look(published, may_write=False).rotation.published == signed.rotation.published

    clock.time += 30 * DAY
    assert ids(keeper.open().rotation) == (new, None, [])
    assert names_in(directory) == OWN


def test_rotations_at_once_pile_up_what_was_signed_with(keeper: Keeper, clock: Clock) -> None:
    kept = [keeper.open()]
    for _ in range(3):
        clock.time += DAY
        kept.append(keeper.rotate(at_once=True))
    first, second, third, fourth = (each.rotation.signing.id for each in kept)
    assert ids(keeper.read().rotation) == (fourth, None, [third, second, first])
    clock.time += 28.5 * DAY
    assert ids(keeper.open().rotation) == (fourth, None, [third, second])


def test_at_once_means_the_one_that_waits(keeper: Keeper) -> None:
    keeper.open()
    waiting = keeper.rotate().rotation.next
    assert waiting is not None
    with pytest.raises(SettingsError, match="is published already and waits to sign"):
        keeper.rotate()
    assert keeper.rotate(at_once=True).rotation.signing.id == waiting.authority.id


def test_what_is_revoked_leaves_no_trace(tmp_path: Path, keeper: Keeper) -> None:
    old = keeper.open().rotation.signing
    assert keeper.revoke().rotation.signing.id != old.id
    assert names_in(tmp_path / "tls") == OWN
    assert old.certificate_pem not in {path.read_bytes() for path in (tmp_path / "tls").iterdir()}


def test_without_a_ca_there_is_nothing_to_change(tmp_path: Path, keeper: Keeper) -> None:
    calls: list[Callable[[], object]] = [keeper.read, keeper.rotate, keeper.revoke]
    for call in calls:
        with pytest.raises(SettingsError, match=r"tls/ca\.key: there is no CA: the first start of `nezha serve` makes"):
            call()
    assert not (tmp_path / "tls").exists()


def test_other_names_limit_each_ca_that_can_sign_anew(tmp_path: Path, keeper: Keeper, clock: Clock) -> None:
    keeper.open()
    before = keeper.rotate()
    other = Keeper(Directory(tmp_path / "tls"), ["new.example"], OVERLAP, now=clock)
    after = other.open().rotation
    assert ids(after) == ids(before.rotation)
    assert after.next is not None
    assert after.signing.is_limited_to(["new.example"])
    assert after.next.authority.is_limited_to(["new.example"])
    # A process that was started with the old names takes it over as it is: two that share a shelf do not fight.
    seen = keeper.look(before, may_write=True)
    assert seen.rotation.signing.certificate == after.signing.certificate
    assert keeper.look(seen, may_write=True) is seen


def test_a_ca_that_ends_is_replaced_by_itself(keeper: Keeper, clock: Clock) -> None:
    kept = keeper.open()
    clock.time = kept.rotation.signing.expires_at - 91 * DAY
    assert keeper.look(kept, may_write=True) is kept
    clock.time += DAY
    waiting = keeper.look(kept, may_write=True)
    assert waiting.rotation.next is not None
    assert waiting.rotation.next.signs_at == clock.time + OVERLAP
    assert waiting.rotation.next.authority.expires_at > clock.time + 3649 * DAY


def test_rotations_of_two_processes_at_once_are_one_rotation(tmp_path: Path) -> None:
    old = Keeper(Directory(tmp_path), HOSTS, OVERLAP).open().rotation.signing.id
    code = f"""
from pathlib import Path
from nezha.errors import SettingsError
from nezha.pki.keeper import Keeper
from nezha.pki.shelf import Directory
keeper = Keeper(Directory(Path({str(tmp_path)!r})), {HOSTS!r}, {OVERLAP})
print("ready", flush=True)
input()
try:
    print(keeper.rotate().rotation.next.authority.id)
except SettingsError as error:
    print("refused" if "is published already" in str(error) else error)
"""
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate(timeout=30)[0].strip() for process in processes)
    assert said[1:] == ["refused", "refused"]
    assert ids(Keeper(Directory(tmp_path), HOSTS, OVERLAP).read().rotation) == (old, said[0], [])


class Contested:
    """A shelf on which somebody else has always just saved."""

    def __init__(self, shelf: Shelf, times: int) -> None:
        self._shelf = shelf
        self._left = times

    def place(self, name: str) -> str:
        return self._shelf.place(name)

    def load(self, names: Collection[str]) -> Shelved:
        return self._shelf.load(names)

    def save(self, files: Mapping[str, bytes | None], expected: str) -> str:
        self._left -= 1
        if self._left >= 0:
            raise Conflict("somebody was faster")
        return self._shelf.save(files, expected)


def test_a_change_is_decided_anew_after_somebody_else_s(tmp_path: Path) -> None:
    shelf = Directory(tmp_path)
    Keeper(shelf, HOSTS, OVERLAP).open()
    assert Keeper(Contested(shelf, 3), HOSTS, OVERLAP).rotate().rotation.next is not None
    with pytest.raises(Conflict, match="changed by others all the time: try again"):
        Keeper(Contested(shelf, 100), HOSTS, OVERLAP).rotate(at_once=True)


def test_a_look_while_others_write_sees_whole_states(tmp_path: Path) -> None:
    keeper = Keeper(Directory(tmp_path), HOSTS, OVERLAP)
    kept = keeper.open()
    known = {kept.rotation.signing.id}
    done = threading.Event()
    seen: list[Rotation] = []

    def look() -> None:
        last = kept
        while not done.is_set():
            last = keeper.look(last, may_write=False)
            seen.append(last.rotation)

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(10):
        known.add(keeper.rotate(at_once=True).rotation.signing.id)
    done.set()
    looking.join()
    assert {rotation.signing.id for rotation in seen} <= known


# -- what cannot be used is named and left alone

OTHER = create(HOSTS, "other", START)


def replaced(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_bytes(content)


def removed(name: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).unlink()


def planned(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(directory: Path) -> None:
        plan = json.loads((directory / "ca-rotation.json").read_bytes())
        change(plan)
        (directory / "ca-rotation.json").write_text(json.dumps(plan))

    return edit


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no key": (removed("ca.key"), "ca.key", "missing, though ca.crt is there: restore it, or remove all"),
    "another's key": (replaced("ca.key", b"garbage"), "ca.key", "not an unencrypted PEM private key"),
    "no next key": (removed("ca-next.key"), "ca-next.key", "says nothing of the next CA, of which there is a part"),
    "no next certificate": (removed("ca-next.crt"), "ca-next.crt", "says nothing of the next CA"),
    "no plan": (removed("ca-rotation.json"), "ca-rotation.json", "says nothing of the next CA"),
    "plan without next": (planned(lambda plan: plan.pop("next")), "ca-rotation.json", "says nothing of the next CA"),
    "another next key": (replaced("ca-next.key", b"garbage"), "ca-next.key", "not an unencrypted PEM private key"),
    "another next certificate": (
        replaced("ca-next.crt", OTHER.certificate_pem),
        "ca-next.crt",
        "does not belong to the private key beside it",
    ),
    "another plan": (
        planned(lambda plan: plan.update(next={"id": "cafe", "published_at": 0, "signs_at": 1})),
        "ca-next.crt",
        r"is CA \w{8}, not the cafe planned: restore it, or remove ca-next\.\*",
    ),
    "no JSON": (replaced("ca-rotation.json", b"{"), "ca-rotation.json", "not what Nezha wrote: restore it"),
    "a list": (replaced("ca-rotation.json", b"[]"), "ca-rotation.json", "not what Nezha wrote"),
    "unknown words": (planned(lambda plan: plan.update(more=1)), "ca-rotation.json", "not what Nezha wrote"),
    "words for times": (
        planned(lambda plan: plan.update(next={"id": "cafe", "published_at": "now", "signs_at": 1})),
        "ca-rotation.json",
        "not what Nezha wrote",
    ),
    "retired without a list": (planned(lambda plan: plan.update(retired={})), "ca-rotation.json", "not what Nezha"),
    "retired without an end": (
        planned(lambda plan: plan.update(retired=[{"id": "cafe"}])),
        "ca-rotation.json",
        "not what Nezha wrote",
    ),
    "no retired": (removed("ca-retired.crt"), "ca-retired.crt", "not the retired CAs that ca-rotation.json names"),
    "another retired": (
        replaced("ca-retired.crt", OTHER.certificate_pem),
        "ca-retired.crt",
        "not the retired CAs that ca-rotation.json names",
    ),
    "garbage retired": (replaced("ca-retired.crt", b"garbage"), "ca-retired.crt", "not a PEM certificate: restore it"),
}


@pytest.mark.parametrize(("damage", "file", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_does_not_fit_together_is_named_and_left_alone(
    tmp_path: Path, keeper: Keeper, damage: Callable[[Path], object], file: str, message: str
) -> None:
    directory = tmp_path / "tls"
    keeper.open()
    keeper.rotate(at_once=True)
    keeper.rotate()
    damage(directory)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    calls: list[Callable[[], object]] = [keeper.open, keeper.read, keeper.revoke]
    for call in calls:
        with pytest.raises(SettingsError, match=rf"^tls\.directory: {directory}/{file}: {message}"):
            call()
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_what_the_operator_wrote_stays_as_it_was_written(tmp_path: Path, keeper: Keeper) -> None:
    """A key in another form and a certificate with a comment say the same: they are no reason to write."""
    keeper.open()
    directory = tmp_path / "tls"
    crt = b"our CA\n" + (directory / "ca.crt").read_bytes() + OTHER.certificate_pem
    (directory / "ca.crt").write_bytes(crt)
    keeper.open()
    assert (directory / "ca.crt").read_bytes() == crt
    assert (
        x509.load_pem_x509_certificate(crt).public_bytes(Encoding.PEM) == keeper.read().rotation.signing.certificate_pem
    )
