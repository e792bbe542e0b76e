"""What the README and the documentation claim, run."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from running import ADMIN_KEY, HELP, RunningApp

from maisale.config import from_env

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("readme"), KNOWLEDGE_DIR=HELP) as running:
        yield running.wait_until_indexed()


def lines(text):
    return {line.strip().strip('",#').strip(' "') for line in text.splitlines() if line.strip() and not line.strip().startswith("##")}


def test_the_inline_metadata_equals_requirements_txt():
    block = re.search(r"# dependencies = \[\n(.*?)# \]", (ROOT / "app.py").read_text("utf-8"), re.DOTALL)[1]
    required = {line for line in lines((ROOT / "requirements.txt").read_text("utf-8")) if line}
    assert lines(block) == required


def test_the_cards_packages_are_required():
    required = (ROOT / "requirements.txt").read_text("utf-8")
    for name in ("gradio", "gradio-client", "chromadb", "ollama", "langchain-core", "langgraph", "sqlite-utils", "huey", "pytest"):
        assert re.search(rf"^{name}(\[\w+\])?(==|>=|$)", required, re.MULTILINE), name


def test_the_spaces_front_matter_names_the_pinned_gradio():
    assert re.search(r"^gradio\[mcp\]==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1] in README.split("---")[1]


def test_every_setting_is_in_the_table_and_every_row_is_a_setting():
    table = README.split("## Settings")[1].split("##")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}

    source = (ROOT / "maisale" / "config.py").read_text()
    asked = set(re.findall(r'given\.\w+\("(\w+)"', source))
    assert listed == asked - {"SPACE_ID"}
    assert from_env({}).port == 7860


def test_the_index_of_pages_is_complete():
    pages = {path.name for path in (ROOT / "knowledge" / "docs").glob("*.md")}
    assert pages == set(re.findall(r"\(knowledge/docs/([\w.]+)\)", README))


def test_the_python_example_runs(app):
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1].replace("http://127.0.0.1:7860", app.url)
    ran = subprocess.run([sys.executable, "-c", f"key = {ADMIN_KEY!r}\n{example}"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "True" in ran.stdout and "Run it locally" in ran.stdout


def test_the_langchain_example_runs_beside_the_app(app):
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=120, env=app.environment(), cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert "Run it locally" in ran.stdout


@pytest.mark.parametrize("client", ["openai", "mcp", "maisale.client import", "maisale.client.langchain"])
def test_the_examples_of_other_clients_run(app, client):
    (example,) = [one for one in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if f"from {client}" in one]
    example = example.replace("http://127.0.0.1:7860", app.url)
    ran = subprocess.run([sys.executable, "-c", f"key = {ADMIN_KEY!r}\n{example}"], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert "Run it locally" in ran.stdout


def test_the_named_endpoints_are_exactly_those_of_the_readme(app):
    info = httpx.get(f"{app.url}/gradio_api/info", headers={"X-API-Key": ADMIN_KEY}).json()
    named = {name.strip("/") for name in info["named_endpoints"]}
    part = README.split("The other endpoints:")[1].split("`/gradio_api/info`")[0]
    assert named == {"ask", *re.findall(r"`(\w+)`", part)}
    assert all("X-API-Key" in str(described) for described in info["named_endpoints"].values())
