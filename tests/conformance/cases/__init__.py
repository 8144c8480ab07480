"""All cases, in the order of the documentation's table."""

from tests.conformance.case import Case
from tests.conformance.cases import (
    conditions,
    directives,
    freshness,
    headers,
    invalidation,
    messages,
    parts,
    ranges,
    requests,
    staleness,
    statuses,
    storing,
    targeted,
    updates,
    variants,
)

CASES: list[Case] = [
    *storing.CASES,
    *statuses.CASES,
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
    *parts.CASES,
    *messages.CASES,
]
