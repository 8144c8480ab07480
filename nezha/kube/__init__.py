"""What Nezha knows of the cluster it runs in, and what it keeps there.

Everything is level-triggered: a `Mirror` follows what the API server holds, a step compares that with what should be
there and writes the difference. Nothing here is on the way of a request: while the API server is away, what was known
stays known.
"""
