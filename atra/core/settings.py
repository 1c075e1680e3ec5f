"""Settings: the one reader of the environment, of `.env` and of `atra.toml`.

Every variable starts with `ATRA_`; a wrong value fails at start with the variable's name. Repositories stand in
`atra.toml`, which is the file that `ATRA_CONFIG` names or lies in ATRA's home; `.env` lies beside it. The working
directory is never looked at: it may be a repository nobody trusts, whose files could switch off the sandbox.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from atra.core.errors import BadInput
from atra.core.redaction import Redactor

Seconds = Annotated[float, Field(gt=0)]
Dollars = Annotated[float, Field(gt=0, le=1_000_000)]


def _begins_with(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        scheme, found, _ = url.get_secret_value().partition("://")
        if url and not (found and scheme in schemes):
            raise ValueError(f"it must begin with {' or '.join(f'{one}://' for one in schemes)}")
        return url

    return AfterValidator(check)


PostgresUrl = Annotated[SecretStr, _begins_with("postgresql", "postgres", "postgresql+psycopg2")]
RedisUrl = Annotated[SecretStr, _begins_with("redis", "rediss", "redis+socket")]


class ModelSettings(BaseModel):
    """One model ATRA may ask, as `[models.NAME]` in `atra.toml`. Without an entry no model is ever asked.

    `openai` speaks the Responses API, `openai-compatible` Chat Completions at `base_url`, `anthropic` Messages, `local`
    loads the folder `model` with transformers. Prices are in US dollars per million tokens; unset, those of ATRA's own
    table count, and a model that is not in it is not asked unless it is local or its server is on this machine.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: Literal["openai", "openai-compatible", "anthropic", "local"]
    model: Annotated[str, Field(min_length=1)]
    base_url: str | None = None
    api_key: SecretStr | None = None
    input_usd: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    output_usd: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    max_output_tokens: Annotated[int, Field(ge=64)] = 8192
    context_tokens: Annotated[int, Field(ge=1024)] = 32_768
    effort: Literal["none", "low", "medium", "high"] | None = None
    timeout_s: Seconds = 120.0


class RepositorySettings(BaseModel):
    """One repository ATRA may repair, as `[repositories.NAME]` in `atra.toml`."""

    model_config = ConfigDict(extra="forbid")

    path: Path
    test_command: str | None = None
    python: Path | None = None
    protected: tuple[str, ...] = ()  # glob patterns no patch may touch, besides the standing ones
    allowed: tuple[str, ...] = ()  # glob patterns lifted from the standing protection
    url_variables: tuple[str, ...] = ()  # environment variables that hold its database's address, for migrations
    policy: Literal["branch", "merge", "push"] = "branch"  # how far a repair's commit goes by itself
    merge_into: str | None = None  # the branch that `merge` moves; the checked out one unless said
    remote: str = "origin"  # where `push` sends the branch
    pull_request: bool = False  # whether `push` also opens one at the forge
    least_confidence: float = Field(0.25, ge=0, le=1)  # a repair that is trusted less waits for people, on its branch
    forge_url: str = "https://api.github.com"
    on_regression: Literal["revert", "report"] = "revert"  # when a failure comes back although its fix is in


def _text_of_prompt(given: str) -> str:
    """Return the text of a prompt that is given as a file's name, so that no other process must find the file."""
    if not given.endswith(".txt"):
        return given
    file = _toml_file().parent / given
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not text:
        raise ValueError(f"the file {file} says nothing")
    return text if not text.endswith(".txt") else f"{text}."


Prompt = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_text_of_prompt)]


class ExpertSettings(BaseModel):
    """One seat of war-rooms that a model fills, as `[experts.NAME]` in `atra.toml`; NAME stands on its ballots.

    `prompt` says what the seat looks at: text, or the name of a file that ends in `.txt`, relative to `atra.toml`.
    """

    model_config = ConfigDict(extra="forbid")

    department: Annotated[str, Field(min_length=1, max_length=60)]
    prompt: Prompt
    model: str | None = None  # a name of [models]; without one the models take turns
    may_veto: bool = False
    red_team: bool = False  # it looks for what is wrong with the obvious answer


class WarRoomSettings(BaseModel):
    """How war-rooms are filled and when one is convened, as `[war_room]` in `atra.toml`.

    `code` and `question` name the seats, three to five, of rooms on failing tests and on free questions; empty, ATRA
    chooses. What the other settings mean stands at `atra.orchestrator.paths.Rules`.
    """

    model_config = ConfigDict(extra="forbid")

    code: tuple[str, ...] = ()
    question: tuple[str, ...] = ()
    deadline_s: Seconds = 300.0
    hold: bool = False  # every room waits for people's votes until its deadline
    room_usd: Dollars = 1.0
    room_tokens: Annotated[int, Field(ge=1000)] = 200_000
    window_s: Seconds = 86_400.0
    recurrences: Annotated[int, Field(ge=1)] = 5
    unresolved: Annotated[int, Field(ge=1)] = 1
    cool_down_s: Annotated[float, Field(ge=0)] = 3600.0
    quiet_hours: tuple[Annotated[int, Field(ge=0, le=23)], Annotated[int, Field(ge=0, le=24)]] | None = None


def _network(given: str) -> str:
    ip_network(given)  # a ValueError names what is wrong with it
    return given


class ScoutSettings(BaseModel):
    """How feeds are polled, as `[scout]` in `atra.toml`; docs/scout.md says what follows from it."""

    model_config = ConfigDict(extra="forbid")

    allow_private: tuple[Annotated[str, AfterValidator(_network)], ...] = ()  # networks that may be asked all the same
    user_agent: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[ -~]+$")] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 30.0  # for one feed with all its redirects
    threads: Annotated[int, Field(ge=1, le=64)] = 16
    gap_s: Annotated[float, Field(ge=0, le=60)] = 1.0  # between two feeds of one host
    names: tuple[str, ...] = ()  # what articles are told to speak of wherever it stands in them


class EmbeddingSettings(BaseModel):
    """What gives texts their vectors, as `[embedding]` in `atra.toml`; docs/cache.md says what follows from a change.

    `minilm` is the model that comes with the extra `cache`; `sentence-transformers` loads the folder `model`;
    `openai-compatible` asks a server of one's own at `base_url`, whose calls stand in no budget.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: Literal["minilm", "sentence-transformers", "openai-compatible"] = "minilm"
    model: str = ""
    base_url: str | None = None
    api_key: SecretStr | None = None
    revision: str = ""
    timeout_s: Seconds = 30.0


class CacheSettings(BaseModel):
    """How answers are kept, as `[cache]` in `atra.toml`; docs/cache.md says what follows from it."""

    model_config = ConfigDict(extra="forbid")

    backend: Literal["faiss", "pgvector"] = "faiss"
    max_error: Annotated[float, Field(gt=0, le=0.5)] = 0.02  # accepted share of wrong hits by meaning
    max_entries: Annotated[int, Field(ge=100)] = 1_000_000
    judged: Annotated[float, Field(ge=0, le=1)] | None = None  # share of hits by meaning; else as many as are needed


class PrecacheSettings(BaseModel):
    """What is answered before it is asked, as `[precache]` in `atra.toml`; see docs/precache.md."""

    model_config = ConfigDict(extra="forbid")

    questions_per_run: Annotated[int, Field(ge=0, le=200)] = 20  # answered in one hour at most; 0 turns it off
    usd_per_run: Annotated[float, Field(ge=0)] = 0.0  # what models may cost in one hour; 0: none is asked
    topics: tuple[str, ...] = ()  # what is asked about here, besides what repositories depend on


class TrainingRuleSettings(BaseModel):
    """One rule on what may be learned from, as `[[distill.rules]]` in `atra.toml`; see docs/distillation.md."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]  # `*` stands for any letters
    terms: Annotated[str, Field(min_length=1)]  # the version of the terms for which it holds
    allow: bool
    reason: Annotated[str, Field(min_length=8)]


class DistillSettings(BaseModel):
    """What is learned from, as `[distill]` in `atra.toml`; docs/distillation.md says what follows from it."""

    model_config = ConfigDict(extra="forbid")

    rules: tuple[TrainingRuleSettings, ...] = ()
    terms: dict[str, str] = {}  # by provider, the version of its terms that traces are kept under
    tokenizer: Path | None = None  # a tokenizer.json that lengths are counted by; an estimate without one
    evaluation: tuple[Path, ...] = ()  # files of questions that no data set may hold, JSON lines or plain ones
    languages: tuple[str, ...] = ("en",)  # ISO 639-1 codes; any where it is empty
    shortest_tokens: Annotated[int, Field(ge=0)] = 8  # of working and answer together
    longest_tokens: Annotated[int, Field(ge=16)] = 4096  # of the whole row
    per_question: Annotated[int, Field(ge=1)] = 4
    long_share: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the rows, at most, longer than `long_tokens`
    long_tokens: Annotated[int, Field(ge=16)] = 1024


class BrainSettings(BaseModel):
    """The model of one's own, as `[brain]` in `atra.toml`; docs/brain.md says what follows from it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    server: Literal["process", "vllm", "transformers"] = "process"  # who runs the weights
    base_url: str | None = None
    api_key: SecretStr | None = None
    evaluation: tuple[Path, ...] = ()  # JSON lines of question and answer; no data set holds them
    first: Literal["base", "nothing"] = "base"  # what the first candidate must be better than
    max_error: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # accepted share of wrong answers
    max_output_tokens: Annotated[int, Field(ge=16)] = 1024
    timeout_s: Annotated[float, Field(gt=0, le=1500)] = 60.0  # for one answer
    slow_s: Seconds = 30.0  # an answer that took longer counts as ill
    window: Annotated[int, Field(ge=10, le=1000)] = 50  # questions that are looked at for its health
    ill: Annotated[float, Field(gt=0, lt=1)] = 0.3  # share of them beyond which it is taken out of service
    leads: bool = False  # whether repairs look first where it would, once that was measured to help


class TrainingSettings(BaseModel):
    """How a brain is trained, as `[training]` in `atra.toml`; docs/training.md says what follows from it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    base: str = ""  # a folder, or a name on the hub
    licence: str = ""  # of the base; every version names it
    method: Literal["lora", "full"] = "lora"
    epochs: Annotated[float, Field(gt=0)] = 3.0
    steps: Annotated[int, Field(ge=0)] = 0  # of the optimiser; 0 for what the epochs make
    learning_rate: Annotated[float, Field(ge=0, le=1)] = 0.0  # 0 for 2e-4 with lora, 2e-5 with full
    rows_per_step: Annotated[int, Field(ge=1)] = 16
    micro_batch: Annotated[int, Field(ge=1)] = 8  # rows that a device takes at once
    longest_tokens: Annotated[int, Field(ge=16)] = 4096
    packing: bool = False
    save_steps: Annotated[int, Field(ge=1)] = 100
    lora_rank: Annotated[int, Field(ge=1)] = 16
    seed: int = 0
    launcher: str = "process"  # or a profile of TRL for accelerate: multi_gpu, fsdp2, zero2, zero3; or its path
    processes: Annotated[int, Field(ge=1)] = 1  # devices over all nodes
    launcher_options: tuple[str, ...] = ()
    grace_s: Seconds = 300.0  # for the last checkpoint, when a training is stopped


class Settings(BaseSettings):
    """All of ATRA's settings with their defaults; see the module's docstring for where they are read."""

    # A wrong secret is named, not shown: errors reach logs.
    model_config = SettingsConfigDict(
        env_prefix="ATRA_", extra="ignore", env_nested_delimiter="__", hide_input_in_errors=True
    )

    home: Annotated[Path, BeforeValidator(lambda given: given or _own_home())] = Field(
        default_factory=lambda: _own_home(), description="embedded data, sockets, logs"
    )
    database_url: PostgresUrl | None = Field(None, description="PostgreSQL; embedded when unset")
    redis_url: RedisUrl | None = Field(None, description="Redis for results, flags and, by default, messages")
    broker_url: SecretStr | None = Field(None, description="broker of its own; the Redis above when unset")
    message_key: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        None, description="signs every Celery message when set"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    sandbox: Literal["bubblewrap", "none"] = "bubblewrap"
    memory_mib: Annotated[int, Field(ge=64)] = 2048
    postgres_programs: Path | None = Field(
        None, description="folder with initdb, postgres, psql for databases in boxes; the embedded ones if unset"
    )
    shards: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: max(1, min(8, os.cpu_count() or 1)), description="how many tasks share one search"
    )
    budget_s: Annotated[float, Field(gt=0, le=3000)] = Field(  # a step's time limit is longer than any part of it
        300.0, description="wall time one repair may take"
    )
    lease_s: Seconds = Field(15.0, description="how long a step is held without a heartbeat")
    sweep_s: Seconds = Field(10.0, description="how often stuck runs are looked for")
    patience_s: Seconds = Field(10.0, description="how long a message may stay unheard before the run is sent again")
    max_attempts: Annotated[int, Field(ge=1, le=100)] = Field(5, description="tries of one step before it is poison")
    max_open_runs: Annotated[int, Field(ge=1)] = Field(50, description="open runs beyond which reports start no repair")

    samples: Annotated[int, Field(ge=1, le=32)] = Field(4, description="one-shot proposals asked for in one repair")
    agent_steps: Annotated[int, Field(ge=0, le=500)] = Field(40, description="turns one agent may take; 0: no agent")
    agent_tokens: Annotated[int, Field(ge=1000)] = Field(400_000, description="tokens one agent may use")
    call_usd: Dollars = Field(0.50, description="what one call of a model may cost")
    run_usd: Dollars = Field(2.00, description="what the models of one run may cost")
    day_usd: Dollars = Field(20.00, description="what all models may cost in one day, UTC")
    forge_token: SecretStr | None = Field(None, description="opens pull requests at the forge")

    models: dict[str, ModelSettings] = {}
    repositories: dict[str, RepositorySettings] = {}
    experts: dict[str, ExpertSettings] = {}
    war_room: WarRoomSettings = WarRoomSettings()
    scout: ScoutSettings = ScoutSettings()
    cache: CacheSettings = CacheSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    precache: PrecacheSettings = PrecacheSettings()
    distill: DistillSettings = DistillSettings()
    brain: BrainSettings = BrainSettings()
    training: TrainingSettings = TrainingSettings()
    allow_cpu_training: bool = Field(False, description="whether a node without a GPU may train")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read in this order: arguments, environment, `.env`, `atra.toml`."""
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls, _toml_file())

    def models_digest(self) -> str:
        """Return what two processes must agree in that mean the same models, and order, by the same names; no key."""
        known = {name: model.model_dump(mode="json", exclude={"api_key"}) for name, model in self.models.items()}
        return hashlib.sha256(json.dumps(list(known.items())).encode()).hexdigest()[:12]

    def redactor(self, kind: type[Redactor] = Redactor) -> Redactor:
        """Return a redactor that knows every secret in these settings, and the passwords in its addresses."""
        fields = (getattr(self, name) for name in type(self).model_fields)
        keys = (*(model.api_key for model in self.models.values()), self.embedding.api_key, self.brain.api_key)
        secrets = [field.get_secret_value() for field in (*fields, *keys) if isinstance(field, SecretStr)]
        passwords = [urlsplit(secret).password or "" for secret in secrets if "://" in secret]
        return kind([*secrets, *passwords, *map(unquote, passwords)])


def unread() -> list[str]:
    """Return a sentence for every variable, key or table that looks like a setting and is none: it counts for nothing.

    A misspelt name inside an entry of a model or a repository is an error instead, see `load_settings`.
    """
    try:
        return list(_unread())
    except (SettingsError, ValueError, OSError):
        return []  # what cannot be read at all is told by `load_settings`


def _unread() -> Iterator[str]:
    file = _toml_file()
    if os.environ.get("ATRA_CONFIG") and not file.exists():
        yield f"ATRA_CONFIG names {file}, which does not exist"
    env_file = file.with_name(".env")
    variables = EnvSettingsSource(Settings).env_vars.keys() - {"atra_config"}
    written = DotEnvSettingsSource(Settings, env_file=env_file).env_vars.keys() - variables
    for place, names in (("", variables), (f" in {env_file}", written)):
        for name in sorted(name.upper() for name in names if name.startswith("atra_")):
            field, mark, rest = name.removeprefix("ATRA_").partition("__")
            yield from _unknown(field, f"ATRA_{{}}{mark}{rest}", place)
    for key, value in TomlConfigSettingsSource(Settings, file).toml_data.items():
        yield from _unknown(key, "[{}]" if isinstance(value, dict) else "{}", f" in {file}")


def _unknown(name: str, form: str, place: str) -> Iterator[str]:
    """Yield a sentence about the name if no setting has it; `form` is how it was written."""
    fields = list(Settings.model_fields)
    if name.lower() in fields:
        return
    close = get_close_matches(name.lower(), fields, n=1)
    meant = "".join(close).upper() if name.isupper() else "".join(close)
    hint = f"is {form.replace('{}', meant)} meant?" if close else "docs/operations.md lists them"
    yield f"{form.replace('{}', name)}{place} is no setting of ATRA; {hint}"


def _toml_file() -> Path:
    if named := os.environ.get("ATRA_CONFIG"):
        return Path(named)
    return Path(os.environ.get("ATRA_HOME") or _own_home()) / "atra.toml"


def _own_home() -> Path:
    return Path.home() / ".atra"


@cache
def load_settings() -> Settings:
    """Return this process's settings, read once.

    Raises:
        BadInput: a value is wrong; the message names the variable.
    """
    try:
        return Settings(_env_file=_toml_file().with_name(".env"))
    except ValidationError as error:
        first = error.errors()[0]
        where = "__".join(str(part) for part in first["loc"])
        said = _misspelt(*first["loc"]) if first["type"] == "extra_forbidden" else first["msg"]
        raise BadInput(f"ATRA_{where.upper()}: {said}") from error
    except (SettingsError, ValueError, OSError) as error:
        raise BadInput(f"{_toml_file()} or the environment: {error}") from error


def settings_or_fault() -> tuple[Settings, str]:
    """Return this process's settings, or, with what is wrong with them, the defaults and the home they would be of."""
    try:
        return load_settings(), ""
    except BadInput as error:
        return Settings.model_construct(home=Path(os.environ.get("ATRA_HOME") or _own_home())), str(error)


def _misspelt(table: str | int, *rest: str | int) -> str:
    """Return what is said of a key, the last of `rest`, that no entry of this table has."""
    entry = _TABLES[str(table)]
    close = get_close_matches(str(rest[-1]).lower(), entry.model_fields, n=1)
    hint = f"is {close[0]} meant?" if close else f"there are {', '.join(entry.model_fields)}"
    where = f"[{table}]" if len(rest) == 1 else f"an entry of [{table}.NAME]"
    return f"{where} has no such setting; {hint}"


_TABLES: dict[str, type[BaseModel]] = {
    "models": ModelSettings,
    "repositories": RepositorySettings,
    "experts": ExpertSettings,
    "war_room": WarRoomSettings,
    "scout": ScoutSettings,
    "cache": CacheSettings,
    "embedding": EmbeddingSettings,
    "precache": PrecacheSettings,
    "distill": DistillSettings,
    "brain": BrainSettings,
    "training": TrainingSettings,
}
