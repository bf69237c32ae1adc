"""Serve one ONNX model over KServe's V1 and V2 protocols.

Run it:  python -m serving --model_name churn --model_dir DIR --http_port 8080

DIR holds model.onnx and schema.json; the model's sha256 must equal --model_digest, else the directory's name where that
is a digest. Predictions are logged below PREDICTION_LOG_URI (s3://bucket/prefix, credentials in AWS_*), if it
is set. The revision in metrics and log is REVISION, else K_REVISION. A port below 0.0.0.0 has to be asked for by
--host. FAULTS, such as latency=300ms,errors=5%,wrong=20%, makes it bad on purpose.
"""

import argparse
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.faults import Faults
    from serving.artefact import Artefact
    from serving.metrics import Metrics
    from serving.prediction_log import PredictionLog

EX_DATAERR, EX_UNAVAILABLE, EX_CONFIG = 65, 69, 78
LEAVE_SECONDS = 5.0


def main() -> int:
    """Load the model, then listen: a server that answers is a server that is ready."""
    args = _arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from common import faults, logger
    from common.errors import ConfigError
    from serving import artefact

    logger.configure()
    try:
        injected = faults.parse(os.environ.get("FAULTS", ""))
        model = artefact.load(args.model_dir.absolute(), args.model_digest)
        artefact.check_inputs(model)
    except artefact.BrokenArtefact as error:
        print(error, file=sys.stderr)
        return EX_DATAERR
    except ConfigError as error:
        print(f"FAULTS: {error}", file=sys.stderr)
        return EX_CONFIG
    return _serve(args, model, injected)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m serving", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model_name", required=True, help="the model's name in URLs")
    parser.add_argument("--model_dir", required=True, type=Path, help="directory with model.onnx and schema.json")
    parser.add_argument("--model_digest", default="", help="sha256 that model.onnx must have")
    parser.add_argument("--http_port", type=int, default=8080, help="TCP port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    return parser.parse_args()


def _serve(args: argparse.Namespace, model: "Artefact", injected: "Faults") -> int:
    warnings.filterwarnings("ignore", message=".*ORJSONResponse is deprecated.*")
    from serving.faults import sabotaged
    from serving.metrics import Metrics
    from serving.middleware import Served
    from serving.model import OnnxModel
    from serving.server import Server, listen, silence

    silence()
    revision = os.environ.get("REVISION") or os.environ.get("K_REVISION") or args.model_name
    counters = Metrics(args.model_name, revision)
    prediction_log = _prediction_log(model, revision, counters)
    identity = [(b"x-model-digest", model.digest.encode()), (b"x-model-revision", revision.encode("latin-1"))]
    try:
        sockets = [listen(args.host, args.http_port)]
    except OSError as error:
        print(f"Port {args.http_port} on {args.host} cannot be listened on: {error.strerror}.", file=sys.stderr)
        return EX_UNAVAILABLE
    try:
        served = Served(counters, prediction_log, identity, injected)
        Server(served, sockets).start([OnnxModel(args.model_name, sabotaged(model, injected))])
    finally:
        threading.Thread(target=_leave_anyway, daemon=True).start()
        if prediction_log is not None:
            prediction_log.stop()
    return 0


def _prediction_log(model: "Artefact", revision: str, counters: "Metrics") -> "PredictionLog | None":
    from serving.prediction_log import PredictionLog, upload_to

    uri = os.environ.get("PREDICTION_LOG_URI", "")
    if not uri:
        return None
    prediction_log = PredictionLog(model.schema, revision, model.digest, upload_to(uri), counters.drop)
    prediction_log.start()
    return prediction_log


def _leave_anyway() -> None:
    """An upload that hangs must not keep the process."""
    time.sleep(LEAVE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
