"""A step with a bug: whatever it knows goes into its log, its warnings and its errors, in many forms.

Reads    every secret that the settings hold
Writes   nothing
Returns  Revealed
"""

import base64
import json
import logging
import threading
import warnings
from urllib.parse import quote_plus

from common.cli import main
from common.logger import get_logger
from common.secret_settings import everything_secret
from common.step import Result, step
from common.tools import Tools

log = get_logger("common.reveal")


class Revealed(Result):
    """Never made."""


@step()
def run(tools: Tools) -> Revealed:
    for secret in sorted(everything_secret(tools.settings)):
        login = base64.b64encode(f"bot:{secret}".encode()).decode()
        forms = [secret, quote_plus(secret), json.dumps({"password": secret}), login, repr({"password": secret})]
        log.info(f"connecting with {secret}", forms=forms, headers={"Authorization": f"Basic {login}"})
        logging.getLogger("urllib3.connectionpool").warning("GET /%s with %s", quote_plus(secret), forms)
        warnings.warn(f"unverified request with {forms}", stacklevel=1)
        thread = threading.Thread(target=_fail, args=(forms,))
        thread.start()
        thread.join()
    try:
        _fail(forms)
    except ValueError as error:
        log.exception("once more")
        raise RuntimeError(f"nobody foresaw {secret} {forms}") from error


def _fail(forms: list[str]) -> None:
    raise ValueError(f"not with {forms}")


if __name__ == "__main__":
    main(__file__)
