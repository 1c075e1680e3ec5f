"""What answers leave to learn from: each is kept as a trace, with where it came from and whether it may be used."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from atra.distillation.traces import Origin, Trace, request_hash, working
from atra.llm.records import Reply, Request
from atra.wiring import Wiring


def keep_answer(
    wired: Wiring,
    *,
    model: str,
    question: str,
    answer: str,
    request: Request,
    reply: Reply,
    steps: Sequence[str] = (),
    tenant: str = "",
    run_id: str = "",
) -> Trace:
    """Keep a model's answer as a trace, without secrets, and return it.

    Args:
        model: its name in the settings.
        question: what was asked, without ATRA's own instructions.
        steps: the worked solution that was part of the answer, if there was one.
    """
    known = wired.settings.models[model]
    reasoning, kind = working(reply, tuple(steps))
    origin = Origin(
        known.provider,
        known.model,
        model_version=reply.model,
        endpoint=endpoint_of(known.base_url),
        terms=wired.settings.distill.terms.get(known.provider, ""),
        request_hash=request_hash(request, known.model),
        finish=reply.finish,
        refusal=reply.detail if reply.finish == "refusal" else "",
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        reasoning_tokens=reply.usage.reasoning_tokens,
        cost_usd=reply.cost_usd or 0.0,
        tenant=tenant,
        run_id=run_id,
    )
    hide = wired.redactor.text
    permission = wired.training_policy().permission(origin)
    trace = Trace(hide(question), hide(reasoning), hide(answer), kind, origin, permission)
    wired.traces.keep(trace)
    return trace


def endpoint_of(base_url: str | None) -> str:
    """Return the address that is asked, without a user, a password or a query; empty where the settings name none."""
    if not base_url:
        return ""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
