"""RFC 9111 4.4: unsafe methods."""

from tests.conformance.case import (
    CACHE,
    MAY,
    MUST,
    ORIGIN,
    Answer,
    Case,
    Step,
    fresh,
)

_METHODS = (("POST", "abc"), ("PUT", "abc"), ("DELETE", None), ("PATCH", "abc"), ("M-SEARCH", "abc"), ("FOO", None))
_DONE = (200, 201, 202, 204, 205, 299, 301, 302, 303, 307, 308)
_FAILED = (400, 401, 403, 404, 405, 409, 412, 500, 502, 503)


def _after(id: str, method: str, body: str | None, answer: Answer, gone: bool, rule: str, path: str = "") -> Case:
    return Case(
        f"invalidate-{id}", "9111 4.4", MUST if gone else MAY, rule, (
            Step(path=path, answer=fresh(body="old")),
            Step(method=method, body=body, answer=answer, comes=ORIGIN),
            Step(path=path, answer=fresh(body="new"), comes=ORIGIN if gone else CACHE, text="new" if gone else "old"),
        ),
    )  # fmt: skip


CASES = [
    *(
        _after(method.lower(), method, body, Answer(), True, f"{method} that was done invalidates its target")
        for method, body in _METHODS
    ),
    *(
        _after(f"{method.lower()}-failed", method, body, Answer(status=500), False, f"{method} that failed does not")
        for method, body in _METHODS
    ),
    *(
        _after(
            f"status-{status}",
            "POST",
            "x",
            Answer(status=status, body="" if status in {204, 205} else None),
            True,
            f"{status} says that it was done",
        )
        for status in _DONE
    ),
    *(
        _after(f"status-{status}", "POST", "x", Answer(status=status), False, f"{status} says that it was not")
        for status in _FAILED
    ),
    Case(
        "invalidate-cut",
        "9111 4.4",
        MAY,
        "no answer may mean that it was done",
        (
            Step(answer=fresh(body="old")),
            Step(method="POST", body="x", answer=Answer(framing="cut"), status=502),
            Step(answer=fresh(body="new"), text="new"),
        ),
    ),
    *(
        Case(
            f"safe-{method.lower()}",
            "9111 4.4",
            MAY,
            f"{method} is safe",
            (
                Step(answer=fresh(body="old")),
                Step(method=method, answer=Answer(), comes=ORIGIN),
                Step(comes=CACHE, text="old"),
            ),
        )
        for method in ("OPTIONS", "TRACE")
    ),
    *(
        _after(
            f"{name.lower()}-{method.lower()}",
            method,
            body,
            Answer(((name, f"/invalidate-{name.lower()}-{method.lower()}/other"),)),
            True,
            f"{name} names what {method} has changed",
            "/other",
        )
        for name in ("Location", "Content-Location")
        for method, body in _METHODS[:4]
    ),
    *(
        _after(f"named-{id}", "POST", "x", Answer((("Location", value),), status=201), gone, rule, "/other")
        for id, value, gone, rule in (
            ("relative", "/x/../invalidate-named-relative/other", True, "a relative one"),
            ("absolute", "http://web.test/invalidate-named-absolute/other", True, "an absolute one"),
            (
                "port",
                "http://web.test:80/invalidate-named-port/other",
                True,
                "one with the port that goes without saying",
            ),
            ("case", "HTTP://WEB.test/invalidate-named-case/other", True, "in any case of letters"),
            ("fragment", "/invalidate-named-fragment/other#part", True, "one with a fragment"),
            ("host", "http://fresh.test/invalidate-named-host/other", False, "one of another origin is not believed"),
            ("scheme", "ftp://web.test/invalidate-named-scheme/other", False, "nor is one of another kind"),
            ("odd", "http://[", False, "nor what is no URL"),
        )
    ),
    Case(
        "invalidate-named-failed",
        "9111 4.4",
        MAY,
        "an answer that failed invalidates nothing that it names",
        (
            Step(path="/other", answer=fresh(body="old")),
            Step(method="POST", body="x", answer=Answer((("Location", "/invalidate-named-failed/other"),), status=500)),
            Step(path="/other", comes=CACHE, text="old"),
        ),
    ),
    Case(
        "invalidate-variants",
        "9111 4.4",
        MUST,
        "all variants of the target",
        (
            Step(headers=(("Foo", "1"),), answer=fresh(("Vary", "Foo"), body="old")),
            Step(headers=(("Foo", "2"),), answer=fresh(("Vary", "Foo"), body="old")),
            Step(method="POST", body="x", answer=Answer()),
            Step(headers=(("Foo", "1"),), answer=fresh(("Vary", "Foo"), body="new"), text="new"),
            Step(headers=(("Foo", "2"),), answer=fresh(("Vary", "Foo"), body="new"), text="new"),
        ),
    ),
    Case(
        "invalidate-query",
        "9111 4.4",
        MUST,
        "the target with its query",
        (
            Step(path="?a", answer=fresh(body="old")),
            Step(method="POST", path="?a", body="x", answer=Answer()),
            Step(path="?a", answer=fresh(body="new"), text="new"),
        ),
    ),
    Case(
        "invalidate-not-others",
        "9111 4.4",
        MAY,
        "nothing but the target",
        (
            Step(path="?a", answer=fresh(body="old")),
            Step(method="POST", path="?b", body="x", answer=Answer()),
            Step(path="?a", comes=CACHE, text="old"),
        ),
    ),
    Case(
        "invalidate-fresh-answer",
        "9111 4.4",
        MUST,
        "though the answer to it could be stored",
        (
            Step(answer=fresh(body="old")),
            Step(method="PUT", body="x", answer=fresh(body="said")),
            Step(answer=fresh(body="new"), text="new"),
        ),
    ),
]
