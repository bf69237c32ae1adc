"""The laptop's lineage server: Marquez's API over the embedded PostgreSQL, and the graph as a page at /.

Run by the platform, with the database's address in the environment:  python -m embedded.lineage_server --port PORT
Listens on 127.0.0.1 only.
"""

import argparse
import os
from typing import Any

HOST = "127.0.0.1"


def main() -> None:
    """Wait for the database, make the tables, serve until SIGTERM."""
    parser = argparse.ArgumentParser("python -m embedded.lineage_server", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on")
    port = parser.parse_args().port
    import uvicorn

    from embedded.lineage.api import Api
    from embedded.lineage.database import Database

    database = Database(
        host=HOST, port=int(os.environ["LINEAGE_DB_PORT"]), user=os.environ["LINEAGE_DB_USER"],
        password=os.environ["LINEAGE_DB_PASSWORD"], dbname=os.environ["LINEAGE_DB_NAME"], sslmode="disable",
        gssencmode="disable",
    )  # fmt: skip
    database.prepare()
    uvicorn.run(
        Api(database, _page).app, host=HOST, port=port, access_log=False, log_level="warning",
        timeout_keep_alive=75, timeout_graceful_shutdown=3,
    )  # fmt: skip


def _page(whole: dict[str, Any]) -> str:
    from common.lineage_graph import graph_of
    from common.lineage_page import as_page

    return as_page(graph_of(whole["graph"]), "Everything that is known", "")


if __name__ == "__main__":
    main()
