"""A rotation as files, on whichever shelf. Whatever cannot be used is somebody's; it is reported, never replaced.

STEM.key  STEM.crt             the CA that signs; a key alone gets a certificate
STEM-next.key  STEM-next.crt   the next one, if there is any
STEM-retired.crt               those that signed, newest first
STEM-rotation.json             {"next": {"id", "published_at", "signs_at"}, "retired": [{"id", "until"}]}
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nezha.errors import SettingsError
from nezha.pki.authority import Authority, certify, id_of
from nezha.pki.pem import key_bytes, read_authority, read_certificates, read_key
from nezha.pki.rotation import Next, Retired, Rotation


@dataclass(frozen=True, slots=True)
class Names:
    """The files of the CA that is called `stem`."""

    stem: str

    @property
    def key(self) -> str:
        return f"{self.stem}.key"

    @property
    def certificate(self) -> str:
        return f"{self.stem}.crt"

    @property
    def next_key(self) -> str:
        return f"{self.stem}-next.key"

    @property
    def next_certificate(self) -> str:
        return f"{self.stem}-next.crt"

    @property
    def retired(self) -> str:
        return f"{self.stem}-retired.crt"

    @property
    def rotation(self) -> str:
        return f"{self.stem}-rotation.json"

    @property
    def all(self) -> tuple[str, ...]:
        return self.key, self.certificate, self.next_key, self.next_certificate, self.retired, self.rotation


@dataclass(frozen=True, slots=True)
class Record:
    """Reads and writes the rotation of one CA; `place` says where a file is, for messages."""

    names: Names
    place: Callable[[str], str]

    def decode(self, files: Mapping[str, bytes], hosts: Collection[str], now: float) -> Rotation | None:
        """What the files hold, or None where there are none. A key without a certificate is certified for `hosts`.

        Raises SettingsError, with the file and what to do about it, where they are not usable or do not fit together.
        """
        names = self.names
        present = [name for name in names.all if name in files]
        if not present:
            return None
        if names.key not in files:
            self._fail(names.key, f"missing, though {present[0]} is there: restore it, or remove all for a new CA")
        key = read_key(files[names.key], self.place(names.key))
        place = self.place(names.certificate)
        signing = (
            read_authority(files[names.certificate], key, place, now)
            if names.certificate in files
            else certify(key, hosts, place, now)
        )
        plan = self._plan(files)
        return Rotation(signing, self._next(files, plan.get("next"), now), self._retired(files, plan))

    def encode(self, rotation: Rotation, files: Mapping[str, bytes]) -> dict[str, bytes | None]:
        """The files that hold `rotation`; `files` are those of now, which stay as they are where they say the same."""
        names, waiting, retired = self.names, rotation.next, rotation.retired
        plan: dict[str, Any] = {}
        if waiting is not None:
            times = {"published_at": waiting.published_at, "signs_at": waiting.signs_at}
            plan["next"] = {"id": waiting.authority.id, **times}
        if retired:
            plan["retired"] = [{"id": old.id, "until": old.until} for old in retired]
        upcoming = waiting.authority if waiting else None
        return {
            names.key: _key(rotation.signing, files.get(names.key)),
            names.certificate: _certificate(rotation.signing, files.get(names.certificate)),
            names.next_key: _key(upcoming, files.get(names.next_key)),
            names.next_certificate: _certificate(upcoming, files.get(names.next_certificate)),
            names.retired: b"".join(old.certificate.public_bytes(Encoding.PEM) for old in retired) or None,
            names.rotation: json.dumps(plan).encode() if plan else None,
        }

    def _plan(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        name = self.names.rotation
        if name not in files:
            return {}
        try:
            plan = json.loads(files[name])
        except ValueError:
            plan = None
        if not _is_plan(plan):
            self._fail(name, f"not what Nezha wrote: restore it, or remove it, {self.names.stem}-next.* and -retired.*")
        assert isinstance(plan, dict)
        return plan

    def _next(self, files: Mapping[str, bytes], plan: Mapping[str, Any] | None, now: float) -> Next | None:
        names = self.names
        parts = {names.rotation: plan is not None} | {
            name: name in files for name in (names.next_key, names.next_certificate)
        }
        if not any(parts.values()):
            return None
        if not all(parts.values()):
            missing = next(name for name, is_there in parts.items() if not is_there)
            self._fail(missing, f"says nothing of the next CA, of which there is a part: {self._remedy()}")
        assert plan is not None
        key = read_key(files[names.next_key], self.place(names.next_key))
        authority = read_authority(files[names.next_certificate], key, self.place(names.next_certificate), now)
        if authority.id != plan["id"]:
            self._fail(names.next_certificate, f"is CA {authority.id}, not the {plan['id']} planned: {self._remedy()}")
        return Next(authority, plan["published_at"], plan["signs_at"])

    def _retired(self, files: Mapping[str, bytes], plan: Mapping[str, Any]) -> tuple[Retired, ...]:
        name = self.names.retired
        found = read_certificates(files[name], self.place(name)) if name in files else []
        planned = plan.get("retired", [])
        if [id_of(certificate) for certificate in found] != [old["id"] for old in planned]:
            self._fail(name, f"not the retired CAs that {self.names.rotation} names: {self._remedy()}")
        return tuple(Retired(each, old["until"]) for each, old in zip(found, planned, strict=True))

    def _remedy(self) -> str:
        stem = self.names.stem
        return f"restore it, or remove {stem}-next.*, {stem}-retired.crt and {stem}-rotation.json to end the rotation"

    def _fail(self, name: str, reason: str) -> None:
        raise SettingsError(f"{self.place(name)}: {reason}")


def _is_plan(plan: object) -> bool:
    if not isinstance(plan, dict) or not plan.keys() <= {"next", "retired"}:
        return False
    retired = plan.get("retired", [])
    if not isinstance(retired, list) or not all(_has(old, {"id": str, "until": float}) for old in retired):
        return False
    return "next" not in plan or _has(plan["next"], {"id": str, "published_at": float, "signs_at": float})


def _has(value: object, kinds: Mapping[str, type]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == kinds.keys()
        and all(isinstance(value[name], kind | int) for name, kind in kinds.items())
    )


def _key(authority: Authority | None, kept: bytes | None) -> bytes | None:
    if authority is None:
        return None
    if kept is not None and read_key(kept, "").public_key() == authority.key.public_key():
        return kept
    return key_bytes(authority.key)


def _certificate(authority: Authority | None, kept: bytes | None) -> bytes | None:
    if authority is None:
        return None
    if kept is not None and x509.load_pem_x509_certificate(kept) == authority.certificate:
        return kept
    return authority.certificate_pem
