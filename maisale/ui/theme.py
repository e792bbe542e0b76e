"""The look: one Gradio theme, and the style sheet and script that go into the page's head. The colours are named here and nowhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import gradio as gr
from gradio.themes.utils import sizes

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Consolas", "monospace"]

# light, dark; every text colour holds 4.5:1 on the grounds it stands on
TOKENS = {
    "surface": ("#FFFFFF", "#191F1E"),
    "ground": ("#F5F7F6", "#121716"),
    "rail": ("#ECF0EE", "#0D1211"),
    "quiet": ("#EDF1EF", "#262E2C"),
    "line": ("#DCE3E0", "#2B3432"),
    "edge": ("#7F8D89", "#6F7F7B"),
    "ink": ("#17211F", "#E6ECEA"),
    "ink2": ("#4A5855", "#AEBBB7"),
    "ink3": ("#5F6D6A", "#93A19D"),
    "accent": ("#0B635C", "#70CBC1"),
    "accent-hover": ("#084B46", "#97DDD5"),
    "on-accent": ("#FFFFFF", "#0C1F1D"),
    "soft": ("#DFEEEB", "#1B3733"),
    "here": ("#D3DFDC", "#1A2726"),
    "mark": ("#FFE08A", "#6A5213"),
    "quote": ("#F2C230", "#C9A23A"),
    "ok": ("#1B6B45", "#79CBA0"),
    "warn": ("#7A4F00", "#EBC365"),
    "warn-bg": ("#FFF3D1", "#2F2812"),
    "err": ("#A8241B", "#F4A69F"),
    "err-bg": ("#FBE9E7", "#381C1A"),
}
# Gradio's names for the same colours; it wants a value for each of its themes.
_SETTINGS = {
    "body_background_fill": "surface",
    "body_text_color": "ink",
    "body_text_color_subdued": "ink2",
    "background_fill_primary": "surface",
    "background_fill_secondary": "ground",
    "border_color_primary": "line",
    "border_color_accent": "accent",
    "color_accent_soft": "soft",
    "link_text_color": "accent",
    "link_text_color_hover": "accent-hover",
    "link_text_color_active": "accent",
    "link_text_color_visited": "accent",
    "block_background_fill": "surface",
    "block_border_color": "line",
    "block_title_text_color": "ink",
    "input_background_fill": "surface",
    "input_background_fill_focus": "surface",
    "input_border_color": "edge",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "ink3",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent-hover",
    "button_primary_text_color": "on-accent",
    "button_primary_text_color_hover": "on-accent",
    "button_secondary_background_fill": "quiet",
    "button_secondary_background_fill_hover": "line",
    "button_secondary_text_color": "ink",
    "error_background_fill": "err-bg",
    "error_border_color": "err",
    "error_text_color": "err",
    "error_icon_color": "err",
}
BEHAVIOUR = ("page", "documents", "answers", "names", "rows", "composer", "events", "drawn")  # in this order, for each stands on those before it


def theme() -> gr.themes.Base:
    text = sizes.Size(name="maisale", xxs="11px", xs="12px", sm="13px", md="14px", lg="15px", xl="18px", xxl="22px")
    base = gr.themes.Base(primary_hue="teal", neutral_hue="gray", text_size=text, font=FONT, font_mono=MONO)
    both = {}
    for setting, token in _SETTINGS.items():
        both[setting], both[f"{setting}_dark"] = TOKENS[token]
    return base.set(
        **both,
        color_accent=TOKENS["accent"][0],
        block_border_width="0px",
        block_padding="0px",
        block_shadow="none",
        block_radius="0px",
        layout_gap="0px",
        chatbot_text_size="15px",
        shadow_drop="none",
        shadow_drop_lg="none",
    )


def tokens() -> str:
    """The colours as CSS variables, light and dark."""
    light = "".join(f"--ms-{name}:{pair[0]};" for name, pair in TOKENS.items())
    dark = "".join(f"--ms-{name}:{pair[1]};" for name, pair in TOKENS.items())
    return f":root{{{light}}}.dark{{{dark}--color-accent:{TOKENS['accent'][1]};}}"


@cache
def head() -> str:
    """Style and script for the page's head. Gradio 6.31 scopes what is given as css=, and then rules on body.src-open have no effect."""
    style = Path(__file__).with_name("look.css")
    return f"<style>{tokens()}{style.read_text('utf-8')}</style><script>{script()}</script>"


def first_script() -> str:
    """What the page does before Gradio's own scripts run."""
    return Path(__file__).with_name("behaviour").joinpath("first.js").read_text("utf-8")


@cache
def script() -> str:
    """What the page does in the browser by itself: the files of behaviour/ in one scope."""
    folder = Path(__file__).with_name("behaviour")
    return "(() => {\n" + "\n".join((folder / f"{name}.js").read_text("utf-8") for name in BEHAVIOUR) + "})();\n"
