"""moto's S3 behind the scripted origin: every signature is verified, as far as it stands in a header.

moto is called as the WSGI application that it is: its own server takes ten times as long for a request. What moto
holds is the process's; each `MotoOrigin` serves that.
"""

import io
import json
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import moto.settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.test import run_wsgi_app

from tests.faults import Fault
from tests.objects import Pattern, Reply, plain
from tests.origin import Origin
from tests.wire import Received

BUCKET = "imagenet"
REGION = "us-east-1"
_MAY_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclass(frozen=True)
class Moto:
    """moto with the bucket, and its only user's keys."""

    app: Any
    access_key: str
    secret_key: str

    def put(self, key: str, body: bytes) -> None:
        """Writes an object behind Nezha's back."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(BUCKET, key, body)


@cache
def started() -> Moto:
    """The one of this process."""
    moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # every request must show who asks
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    iam.create_user(REGION, "job")
    iam.put_user_policy("job", "all", json.dumps(_MAY_ALL))
    key = iam.create_access_key("job")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)
    return Moto(create_backend_app("s3"), key.access_key_id, key.secret_access_key)


class MotoOrigin(Origin):
    """Answers as moto does."""

    def reply(self, request: Received, fault: Fault) -> Reply:
        """moto's answer; `fault.status` goes first."""
        if fault.status is not None:
            return plain(fault.status)
        chunks, status, fields = run_wsgi_app(started().app, _environ(request))
        body = b"".join(chunks)
        headers = [(name, value) for name, value in fields if name.lower() != "content-length"]
        code = int(status.split()[0])
        if code in (204, 304):
            return Reply(code, headers, None)
        if request.method == "HEAD":
            size = fields.get("Content-Length", 0, type=int)
            return Reply(code, headers, Pattern(size), 0, size)
        return Reply(code, headers, body, 0, len(body))


def _environ(request: Received) -> dict[str, Any]:
    """The request as PEP 3333 hands it over; moto looks at the path as it came (RAW_URI)."""
    names = {name.upper().replace("-", "_") for name, _ in request.headers} - {"TRANSFER_ENCODING"}
    fields = {f"HTTP_{name}": request.header(name.replace("_", "-")) for name in names}
    return fields | {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path, "latin-1"),
        "QUERY_STRING": request.query,
        "RAW_URI": request.target,
        "CONTENT_TYPE": request.header("content-type") or "",
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "moto",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": request.version,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
