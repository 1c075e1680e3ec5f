"""What a trainer is given when it is started."""

import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from atra.local_brain.launching import LOG, Job, Launcher, carry_out
from atra.local_brain.training import Recipe

SECRETS = {"ATRA_DATABASE_URL": "postgresql://a:b@c/d", "OPENAI_API_KEY": "sk-1", "AWS_SECRET_ACCESS_KEY": "x"}
NEEDED = {"CUDA_VISIBLE_DEVICES": "0", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NCCL_DEBUG": "WARN"}


@dataclass(frozen=True)
class Printing(Launcher):
    """Starts what prints its environment in the trainer's place."""

    def command(self, claim: Path) -> list[str]:
        """Return the command."""
        return ["env"]


def test_a_trainer_sees_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Neither ATRA's own nor a provider's; what it prints only its owner may read."""
    for name, value in {**SECRETS, **NEEDED}.items():
        monkeypatch.setenv(name, value)

    carry_out(
        Job(Recipe("base"), "rows", str(tmp_path)), tmp_path, Printing(), stop=lambda: False, report=dict, grace_s=1.0
    )

    seen = dict(line.partition("=")[::2] for line in (tmp_path / LOG).read_text().splitlines())
    assert not SECRETS.keys() & seen.keys()
    assert seen.items() >= NEEDED.items()
    assert "PATH" in seen
    assert stat.S_IMODE((tmp_path / LOG).stat().st_mode) == 0o600
