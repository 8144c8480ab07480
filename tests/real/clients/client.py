"""What every client of `s3_client.py` may be told to do."""

BUCKET, REGION = "imagenet", "us-east-1"
URL_SECONDS = 600


class Unable(Exception):
    """What a client has no way to do."""


class Client:
    """What every client may be told; one that cannot says so."""

    def get(self, key: str) -> bytes:
        raise Unable

    def range(self, key: str, start: int, stop: int) -> bytes:
        raise Unable

    def head(self, key: str) -> int:
        raise Unable

    def list(self, prefix: str) -> list[str]:
        raise Unable

    def put(self, key: str, body: bytes) -> None:
        raise Unable

    def sign(self, key: str) -> str:
        raise Unable
