"""Stock KServe with scikit-learn, to measure against: what KServe's sklearnserver image does, with its defaults.

The image is not on PyPI; its model class is these lines. Started by benchmarks/serving.py.
"""

import argparse
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve a joblib file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--model_dir", required=True, type=Path)
    args, _ = parser.parse_known_args()
    import joblib
    from kserve import Model, ModelServer
    from kserve.utils.utils import get_predict_input, get_predict_response

    class SKLearnModel(Model):  # type: ignore[misc]
        def load(self) -> bool:
            self._model = joblib.load(args.model_dir / "model.joblib")
            self.ready = True
            return True

        def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002
            instances = get_predict_input(payload)
            return get_predict_response(payload, self._model.predict_proba(instances), self.name)

    model = SKLearnModel(args.model_name)
    model.load()
    ModelServer().start([model])


if __name__ == "__main__":
    main()
