"""A run whose data end before `total_training_steps` has its last step there, which verl then saves and validates."""

from types import SimpleNamespace

import pytest
from verl.trainer.ppo.v1 import PPOTrainer

from recipe.g2rl.trainer import ExplorationTrainerSync


@pytest.mark.parametrize(("asked", "last"), [(3, 2), (2, 2), (1, 1)])
def test_the_last_step_is_never_past_the_data(monkeypatch, capsys, asked, last):
    def of_verl(self):
        self.steps_per_epoch, self.total_training_steps = 1, asked

    monkeypatch.setattr(PPOTrainer, "_init_dataloader", of_verl)
    trainer = object.__new__(ExplorationTrainerSync)
    trainer.config = SimpleNamespace(trainer=SimpleNamespace(total_epochs=2))
    trainer._init_dataloader()
    assert trainer.total_training_steps == last
    assert ("the data end after step 2" in capsys.readouterr().out) == (asked == 3)
