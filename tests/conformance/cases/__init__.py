"""All cases, in the order of the documentation's table."""

from tests.conformance.case import Case
from tests.conformance.cases import (
    conditions,
    directives,
    freshness,
    headers,
    invalidation,
    messages,
    ranges,
    requests,
    staleness,
    storing,
    targeted,
    updates,
    variants,
)

CASES: list[Case] = [
    *storing.CASES,
    *headers.CASES,
    *variants.CASES,
    *freshness.CASES,
    *staleness.CASES,
    *conditions.CASES,
    *updates.CASES,
    *invalidation.CASES,
    *requests.CASES,
    *directives.CASES,
    *targeted.CASES,
    *ranges.CASES,
    *messages.CASES,
]
