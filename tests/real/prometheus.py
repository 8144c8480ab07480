"""Prometheus over Nezha with the chart's rules: its settings, and what it answers."""

import json
import math
from pathlib import Path
from typing import Any

FILES = Path(__file__).parents[2] / "charts" / "nezha" / "files"
RULES = FILES / "rules.yaml"


def settings(target: str, rules: Path) -> dict[str, Any]:
    """Scrapes `target` ("host:port") and evaluates `rules`, each second."""
    one = {"targets": [target], "labels": {"namespace": "nezha", "pod": "nezha-0"}}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "nezha", "static_configs": [one]}],
    }


def values(answer: str | bytes) -> list[float]:
    """The values in its answer to a query, without those that are no numbers."""
    told = json.loads(answer)
    assert told["status"] == "success", told
    found = [float(each["value"][1]) for each in told["data"]["result"]]
    return [value for value in found if not math.isnan(value)]
