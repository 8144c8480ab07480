"""The admission port: an HTTP body becomes a review, an outcome becomes an answer, and everything is counted.

The only refusals are for what is no review. Whatever goes wrong after that, the object is let through: the cache is
never the reason why a pod does not start. Nothing is asked of anybody while a review waits.
"""

import asyncio
import time
from collections.abc import Callable
from typing import assert_never

from aiohttp import web

from nezha import log
from nezha.admission.injection import decide
from nezha.admission.outcomes import Injected, Outcome, Passed, Stamped, Untouched
from nezha.admission.review import LONGEST_BODY, Json, Operation, Review, items, mapping, parse, respond
from nezha.admission.rules import Rules
from nezha.admission.target import Notice, Notify, Target
from nezha.errors import ReviewError
from nezha.metrics import Metrics

_BODY_SECONDS = 10.0
"""How long a body may take to arrive: the API server itself waits 30 s at most, for the answer."""

_MOST_BODIES = 64
"""Bodies on their way at once; past them 503, so that whoever reaches the port cannot take the memory."""

_LARGE_BODY = 2**17
"""Bytes from which a review is read in a thread: parsing takes some milliseconds for each MiB."""


class Webhook:
    """Answers reviews by the rules and the target of the moment."""

    def __init__(
        self, rules: Callable[[], Rules], target: Callable[[str], Target], metrics: Metrics, notify: Notify
    ) -> None:
        self._rules = rules
        self._target = target
        self._metrics = metrics
        self._notify = notify
        self._bodies = 0

    def application(self) -> web.Application:
        """The port's pages."""
        application = web.Application(client_max_size=LONGEST_BODY)
        application.router.add_get("/healthz", _healthz)
        application.router.add_post("/mutate", self._mutate)
        return application

    async def _mutate(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        if request.content_type != "application/json":
            return self._refuse(415, f"a review is application/json, not {request.content_type}")
        if self._bodies >= _MOST_BODIES:
            return self._refuse(503, "too many reviews at once")
        self._bodies += 1
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
            review = parse(body) if len(body) < _LARGE_BODY else await asyncio.to_thread(parse, body)
            answer = self._answer(review)
        except ReviewError as error:
            return self._refuse(error.status, str(error))
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(413, f"a review has at most {LONGEST_BODY} bytes")
        except TimeoutError:
            return self._refuse(408, "the body did not arrive")
        finally:
            self._bodies -= 1
        self._metrics.observe("review_seconds", time.perf_counter() - started)
        return web.Response(body=answer, content_type="application/json")

    def _answer(self, review: Review) -> bytes:
        try:
            outcome = decide(review, self._rules(), self._target(review.namespace))
            if isinstance(outcome, Passed) and not review.is_dry_run:
                self._notify(_notice(review, outcome))
        except ReviewError:
            raise
        except Exception as error:  # noqa: BLE001  # our mistake is no reason to keep a pod from running
            self._metrics.count("reviews", "error")
            log.failed("review_failed", error, uid=review.uid, kind=review.kind, namespace=review.namespace)
            return respond(review.uid, (), ("nezha: not injected: an error in Nezha; its log tells more",))
        word, operations, warnings = _told(outcome)
        self._metrics.count("reviews", word)
        if not isinstance(outcome, Untouched):
            details = {"rule": outcome.rule, "kind": review.kind, "namespace": review.namespace}
            log.event("review", outcome=word, **details, dry_run=review.is_dry_run, warnings=list(warnings))
        return respond(review.uid, operations, warnings)

    def _refuse(self, status: int, message: str) -> web.Response:
        self._metrics.count("reviews", "invalid")
        return web.Response(status=status, text=f"{message}\n", headers={"Connection": "close"})


def _told(outcome: Outcome) -> tuple[str, tuple[Operation, ...], tuple[str, ...]]:
    """The outcome's word, and what the API server is told."""
    match outcome:
        case Injected(_, operations, warnings):
            return "injected", operations, warnings
        case Stamped(_, operations):
            return "stamped", operations, ()
        case Passed(word, _, warnings):
            return word, (), warnings
        case Untouched():
            return "untouched", (), ()
        case _:
            assert_never(outcome)


def _notice(review: Review, outcome: Passed) -> Notice:
    """Tells the pod, or who made it: a pod that somebody makes has neither a name nor a uid yet."""
    metadata = mapping(review.object.get("metadata"), "metadata")
    owners = items(metadata.get("ownerReferences"), "metadata.ownerReferences")
    about: Json = {"apiVersion": "v1", "kind": "Pod", **metadata}
    about = next((owner for owner in owners if owner.get("controller") is True), about)
    return Notice(
        namespace=review.namespace,
        kind=str(about["kind"]),
        name=str(about.get("name") or metadata.get("generateName") or ""),
        uid=str(about.get("uid") or ""),
        api_version=str(about["apiVersion"]),
        reason="NotInjected",
        message="; ".join(warning.removeprefix("nezha: ") for warning in outcome.warnings),
    )


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
