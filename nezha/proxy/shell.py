"""The frame of the status page: its style and its script, which are all that a browser may use of it.

Without JavaScript the page loads itself anew; with it only its contents are replaced, so that nothing jumps.
"""

import base64
import hashlib

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5d6673;--line:#d9dee5;--card:#fff;--ground:#f4f6f8;--good:#1a7f4b;
--bad:#b42318;--cache:#2f6fde;--all:#9aa4b2}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#2c333d;--card:#171b21;--ground:#0e1116;
--good:#4cc38a;--bad:#ff7b72;--cache:#6ea2ff;--all:#5d6673}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main,footer{max-width:62rem;margin:0 auto;padding:1rem}
h1{font-size:1.25rem;margin:0 0 .75rem}h1 small{font-weight:400;color:var(--soft);font-size:.9rem}
h2{font-size:1rem;margin:1.5rem 0 .5rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.75rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .85rem}
.card b{display:block;font-size:1.6rem;font-weight:650;font-variant-numeric:tabular-nums}
.card span,.note{color:var(--soft);font-size:.85rem}
meter{width:100%;height:.6rem}
svg{display:block;width:100%;height:4.5rem}polyline{fill:none;stroke-width:1.5;vector-effect:non-scaling-stroke}
.cache{stroke:var(--cache)}.all{stroke:var(--all)}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .65rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500;font-size:.85rem}tr:last-child td{border-bottom:0}
th:first-child,td:first-child,.word{text-align:left}
.good{color:var(--good)}.bad{color:var(--bad)}
.silent main{opacity:.45}.silent footer::before{content:"Nezha does not answer. ";color:var(--bad)}
footer{color:var(--soft);font-size:.85rem}a{color:inherit}
"""

_SCRIPT = """
const renew = async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch("/", {cache: "no-store"});
    if (!answer.ok) throw answer.status;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    document.body.classList.remove("silent");
  } catch { document.body.classList.add("silent"); }
};
setInterval(renew, 5000);
document.addEventListener("visibilitychange", renew);
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS = (
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


def document(main: str) -> str:
    """The whole page around its contents, which are HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Nezha</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        '<noscript><meta http-equiv="refresh" content="10"></noscript>\n'
        f"<style>{_STYLE}</style>\n<main>\n{main}</main>\n"
        '<footer><a href="/metrics">metrics</a> · <a href="/readyz?verbose">readiness</a> · '
        f'<a href="/ca.crt">CA certificate</a></footer>\n<script>{_SCRIPT}</script>\n</html>\n'
    )
