"""The toy pipeline."""

from common.cli import main
from common.pipeline import Pipeline
from tests.floor.toy import toy_01_read, toy_02_sum, toy_03_tell

PIPELINE = Pipeline("toy", [toy_01_read, toy_02_sum, toy_03_tell])

if __name__ == "__main__":
    main(PIPELINE)
