"""The private CA that pods trust, and the certificates made with it; the only door of `cryptography`.

`authority` is a CA as a value, `rotation` what may become of it, `record` the same as files, `shelf` where these lie,
`keeper` the four together; `live` follows the shelf while a process runs, and `leaves` and `admission` serve with what
it says. `certificates` puts all of them together for the server. A CA can sign for its configured names only: the
constraint stands in its certificate, so that the key, should it leak, is worth nothing elsewhere.
"""
