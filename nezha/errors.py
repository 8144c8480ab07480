"""The exception tree, and the HTTP status each exception becomes at the edge.

Outcomes that a caller can foresee are values (`semantics.decision`); an exception is what it cannot.
"""

import re


class NezhaError(Exception):
    """Anything Nezha raises on purpose: `str(error)` is one line that says what, where and what to do."""

    status = 500

    @property
    def word(self) -> str:
        """The kind of error as one token, for Cache-Status and the log."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()


class SettingsError(NezhaError):
    """The settings cannot be used; the message starts with the field's path."""


class RequestError(NezhaError):
    """A client's request that is refused before any origin is asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class OriginError(NezhaError):
    """The origin gave no usable answer."""

    status = 502


class OriginUnreachable(OriginError):
    """No connection, or it ended before an answer."""


class OriginTimeout(OriginError):
    """Nothing came in the time the route allows."""

    status = 504


class OriginMismatch(OriginError):
    """An answer that contradicts itself, or what was asked: it is never stored nor spliced."""


class StoreError(NezhaError):
    """The store cannot do what was asked: the answer comes from the origin instead."""


class StoreFull(StoreError):
    """No room on the volume or under `cache.size`, even after eviction."""


class ExtentCorrupt(StoreError):
    """Stored bytes do not agree with their checksum."""


class ReviewError(NezhaError):
    """An AdmissionReview that cannot be read."""

    status = 400


class Conflict(NezhaError):
    """Somebody else has changed it since it was read: nothing was written."""

    status = 409
