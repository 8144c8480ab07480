"""The private CA that pods trust, and the certificates made with it; the only door of `cryptography`.

`authority` keeps a CA on disk and signs leaves with it; `leaves` gives a listener a live TLS context for each
configured name. A CA can sign for its configured names only: the constraint stands in its certificate, so that
the key, should it leak, is worth nothing elsewhere.
"""
