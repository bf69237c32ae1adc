"""What a pipeline's components take from the settings of whoever started it, as JSON in a parameter.

A pod reads its image's config.yaml and the variables of its namespace: it knows nothing of --set, of --config, or of
a table that was configured since. Only addresses, roles and secrets are its own: from where it runs a server may have
another name, and a parameter is shown on Kubeflow's pages.
"""

import json

from pydantic import BaseModel

from common.config_sources import put
from common.settings import Settings

# By section: a whole one but for what is left out, or only what is the same from everywhere. Nothing here is secret.
# A query is free text, and components do not read it.
WHOLE = {"uc1": {"query"}, "feast": set[str]()}
PARTS = ("minio.bucket", "minio.region", "postgres.database")


def told(settings: Settings) -> str:
    """The settings that count in a component, in one form: the same settings give the same text."""
    said = {name: settings.at(name).model_dump(mode="json", exclude=left_out) for name, left_out in WHOLE.items()}
    for path in PARTS:
        put(said, path, settings.at(path))
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def as_told(settings: Settings, text: str) -> Settings:
    """The component's own settings with what `told` said over them; unchanged where nothing was said."""
    said = json.loads(text) if text else {}
    return settings.model_copy(update={name: _section(settings.at(name), values) for name, values in said.items()})


def _section(own: BaseModel, values: dict[str, object]) -> BaseModel:
    """Built anew, so that what was left out of a mapping is not in it any more."""
    return type(own)(**{**{name: getattr(own, name) for name in type(own).model_fields}, **values})
