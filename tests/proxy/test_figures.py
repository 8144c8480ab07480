"""What the status page's figures are, worked out of two samples."""

from nezha.proxy.figures import Reason, Sample, Series, Traffic, between, rates, reasons, traffic, whole

THEN = Sample.of(
    100.0,
    {("requests", "a", "hit"): 5, ("requests", "a", "miss"): 5, ("requests", "b", "pass"): 1, ("store_bytes",): 7},
)
NOW = Sample.of(
    110.0,
    {
        ("requests", "a", "hit"): 8,
        ("requests", "a", "revalidated"): 1,
        ("requests", "a", "stale"): 1,
        ("requests", "a", "miss"): 6,
        ("requests", "a", "partial"): 1,
        ("requests", "a", "error"): 1,
        ("requests", "b", "pass"): 3,
        ("reasons", "a", "miss", "uri-miss"): 6,
        ("reasons", "b", "pass", "list"): 3,
        ("reasons", "b", "pass", "method"): 0,
        ("response_bytes", "a", "cache"): 3000,
        ("response_bytes", "a", "origin"): 1000,
        ("origin_requests", "a", "200"): 6,
        ("origin_requests", "a", "304"): 1,
        ("origin_bytes", "a"): 1200,
        ("store_bytes",): 9,
        ("connections", "cache"): 4,
    },
)


def test_a_period_counts_what_came_in_it_and_gauges_are_no_part_of_it() -> None:
    counted = between(THEN, NOW)
    assert counted["requests", "a", "hit"] == 3
    assert counted["requests", "a", "stale"] == 1
    assert ("store_bytes",) not in counted
    assert ("connections", "cache") not in counted


def test_the_ratios_are_those_of_the_contract() -> None:
    found = traffic(NOW.values)
    assert list(found) == ["a", "b"]
    assert found["a"] == Traffic(
        requests=18, from_store=10, passed=0, errors=1, cache_bytes=3000, relayed_bytes=1000, origin_requests=7,
        origin_bytes=1200,
    )  # fmt: skip
    assert found["a"].request_ratio == 10 / 18
    assert found["a"].byte_ratio == 0.75
    assert found["b"].request_ratio is None  # passes could be no hits
    assert found["b"].byte_ratio is None
    assert whole(found) == Traffic(
        requests=21, from_store=10, passed=3, errors=1, cache_bytes=3000, relayed_bytes=1000, origin_requests=7,
        origin_bytes=1200,
    )  # fmt: skip
    assert whole(found).request_ratio == 10 / 18
    assert whole({}) == Traffic()


def test_reasons_of_the_period_come_first_and_what_was_never_counted_not_at_all() -> None:
    recent: dict[Series, float] = {("reasons", "b", "pass", "list"): 2.0}
    assert reasons(recent, NOW) == [
        Reason("b", "pass", "list", 2, 3),
        Reason("a", "miss", "uri-miss", 0, 6),
    ]


def test_rates_are_bytes_a_second_between_neighbours() -> None:
    assert rates([THEN, NOW]) == [(300.0, 400.0)]
    assert rates([NOW]) == []
    ((cached, sent),) = rates([Sample.of(1.0, {}), Sample.of(1.0, NOW.values)])  # two at one moment divide by no zero
    assert 0 < cached < sent


def test_a_series_that_was_never_counted_is_zero() -> None:
    assert NOW.one("grants") == 0
    assert NOW.one("connections", "cache") == 4
    assert NOW.labelled("connections") == {"cache": 4}
    assert NOW.labelled("reviews") == {}
