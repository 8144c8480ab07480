"""The operators' way in: a Unix socket in the cache's directory, which neither port leads to.

    nezha status | ls | purge ── one line of JSON ──> `service`, in the process that serves
          `command`           <── lines of JSON ───

The answer is any number of lines, then `{"end": ...}` or `{"error": "..."}`: without one of these it is not whole.
Whoever may open the socket may do all of it: it is the owner's only.
"""
