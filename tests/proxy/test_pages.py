"""What the cache port says of itself: status, health, readiness, metrics, the certificate; it names no object."""

from pathlib import Path

import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

from tests.faults import Fault
from tests.objects import Object
from tests.origin import Origin
from tests.rawclient import Response
from tests.running import HOST, Running, running, web

SELF = "proxy-cache.nezha"  # any host that is no origin's

COUNTERS = """requests response_bytes origin_requests origin_bytes store_evicted_bytes store_errors corrupt_extents
    cut_responses""".split()
OTHERS = """first_byte_seconds request_seconds fills_running fill_bytes_buffered grants store_bytes store_objects
    store_usable connections certificate_expiry_timestamp_seconds build_info""".split()


async def ask(nezha: Running, path: str, method: str = "GET", host: str = SELF) -> Response:
    return await nezha.get(path, host=host, method=method)


async def test_healthz_says_that_it_is_alive(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        for host in (SELF, "127.0.0.1:8080", "10.0.0.7", "[::1]"):
            assert (await ask(nezha, "/healthz", host=host)).status == 200
        async with await nezha.client() as old:
            assert (await old.exchange(b"GET /healthz HTTP/1.0\r\n\r\n")).status == 200
        await origin.stop()  # an origin that is down is no reason to restart Nezha
        assert (await ask(nezha, "/healthz")).status == 200
        assert (await ask(nezha, "/readyz")).status == 200


async def test_readyz_says_whether_it_can_answer_and_why_not(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        ready = await ask(nezha, "/readyz")
        assert (ready.status, ready.body) == (200, b"ready\n")
        verbose = await ask(nezha, "/readyz?verbose")
        assert verbose.status == 200
        assert b"not draining" in verbose.body
        assert verbose.body.endswith(b"ready\n")
        assert len(verbose.body.splitlines()) > 1
        nezha.server.is_draining = True
        assert (await ask(nezha, "/readyz")).status == 503
        unready = await ask(nezha, "/readyz?verbose")
        assert (unready.status, unready.body.splitlines()[-1]) == (503, b"not ready")
        assert b"no  not draining\n" in unready.body
        assert (await ask(nezha, "/healthz")).status == 200  # a restart would not help


async def test_metrics_can_be_scraped(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control="max-age=60"))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):
                await nezha.get("/a")
            scraped = await ask(nezha, "/metrics")
            assert scraped.status == 200
            assert (scraped.get("content-type") or "").startswith("text/plain; version=")
            families = {each.name: each for each in text_string_to_metric_families(scraped.body.decode())}
            assert not {f"nezha_{name}" for name in [*COUNTERS, *OTHERS]} - set(families)
            assert {families[f"nezha_{name}"].type for name in COUNTERS} == {"counter"}
            assert all(each.documentation for each in families.values())
            samples = {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for family in families.values()
                for sample in family.samples
            }
            assert b"_created" not in scraped.body  # a second series for each, of no use to anybody
            assert samples["nezha_requests_total", ("origin", "web"), ("outcome", "hit")] == 1
            assert samples["nezha_requests_total", ("origin", "web"), ("outcome", "miss")] == 1
            assert samples["nezha_request_seconds_count", ("origin", "web"), ("outcome", "hit")] == 1
            assert samples["nezha_first_byte_seconds_count", ("origin", "web"), ("outcome", "hit")] == 1
            assert samples["nezha_connections", ("port", "cache")] == 1
            assert samples["nezha_store_usable",] == 1
            assert samples["nezha_certificate_expiry_timestamp_seconds", ("certificate", "ca")] > 1e9


async def test_the_status_page_says_how_the_cache_does(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control="max-age=60"))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(4):
                await nezha.get("/a")
            page = await ask(nezha, "/")
            assert page.status == 200
            assert page.get("content-type") == "text/html; charset=utf-8"
            assert page.get("cache-control") == "no-store"
            assert (page.get("content-security-policy") or "").startswith("default-src 'none'; ")
            assert b"<b>75.0%</b>" in page.body
            assert b">uri-miss</td>" in page.body
            assert b'<span class="good">ready</span>' in page.body
            nezha.server.is_draining = True
            assert b"not: not draining" in (await ask(nezha, "/")).body


async def test_what_can_be_counted_is_there_before_it_is(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        scraped = (await ask(nezha, "/metrics")).body.decode()
        for series in (
            'nezha_requests_total{origin="web",outcome="error"}',
            'nezha_response_bytes_total{origin="web",source="cache"}',
            'nezha_origin_bytes_total{origin="web"}',
            'nezha_cut_responses_total{reason="resume"}',
            'nezha_store_evicted_bytes_total{reason="free"}',
            'nezha_reviews_total{outcome="injected"}',
        ):
            assert f"{series} 0.0\n" in scraped
        assert nezha.metric("nezha_ready") == 1
        assert nezha.metric("nezha_store_limit_bytes") == 2 << 30
        assert nezha.metric("nezha_volume_free_bytes") > 0


async def test_a_request_that_was_no_plain_hit_is_counted_with_its_reason(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control="max-age=60"))
        async with running(tmp_path, web(origin)) as nezha:
            for _ in range(2):
                await nezha.get("/a")
            await nezha.get("/a", headers={"Cache-Control": "no-cache"})
            assert nezha.metric("nezha_reasons_total", origin="web", outcome="miss", reason="uri-miss") == 1
            assert nezha.metric("nezha_reasons_total", outcome="revalidated", reason="request-no-cache") == 1
            assert nezha.metric("nezha_reasons_total") == 2  # a hit needs no reason


async def test_the_certificate_is_the_one_to_trust(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        given = await ask(nezha, "/ca.crt")
        assert given.status == 200
        assert given.get("content-type") == "application/x-pem-file"
        assert given.body.count(b"BEGIN") == 1  # and no key
        subject = x509.load_pem_x509_certificate(given.body).subject.public_bytes()
        async with await nezha.client(name=HOST) as client:
            leaf = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert x509.load_der_x509_certificate(leaf).issuer.public_bytes() == subject


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/ca.crt"])
async def test_head_is_the_head_alone(tmp_path: Path, path: str) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client() as client:
        head = await client.get(path, SELF, method="HEAD")
        assert head.status == 200
        assert int(head.get("content-length") or 0) > 0
        whole = await client.get(path, SELF)  # the connection is in step
        assert whole.status == 200
        assert whole.get("content-type") == head.get("content-type")


@pytest.mark.parametrize("path", ["/metrics/", "//metrics", "/Metrics", "/a", "/mutate", "/healthz/x", "/%6detrics"])
async def test_everything_else_is_misdirected(tmp_path: Path, path: str) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        assert (await ask(nezha, path)).status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PURGE", "FOO"])
async def test_nothing_can_be_changed_here(tmp_path: Path, method: str) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=b"hello", cache_control="max-age=60"))
        async with running(tmp_path, web(origin)) as nezha:
            await nezha.get("/a")
            for path in ("/metrics", "/healthz", "/readyz", "/ca.crt", "/a", "/"):
                assert (await ask(nezha, path, method)).status == 421
            assert (await nezha.get("/a")).body == b"hello"
            assert origin.count() == 1


async def test_an_origins_pages_of_the_same_name_are_the_origins(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("*", Object(body=b"the origin's"))
        async with running(tmp_path, web(origin)) as nezha:
            for path in ("/", "/healthz", "/readyz", "/metrics", "/ca.crt"):
                assert (await ask(nezha, path, host=HOST)).body == b"the origin's"


async def test_the_pages_are_not_over_tls(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha, await nezha.client(name=HOST) as client:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/ca.crt"):
            assert (await client.get(path, SELF)).status == 421


async def test_no_page_names_an_object_or_a_client(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/secret-name", Object(body=b"hello", etag='"secret-tag"', cache_control="max-age=60"))
        origin.fault("/secret-fault", Fault(drop=True))
        async with running(tmp_path, web(origin)) as nezha:
            for path in ("/secret-name", "/secret-name", "/secret-fault", "/secret-missing?token=secret-token"):
                await nezha.get(path, headers={"X-Trace": "secret-header", "Authorization": "Bearer secret-bearer"})
            for path in ("/", "/healthz", "/readyz?verbose", "/metrics", "/ca.crt", "/secret-name"):
                page = await ask(nezha, path)
                assert b"secret" not in page.body
                assert b"127.0.0.1" not in page.body
                assert not any("secret" in value for _, value in page.headers)
