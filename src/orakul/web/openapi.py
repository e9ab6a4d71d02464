"""`python -m orakul.web.openapi` prints the OpenAPI document, from which the interface's types are made."""

import json
import sys
from typing import Any, cast

from orakul.web.app import create_app
from orakul.web.parts import Parts, WebSettings


def document() -> dict[str, Any]:
    """Return the document; no part is asked for it, so none is needed."""
    none = cast("Any", None)
    settings = WebSettings(secret_key=bytes(32))
    return create_app(Parts(settings=settings, reader=none, control=none, orders=none, fleet=none)).openapi()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
