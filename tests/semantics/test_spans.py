"""What a span says, in the words of OpenTelemetry's conventions for HTTP."""

import pytest

from nezha.semantics import spans
from nezha.semantics.spans import Line


def line(
    status: int = 200, *, outcome: str = "hit", detail: str = "", method: str = "GET", host: str = "web.test",
    target: str = "/a?b=1", tls: bool = False,
) -> Line:  # fmt: skip
    return {
        "origin": "web", "outcome": outcome, "detail": detail, "status": status, "method": method, "host": host,
        "target": target, "client": "192.0.2.1", "tls": tls, "bytes": 5, "seconds": 0.25,
    }  # fmt: skip


def test_a_request_is_told_by_the_conventions() -> None:
    assert spans.of_request(line(206, outcome="revalidated", detail="stale")) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/a",
        "url.query": "b=1",
        "server.address": "web.test",
        "server.port": 80,
        "client.address": "192.0.2.1",
        "http.response.status_code": 206,
        "http.response.body.size": 5,
        "nezha.origin": "web",
        "nezha.outcome": "revalidated",
        "nezha.detail": "stale",
    }


def test_what_is_not_known_is_left_out() -> None:
    told = spans.of_request(line(0, target="/a"))
    assert {"url.query", "nezha.detail", "http.response.status_code", "error.type"}.isdisjoint(told)


@pytest.mark.parametrize(
    ("host", "tls", "address", "port"),
    [
        ("web.test", True, "web.test", 443),
        ("web.test:8080", False, "web.test", 8080),
        ("[2001:db8::1]", False, "2001:db8::1", 80),
        ("[2001:db8::1]:9000", True, "2001:db8::1", 9000),
    ],
)
def test_an_authority_is_an_address_and_a_port(host: str, tls: bool, address: str, port: int) -> None:
    told = spans.of_request(line(host=host, tls=tls))
    assert (told["server.address"], told["server.port"]) == (address, port)
    assert told["url.scheme"] == ("https" if tls else "http")


def test_a_method_that_nobody_knows_is_no_name() -> None:
    assert [spans.name("PUT"), spans.name("BREW")] == ["PUT", "HTTP"]
    told = spans.of_request(line(method="BREW"))
    assert (told["http.request.method"], told["http.request.method_original"]) == ("_OTHER", "BREW")


@pytest.mark.parametrize(
    ("status", "outcome", "detail", "fault"),
    [
        (200, "hit", "", ""),
        (404, "miss", "status", ""),
        (421, "error", "misdirected", ""),
        (503, "pass", "status", "503"),
        (504, "error", "origin-timeout", "origin-timeout"),
        (200, "error", "client-left", "client-left"),
        (0, "error", "", "_OTHER"),
    ],
)
def test_a_fault_is_the_servers_or_a_cut_and_no_mistake_of_the_client(
    status: int, outcome: str, detail: str, fault: str
) -> None:
    asked = line(status, outcome=outcome, detail=detail)
    assert spans.fault(asked) == fault
    assert spans.of_request(asked).get("error.type", "") == fault


def test_a_question_to_an_origin_is_told_with_its_url() -> None:
    assert spans.of_question("web", "https://[2001:db8::1]:9000", "GET", "/a?sig=***") == {
        "http.request.method": "GET",
        "url.full": "https://[2001:db8::1]:9000/a?sig=***",
        "server.address": "2001:db8::1",
        "server.port": 9000,
        "nezha.origin": "web",
    }


def test_an_answer_of_an_origin_is_a_status_or_the_reason_why_there_is_none() -> None:
    assert spans.of_answer(304, "") == {"http.response.status_code": 304}
    assert spans.of_answer(404, "") == {"http.response.status_code": 404, "error.type": "404"}
    assert spans.of_answer(0, "origin-timeout") == {"error.type": "origin-timeout"}
    assert spans.of_answer(0, "") == {"error.type": "_OTHER"}
