"""A job that reads URLs with `requests`, `curl` or `wget`: one process, one connection where the tool keeps it.

In:  {"urls": {key: URL}}.  Out: {key: SHA-256 of its bytes, or the status that came instead}.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import requests


def with_requests(urls: Mapping[str, str], _: Path) -> dict[str, str]:
    found = {}
    with requests.Session() as session:
        for key, url in urls.items():
            with session.get(url, stream=True, timeout=60) as answer:
                digest = hashlib.sha256()
                for chunk in answer.iter_content(1 << 20):
                    digest.update(chunk)
                found[key] = digest.hexdigest() if answer.ok else str(answer.status_code)
    return found


def with_curl(urls: Mapping[str, str], directory: Path) -> dict[str, str]:
    lines = [f'url = "{url}"\noutput = "{directory / str(at)}"\n' for at, url in enumerate(urls.values())]
    command = ["curl", "--silent", "--show-error", "--config", "-", "--write-out", "%{http_code}\n"]
    said = subprocess.run(command, input="".join(lines), stdout=subprocess.PIPE, text=True, check=True).stdout
    statuses = said.split()
    copies = [directory / str(at) for at in range(len(urls))]
    return {
        key: _digest(copy) if status == "200" else status
        for key, status, copy in zip(urls, statuses, copies, strict=True)
    }


def with_wget(urls: Mapping[str, str], directory: Path) -> dict[str, str]:
    # wget names each copy after its URL, of which the query is no part that could be told apart.
    names = {key: url.partition("?")[0].rpartition("/")[2] for key, url in urls.items()}
    command = ["wget", "--no-verbose", "--tries=1", "--directory-prefix", str(directory), "--input-file=-"]
    run = subprocess.run(command, input="\n".join(urls.values()), capture_output=True, text=True, check=False)
    refusals = set(re.findall(r"ERROR (\d{3})", run.stderr))
    if run.returncode != (8 if refusals else 0):  # 8: the server answered with an error
        raise RuntimeError(run.stderr)
    copies = {path.name.partition("?")[0]: path for path in directory.iterdir()}
    return {key: _digest(copies[name]) if name in copies else "/".join(sorted(refusals)) for key, name in names.items()}


def _digest(copy: Path) -> str:
    with copy.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    read = {"requests": with_requests, "curl": with_curl, "wget": with_wget}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as directory:
        json.dump(read(json.load(sys.stdin)["urls"], Path(directory)), sys.stdout)


if __name__ == "__main__":
    main()
