"""The origin of the random model: it says what is true, and notes to whom it said so, and when.

A resource is a path, or where its answers vary, a path in one language. A version is one state of its bytes; a meta is
one state of its fields, which may change while the bytes stay. Bodies are random by version, so that no byte of one
passes for another's.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from email.utils import formatdate

from tests.faults import Fault
from tests.objects import Object, Reply, plain, reply_to_read
from tests.origin import Origin
from tests.wire import Framing, Received

START = 1_800_000_000.0
TOKENS = ("Bearer one", "Bearer two")
CACHE_CONTROLS = (
    "max-age=60", "public, max-age=600", "s-maxage=100", "public, max-age=30", "max-age=60, must-revalidate",
    "max-age=600", "public, max-age=60", "public, max-age=600", "public, s-maxage=300", "max-age=0",
    "no-cache", "no-store", "private, max-age=100", None,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a resource's bytes; `validator` is strong, weak, date or none."""

    number: int
    body: bytes
    validator: str
    framing: Framing

    @property
    def etag(self) -> str | None:
        return {"strong": f'"v{self.number}"', "weak": f'W/"v{self.number}"'}.get(self.validator)

    @property
    def modified_at(self) -> float | None:
        """A second of its own for every version, some days ago."""
        return START - 1_000_000 + self.number if self.validator != "none" else None


@dataclass(frozen=True, slots=True)
class Meta:
    """One state of what is said of a version."""

    number: int
    cache_control: str | None
    sets_cookie: bool

    def directives(self) -> dict[str, str]:
        parts = [part.strip().partition("=") for part in (self.cache_control or "").split(",") if part]
        return {name: value for name, _, value in parts}


@dataclass(frozen=True, slots=True)
class State:
    """What the origin would answer now; no version: 404. `readers`: who may read (None: everybody)."""

    version: Version | None
    meta: Meta
    readers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The origin has told somebody that a version with a meta is current: in which order, when by the clock."""

    order: int
    at: float
    version: Version
    meta: Meta
    credential: str | None
    method: str


@dataclass(slots=True)
class Story:
    """What was said of a resource. `floor`: the order of the last purge or write, before which nothing counts."""

    said: dict[tuple[int, int, str | None, str], Said] = field(default_factory=dict)
    floor: int = 0
    denied: dict[str | None, int] = field(default_factory=dict)
    answers: list[tuple[int, int]] = field(default_factory=list)  # (order, status), the latest few
    troubled: int = 0  # order of the last fault
    changed: int = 0  # and of the last change of the version
    cookies: dict[str, int] = field(default_factory=dict)  # by value: order


class Truth(Origin):
    """The scripted origin that plays the states; `clock` is the time of the whole model."""

    def __init__(self, rng: random.Random, paths: tuple[str, ...], varying: frozenset[str]) -> None:
        super().__init__(is_recording=False)
        self.rng = rng
        self.paths = paths
        self.varying = varying
        self.clock = START
        self.order = 0
        self.stories: defaultdict[str, Story] = defaultdict(Story)
        self.states: dict[str, State] = {}
        self.written: set[str] = set()
        self.flips: dict[str, int] = {}  # path: changes after so many more answers
        self._numbers = 0

    def now(self) -> float:
        return self.clock

    def tick(self) -> int:
        self.order += 1
        return self.order

    def languages(self, path: str) -> tuple[str, ...]:
        return ("en", "de") if path in self.varying else ("",)

    def resource(self, path: str, language: str | None) -> str:
        return f"{path} {language or 'en'}" if path in self.varying else path

    # -- states

    def state(self, path: str, language: str | None) -> State:
        name = self.resource(path, language)
        if name not in self.states:
            self.states[name] = State(self.new_version(), self.new_meta(), self._readers())
        return self.states[name]

    def new_version(self, body: bytes | None = None) -> Version:
        self._numbers += 1
        rng = self.rng
        validator = rng.choice(("strong", "strong", "strong", "weak", "date", "none" if body is None else "date"))
        framing = rng.choice(("length", "length", "length", "chunked"))
        if body is None:
            size = rng.choice((0, 1, 10, 1000, 40_000, 65_536, rng.randrange(200_000), rng.randrange(400_000)))
            if validator == "none":
                # A HEAD renews what it does not contradict (RFC 9111 4.3.5): only a length tells this one from others.
                size, framing = self._numbers, "length"
            body = random.Random(self._numbers).randbytes(size)
        return Version(self._numbers, body, validator, "chunked" if framing == "chunked" else "length")

    def new_meta(self) -> Meta:
        self._numbers += 1
        return Meta(self._numbers, self.rng.choice(CACHE_CONTROLS), sets_cookie=self.rng.random() < 0.2)

    def _readers(self) -> frozenset[str] | None:
        return self.rng.choice((None, None, None, None, frozenset(TOKENS), frozenset(TOKENS[:1])))

    def change(self, path: str) -> str:
        """Something of a path changes; what."""
        language = self.rng.choice(self.languages(path))
        name, state = self.resource(path, language), self.state(path, language)
        what = (
            "version"
            if state.version is None
            else self.rng.choice(("version", "version", "version", "version", "meta", "meta", "readers", "gone"))
        )
        match what:
            case "version":
                state = replace(state, version=self.new_version(), meta=self.new_meta())
            case "meta":
                # A 304 cannot take a field back (RFC 9111 3.2): what has been said is only ever replaced.
                meta = replace(self.new_meta(), sets_cookie=state.meta.sets_cookie)
                state = replace(state, meta=replace(meta, cache_control=meta.cache_control or "max-age=60"))
            case "readers":
                state = replace(state, readers=self._readers())
            case _:
                state = replace(state, version=None)
        self.states[name] = state
        self.stories[name].changed = self.tick()
        return what

    def forget(self, paths: Iterable[str]) -> None:
        """From now on nothing counts that was said of these before: a purge, or a write."""
        for path in paths:
            for language in self.languages(path):
                self.stories[self.resource(path, language)].floor = self.tick()

    # -- answers

    def choose_fault(self, request: Received) -> Fault:
        chosen = super().choose_fault(request)
        if chosen != Fault():
            self.story_of(request).troubled = self.tick()
        return chosen

    def story_of(self, request: Received) -> Story:
        return self.stories[self.resource(request.path, request.header("accept-language"))]

    def reply(self, request: Received, fault: Fault) -> Reply:
        story = self.story_of(request)
        reply = super().reply(request, fault) if fault.status is not None else self._honest(request, fault, story)
        story.answers = [*story.answers[-60:], (self.tick(), reply.status)]
        if (left := self.flips.pop(request.path, None)) is not None:
            if left:
                self.flips[request.path] = left - 1
            else:
                self.change(request.path)
        return reply.with_header("Date", formatdate(self.clock, usegmt=True))

    def _honest(self, request: Received, fault: Fault, story: Story) -> Reply:
        language = request.header("accept-language")
        name, state = self.resource(request.path, language), self.state(request.path, language)
        if request.method in ("PUT", "DELETE"):
            is_put = request.method == "PUT"
            version = self.new_version(request.body) if is_put else None
            self.states[name] = State(version, self.new_meta(), state.readers)
            self.written.add(request.path)
            story.changed = self.tick()
            return plain(201 if is_put else 204)
        credential = request.header("authorization")
        if state.readers is not None and credential not in state.readers:
            story.denied[credential] = self.tick()
            return plain(401 if credential is None else 403, [("WWW-Authenticate", "Bearer")])
        if state.version is None:
            return plain(404)
        version, meta = state.version, state.meta
        headers = described(version, meta)
        if meta.sets_cookie:
            headers.append(("Set-Cookie", f"s={request.sequence}"))
            story.cookies[f"s={request.sequence}"] = self.order + 1
        if request.path in self.varying:
            headers.append(("Vary", "Accept-Language"))
        found = Object(
            body=version.body, etag=version.etag, last_modified=modified(version), headers=headers,
            cache_control=meta.cache_control, content_type="application/x-model", framing=version.framing,
        )  # fmt: skip
        reply = reply_to_read(found, request, ignore_range=fault.ignore_range)
        if reply.status in (200, 206, 304):
            said = Said(self.tick(), self.clock, version, meta, credential, request.method)
            story.said[version.number, meta.number, credential, request.method] = said
            if len(story.said) > 400:
                story.said.pop(next(iter(story.said)))
        return reply


def described(version: Version, meta: Meta) -> list[tuple[str, str]]:
    """The fields by which an answer tells whose it is."""
    return [("X-Version", str(version.number)), ("X-Meta", str(meta.number))]


def modified(version: Version) -> str | None:
    return formatdate(version.modified_at, usegmt=True) if version.modified_at is not None else None
