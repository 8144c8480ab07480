"""The status page's contents: figures in, HTML out. It names origins, never an object, a client or a credential."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from nezha.proxy.figures import Reason, Sample, Traffic, between, rates, reasons, traffic, whole
from nezha.proxy.shell import document

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_REASONS = 15
_NOW_SAMPLES = 3  # "now" is the mean of the last ten to fifteen seconds
_WARN_DAYS = 14
_DAY = 86400.0


def page(samples: Sequence[Sample], facts: Mapping[str, bool | str], uptime: float, now: float) -> str:
    """The whole page.

    `samples`: at least two, the last is that of this moment; `facts`: as /readyz tells them; `uptime` in seconds;
    `now` in seconds since the epoch.
    """
    then, current = samples[0], samples[-1]
    counted = between(then, current)
    period = f"the last {duration(current.at - then.at)}"
    recent, ever = traffic(counted), traffic(current.values)
    parts = (
        _title(current, facts, uptime),
        _cards(samples, whole(recent), whole(ever), period),
        _line(rates(samples)),
        _origins(ever, recent, period),
        _reasons(reasons(counted, current)[:_REASONS], period),
        _webhook(current),
        _certificates(current.labelled("certificate_expiry_timestamp_seconds"), now),
    )
    return document("".join(parts))


def _title(current: Sample, facts: Mapping[str, bool | str], uptime: float) -> str:
    version = next(iter(current.labelled("build_info")), "")
    is_ready = False not in facts.values()
    state = '<span class="good">ready</span>' if is_ready else '<span class="bad">not ready</span>'
    wrong = [f"not: {name}" for name, fact in facts.items() if fact is False]
    wrong += [f"{name}: {fact}" for name, fact in facts.items() if isinstance(fact, str)]
    if not current.one("store_usable"):
        wrong.append("the store takes no new bytes: everything comes from the origins")
    notes = "".join(f'<p class="bad">{escape(text)}</p>\n' for text in wrong)
    return f"<h1>Nezha {state} <small>{escape(version)} · up {duration(uptime)}</small></h1>\n{notes}"


def _cards(samples: Sequence[Sample], recent: Traffic, ever: Traffic, period: str) -> str:
    current = samples[-1]
    speeds = rates(samples[-_NOW_SAMPLES - 1 :])
    cached, speed = (sum(column) / len(speeds) for column in zip(*speeds, strict=True))
    stored, limit = current.one("store_bytes"), current.one("store_limit_bytes")
    free, floor = current.one("volume_free_bytes"), current.one("volume_min_free_bytes")
    room = "" if math.isnan(free) else f"{size(free)} of the volume free, {size(floor)} stay so"
    fills, buffered = current.one("fills_running"), current.one("fill_bytes_buffered")
    cut, corrupt = sum(current.labelled("cut_responses").values()), current.one("corrupt_extents")
    cards = (
        _card("Hit ratio of requests", ratio(recent.request_ratio), period, f"{ratio(ever.request_ratio)} since start"),
        _card("Hit ratio of bytes", ratio(recent.byte_ratio), period, f"{ratio(ever.byte_ratio)} since start"),
        _card("To clients, now", f"{size(speed)}/s", f"{size(cached)}/s of it from the cache"),
        _card(
            "Store", size(stored), _meter(stored, limit),
            f"of {size(limit)}; {current.one('store_objects'):,.0f} objects", room,
        ),
        _card("Fills", f"{fills:,.0f}", f"{size(buffered)} of buffers in use"),
        _card(
            "Clients", f"{current.one('connections', 'cache'):,.0f}",
            f"connections; {current.one('grants'):,.0f} grants",
            f"{cut:,.0f} cut responses, {corrupt:,.0f} corrupt extents",
        ),
    )  # fmt: skip
    return f'<div class="cards">\n{"".join(cards)}</div>\n'


def _card(name: str, value: str, *notes: str) -> str:
    lines = "".join(f"{note}\n" if note.startswith("<") else f"<span>{note}</span><br>\n" for note in notes if note)
    return f'<div class="card"><span>{name}</span><b>{value}</b>{lines}</div>\n'


def _meter(value: float, limit: float) -> str:
    return f'<meter min="0" max="{max(limit, 1):.0f}" value="{value:.0f}"></meter>'


def _line(speeds: Sequence[tuple[float, float]]) -> str:
    """Bytes a second over the period: two lines."""
    most = max(total for _, total in speeds)
    if not most:
        return ""
    step = 100 / max(1, len(speeds) - 1)

    def points(column: int) -> str:
        return " ".join(
            f"{step * number:.1f},{30 - 29 * each[column] / most:.1f}" for number, each in enumerate(speeds)
        )

    return (
        f'<h2>Bytes to clients <small class="note">at most {size(most)}/s</small></h2>\n'
        '<div class="card"><svg viewBox="0 0 100 31" preserveAspectRatio="none" role="img" '
        'aria-label="bytes to clients, in all and from the cache">'
        f'<polyline class="all" points="{points(1)}"/><polyline class="cache" points="{points(0)}"/></svg>'
        '<span class="note">blue: from the cache; grey: in all</span></div>\n'
    )


def _origins(ever: Mapping[str, Traffic], recent: Mapping[str, Traffic], period: str) -> str:
    rows = [
        (
            escape(name),
            f"{each.requests:,.0f}", ratio(recent[name].request_ratio), ratio(each.request_ratio),
            size(each.cache_bytes), size(each.origin_bytes), f"{each.origin_requests:,.0f}",
            f"{each.passed:,.0f}", f"{each.errors:,.0f}",
        )
        for name, each in ever.items()
    ]  # fmt: skip
    heads = (
        "Origin", "Requests", f"Hit ratio, {period}", "since start", "From cache", "From origin", "in requests",
        "Passes", "Errors",
    )  # fmt: skip
    return f"<h2>Origins</h2>\n{_table(heads, rows)}" if rows else '<p class="note">No origin is configured.</p>\n'


def _reasons(found: Sequence[Reason], period: str) -> str:
    if not found:
        return '<h2>Why not from the cache</h2>\n<p class="note">Nothing to explain yet.</p>\n'
    rows = [
        (escape(each.origin), each.outcome, escape(each.word), f"{each.recent:,.0f}", f"{each.total:,.0f}")
        for each in found
    ]
    heads = ("Origin", "Outcome", "Reason", period.capitalize(), "Since start")
    return f"<h2>Why not from the cache</h2>\n{_table(heads, rows, words=3)}"


def _webhook(current: Sample) -> str:
    """What the admission port did, where it did anything."""
    counts = {word: count for word, count in current.labelled("reviews").items() if count}
    if not counts:
        return ""
    told = ", ".join(f"{count:,.0f} {word}" for word, count in counts.items())
    state = (
        '<span class="good">pods are injected</span>'
        if current.one("injection_ready")
        else '<span class="bad">pods pass unchanged</span>'
    )
    stale = "" if current.one("rules_current") else ' <span class="bad">The rules file has an error.</span>'
    return f"<h2>Admission</h2>\n<p>{state}; reviews: {told}.{stale}</p>\n"


def _certificates(ends: Mapping[str, float], now: float) -> str:
    rows = [
        (name, f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}", _left(end - now))
        for name, end in ends.items()
        if not math.isnan(end)
    ]
    return f"<h2>Certificates</h2>\n{_table(('Certificate', 'Ends', 'Left'), rows)}"


def _left(seconds: float) -> str:
    text = duration(seconds) if seconds > 0 else "ended"
    return text if seconds > _WARN_DAYS * _DAY else f'<span class="bad">{text}</span>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns are text."""
    kinds = [' class="word"' if number < words else "" for number in range(len(heads))]
    head = "".join(f"<th{kind}>{text}</th>" for kind, text in zip(kinds, heads, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{text}</td>" for kind, text in zip(kinds, row, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}</table></div>\n'


def size(count: float) -> str:
    """Bytes for people: `3.4 GiB`."""
    for unit in _UNITS[:-1]:
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def ratio(value: float | None) -> str:
    """A share as a percentage; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.1%}"


def duration(seconds: float) -> str:
    """A time for people, in its largest unit: `3 h`."""
    for unit, length in (("d", _DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
