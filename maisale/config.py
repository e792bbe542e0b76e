"""Settings: one frozen dataclass. `from_env` is the only reader of the environment and of .env."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from maisale.errors import Misconfigured
from maisale.references import PREFIX, Vault, VaultAccess, VaultFailed, is_reference, parse

OpenVault = Callable[[VaultAccess], Vault]

SQLITE, POSTGRES = "sqlite:///", "postgresql://"
LEAD_OUT = ("DATABASE_URL", "CHROMA_PATH", "FILES_DIR", "BACKUP_DIR", "REDIS_URL")  # of DATA_DIR


@dataclass(frozen=True)
class Settings:
    """Every setting with its default. Secrets are left out of the repr."""

    data_dir: Path = Path("data")
    knowledge_dir: Path = Path("knowledge")
    database_url: str = field(default="", repr=False)  # empty: sqlite in data_dir; postgresql:// may hold a password
    files_folder: str = ""  # of uploaded files; empty: files in data_dir. Processes on one Postgres database share it
    sql_pool: int = 10  # connections that read a Postgres database, in each process
    redis_url: str = field(default="", repr=False)  # empty: this process shares nothing; it may hold a password
    chroma_path: str = ""  # empty: chroma_db in data_dir
    ollama_urls: tuple[str, ...] = ("http://127.0.0.1:11434",)
    ollama_ca: str = ""  # file of the authority that signed their certificates; empty: a public one
    ollama_cert: str = ""  # file of our own, for servers that ask for it
    ollama_key: str = ""
    generation_model: str = "gpt-oss"
    embedding_model: str = "bge-m3"
    num_ctx: int = 16384  # tokens; facts of gpt-oss: thinking and sources together want 16 k
    generate_concurrency: int = 1  # answers that one Ollama writes beside each other; its own OLLAMA_NUM_PARALLEL is 1 too
    vectors: str = "auto"  # auto, chroma, pgvector or exact; auto is pgvector on Postgres, else Chroma
    host: str = "127.0.0.1"
    port: int = 7860
    public_url: str = ""
    tls_cert: str = ""  # file; empty: HTTP
    tls_key: str = ""
    tls_client_ca: str = ""  # whose certificates callers must have; empty: none
    workers: int = 4  # job slots; 0: no worker beside the app
    embed_concurrency: int = 2
    retrieval_candidates: int = 20
    retrieval_k: int = 3
    retrieval_k_max: int = 10
    upload_mb: int = 50
    watch_s: int = 60  # between two looks at the knowledge folder; 0: only at the start
    backup_dir: str = ""  # empty: no backups by themselves
    backup_hours: int = 24  # between two of them
    backup_keep: int = 7  # of them; the oldest go
    erase_hours: int = 24  # until no file holds what was deleted
    rate_limit: int = 5  # questions, searches, uploads and other work a second, for each person
    tokens_per_day: int = 0  # that a model may spend for each person; 0: as many as they like
    trusted_proxies: str = ""  # addresses and networks whose X-Forwarded headers are believed, as uvicorn takes them
    on_space: bool = False  # the page stands in a frame of huggingface.co
    admin_key: str = field(default="", repr=False)
    metrics_key: str = field(default="", repr=False)  # empty: /metrics does not exist
    log_format: str = "text"  # text or json
    spans_url: str = ""  # of an OpenTelemetry collector; empty: no spans
    spans_headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # that it wants
    vault: Vault | None = field(default=None, repr=False, compare=False)  # what references were fetched from
    kept_apart: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)  # (name, value) of what a NAME_FILE or a reference gave

    @property
    def on_postgres(self) -> bool:
        """Whether several processes of a kind may share the database."""
        return self.database_url.startswith(POSTGRES)

    @property
    def sqlite_path(self) -> Path:
        """On Postgres there is no such file; locks of this folder's processes are named after it all the same."""
        return Path(self.database_url.removeprefix(SQLITE)) if self.database_url and not self.on_postgres else self.data_dir / "sqlite.db"

    @property
    def index(self) -> str:
        """Who finds nearest vectors in large scopes: chroma, pgvector or, when only exact search does, exact."""
        return ("pgvector" if self.on_postgres else "chroma") if self.vectors == "auto" else self.vectors

    @property
    def on_chroma_server(self) -> bool:
        return self.chroma_path.startswith(("http://", "https://"))

    @property
    def shares_index(self) -> bool:
        """Whether the vector index is at a server that several processes use, and no folder of one worker."""
        return self.index == "pgvector" or (self.index == "chroma" and self.on_chroma_server)

    @property
    def chroma_dir(self) -> Path:
        """Of the index's files; with a server, where there are none."""
        return Path(self.chroma_path) if self.chroma_path and not self.on_chroma_server else self.data_dir / "chroma_db"

    @property
    def files_dir(self) -> Path:
        return Path(self.files_folder) if self.files_folder else self.data_dir / "files"

    @property
    def copies_dir(self) -> Path:
        """Where Gradio keeps its copies of what is uploaded, until they are removed."""
        return self.data_dir / "gradio"

    @property
    def address(self) -> str:
        """The address a person types: PUBLIC_URL, else host and port with 0.0.0.0 read as this machine."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"{'https' if self.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def elsewhere(self) -> dict[str, tuple[str, ...]]:
        """What is kept or asked on other machines: models, index, database, redis or spans to the hosts; empty when nothing leaves this one."""
        urls = {"models": self.ollama_urls, "index": (self.chroma_path,), "database": (self.database_url,)}
        urls |= {"redis": (self.redis_url,), "spans": (self.spans_url,)}
        hosts = {kind: tuple(dict.fromkeys(filter(None, map(_other_machine, given)))) for kind, given in urls.items()}
        return {kind: found for kind, found in hosts.items() if found}


def _other_machine(url: str) -> str:
    """The host of a URL; empty for a file and for this machine."""
    host = (urlsplit(url).hostname or "") if "://" in url else ""
    if host == "localhost" or host.endswith(".localhost"):
        return ""
    try:
        return "" if ipaddress.ip_address(host).is_loopback else host
    except ValueError:
        return host


def apart(environ: Mapping[str, str], folder: Path, **own: str) -> dict[str, str]:
    """`environ` for an instance of its own in `folder`: nothing leads to another's data, neither by its value nor by a NAME_FILE. own: what else it has."""
    given = {**dict.fromkeys(LEAD_OUT, ""), "DATA_DIR": str(folder), **own}
    return {**environ, **{f"{name}_FILE": "" for name in given}, **given}


def from_env(environ: Mapping[str, str], folder: Path = Path(), open_vault: OpenVault | None = None) -> Settings:
    """Settings from `environ` over `folder`/.env; NAME_FILE names a file that holds NAME, and `vault:PATH#FIELD` where Vault keeps it.

    open_vault: how references are fetched; services.read_settings knows it. Raises Misconfigured with the name and the value of the first
    setting that does not parse; of one that is kept apart only the name.
    """
    given = _Given({**_dotenv(folder / ".env"), **environ}, open_vault)
    on_space = bool(given.text("SPACE_ID"))
    data_dir, database_url = Path(given.text("DATA_DIR", "data")), _database_url(given.text("DATABASE_URL"))
    return Settings(
        data_dir=data_dir,
        knowledge_dir=Path(given.text("KNOWLEDGE_DIR", "knowledge")),
        database_url=database_url,
        files_folder=given.text("FILES_DIR"),
        sql_pool=given.whole("SQL_POOL", 10, 1, 1000),
        redis_url=_redis_url(given.text("REDIS_URL")),
        chroma_path=given.text("CHROMA_PATH"),
        ollama_urls=_ollama_urls(given.text("OLLAMA_HOST", "localhost"), given.whole("OLLAMA_PORT", 11434, 1, 65535)),
        ollama_ca=given.text("OLLAMA_CA"),
        ollama_cert=given.text("OLLAMA_CERT"),
        ollama_key=given.text("OLLAMA_KEY"),
        generation_model=_model_name("GENERATION_MODEL", given.text("GENERATION_MODEL", "gpt-oss")),
        embedding_model=_model_name("EMBEDDING_MODEL", given.text("EMBEDDING_MODEL", "bge-m3")),
        num_ctx=given.whole("NUM_CTX", 16384, 2048, 1 << 20),
        generate_concurrency=given.whole("GENERATE_CONCURRENCY", 1, 1, 256),
        vectors=_vectors(given, database_url),
        host=given.text("HOST", "0.0.0.0" if on_space else "127.0.0.1"),
        port=given.whole("PORT", 7860, 0, 65535),
        public_url=given.url("PUBLIC_URL"),
        tls_cert=given.text("TLS_CERT"),
        tls_key=given.text("TLS_KEY"),
        tls_client_ca=given.text("TLS_CLIENT_CA"),
        workers=given.whole("WORKERS", 4, 0, 64),
        embed_concurrency=given.whole("EMBED_CONCURRENCY", 2, 1, 64),
        retrieval_candidates=given.whole("RETRIEVAL_CANDIDATES", 20, 1, 200),
        retrieval_k=given.whole("RETRIEVAL_K", 3, 1, 50),
        retrieval_k_max=given.whole("RETRIEVAL_K_MAX", 10, 1, 50),
        upload_mb=given.whole("UPLOAD_MB", 50, 1, 10_000),
        watch_s=given.whole("WATCH_S", 60, 0, 86_400),
        backup_dir=given.text("BACKUP_DIR"),
        backup_hours=given.whole("BACKUP_HOURS", 24, 1, 24 * 366),
        backup_keep=given.whole("BACKUP_KEEP", 7, 1, 1000),
        erase_hours=given.whole("ERASE_HOURS", 24, 1, 24 * 30),
        rate_limit=given.whole("RATE_LIMIT", 5, 1, 100_000),
        tokens_per_day=given.whole("TOKENS_PER_DAY", 0, 0, 10**9),
        trusted_proxies=given.networks("TRUSTED_PROXIES"),
        on_space=on_space,
        admin_key=given.secret("X_API_KEY_ADMIN", 16),
        metrics_key=given.secret("METRICS_KEY", 16),
        log_format=given.one_of("LOG_FORMAT", "text", ("text", "json")),
        spans_url=given.url("OTEL_EXPORTER_OTLP_ENDPOINT"),
        spans_headers=given.pairs("OTEL_EXPORTER_OTLP_HEADERS"),
        vault=given.vault,
        kept_apart=tuple((name, database_url if name == "DATABASE_URL" else text) for name, text in given.kept_apart),
    )


def _vault_access(given: _Given) -> VaultAccess:
    """Read only when a setting refers to Vault. Raises Misconfigured."""
    access = VaultAccess(
        url=given.url("VAULT_ADDR"),
        token=given.text("VAULT_TOKEN"),
        role_id=given.text("VAULT_ROLE_ID"),
        secret_id=given.text("VAULT_SECRET_ID"),
        ca_cert=given.text("VAULT_CACERT"),
        namespace=given.text("VAULT_NAMESPACE"),
    )
    if not access.url:
        raise Misconfigured("VAULT_ADDR is not set, and a setting refers to Vault. Set it to Vault's address, such as https://vault.example:8200.")
    if not access.token and not (access.role_id and access.secret_id):
        raise Misconfigured("VAULT_TOKEN is not set, and a setting refers to Vault. Set it, or VAULT_ROLE_ID and VAULT_SECRET_ID.")
    return access


def copies_dir(environ: Mapping[str, str], folder: Path = Path()) -> Path:
    """Settings.copies_dir, absolute, also where other settings do not parse: those are the start's to refuse."""
    data_dir = _Given({**_dotenv(folder / ".env"), **environ}).text("DATA_DIR", "data")
    return Settings(data_dir=Path(data_dir)).copies_dir.resolve()


class _Given:
    """Reads one name at a time and says which one is wrong."""

    def __init__(self, environ: Mapping[str, str], open_vault: OpenVault | None = None):
        self.environ = environ
        self.kept_apart: list[tuple[str, str]] = []
        self.vault: Vault | None = None
        self._open_vault = open_vault

    def text(self, name: str, default: str = "") -> str:
        if path := self.environ.get(f"{name}_FILE", "").strip():
            text = _read_secret(name, path)
            self.kept_apart.append((name, text))
        else:
            text = self.environ.get(name, "").strip() or default
            if is_reference(text):
                text = self._fetched(name, text)
                self.kept_apart.append((name, text))
        if "\0" in text:
            raise Misconfigured(f"{name} holds a NUL character.")
        return text

    def _fetched(self, name: str, text: str) -> str:
        reference = parse(text)
        if reference is None:
            raise Misconfigured(f"{name} is {text!r}, which names no secret. The form is vault:MOUNT/PATH#FIELD, such as vault:secret/maisale#admin_key.")
        if self._open_vault is None or name.startswith("VAULT_"):
            raise Misconfigured(f"{name} refers to Vault, which is not asked for it. Set its value, or {name}_FILE.")
        self.vault = self.vault or self._open_vault(_vault_access(self))
        try:
            return self.vault.read(reference)
        except VaultFailed as problem:
            raise Misconfigured(f"{name} cannot be fetched from Vault: {problem}") from problem

    def secret(self, name: str, least: int) -> str:
        text = self.text(name)
        if text.startswith(PREFIX) and (name, text) not in self.kept_apart:
            self._fetched(name, text)  # a reference that was cut short must not become the key
        if text and len(text) < least:
            raise Misconfigured(f"{name} has {len(text)} characters, and whoever guesses it is let in. Give it {least} or more.")
        return text

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"-?\d{1,12}", text) or not least <= int(text) <= most:
            raise Misconfigured(f"{name} is {text!r}; it takes a whole number from {least} to {most}.")
        return int(text)

    def one_of(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        text = self.text(name, default).lower()
        if text not in allowed:
            raise Misconfigured(f"{name} is {text!r}; it takes one of {', '.join(allowed)}.")
        return text

    def networks(self, name: str) -> str:
        """Addresses and networks with commas between, or * for any."""
        text = self.text(name)
        for one in [] if text == "*" else filter(None, (part.strip() for part in text.split(","))):
            try:
                ipaddress.ip_network(one, strict=False)
            except ValueError as problem:
                raise Misconfigured(f"{name} holds {one!r}; it takes addresses and networks with commas between, such as 10.0.0.0/8.") from problem
        return text

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """name=value with commas between; in a value %2C is a comma."""
        pairs = [part.strip().partition("=") for part in self.text(name).split(",") if part.strip()]
        if not all(equals and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", one.strip()) for one, equals, _ in pairs):
            raise Misconfigured(f"{name} does not read as name=value with commas between, such as Authorization=Basic%20abc.")
        return tuple((one.strip(), unquote(value.strip())) for one, _, value in pairs)

    def url(self, name: str) -> str:
        text = self.text(name)
        if text and urlsplit(text).scheme not in ("http", "https"):
            raise Misconfigured(f"{name} is {text!r}; it takes an address that begins with http:// or https://.")
        return text


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is not UTF-8"
        raise Misconfigured(f"{name}_FILE is {path!r}, which cannot be read ({why}). Check the path and its permissions.") from problem


def _database_url(text: str) -> str:
    if text.startswith("postgres://"):
        return POSTGRES + text.removeprefix("postgres://")
    if text and not text.startswith((SQLITE, POSTGRES)):
        raise Misconfigured(f"DATABASE_URL begins with {text.split(':')[0]!r}; it takes sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME.")
    return text


def _vectors(given: _Given, database_url: str) -> str:
    found = given.one_of("VECTORS", "auto", ("auto", "chroma", "pgvector", "exact"))
    if found == "pgvector" and not database_url.startswith(POSTGRES):
        raise Misconfigured("VECTORS is 'pgvector', which needs a Postgres database. Set DATABASE_URL to one, or VECTORS to auto.")
    return found


def _redis_url(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        whole = bool(parts.path if parts.scheme == "unix" else parts.hostname) and (parts.port or 1)
    except ValueError:
        whole = False
    # Never the value itself: it may hold a password.
    if not whole or parts.scheme not in ("redis", "rediss", "unix"):
        raise Misconfigured("REDIS_URL is not an address of Redis. Examples: redis://localhost:6379/0, rediss://:PASSWORD@10.0.0.5:6379/0.")
    return text


def _model_name(name: str, text: str) -> str:
    # Ollama 0.33 forwards names that end so to ollama.com: a team's documents would leave the host.
    if text.lower().endswith((":cloud", "-cloud")):
        raise Misconfigured(f"{name} is {text!r}, which Ollama runs on ollama.com. Choose a model that runs on your own machine.")
    return text


def _ollama_urls(host: str, port: int) -> tuple[str, ...]:
    """One URL for each host given; a bare name gets http:// and the port, and 0.0.0.0 is read as this machine."""
    found = tuple(_ollama_url(one.strip(), port) for one in host.split(",") if one.strip())
    if not found:
        raise Misconfigured(f"OLLAMA_HOST is {host!r}, which names no host. Examples: localhost, http://10.0.0.5:11434.")
    return found


def _ollama_url(text: str, port: int) -> str:
    if "@" in text or re.search(r"\s", text):
        raise Misconfigured("OLLAMA_HOST holds a blank or a password, and neither is sent. Examples: localhost, http://10.0.0.5:11434.")
    whole = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(whole)
        name, own_port = parts.hostname, parts.port
    except ValueError as problem:
        raise Misconfigured(f"OLLAMA_HOST is {text!r}, which is not an address ({problem}). Examples: localhost, http://10.0.0.5:11434.") from problem
    if parts.scheme not in ("http", "https") or not name:
        raise Misconfigured(f"OLLAMA_HOST is {text!r}, which is not an address. Examples: localhost, http://10.0.0.5:11434.")
    # localhost resolves to ::1 first on some machines, where Ollama does not listen.
    name = "127.0.0.1" if name in ("0.0.0.0", "localhost", "::") else name
    number = own_port or (port if "://" not in text else {"http": port, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{number}{parts.path.rstrip('/')}"


def _dotenv(path: Path) -> dict[str, str]:
    """NAME=value lines; quotes around a value go, `export ` and lines that begin with # are passed over."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise Misconfigured(f"{path} cannot be read ({problem}).") from problem
    found = {}
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
            found[name.strip()] = value[1:-1] if quoted else value
    return found
