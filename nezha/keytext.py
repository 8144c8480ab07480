r"""Keys as operators read and write them, and what a written one names.

    web/web.test//a%20b        an object: its key, and the key of each of its versions that a request names
    web/web.test//docs/        all that begins so: a name that ends in a slash ...
    web/web.test//docs/x*      ... or in a star
    web/web.test//docs\x2f     the object whose own name ends in a slash

A key's characters stand for bytes (Latin-1). They are shown as the UTF-8 text that they are; what is none, cannot be
seen, is a backslash, or stands at the end as a slash, a star or a space, is shown as \xNN. So what is shown is one
line, and names that one object when it is read again.
"""

import re
from dataclasses import dataclass

_LAST = "\U0010ffff"  # behind every character of a key
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{2}))?")


def shown(key: str) -> str:
    """A key as one line of text."""
    text = key.encode("latin-1").decode("utf-8", "surrogateescape")
    line = "".join(char if char.isprintable() and char != "\\" else _escape(char) for char in text)
    return line[:-1] + _escape(line[-1]) if line.endswith(("/", "*", " ")) else line


def _escape(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Named:
    """Keys: all that begin with `text`, or that of one object and its versions."""

    text: str
    is_prefix: bool

    def covers(self, key: str) -> bool:
        """Whether `key` is one of them."""
        if self.is_prefix:
            return key.startswith(self.text)
        return key == self.text or (key.startswith(f"{self.text}#") and "#" not in key[len(self.text) + 1 :])

    def spans(self) -> tuple[tuple[str, str], ...]:
        """Where they are in the order of keys, as half-open intervals, in which others may be too."""
        if self.is_prefix:
            return ((self.text, self.text + _LAST),)
        return (self.text, f"{self.text}\0"), (f"{self.text}#", f"{self.text}#{_LAST}")


def meant(written: str) -> Named:
    """What a written name names. Raises ValueError, which says how it is to be written."""
    is_prefix = written.endswith(("/", "*"))
    text = _read(written.removesuffix("*"))
    if not is_prefix and text.count("/") < 2:
        raise ValueError(
            f"{shown(text)!r} names no object: write ORIGIN/BUCKET/OBJECT as `nezha ls` shows it, or end with / or *"
        )
    return Named(text, is_prefix)


def beginning(written: str) -> Named:
    """All that begins as is written. Raises ValueError."""
    return Named(_read(written.removesuffix("*")), is_prefix=True)


def _read(written: str) -> str:
    parts: list[bytes] = []
    position = 0
    for escape in _ESCAPED.finditer(written):
        if escape[1] is None:
            raise ValueError("a backslash begins \\xNN, a byte in two hexadecimal digits; itself it is \\x5c")
        parts += written[position : escape.start()].encode("utf-8", "surrogateescape"), bytes.fromhex(escape[1])
        position = escape.end()
    parts.append(written[position:].encode("utf-8", "surrogateescape"))
    return b"".join(parts).decode("latin-1")
