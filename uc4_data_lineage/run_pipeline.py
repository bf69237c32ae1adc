"""UC4, lineage: everything that happened is on the lineage server, and it says what depends on what.

Run it:  python uc4_data_lineage/run_pipeline.py
         python uc4_data_lineage/run_pipeline.py churn-predictor --direction up
"""

from common.cli import main
from common.pipeline import Pipeline
from uc4_data_lineage import uc4_01_emit_lineage_openlineage as emission
from uc4_data_lineage import uc4_02_query_lineage_marquez as query

PIPELINE = Pipeline("uc4", [emission, query])

if __name__ == "__main__":
    main(PIPELINE)
