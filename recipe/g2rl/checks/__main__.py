"""`python -m recipe.g2rl.checks ARGUMENTS OF A RUN`: what the run will take, and whether it can start.

Needs neither data nor a hub: what is not there is named and left out. Where the run would join a Ray cluster that is up
(`RAY_ADDRESS`, or `hardware=cluster`), each of its nodes is looked at by a small Ray task.
"""

import logging
import sys

import hydra
import ray
from omegaconf import DictConfig

from recipe.g2rl.checks.arguments import WRONG_SETTINGS, add_searchpath, check_arguments
from recipe.g2rl.checks.environment import check_installation


@hydra.main(config_path="../configs", config_name="trainer", version_base=None)
def main(config: DictConfig) -> None:
    from recipe.g2rl.checks.check_run import check_run
    from recipe.g2rl.checks.packages import check_packages  # after Hydra: --help answers at once
    from recipe.g2rl.checks.preflight import check_devices, cluster_address
    from recipe.g2rl.settings.config import with_defaults

    config = with_defaults(config)
    try:
        report = check_run(config, everything=False)
        print(report.table, *report.notes, *(f"warning: {warning}" for warning in report.warnings), sep="\n")
        check_devices(config)
        check_packages(config)
        if address := cluster_address(config):
            _look_at_cluster(config, address)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(WRONG_SETTINGS)


def _look_at_cluster(config: DictConfig, address: str) -> None:
    from recipe.g2rl.checks.nodes import check_nodes

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError:
        print("nodes          not looked at: Ray is not up")
        return
    check_nodes(config, lambda text: print(f"nodes          {text}"))


if __name__ == "__main__":
    try:
        check_installation()  # before anything of verl's is imported or composed
    except ValueError as error:
        sys.exit(f"error: {error}")
    add_searchpath(sys.argv)
    check_arguments(sys.argv[1:])
    main()
