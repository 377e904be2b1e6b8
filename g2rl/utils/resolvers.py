"""What the configurations compute; whoever composes one imports this."""

from omegaconf import OmegaConf

# ${part:WHOLE,NUMBER}: a NUMBER-th of WHOLE, rounded down, at least 1
OmegaConf.register_new_resolver("part", lambda whole, number: max(1, whole // number), replace=True)
