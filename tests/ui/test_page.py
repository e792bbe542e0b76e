"""The page itself: small, private, and without anything from outside."""

import re

import gradio as gr

from maisale.errors import Overloaded
from maisale.ui import page, theme


def not_yet():
    raise Overloaded("starting")


def test_building_the_page_opens_nothing_and_stays_small():
    components = [block for block in page.build(not_yet).blocks.values() if isinstance(block, gr.components.Component)]
    assert len(components) <= 30 + 40  # the second number: what the API's endpoints bring along


def test_only_the_api_is_public():
    demo = page.build(not_yet)
    public = {fn.api_name for fn in demo.fns.values() if fn.api_visibility == "public"}
    assert {"ask", "search", "list_documents"} <= public and not {"load", "follow", "rail_acts", "tick"} & public


def test_style_and_script_name_no_other_host():
    assert not re.search(r"https?://|@import|url\(", theme.head())


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_can_be_read_in_light_and_dark():
    pairs = [("ink", "surface"), ("ink2", "rail"), ("ink3", "rail"), ("accent", "soft"), ("on-accent", "accent")]
    pairs += [("warn", "warn-bg"), ("err", "surface"), ("ink", "mark")]
    for mode in (0, 1):
        for text, ground in pairs:
            high, low = sorted((luminance(theme.TOKENS[name][mode]) for name in (text, ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground, mode)
