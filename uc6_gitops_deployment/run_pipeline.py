"""UC6, GitOps: the champion to production by a commit, and Argo CD that makes the cluster what git says.

Run it:  python uc6_gitops_deployment/run_pipeline.py
         python uc6_gitops_deployment/run_pipeline.py --rollback
"""

from common.cli import main
from common.pipeline import Pipeline
from uc6_gitops_deployment import uc6_01_promote_model_git as promotion
from uc6_gitops_deployment import uc6_02_sync_argocd as sync

PIPELINE = Pipeline("uc6", [promotion, sync])

if __name__ == "__main__":
    main(PIPELINE)
