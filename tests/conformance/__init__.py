"""The rules of HTTP caching as data, played against a running Nezha (`case.py` says what a case is)."""
