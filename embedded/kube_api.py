"""The laptop's Kubernetes API server with its controllers, as one process.

Run it as the platform does:  python -m embedded.kube_api --port 8001 --state-dir .state

Objects live in <state>/embedded/kube/objects.db and survive restarts; so do the models that they ask to be served.
The bearer token is read from <state>/secrets/kubernetes, and made there if nobody has yet. A kubeconfig is
written to <state>/kubeconfig. GET /sd/targets, without a token, lists the model servers for Prometheus (http_sd).
Listens on 127.0.0.1 only.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
from pathlib import Path

from common.publish import write_atomically

HOST = "127.0.0.1"


def main() -> None:
    """Serve until SIGTERM; model servers that were started end first."""
    parser = argparse.ArgumentParser(prog="python -m embedded.kube_api", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on")
    parser.add_argument("--state-dir", type=Path, required=True, help="directory that holds the platform's state")
    args = parser.parse_args()
    state = args.state_dir.absolute()
    os.environ["MLOPS_STATE_DIR"] = str(state)  # common.config reads the object store's address from there
    token = token_of(state / "secrets" / "kubernetes")
    write_atomically(state / "kubeconfig", kubeconfig(f"http://{HOST}:{args.port}", token).encode(), 0o600)
    asyncio.run(_serve(args.port, state, token))


def token_of(path: Path) -> str:
    """The token in this file; made there, readable by its owner only, when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()


def kubeconfig(server: str, token: str) -> str:
    """A kubeconfig with one context, named embedded."""
    import yaml

    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "embedded",
        "clusters": [{"name": "embedded", "cluster": {"server": server}}],
        "users": [{"name": "embedded", "user": {"token": token}}],
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
    }  # fmt: skip
    return yaml.safe_dump(document, sort_keys=False)


async def _serve(port: int, state: Path, token: str) -> None:
    import uvicorn

    from common import logger
    from embedded.controllers.gitops import GitOps
    from embedded.controllers.inference_service import InferenceServices
    from embedded.kube.api import Api
    from embedded.kube.objects import Objects
    from embedded.kube.store import Store

    logger.configure()
    objects = Objects(Store(state / "embedded" / "kube" / "objects.db"))
    controller = InferenceServices(objects, state)
    app = Api(objects, token, controller.targets).app
    config = uvicorn.Config(app, host=HOST, port=port, log_level="warning", access_log=False,
                            lifespan="off", loop="asyncio", timeout_graceful_shutdown=1)  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again when it has stopped; it must not end us before the model servers have.
        signal.signal(number, lambda *_: None)
    watching = [asyncio.create_task(each.run()) for each in (controller, GitOps(objects))]
    try:
        await uvicorn.Server(config).serve()
    finally:
        for task in watching:
            task.cancel()
        await controller.stop()


if __name__ == "__main__":
    main()
