"""What docker-compose 1.29 makes of many projects, in one process: a line of JSON for each.

Reads lines `{"dir": …, "files": […], "name": …, "environment": {…}}`; writes lines
`{"config": text}` or `{"error": text}`.
"""

import json
import logging
import os
import sys

from compose.cli.command import get_config_path_from_options, get_project_name
from compose.config import config
from compose.config.environment import Environment
from compose.config.serialize import serialize_config

logging.disable(logging.CRITICAL)


def read(project):
    os.chdir(project["dir"])
    os.environ.clear()
    os.environ.update(project["environment"])
    environment = Environment.from_env_file(".")
    options = {"--file": project["files"]}
    paths = get_config_path_from_options(options, environment)
    details = config.find(".", paths, environment, None)
    return serialize_config(config.load(details), None)


for line in sys.stdin:
    try:
        said = {"config": read(json.loads(line))}
    except Exception as error:  # whatever it says of a file
        said = {"error": " ".join(str(error).split()) or type(error).__name__}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
