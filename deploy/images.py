"""Checks the images of the Dockerfiles, the Compose file and the Kubernetes manifest: one release each, by digest.

The tag says which release it is, the digest fixes its content. The platform's own images are built here: they have no
digest until they are in a registry.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

FILES = (
    "Dockerfile",
    ".devcontainer/Dockerfile",
    "deploy/superset/Dockerfile",
    "docker-compose.yaml",
    "deploy/helm/watch.yaml",
)
_IMAGE = re.compile(r"^\s*(?:(?:-\s+)?image:(?:\s+&\w+)?|FROM)\s+([^\s*]\S*)", re.MULTILINE)
_DEFAULT = re.compile(r"^\$\{\w+:-([^}]*)\}$")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BUILT_HERE = re.compile(r"(?:.*/)?adventureworks(?:-superset)?")
_THREE_NUMBERS = r"v?\d+\.\d+\.\d+"
_VERSIONS = {"postgres": r"\d+\.\d+", "mcr.microsoft.com/mssql/server": r"\d{4}-CU\d+"}
"""Tag patterns of images whose releases do not have three-part versions."""


def images_of(text: str) -> list[str]:
    """Return the images that a file names; of one that a variable may replace, the default."""
    return [_DEFAULT.sub(r"\1", image) for image in _IMAGE.findall(text)]


def is_pinned(image: str) -> bool:
    """Return whether an image has a tag that names a single release and, unless it is built here, a digest."""
    tagged, _, digest = image.partition("@")
    name, _, tag = tagged.rpartition(":")
    release = _VERSIONS.get(name, _THREE_NUMBERS)
    is_release = re.fullmatch(rf"{release}([-+_][\w.-]+)?", tag)
    return bool(is_release and (_BUILT_HERE.fullmatch(name) or _DIGEST.fullmatch(digest)))


def main(files: Iterable[Path]) -> int:
    """Print the images that are not pinned, and return 1 if there are any."""
    loose = [f"{file}: {image}" for file in files for image in images_of(file.read_text()) if not is_pinned(image)]
    for one in loose:
        print(
            f"{one} is not pinned. Give the tag of a single release and its digest: NAME:TAG@sha256:…", file=sys.stderr
        )
    return int(bool(loose))


if __name__ == "__main__":
    sys.exit(main(Path(name) for name in FILES))
