"""MLflow's tracking server as one process instead of two, in half the memory and half the time to start.

Run by the platform, with secrets in the environment:  python -m embedded.mlflow_server --port PORT

`mlflow server` hands its options to a second process through private variables; we set them ourselves. Should an
installed MLflow name them differently, this becomes `mlflow server`, which takes the same settings from public ones.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import NoReturn

DATABASE_SECONDS = 90


def main() -> NoReturn:
    """Import (seconds, while the database may still be starting), wait for the database, serve."""
    parser = argparse.ArgumentParser(description="The embedded platform's MLflow server.")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    private = _private_variables()
    os.environ.update(private)
    if not _understood(private):
        _become_mlflow_server(port)
    _wait_for_database()
    _serve(port)
    sys.exit(0)


def _private_variables() -> dict[str, str]:
    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    return {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": os.environ["MLFLOW_ARTIFACTS_DESTINATION"],
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }


def _understood(private: dict[str, str]) -> bool:
    """Does this MLflow read exactly these variables?"""
    try:
        from mlflow.server import constants, fastapi_app  # noqa: F401 (is it there?)
    except ImportError:
        return False
    return set(private) <= {value for value in vars(constants).values() if isinstance(value, str)}


def _wait_for_database() -> None:
    """Both the server and our database in it: they are made while we import."""
    import sqlalchemy as sa

    engine = sa.create_engine(os.environ["MLFLOW_BACKEND_STORE_URI"], connect_args={"connect_timeout": 5})
    deadline = time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            engine.connect().close()
            engine.dispose()
            return
        except sa.exc.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _serve(port: int) -> None:
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    initialize_backend_stores(database, database, "mlflow-artifacts:/")  # tables are made here, not at a first request
    uvicorn.run(
        app, host="127.0.0.1", port=port, access_log=False, log_level="warning",
        timeout_keep_alive=75, timeout_graceful_shutdown=3,
    )  # fmt: skip


def _become_mlflow_server(port: int) -> NoReturn:
    sys.stderr.write("this MLflow has other private variables: running `mlflow server`\n")
    sys.stderr.flush()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--serve-artifacts", "--artifacts-destination", os.environ["MLFLOW_ARTIFACTS_DESTINATION"],
        "--default-artifact-root", "mlflow-artifacts:/",
    ]  # fmt: skip
    os.execv(command[0], command)  # noqa: S606 (no shell is what is wanted)


if __name__ == "__main__":
    main()
