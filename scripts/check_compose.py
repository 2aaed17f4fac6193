"""Reads a compose file as the Compose Specification has it; anything unknown or malformed is an error."""

import sys
from pathlib import Path

from compose_spec import PyOptions

options = PyOptions()
options.apply_merge = True
for name in sys.argv[1:]:
    try:
        compose = options.from_yaml(Path(name).read_text())
    except ValueError as error:
        sys.exit(f"{name}: {error}")
    print(f"{name}: services {', '.join(compose.service_names())}")
