"""Which templates repaired code here, and what was learned of that."""

from collections.abc import Mapping

from sqlalchemy import Engine, exists, func, insert, select

from atra.core.records import to_json
from atra.meta_architect.experience import Experience
from atra.storage.database import transaction
from atra.storage.tables import experiences, runs, steps

_PROVING = ("verify", "prove")


class ExperienceStore:
    """Reads verified repairs, and keeps what was learned of them; the newest word counts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def repairs(self) -> list[str]:
        """Return the templates of all repairs that templates made and tests proved, oldest first.

        Those whose failure came back although the fix was in are left out.
        """
        winner = steps.c.output["winner"]["candidate"]
        back = runs.alias()
        came_back = exists().where(back.c.id == func.concat("w", func.substr(runs.c.id, 2)), back.c.kind == "watch")
        query = (
            select(winner["template"].astext)
            .join_from(runs, steps, steps.c.run_id == runs.c.id)
            .where(runs.c.kind == "self_repair", runs.c.outcome == "fixed", steps.c.name.in_(_PROVING))
            .where(winner["generator"].astext == "templates", ~came_back)
            .order_by(runs.c.ended_at, runs.c.id)
        )
        with transaction(self._engine) as db:
            return list(db.execute(query).scalars())

    def keep(self, found: Experience) -> None:
        """Keep what was learned; repairs that begin from now on go by it."""
        row = {"factors": dict(found.factors), "figures": {**to_json(found), "factors": None}}
        with transaction(self._engine) as db:
            db.execute(insert(experiences).values(row))

    def factors(self) -> Mapping[str, float]:
        """Return what is in use: by template, a factor on its share; empty where the shares are as shipped."""
        query = select(experiences.c.factors).order_by(experiences.c.id.desc()).limit(1)
        with transaction(self._engine) as db:
            return db.execute(query).scalar_one_or_none() or {}
