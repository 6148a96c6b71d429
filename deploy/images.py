"""Checks that every image of the Dockerfiles, the Compose file and the Kubernetes manifest is one exact version."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

FILES = ("Dockerfile", "deploy/superset/Dockerfile", "docker-compose.yaml", "deploy/helm/watch.yaml")
_IMAGE = re.compile(r"^\s*(?:(?:-\s+)?image:(?:\s+&\w+)?|FROM)\s+([^\s*]\S*)", re.MULTILINE)
_DEFAULT = re.compile(r"^\$\{\w+:-([^}]*)\}$")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_THREE_NUMBERS = r"v?\d+\.\d+\.\d+"
_VERSIONS = {"postgres": r"\d+\.\d+", "mcr.microsoft.com/mssql/server": r"\d{4}-CU\d+"}
"""Tag patterns of images whose releases do not have three-part versions."""


def images_of(text: str) -> list[str]:
    """Return the images that a file names; of one that a variable may replace, the default."""
    return [_DEFAULT.sub(r"\1", image) for image in _IMAGE.findall(text)]


def is_exact(image: str) -> bool:
    """Return whether an image has a digest, or a tag that names a single release."""
    name, _, tag = image.rpartition(":")
    version = _VERSIONS.get(name, _THREE_NUMBERS)
    return bool(_DIGEST.search(image) or re.fullmatch(rf"{version}([-+_][\w.-]+)?", tag))


def main(files: Iterable[Path]) -> int:
    """Print the images that are not exact, and return 1 if there are any."""
    vague = [f"{file}: {image}" for file in files for image in images_of(file.read_text()) if not is_exact(image)]
    for one in vague:
        print(f"{one} does not name a single release. Use a digest or an exact tag.", file=sys.stderr)
    return int(bool(vague))


if __name__ == "__main__":
    sys.exit(main(Path(name) for name in FILES))
