"""The pages in front of the door: signing in with a key, and confirming a one-time link. Whole pages without Gradio, script or outside files."""

from __future__ import annotations

from maisale.ui.markup import esc, mark_of_brand
from maisale.ui.texts import LANGUAGES, say
from maisale.ui.theme import FONT, MONO, TOKENS

_RULES = """
*{box-sizing:border-box} :focus-visible{outline:2px solid var(--ms-accent);outline-offset:2px}
body{margin:0;min-height:100dvh;display:grid;place-items:center;background:var(--ms-ground);color:var(--ms-ink);font:15px/1.5 FONT}
main{width:min(400px,100vw - 32px);padding:32px 0} .brand{display:flex;align-items:center;gap:8px;font-size:18px;font-weight:650;margin-bottom:32px}
h1{font-size:22px;font-weight:650;margin:0 0 4px;line-height:1.35} p{color:var(--ms-ink2);margin:0 0 22px}
label{display:block;font-size:14px;font-weight:600;margin-bottom:6px} input{height:44px;padding:0 12px}
input,textarea{width:100%;border:1px solid var(--ms-edge);border-radius:10px;background:var(--ms-surface);color:var(--ms-ink);font:15px/1.5 MONO}
textarea{display:block;padding:10px 12px;resize:none;field-sizing:content;word-break:break-all}
input::placeholder{color:var(--ms-ink3);opacity:1} input[aria-invalid]{border-color:var(--ms-err)} .error{color:var(--ms-err);font-size:13px;margin:7px 0 0}
button{width:100%;height:44px;margin:14px 0 0;border:0;border-radius:10px;font:inherit;font-weight:600;cursor:pointer}
button{background:var(--ms-accent);color:var(--ms-on-accent)} button:hover{background:var(--ms-accent-hover)}
footer{border-top:1px solid var(--ms-line);margin-top:18px;padding-top:18px;font-size:13px} footer p{margin:0 0 14px} footer b{font-weight:600}
footer nav{display:flex;gap:14px} a{color:var(--ms-accent)}"""


def sign_in_page(language: str, error: str | None = None) -> str:
    """error: what went wrong and what to do next; the key that was typed never comes back."""
    wrong = f'<p class="error" id="wrong" role="alert">{esc(error)}</p>' if error else ""
    marked = ' aria-invalid="true" aria-describedby="wrong"' if error else ""
    form = (
        f'<h1>{say(language, "sign_in")}</h1><p>{say(language, "sign_in_why")}</p><form method="post" action="/login">'
        f'<label for="key">{say(language, "your_key")}</label><input id="key" name="key" type="password" placeholder="msk_…" autocomplete="current-password"'
        f' spellcheck="false" required autofocus{marked}>{wrong}<button>{say(language, "sign_in")}</button></form>'
    )
    return _page(language, say(language, "sign_in"), form, f"<p>{say(language, 'key_from_admin')}</p>{_languages(language)}")


def link_page(language: str, invited: bool = False) -> str:
    """Asks before a one-time link is used up: programs that preview links open pages, they press no buttons. invited: the link makes a key."""
    title, why, go = ("invite_title", "invite_why", "invite_go") if invited else ("link_title", "link_why", "sign_in")
    form = f'<h1>{say(language, title)}</h1><p>{say(language, why)}</p><form method="post" action=""><button autofocus>{say(language, go)}</button></form>'
    foot = f'<p><a href="/login">{say(language, "link_other")}</a></p>{_languages(language)}'
    return _page(language, say(language, title), form, foot)


def key_page(language: str, key: str) -> str:
    """The key that an invitation made: shown here, and never again."""
    form = (
        f'<h1>{say(language, "key_made_title")}</h1><p>{say(language, "key_made_why")}</p><label for="key">{say(language, "your_key")}</label>'
        f'<textarea id="key" rows="2" readonly autocomplete="off" spellcheck="false" autofocus>{esc(key)}</textarea>'
        f'<form method="get" action="/"><button>{say(language, "key_made_go")}</button></form>'
    )
    return _page(language, say(language, "key_made_title"), form, f"<p>{say(language, 'key_made_note')}</p>")


def _languages(language: str) -> str:
    names = (f"<b>{name}</b>" if code == language else f'<a href="?lang={code}" lang="{code}">{name}</a>' for code, name in LANGUAGES.items())
    return f"<nav>{''.join(names)}</nav>"


def _page(language: str, title: str, form: str, foot: str) -> str:
    light, dark = ("".join(f"--ms-{name}:{pair[mode]};" for name, pair in TOKENS.items()) for mode in (0, 1))
    fonts, mono = (",".join(f'"{name}"' if " " in name else name for name in names) for names in (FONT, MONO))
    rules = _RULES.replace("FONT", fonts).replace("MONO", mono)
    style = f":root{{color-scheme:light dark;{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{rules}"
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title} · Mai-Sale</title><style>{style}</style></head><body><main>"
        f'<div class="brand">{mark_of_brand()}Mai-Sale</div>{form}<footer>{foot}</footer></main></body></html>'
    )
