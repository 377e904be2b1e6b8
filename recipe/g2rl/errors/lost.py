"""Which process of a run is lost; asked by the driver and by the trainer."""

import time

# `ray.util.state`, the public way to ask, needs the dashboard's server, which does not always run.
from ray._private.state import actors
from ray.core.generated.common_pb2 import ActorDiedErrorContext  # type: ignore[attr-defined]

from recipe.g2rl.errors.one_line import died

LOST = (ActorDiedErrorContext.WORKER_DIED, ActorDiedErrorContext.NODE_DIED)

KNOWN_AFTER_S = 5.0  # a lost process fails requests some moments before Ray knows of it


def lost_actor(job_id: str) -> str | None:
    """One of the job's actors that died with its process or node, in words; None where all live."""
    for actor in actors(actor_state_name="DEAD").values():
        context = actor["DeathCause"].actor_died_error_context
        if actor["JobID"] == job_id and context.reason in LOST:
            with_node = context.reason == ActorDiedErrorContext.NODE_DIED
            return died(actor["ActorClassName"], actor["Pid"], actor["Address"]["IPAddress"], with_node)
    return None


def lost_actor_soon(job_id: str) -> str | None:
    """The same, asked again until Ray must know; for whoever has seen requests fail."""
    end = time.monotonic() + KNOWN_AFTER_S
    while (lost := lost_actor(job_id)) is None and time.monotonic() < end:
        time.sleep(0.5)
    return lost
