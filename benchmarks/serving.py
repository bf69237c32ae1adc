"""Our model server beside stock KServe with scikit-learn, on the same models, at 32 connections.

Run it:  python benchmarks/serving.py [--rounds 5] [--seconds 4] [--connections 32] [--log]

Two models: the boosted trees that UC1 trains, with their text columns; and boosted trees on the numeric columns alone,
which the stock server takes as plain lists, without pandas, and so at its best. One worker and OMP_NUM_THREADS=1
each; the stock server has its default settings. The servers run side by side and are loaded in turn, round by round:
what else the machine does hits both. Ratios are taken within a round; shown are their medians, with least and
largest. Before anything is measured both must give the same answers. With --log our server also writes its prediction
log, to the configured object store.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODEL = "model"
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """A running server and the body of the request that it is sent."""

    name: str
    port: int
    body: bytes

    @property
    def path(self) -> str:
        return f"/v1/models/{MODEL}:predict"

    def ask(self) -> float:
        """Its probability for the row."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.path}", self.body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            prediction = json.load(answer)["predictions"][0]
        return float(prediction[1] if isinstance(prediction, list) else prediction)


def train(directory: Path, *, numbers_only: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Train UC1's boosted trees on made-up customers; returns a row and its columns in the model's order."""
    import joblib
    import pandas as pd

    from churn.features import FeatureColumns, as_features, as_labels
    from churn.model import fit, to_onnx
    from embedded.sample_customers import USUAL, customers

    frame = pd.DataFrame(customers(USUAL))
    numeric = ("age", "tenure_months", "monthly_spend", "support_tickets", "days_since_last_login", "products")
    columns = FeatureColumns(tuple(numeric), () if numbers_only else ("region", "contract"))
    features = as_features(frame, columns)
    estimator = fit("gradient_boosting", features, as_labels(frame["churned"], True), columns, seed=42)
    directory.mkdir()
    # Without its first step, which picks columns by name, the estimator takes plain arrays.
    joblib.dump(estimator[-1] if numbers_only else estimator, directory / "model.joblib")
    (directory / "model.onnx").write_bytes(to_onnx(estimator, columns))
    (directory / "schema.json").write_text(json.dumps({"numeric": columns.numeric, "categorical": columns.categorical}))
    return features.dropna().iloc[0].to_dict(), columns.names


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(name: str, program: list[str], directory: Path, rows: list[Any], log: Path) -> Iterator[Server]:
    """A server as a process, ready."""
    port = free_port()
    arguments = ["--model_name", MODEL, "--model_dir", str(directory), "--http_port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, *program, *arguments], stdout=out, stderr=out, env=environment)
        server = Server(name, port, json.dumps({"instances": rows}).encode())
        try:
            wait_until_ready(server, log)
            yield server
        finally:
            process.kill()
            process.wait()


def wait_until_ready(server: Server, log: Path) -> None:
    for _ in range(300):
        try:
            server.ask()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{server.name} did not become ready:\n{log.read_text()[-2000:]}")


def measure(server: Server, connections: int, seconds: float) -> dict[str, float]:
    """One round of load on one server."""
    command = [sys.executable, str(HERE / "http_load.py"), "--port", str(server.port), "--path", server.path]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    done = subprocess.run(command, input=server.body, capture_output=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    if measured["failures"]:
        raise SystemExit(f"{server.name}: {measured['failures']:.0f} answers were not 200")
    return measured


def compare(title: str, stock: Server, ours: Server, args: argparse.Namespace) -> None:
    """Load both in turn and print a table."""
    if abs(stock.ask() - ours.ask()) > 1e-5:
        raise SystemExit(f"{title}: the servers disagree: {stock.ask()} and {ours.ask()}")
    rounds: dict[str, list[dict[str, float]]] = {stock.name: [], ours.name: []}
    for server in (stock, ours):
        measure(server, args.connections, WARM_UP_SECONDS)
    for number in range(args.rounds):
        order = (stock, ours) if number % 2 == 0 else (ours, stock)
        for server in order:
            rounds[server.name].append(measure(server, args.connections, args.seconds))
    print(f"\n{title}, {args.connections} connections, {args.rounds} rounds of {args.seconds:g} s\n")
    print(f"| server | requests/s | p50 ms | p95 ms | p99 ms |\n|{'---|' * 5}")
    for name, measured in rounds.items():
        medians = [statistics.median(each[key] for each in measured) for key in ("rps", "p50", "p95", "p99")]
        print(f"| {name} | {medians[0]:,.0f} | " + " | ".join(f"{value:.1f}" for value in medians[1:]) + " |")
    shown = {key: ratios(rounds[ours.name], rounds[stock.name], key) for key in ("rps", "p50", "p95", "p99")}
    print(
        "| ours : stock | "
        + " | ".join(f"{middle:.2f}x [{low:.2f}-{high:.2f}]" for low, middle, high in shown.values())
        + " |"
    )


def ratios(ours: list[dict[str, float]], stock: list[dict[str, float]], key: str) -> tuple[float, float, float]:
    """Least, median and largest ratio within a round."""
    found = sorted(one[key] / other[key] for one, other in zip(ours, stock, strict=True))
    return found[0], statistics.median(found), found[-1]


def log_predictions() -> None:
    """Let our server, which inherits these, write its log below s3://<bucket>/benchmarks."""
    from common.config import load_settings

    minio = load_settings().minio
    os.environ |= {
        "PREDICTION_LOG_URI": f"s3://{minio.bucket}/benchmarks", "AWS_ENDPOINT_URL": minio.url,
        "AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": minio.region,
    }  # fmt: skip


def main() -> None:
    """Measure both models."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--log", action="store_true", help="log predictions to the configured object store")
    args = parser.parse_args()
    if args.log:
        log_predictions()
    with tempfile.TemporaryDirectory() as name:
        for title, numbers_only in (("UC1's model, numbers and text", False), ("numbers only, as lists", True)):
            directory = Path(name) / str(numbers_only)
            row, columns = train(directory, numbers_only=numbers_only)
            values = [row[column] for column in columns]
            with ExitStack() as stack:
                # The stock server makes a frame of a list of objects, and an array of a list of numbers.
                stock_rows = [values] if numbers_only else [[row]]
                program = [str(HERE / "serving_stock.py"), "--grpc_port", str(free_port())]
                stock = running("KServe, scikit-learn", program, directory, stock_rows, Path(name) / "stock.log")
                ours = running("ours, ONNX", ["-m", "serving"], directory, [values], Path(name) / "ours.log")
                compare(title, stack.enter_context(stock), stack.enter_context(ours), args)


if __name__ == "__main__":
    main()
