"""Every table of ATRA, under one metadata. Instants are kept by the database's own clock, in UTC."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_now = text("clock_timestamp()")

failures = Table(
    "failures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("error_type", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=text("false")),
    Column("count", Integer, nullable=False, server_default=text("1")),
    Column("path", Text, nullable=False),  # what triage decided: repair, report, …
    Column("reason", Text, nullable=False),
    Column("latest", JSONB, nullable=False),  # the newest report, redacted
    Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("state IN ('open', 'repaired', 'regressed', 'closed')", name="state"),
    Index("uq_failures_repository_fingerprint", "repository", "fingerprint", unique=True),
    Index("ix_failures_last_seen_at", "last_seen_at"),
)

reports = Table(  # which reports were counted, so that one that arrives twice is counted once; kept for a month
    "reports",
    metadata,
    Column("failure_id", Text, ForeignKey("failures.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Index("ix_reports_received_at", "received_at"),
    Index("ix_reports_failure_id_received_at", "failure_id", "received_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("outcome", Text),
    Column("reason", Text),
    Column("input", JSONB, nullable=False),
    Column("failure_id", Text, ForeignKey("failures.id")),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("dispatches", Integer, nullable=False, server_default=text("0")),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("deadline_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('open', 'ended')", name="state"),
    CheckConstraint("(state = 'ended') = (outcome IS NOT NULL AND ended_at IS NOT NULL)", name="ended_has_outcome"),
    Index("uq_runs_open_failure_id", "failure_id", unique=True, postgresql_where=text("state = 'open'")),
    Index("ix_runs_open_due_at", "due_at", postgresql_where=text("state = 'open'")),
    Index("ix_runs_open_deadline_at", "deadline_at", postgresql_where=text("state = 'open'")),
    Index("ix_runs_created_at", "created_at"),
    Index("ix_runs_failure_id_created_at", "failure_id", "created_at"),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("shard", SmallInteger, primary_key=True, server_default=text("0")),
    Column("position", SmallInteger, nullable=False),
    Column("excusable", Boolean, nullable=False, server_default=text("false")),
    Column("state", Text, nullable=False, server_default="ready"),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("owner", Text),
    Column("lease_until", DateTime(timezone=True)),
    Column("progress", JSONB),
    Column("output", JSONB),
    Column("error", JSONB),
    Column("started_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('ready', 'leased', 'settled', 'failed')", name="state"),
    CheckConstraint("(state = 'leased') = (lease_until IS NOT NULL)", name="leased_until"),
)

experiences = Table(  # what verified repairs teach of templates; the newest is in use, rows are only added
    "experiences",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("factors", JSONB, nullable=False),  # by template, on its share; empty where the shares stay as shipped
    Column("figures", JSONB, nullable=False),
    Column("learned_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="SET NULL")),
    Column("purpose", Text, nullable=False),  # what it was for: ask, agent, plan, judge, …
    Column("name", Text, nullable=False),  # as configured
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),  # as the provider names it; the version that answered once it has
    Column("state", Text, nullable=False, server_default="reserved"),
    Column("reserved_usd", Numeric(16, 9), nullable=False),  # the most it can cost; counts until the cost is known
    Column("cost_usd", Numeric(16, 9)),
    Column("reserved_tokens", Integer, nullable=False),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cached_input_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("finish", Text),
    Column("error", Text),
    Column("seconds", Float),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("settled_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('reserved', 'settled', 'lost')", name="state"),
    Index("ix_model_calls_created_at", "created_at"),
    Index("ix_model_calls_run_id", "run_id"),
)

events = Table(  # what an agent did, one row per turn, in order; enough to go on after a kill, and to be replayed
    "events",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("event", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

ballots = Table(  # what each seat of a war-room said, once a round
    "ballots",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("expert", Text, primary_key=True),
    Column("round", SmallInteger, primary_key=True),
    Column("ballot", JSONB, nullable=False),
    Column("late", Boolean, nullable=False),  # it came after the deadline or the decision
    Column("cast_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

decisions = Table(  # one a room, whoever reduces it first
    "decisions",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("decision", JSONB, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

judgements = Table(  # whether an expert's first choice was what the sandbox later proved; weights are sums of these
    "judgements",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("expert", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("right", Boolean, nullable=False),
    Column("probability", Float, nullable=False),
    Column("options", Integer, nullable=False),
    Column("judged_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Index("ix_judgements_expert_task", "expert", "task"),
)

paths = Table(  # what the orchestrator decided of a failure, with all it knew
    "paths",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("failure_id", Text, ForeignKey("failures.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", Text, ForeignKey("runs.id", ondelete="SET NULL")),  # what was started
    Column("name", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("situation", JSONB, nullable=False),
    Column("taken_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Index("ix_paths_failure_id_taken_at", "failure_id", "taken_at"),
    Index("ix_paths_run_id", "run_id"),
)

cache_entries = Table(  # answers that may be given again; see atra/semantic_cache
    "cache_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("scope", Text, nullable=False),  # its key; the parts stand beside it for people
    Column("parts", JSONB, nullable=False),
    Column("key", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("meta", JSONB, nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("topics", ARRAY(Text), nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("predicted", Boolean, nullable=False),
    Column("embedder", Text, nullable=False),  # whose vector it is; empty where there is none
    Column("vector", LargeBinary),  # float32, little endian
    Column("right", Integer, nullable=False, server_default=text("0")),  # hits in other words that were judged so
    Column("wrong", Integer, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False, server_default="live"),
    Column("why", Text, nullable=False, server_default=""),  # it is gone
    # The transaction that wrote the row last: by it every process finds what is new, whichever commits first.
    Column("written", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text)::bigint")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('live', 'gone')", name="state"),
    Index("uq_cache_entries_live_scope_key", "scope", "key", unique=True, postgresql_where=text("state = 'live'")),
    Index("ix_cache_entries_scope_written", "scope", "written", "id"),
    Index("ix_cache_entries_expires_at", "expires_at"),
    Index("ix_cache_entries_sources", "sources", postgresql_using="gin"),
    Index("ix_cache_entries_topics", "topics", postgresql_using="gin"),
)

cache_lookups = Table(  # who asked and what was served; a month of them, those that were judged as long as their entry
    "cache_lookups",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("cache_entries.id", ondelete="SET NULL")),
    Column("similarity", Float),
    Column("probability", Float),
    Column("saved_usd", Float, nullable=False, server_default=text("0")),
    Column("right", Boolean),  # once it was judged
    Column("judged_by", Text),
    Column("judged_at", DateTime(timezone=True)),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("tier IN ('exact', 'semantic', 'miss')", name="tier"),
    Index("ix_cache_lookups_at", "at"),
    Index("ix_cache_lookups_entry_id", "entry_id"),
)

cache_standing = Table(  # where the promise about errors stands: one row
    "cache_standing",
    metadata,
    Column("id", SmallInteger, primary_key=True, server_default=text("1")),
    Column("standing", JSONB, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

predictions = Table(  # what was answered before anybody asked, and what became of it; see atra/precache
    "predictions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("article", BigInteger, nullable=False),  # not a reference: it may be forgotten earlier
    Column("probability", Float, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("cache_entries.id", ondelete="SET NULL")),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("made_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('waiting', 'asked', 'wasted', 'unanswered')", name="state"),
    UniqueConstraint("run_id", "question"),
    Index("ix_predictions_entry_id", "entry_id"),
    Index("ix_predictions_state_expires_at", "state", "expires_at"),
    Index("ix_predictions_made_at", "made_at"),
)

feed_hosts = Table(  # whose feeds are polled by one worker at a time
    "feed_hosts",
    metadata,
    Column("host", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True)),  # of its next feed; null where there is nothing to poll
    Column("not_before", DateTime(timezone=True)),  # what the host asked for with 429 or 503
    Column("leased_until", DateTime(timezone=True)),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Index("ix_feed_hosts_due_at", "due_at"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("address", Text, nullable=False, unique=True),
    Column("host", Text, ForeignKey("feed_hosts.host"), nullable=False),
    Column("title", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False, server_default="active"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("etag", Text, nullable=False, server_default=""),
    Column("last_modified", Text, nullable=False, server_default=""),
    Column("validated", Text, nullable=False, server_default=""),
    Column("digest", Text, nullable=False, server_default=""),
    Column("interval_s", Float, nullable=False, server_default=text("3600")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("moved_to", Text, nullable=False, server_default=""),
    Column("moved_seen", Integer, nullable=False, server_default=text("0")),
    Column("past", JSONB, nullable=False, server_default=text("'[]'")),
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("fetched_at", DateTime(timezone=True)),
    Column("polled_at", DateTime(timezone=True)),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("state IN ('active', 'retired')", name="state"),
    Index("ix_feeds_host_next_at", "host", "next_at"),
)

articles = Table(
    "articles",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("feed_id", BigInteger, ForeignKey("feeds.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),  # what tells it from the others of its feed
    Column("address", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("subjects", ARRAY(Text), nullable=False),
    Column("sketch", ARRAY(Integer), nullable=False),
    Column("bands", ARRAY(Integer), nullable=False),
    Column("duplicate_of", BigInteger, ForeignKey("articles.id", ondelete="SET NULL")),
    Column("published_at", DateTime(timezone=True)),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column(
        "words",
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', text), 'B')",
            persisted=True,
        ),
    ),
    Index("uq_articles_feed_id_key", "feed_id", "key", unique=True),
    Index("ix_articles_address", "address"),
    Index("ix_articles_duplicate_of", "duplicate_of"),
    Index("ix_articles_published_at", "published_at", postgresql_where=text("duplicate_of IS NULL")),
    Index("ix_articles_bands", "bands", postgresql_using="gin"),
    Index("ix_articles_words", "words", postgresql_using="gin"),
)

traces = Table(  # what may be learned from, if it may: rows are added and at most revoked
    "traces",
    metadata,
    Column("id", Text, primary_key=True),  # a digest of its words, its model and its tenant
    Column("kind", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("reasoning", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("finish", Text, nullable=False),
    Column("refusal", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("run_id", Text, nullable=False),  # the first that left it; empty where no run did
    Column("proof", Text, nullable=False),
    Column("allowed", Boolean, nullable=False),  # as it stood when the trace was kept
    Column("why", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoked_why", Text, nullable=False, server_default=""),
    CheckConstraint("kind IN ('raw', 'summary', 'rationale', 'tool_log', 'human', 'none')", name="kind"),
    CheckConstraint("source IN ('ask', 'repair', 'war_room', 'human')", name="source"),
    Index("ix_traces_provider_model", "provider", "model"),
)

trace_runs = Table(  # every run that left a trace: the same words may come of several
    "trace_runs",
    metadata,
    Column("trace_id", Text, ForeignKey("traces.id"), primary_key=True),
    Column("run_id", Text, primary_key=True),
    Index("ix_trace_runs_run_id", "run_id"),
)

training_rules = Table(  # what people decided about learning from traces; the newest that matches counts
    "training_rules",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("rule", JSONB, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=_now),
)

data_sets = Table(  # what was built to learn from; never changed, at most withdrawn
    "data_sets",
    metadata,
    Column("id", Text, primary_key=True),  # a digest of its rows and of how they were chosen
    Column("path", Text, nullable=False),  # the folder that holds its rows and its manifest
    Column("summary", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("withdrawn_at", DateTime(timezone=True)),  # since a trace it holds was revoked
    Column("withdrawn_why", Text, nullable=False, server_default=""),
)

data_set_rows = Table(  # which traces a data set holds, to find it when one is revoked
    "data_set_rows",
    metadata,
    Column("data_set_id", Text, ForeignKey("data_sets.id", ondelete="CASCADE"), primary_key=True),
    Column("trace_id", Text, ForeignKey("traces.id"), primary_key=True),
    Index("ix_data_set_rows_trace_id", "trace_id"),
)

brains = Table(  # versions of the brain, and which of them serves: the link on the disk follows this
    "brains",
    metadata,
    Column("id", Text, primary_key=True),  # a digest of its files and of what it was made of
    Column("path", Text, nullable=False),
    Column("lineage", JSONB, nullable=False),
    Column("data_set", Text, nullable=False),  # no reference: a version may come from another installation
    Column("state", Text, nullable=False, server_default="candidate"),
    Column("why", Text, nullable=False, server_default=""),  # it is in this state
    Column("calibration", JSONB),  # how often it is right, by how sure it is
    Column("leads", JSONB),  # whether repairs come sooner where it says where to look
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("served_at", DateTime(timezone=True)),  # since when, or when it last began to
    CheckConstraint("state IN ('candidate', 'serving', 'retired', 'refused')", name="state"),
    Index("uq_brains_serving", "state", unique=True, postgresql_where=text("state = 'serving'")),
    Index("ix_brains_data_set", "data_set"),
)

brain_changes = Table(  # who took whose place, and why; rows are only added
    "brain_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("brain_id", Text, ForeignKey("brains.id")),  # that serves from then on; null for none
    Column("replaced", Text, ForeignKey("brains.id")),
    Column("kind", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("kind IN ('promotion', 'override', 'rollback')", name="kind"),
)

brain_evaluations = Table(  # a candidate against what served then, on pinned sets; the same once only
    "brain_evaluations",
    metadata,
    Column("id", Text, primary_key=True),  # a digest of the next three and of all sets
    Column("brain_id", Text, ForeignKey("brains.id"), nullable=False),
    Column("against", Text, nullable=False),  # a brain's id, the name of a base, or empty for nothing
    Column("target", Text, nullable=False),  # the hash of the items it is to be better at
    Column("questions", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # of the target, as digests
    Column("sets", JSONB, nullable=False),
    Column("tries", Integer, nullable=False),  # before this one, on a target that shares a question with this one
    Column("contaminated", Integer),
    Column("verdict", JSONB),
    Column("opened_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("judged_at", DateTime(timezone=True)),
    CheckConstraint("(verdict IS NULL) = (judged_at IS NULL)", name="judged"),
    Index("ix_brain_evaluations_brain_id", "brain_id"),
    Index("ix_brain_evaluations_target", "target"),
    Index("ix_brain_evaluations_questions", "questions", postgresql_using="gin"),
)

brain_answers = Table(  # what both said to every item
    "brain_answers",
    metadata,
    Column("evaluation_id", Text, ForeignKey("brain_evaluations.id", ondelete="CASCADE"), primary_key=True),
    Column("side", Text, primary_key=True),
    Column("set", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("right", Boolean, nullable=False),
    Column("trace", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("confidence", Float),
    Column("said", Text, nullable=False),
    CheckConstraint("side IN ('candidate', 'present')", name="side"),
    CheckConstraint("trace IN ('valid', 'empty', 'truncated', 'none')", name="trace"),
)

brain_uses = Table(  # how the serving brain does, question by question; a month of them
    "brain_uses",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("brain_id", Text, ForeignKey("brains.id"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("confidence", Float),
    Column("seconds", Float, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("outcome IN ('answered', 'unsure', 'empty', 'truncated', 'error', 'slow')", name="outcome"),
    Index("ix_brain_uses_brain_id_id", "brain_id", "id"),
    Index("ix_brain_uses_at", "at"),
)
