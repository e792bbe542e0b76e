"""What we set and replace in Gradio 6.31, held against its own code: when the version moves, these say what to look at again."""

import asyncio
import copy
import inspect
import os
import re
import subprocess
import sys
import time
from importlib.metadata import version
from types import SimpleNamespace

import gradio
import gradio as gr
import pytest
from gradio import queueing, state_holder
from gradio_client import Client
from running import ROOT

from maisale.access import gradio_patches


def test_the_patched_version_is_the_pinned_one():
    assert version("gradio") == "6.31.0"


def test_gradio_sends_and_counts_nothing(door):
    assert {name: os.environ[name] for name in gradio_patches.QUIET} == gradio_patches.QUIET
    assert not gr.analytics.analytics_enabled()


def test_what_was_set_before_stays(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    gradio_patches.quiet_gradio()
    assert os.environ["HF_HUB_OFFLINE"] == "0"


def test_an_idle_queue_is_looked_at_a_hundred_times_a_second(door):
    assert door.page._queue.sleep_when_free == gradio_patches.LOOK_S
    assert set(re.findall(r"sleep\(.*\)", inspect.getsource(queueing.Queue.start_processing))) == {"sleep(self.sleep_when_free)"}


def test_a_first_script_stands_before_gradios_own(monkeypatch):
    templates = gradio.routes.templates.env
    monkeypatch.setattr(templates, "loader", templates.loader)
    gradio_patches.put_first("first('{{ as it is }}')")
    page = templates.get_template("frontend/index.html").render(config={"title": "A & B"}, gradio_api_info={})
    assert page.index("<script>first('{{ as it is }}')</script>") < page.index('<script type="module"') and "A &amp; B" in page


def test_a_mounted_page_refuses_files_of_the_host(door):
    assert door.page.has_launched


def test_a_new_session_has_everything_that_gradios_own_has(door):
    """Were a new attribute added to a session, the lean one would lack it."""
    lean = state_holder.SessionState(door.page)
    lines = inspect.getsource(state_holder.SessionState).split("def __getitem__")[0].splitlines()
    own = {re.match(r"self\.(\w+)", line.strip())[1] for line in lines if line.strip().startswith("self.")}
    assert own == set(vars(lean))


def test_a_new_session_costs_next_to_nothing(door):
    with gr.Blocks() as large:
        for _ in range(150):
            gr.Textbox()
    began = time.process_time()
    for _ in range(100):
        state_holder.SessionState(large)
    assert (time.process_time() - began) / 100 < 0.001


def test_a_session_still_keeps_its_state(door, linh):
    client = Client(door.url, headers={"X-API-Key": linh.key}, verbose=False, analytics_enabled=False)
    assert [client.predict(api_name="/tally") for _ in range(3)] == [1, 2, 3]


def test_an_unforeseen_error_is_printed_without_its_text(door, caplog):
    try:
        int("the question")
    except ValueError:
        gradio.queueing.traceback.print_exc()
    assert "ValueError" in caplog.text and "invalid literal" not in caplog.text
    assert all("traceback" in vars(module) for module in (gradio.queueing, gradio.routes, gradio.route_utils, gradio.utils))


def test_a_start_reads_and_writes_no_stubs_of_components(tmp_path):
    watched = """
import inspect, sys
real, seen = inspect.getfile, []
sys.addaudithook(lambda event, given: event == "open" and str(given[0]).endswith(".pyi") and seen.append(given[0]))
import app
assert inspect.getfile is real
print(len(seen))
"""
    ran = subprocess.run([sys.executable, "-c", watched], cwd=ROOT, env={**os.environ, "DATA_DIR": str(tmp_path)}, capture_output=True, text=True)
    assert ran.stdout == "0\n", ran.stderr


OUTPUTS = {
    "nothing": [gr.skip(), gr.skip(), gr.skip()],
    "one value": [gr.skip(), "new", gr.skip()],
    "a value and a property": [{"a": 1}, gr.skip(), gr.update(placeholder="Type")],
    "everything": [[1], None, gr.update(value="c", visible=False)],
    "an empty dict": [{}, gr.skip(), gr.skip()],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_stays_as_it_is_gives_what_gradios_own_gives(name):
    def answered(postprocess):
        outputs = [gr.JSON(), gr.Textbox(), gr.Textbox()]
        fn = SimpleNamespace(outputs=outputs, batch=False, postprocess=True, is_validator_function=False, name="fn")
        page.default_config.blocks.update({one._id: one for one in outputs})
        return asyncio.run(postprocess(fn, copy.deepcopy(OUTPUTS[name]), state_holder.SessionState(page)))

    with gr.Blocks() as page:
        assert answered(gradio_patches._of_what_changes(page.postprocess_data)) == answered(page.postprocess_data)


def test_what_stays_as_it_is_is_not_made_anew(door, monkeypatch):
    made = []
    monkeypatch.setattr(gr.Textbox, "get_config", lambda self: made.append(self) or {})
    with gr.Blocks() as page:
        fn = SimpleNamespace(outputs=[gr.Textbox(), gr.Textbox()], batch=False, postprocess=True, is_validator_function=False, name="fn")
    made.clear()
    quick = gradio_patches._of_what_changes(page.postprocess_data)
    assert asyncio.run(quick(fn, (gr.skip(), gr.skip()), None)) == [gr.skip(), gr.skip()] and not made
    assert door.page.postprocess_data.__qualname__ == quick.__qualname__ and gr.skip() == gradio_patches.UNCHANGED
