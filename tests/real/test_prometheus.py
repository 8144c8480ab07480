"""What Prometheus makes of Nezha: the rules by promtool, and every query of the dashboard after a real run."""

import asyncio
import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml
from aiohttp import ClientSession, TCPConnector

from tests.faults import Fault
from tests.objects import Object
from tests.origin import Origin
from tests.real import servers
from tests.real.prometheus import FILES, RULES, settings, values
from tests.serving import Serving, serving

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
RULE = {"name": "dataset", "app": "team", "label": "vision"}
GRAFANA = {
    "$namespace": ".*",
    "$origin": ".*",
    "$__rate_interval": "1m",
    "$__range_s": "60",
    "$__range": "60s",
}


def promtool(*arguments: str, given: bytes = b"") -> str:
    """What promtool says; it must be content."""
    command = [servers.program("promtool"), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    return done.stdout.decode()


def test_the_rules_are_valid_and_do_what_they_say() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(RULES))
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests" / "real" / "rules_test.yaml"))


def test_each_rule_has_its_unit_test() -> None:
    tested = (ROOT / "tests" / "real" / "rules_test.yaml").read_text()
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    names = [str(rule.get("record") or rule["alert"]) for rule in rules if "price" not in str(rule.get("record"))]
    assert [name for name in names if name not in tested] == ["nezha:origin_error_ratio:rate5m"]  # by its alert


@contextlib.contextmanager
def prometheus(port: int, directory: Path) -> Iterator[str]:
    """A Prometheus that scrapes that port and evaluates the chart's rules, each second; its URL."""
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings(f"127.0.0.1:{port}", RULES)))
    own = servers.free_port()
    command = [
        servers.program("prometheus"), f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/tsdb", f"--web.listen-address=127.0.0.1:{own}",
    ]  # fmt: skip
    with servers.process(
        command, directory / "prometheus.log", lambda: servers.status_of("127.0.0.1", own, "/-/ready") == 200
    ):
        yield f"http://127.0.0.1:{own}"


def ask(prometheus: str, expression: str) -> list[float]:
    """The values of a query now, without those that are no numbers."""
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return values(answer.read())


def queries() -> dict[str, str]:
    """Every query of the dashboard by its panel's title, as Grafana sends it."""
    found = {}
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in GRAFANA.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression, expression
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


@contextlib.asynccontextmanager
async def a_nezha(directory: Path) -> AsyncIterator[Serving]:
    """Nezha in front of an origin with a good object and one that never answers."""
    rules = directory / "hostaliases.yaml"
    await asyncio.to_thread(rules.write_text, yaml.safe_dump([RULE]))
    async with Origin() as origin:
        origin.serve("/train.tar", Object(body=b"x" * 300_000, etag='"1"', cache_control="max-age=60"))
        origin.serve("/stale.tar", Object(body=b"y" * 1000, etag='"1"', cache_control="max-age=0"))
        origin.fault("/broken", Fault(drop=True))
        route = {"name": "web", "dialect": "http", "hosts": ["web.test"], "connect": origin.url}
        async with serving(directory, route, admission={"rules_file": str(rules)}) as nezha:
            yield nezha


async def work(nezha: Serving) -> None:
    """A hit, a miss, a 304, a pass and an error; a review and a TLS handshake."""
    async with await nezha.client() as client:
        for path in ("/train.tar", "/stale.tar", "/broken"):
            await client.get(path, "web.test")
        await client.get("/train.tar", "web.test", method="OPTIONS")
    pod = {"metadata": {"name": "p", "labels": {"team": "vision"}}, "spec": {"containers": [{"name": "c"}]}}
    request = {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE", "namespace": "jobs", "object": pod}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    url = f"https://127.0.0.1:{nezha.ready['admission_port']}/mutate"
    async with ClientSession(connector=TCPConnector(ssl=False)) as session, session.post(url, json=review) as answer:
        assert answer.status == 200


async def test_every_query_of_the_dashboard_has_an_answer_after_a_real_run(tmp_path: Path) -> None:
    async with a_nezha(tmp_path) as nezha, contextlib.AsyncExitStack() as stack:
        async with await nezha.client() as client:
            scraped = (await client.get("/metrics", "nezha")).body
        await asyncio.to_thread(promtool, "check", "metrics", given=scraped)
        server = prometheus(nezha.ready["cache_port"], tmp_path)
        url = await asyncio.to_thread(server.__enter__)
        stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
        asked = await asyncio.to_thread(queries)
        assert len(asked) > 30
        silent = dict(asked)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while silent:
                    await work(nezha)
                    for name, expression in list(silent.items()):
                        if await asyncio.to_thread(ask, url, expression):
                            del silent[name]
        assert not silent
        (ratio,) = await asyncio.to_thread(ask, url, asked["Hit ratio of requests A"])
        assert 0 < ratio < 1
        (saved,) = await asyncio.to_thread(ask, url, asked["Bytes saved A"])
        assert saved > 0
        for record in ("hit_ratio_requests", "hit_ratio_bytes", "bytes_saved", "money_saved"):
            (value,) = await asyncio.to_thread(ask, url, f"nezha:{record}:rate5m")
            assert value > 0
