"""Toy step 3: tell the total.

Reads    Total
Writes   nothing
Returns  Told
"""

from common.cli import main
from common.logger import get_logger
from common.step import step
from common.tools import Tools
from tests.floor.toy.results import Told, Total
from tests.floor.toy.world import count

log = get_logger("common.toy")


@step()
def run(tools: Tools, total: Total) -> Told:
    count("03")
    log.info("telling", secret=tools.settings.postgres.password.get_secret_value(), total=total.total)
    return Told(total=total.total)


if __name__ == "__main__":
    main(__file__)
