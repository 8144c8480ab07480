"""What the model holds against an answer: everything that the origin had not allowed at that time.

whose          X-Version and X-Meta name a version and a meta that the origin has told of together
bytes          are that version's, in that place, and all of them (a cut answer: the first of them)
fresh          the origin said so during the request, or so lately that its answer is still fresh
permitted      ... and to this caller: during the request, or as lately as a grant lasts
no excuse      an answer that is neither needs a fault of the origin during the request
"""

from dataclasses import dataclass

from tests.objects import parse_range
from tests.soak.truth import Meta, Said, Story, Truth, Version, modified
from tests.wire import Headers, lookup

GRANT = 60.0
GRACE = 300.0
GRANT_IN_OUTAGE = 120.0


class Violation(AssertionError):
    """Nezha has said what the origin had not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the model, and the order and time at which it began."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    began: int

    def get(self, name: str) -> str | None:
        return lookup(list(self.headers), name)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back; no status: nothing did. `is_whole`: it ended as its framing said."""

    status: int | None
    headers: Headers
    body: bytes
    is_whole: bool

    def get(self, name: str) -> str | None:
        return lookup(self.headers, name)


def lifetime(said: Said) -> float | None:
    """For how long a shared cache may use an answer; None where it may not store it (RFC 9111 3 and 4.2.1)."""
    directives = said.meta.directives()
    if "no-store" in directives or "private" in directives:
        return None
    if "no-cache" in directives:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return float(directives[name])
    modified_at = said.version.modified_at
    return 0.1 * (said.at - modified_at) if modified_at is not None else 0.0  # RFC 9111 4.2.2: at most


def is_shared(meta: Meta) -> bool:
    """RFC 9111 3.5: whether an answer to a credential may be reused for others."""
    return bool(meta.directives().keys() & {"public", "s-maxage", "must-revalidate"})


def may_outlive(meta: Meta) -> bool:
    return not meta.directives().keys() & {"must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"}


class Judge:
    """Judges answers by what the origin has said."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def judge(self, asked: Asked, answered: Answered) -> None:
        """Raises Violation."""
        story = self._truth.stories[self._truth.resource(asked.path, asked.get("accept-language"))]
        is_troubled = story.troubled > asked.began
        if answered.status is None or answered.status >= 500 or not answered.is_whole:
            is_cut = answered.status in {None, 200, 206}  # which a version that is no more excuses too
            if answered.status in {None, 200} and not answered.body and self._truth.is_crowded:
                return  # known and open: docs/critiques.md, seed 777
            if not is_troubled and not (is_cut and story.changed > asked.began):
                raise Violation(f"{answered.status} or a cut, although the origin was well")
            if answered.status not in {200, 206}:
                return  # it says nothing of any version
        match answered.status:
            case 200 | 206 | 304:
                self._served(asked, answered, story, is_troubled=is_troubled)
            case 412:
                if asked.get("if-match") is None and asked.get("if-unmodified-since") is None:
                    raise Violation("412 without a condition")
            case 416:
                if asked.get("range") is None:
                    raise Violation("416 without a Range")
            case status:
                if not any(order > asked.began and said == status for order, said in story.answers):
                    raise Violation(f"{status}, which the origin did not say")

    def _served(self, asked: Asked, answered: Answered, story: Story, *, is_troubled: bool) -> None:
        number, meta_number = answered.get("x-version"), answered.get("x-meta")
        told = [
            said
            for said in story.said.values()
            if (str(said.version.number), str(said.meta.number)) == (number, meta_number)
        ]
        if not told:
            raise Violation(f"version {number} with meta {meta_number}: the origin told nobody of these together")
        version, meta = told[0].version, told[0].meta
        self._check_fields(asked, answered, story, version, meta)
        self._check_body(asked, answered, version, is_troubled=is_troubled)
        self._check_age(answered, told)
        every = [said for said in story.said.values() if said.version.number == version.number]
        credential = asked.get("authorization")
        if not any(self._is_fresh(asked, said, story, is_troubled=is_troubled) for said in told):
            raise Violation(f"version {number} meta {meta_number} is stale: {[self._ago(said) for said in told]}")
        if not any(self._is_permitted(asked, said, story, is_troubled=is_troubled) for said in every):
            raise Violation(
                f"version {number} was not allowed to {credential}: {[self._ago(said) for said in every]},"
                f" denied {story.denied}, floor {story.floor}"
            )

    def _ago(self, said: Said) -> str:
        return (
            f"{said.method} {said.credential} {self._truth.clock - said.at:.0f}s ago (order {said.order},"
            f" {said.meta.cache_control})"
        )

    def _is_fresh(self, asked: Asked, said: Said, story: Story, *, is_troubled: bool) -> bool:
        if said.order > asked.began:
            return True
        until = lifetime(said)
        # What a credential was told makes nothing fresh for everybody (RFC 9111 3.5); whoever has a permission of its
        # own may go by anybody's word on the same version.
        is_usable = said.credential is None or asked.get("authorization") is not None or is_shared(said.meta)
        if until is None or said.order < story.floor <= asked.began or not is_usable:
            return False
        more = GRACE if is_troubled and may_outlive(said.meta) else 0.0
        return self._truth.clock < said.at + until + more

    def _is_permitted(self, asked: Asked, said: Said, story: Story, *, is_troubled: bool) -> bool:
        credential = asked.get("authorization")
        # A HEAD grants HEAD only; but what it says to everybody of an open object holds for GET too (RFC 9111 4.3.5).
        is_less = asked.method == "GET" and said.method != "GET" and credential is not None
        if said.credential != credential or is_less:
            return False
        if said.order > asked.began:
            return True
        if said.order < story.floor <= asked.began:
            return False
        more = GRANT_IN_OUTAGE if is_troubled else 0.0
        if credential is None:
            until = lifetime(said)
            return until is not None and self._truth.clock < said.at + until + more
        return self._truth.clock < said.at + GRANT + more  # whatever it was told since: that is what a grant is

    def _check_fields(self, asked: Asked, answered: Answered, story: Story, version: Version, meta: Meta) -> None:
        wanted = {"etag": version.etag, "cache-control": meta.cache_control}
        if answered.status != 304:
            wanted |= {"last-modified": modified(version), "content-type": "application/x-model"}
        for name, value in wanted.items():
            if answered.get(name) != value:
                raise Violation(f"{name} is {answered.get(name)!r} where the origin said {value!r}")
        cookie = answered.get("set-cookie")
        is_for_all = bool(meta.directives().keys() & {"public", "s-maxage"})  # then it is stored and replayed
        if cookie is not None and not is_for_all and story.cookies.get(cookie, 0) <= asked.began:
            raise Violation(f"somebody else's cookie {cookie}")

    def _check_body(self, asked: Asked, answered: Answered, version: Version, *, is_troubled: bool) -> None:
        body, size = version.body, len(version.body)
        match answered.status:
            case 304:
                if asked.get("if-none-match") is None and asked.get("if-modified-since") is None:
                    raise Violation("304 to a request without a condition")
                known = asked.get("if-none-match")
                if known is not None and known != "*" and (version.etag or "?").removeprefix("W/") not in known:
                    raise Violation(f"304 for {version.etag} to a client that knows {known}")
                return
            case 206:
                asked_for = parse_range(asked.get("range"), size)
                if is_troubled and "fwd=bypass" in (answered.get("cache-status") or ""):
                    return  # the origin's own words, which pass
                if (
                    asked_for is None
                    or answered.get("content-range") != f"bytes {asked_for[0]}-{asked_for[1] - 1}/{size}"
                ):
                    raise Violation(f"{answered.get('content-range')} of {size} bytes for {asked.get('range')}")
                body = body[asked_for[0] : asked_for[1]]
            case _:
                pass
        if asked.method == "HEAD":
            length = answered.get("content-length")
            if length not in {None, str(len(body))} and not is_troubled:
                raise Violation(f"Content-Length {length} where there are {len(body)}")
        elif answered.body != (body if answered.is_whole else body[: len(answered.body)]):
            raise Violation(f"{len(answered.body)} bytes that are not the version's {len(body)} (of {size})")

    def _check_age(self, answered: Answered, told: list[Said]) -> None:
        age = answered.get("age")
        if age is not None and int(age) + 1 < self._truth.clock - max(said.at for said in told):
            raise Violation(f"Age {age}: {[self._ago(said) for said in told]}")
