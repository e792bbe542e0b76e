"""The floors of the house, read from the imports: arrows go down only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Highest floor first; a module may import from its own place and from the floors below.
FLOORS = [
    {"app"},
    {"maisale.life", "maisale.__main__"},
    {"maisale.cli"},
    {"maisale.decider"},
    {"maisale.worker", "maisale.child"},
    {"maisale.ui"},
    {"maisale.api"},
    {"maisale.ops", "maisale.tasks", "maisale.langchain"},
    {"maisale.chat"},
    {"maisale.library", "maisale.access"},
    {"maisale.flow"},
    {"maisale.store"},
    {"maisale.services", "maisale.backends"},
    {"maisale.certificates", "maisale.contracts", "maisale.bell", "maisale.frequency", "maisale.meaning", "maisale.pipes", "maisale.redaction"},
    {"maisale.identifiers"},
    {"maisale.records", "maisale.text", "maisale.stemming", "maisale.config"},
    {"maisale.references", "maisale.logs"},
    {"maisale.errors", "maisale.spans", "maisale.metrics", "maisale.tracebacks", "maisale.client", "maisale"},
]
# services.py stands beside contracts and opens what back ends need: the schema.
SERVICES_MAY = {"maisale.store", "maisale.backends"}
ONLY_IN = {
    "gradio": {"app", "maisale.ui", "maisale.api", "maisale.access"},
    "langgraph": {"maisale.flow"},
    "huey": {"maisale.bell", "maisale.worker"},
    "chromadb": {"maisale.backends"},
    "ollama": {"maisale.backends"},
    "sqlite_utils": {"maisale.backends"},
    "psycopg": {"maisale.backends"},
    "pgvector": {"maisale.backends"},
    "mcp": {"maisale.api"},
    "hvac": {"maisale.backends"},
    "opentelemetry": {"maisale.backends"},
    "prometheus_client": {"maisale.metrics", "maisale.ops"},
    "redis": {"maisale.backends", "maisale.bell"},
}


def modules():
    for path in [ROOT / "app.py", *sorted((ROOT / "maisale").rglob("*.py"))]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, path


def imports(path):
    """(what, inside a function) of each import."""
    tree = ast.parse(path.read_text("utf-8"))
    inner = {id(node) for scope in ast.walk(tree) if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in ast.walk(scope)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inner) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}" if node.module.startswith("maisale") else node.module, id(node) in inner) for alias in node.names)


def place(name):
    """The entry of FLOORS that `name` belongs to, and its floor."""
    while name:
        for floor, members in enumerate(FLOORS):
            if name in members:
                return name, floor
        name = name.rpartition(".")[0]
    return None, None


ALL = dict(modules())


@pytest.mark.parametrize("name", ALL)
def test_imports_go_down_only(name):
    own, floor = place(name)
    assert own is not None, f"{name} stands on no floor"
    for imported, _ in imports(ALL[name]):
        target, target_floor = place(imported) if imported.startswith(("maisale", "app")) else (None, None)
        if target in (None, own) or (name == "maisale.services" and target in SERVICES_MAY):
            continue
        assert target_floor > floor, f"{name} imports {imported}, which stands higher or beside it"


@pytest.mark.parametrize("name", ALL)
def test_each_vendor_stays_where_it_belongs(name):
    own, _ = place(name)
    for imported, _ in imports(ALL[name]):
        allowed = ONLY_IN.get(imported.split(".")[0])
        assert allowed is None or own in allowed, f"{name} imports {imported}"


def test_only_services_imports_the_back_ends():
    users = {name for name, path in ALL.items() for imported, _ in imports(path) if place(imported)[0] == "maisale.backends"}
    assert {user for user in users if place(user)[0] != "maisale.backends"} <= {"maisale.services"}


def test_imports_stand_at_the_top():
    inside = {name for name, path in ALL.items() for _, inner in imports(path) if inner}
    assert inside <= {"maisale.services", "maisale.library.reading"}


def test_only_config_reads_the_environment():
    # Gradio and the ollama package read theirs when they are imported: two modules set or hide it then.
    hiding = {"maisale.backends.ollama_wire", "maisale.access.gradio_patches"}
    readers = {place(name)[0] for name, path in ALL.items() if name not in hiding and "os.environ" in path.read_text("utf-8")}
    # The ways to start hand their environment to config.from_env.
    assert readers <= {"app", "maisale.worker", "maisale.decider", "maisale.child", "maisale.cli", "maisale.__main__", "maisale.langchain"}
