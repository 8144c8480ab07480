"""The whole way: a job that knows nothing reads its origin by its real name, through Nezha, with whatever it has."""

import hashlib

import pytest

from tests.cluster.kube import LABEL, OPTED_IN, Kubectl, job, namespace, pod, until
from tests.cluster.scene import BUCKET_HOST, NEZHA, PATH, SIZE, WEB, Origin, metric
from tests.objects import pattern

DIGEST = hashlib.sha256(pattern(SIZE)).hexdigest()

PYTHON_READ = """python3 - "$url" <<'END'
import sys, urllib.request
open("out", "wb").write(urllib.request.urlopen(sys.argv[1]).read())
END
"""
CLIENTS = {"wget": 'wget -q -O out "$url"', "curl": 'curl -sSf -o out "$url"', "python": PYTHON_READ}

BOTO3_READ = f"""python3 - <<'END'
import hashlib, boto3
from botocore import UNSIGNED
from botocore.config import Config
s3 = boto3.client("s3", region_name="us-east-1", config=Config(signature_version=UNSIGNED))
for _ in range(2):
    print(hashlib.sha256(s3.get_object(Bucket="imagenet", Key="{PATH.strip("/")}")["Body"].read()).hexdigest())
END
"""


def finished(kubectl: Kubectl, space: str, kind: str, name: str, seconds: float = 60) -> str:
    """What a job or pod wrote, once it has succeeded."""

    def state() -> str | None:
        status = kubectl.get("-n", space, kind, name)["status"]
        phase = status.get("phase") or (
            "Succeeded" if status.get("succeeded") else "Failed" if status.get("failed") else ""
        )
        return phase if phase in ("Succeeded", "Failed") else None

    phase = until(state, f"{kind} {name} finished", seconds)
    written = kubectl.logs(space, f"{kind}/{name}")
    assert phase == "Succeeded", written
    return written


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_job_reads_by_the_real_name_cold_and_warm_with_every_client(
    nezha: Kubectl, origin: Origin, space: str, scheme: str
) -> None:
    url = f"{scheme}://{WEB}{PATH}?{space}"
    script = f'url="{url}"\n' + "".join(f"{read}\nsha256sum < out\n" for read in CLIENTS.values())
    before, hits = origin.stats(), metric(nezha, "nezha_requests_total", 'outcome="hit"')
    nezha.create(job(space, "reads", script))
    written = finished(nezha, space, "job", "reads")
    assert [line.split()[0] for line in written.splitlines()] == [DIGEST] * len(CLIENTS)
    after = origin.stats()
    # an origin that looks slow is read by several requests, of which the last bytes may be asked for twice
    assert SIZE <= after["bytes_sent"] - before["bytes_sent"] < 1.5 * SIZE, (
        "one read it, the others had it from the cache"
    )
    assert metric(nezha, "nezha_requests_total", 'outcome="hit"') - hits == len(CLIENTS) - 1


def test_boto3_reads_its_bucket_with_no_setting_at_all(nezha: Kubectl, origin: Origin, space: str) -> None:
    before = origin.stats()
    nezha.create(job(space, "reads", BOTO3_READ))
    assert finished(nezha, space, "job", "reads").split() == [DIGEST, DIGEST]
    assert SIZE <= origin.stats()["bytes_sent"] - before["bytes_sent"] < 1.5 * SIZE
    hosts = nezha.get("-n", space, "pod", "-l", "job-name=reads")["items"][0]["spec"]["hostAliases"][0]["hostnames"]
    assert BUCKET_HOST in hosts


def test_an_unlabelled_pod_is_left_alone_and_its_requests_never_arrive(
    nezha: Kubectl, origin: Origin, space: str
) -> None:
    before, asked = origin.stats()["requests"], metric(nezha, "nezha_requests_total")
    nezha.create(
        pod(space, "plain", f"cat /etc/hosts; timeout 5 curl -so /dev/null http://{WEB}{PATH} || true", labels={})
    )
    assert WEB not in finished(nezha, space, "pod", "plain")
    assert origin.stats()["requests"] == before
    assert metric(nezha, "nezha_requests_total") == asked


def test_nezha_killed_under_a_running_job_is_back_for_it(nezha: Kubectl, space: str) -> None:
    script = f"""python3 - <<'END'
import hashlib, time, urllib.request
state = ""
for number in range(600):
    try:
        body = urllib.request.urlopen("https://{WEB}{PATH}?{space}", timeout=5).read()
        new = "read" if hashlib.sha256(body).hexdigest() == "{DIGEST}" else "wrong"
    except OSError:
        new = "failed"
    if new != state:
        print(new, flush=True)
        state = new
    time.sleep(0.1)
END"""
    nezha.create(job(space, "reads", script))
    until(lambda: "read" in nezha.logs(space, "job/reads"), "a first read")
    nezha("-n", NEZHA, "delete", "pod", "-l", "app.kubernetes.io/name=nezha", "--force", "--grace-period=0")
    until(lambda: nezha.logs(space, "job/reads").split()[-2:] == ["failed", "read"], "reads again, in the same pod")
    assert "wrong" not in nezha.logs(space, "job/reads")
    nezha("-n", NEZHA, "rollout", "status", "statefulset/nezha", "--timeout=60s")


def test_a_pod_made_in_the_same_breath_as_its_namespace_works(nezha: Kubectl, space: str) -> None:
    name = f"{space}-new"
    script = f"curl -sSf -o out https://{WEB}{PATH} && sha256sum < out"
    try:
        nezha.apply(namespace(name, **OPTED_IN))
        until(lambda: nezha.create(pod(name, "reads", script)), "a pod, as soon as there is a service account")
        assert finished(nezha, name, "pod", "reads").split()[0] == DIGEST
    finally:
        nezha("delete", "namespace", name, "--wait=false")


def test_opting_out_takes_everything_away(nezha: Kubectl, space: str) -> None:
    document = pod(space, "dry", "true", LABEL)
    assert nezha.create(document, "--dry-run=server")["spec"].get("hostAliases")
    nezha("label", "namespace", space, "hostaliases-injector-")
    until(lambda: "hostAliases" not in nezha.create(document, "--dry-run=server")["spec"], "left alone")
    spec = nezha.create(document, "--dry-run=server")["spec"]
    assert [volume["name"] for volume in spec["volumes"] if "nezha" in volume["name"]] == []
    assert "env" not in spec["containers"][0]
