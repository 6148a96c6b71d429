"""List the installed packages that a package needs neither directly nor indirectly: `unneeded.py PACKAGE`."""

import sys
from collections.abc import Iterator
from importlib.metadata import distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(name: str, extras: frozenset[str], known: set[tuple[str, frozenset[str]]]) -> Iterator[str]:
    """Yield the package and everything that it requires here, with these extras."""
    if (name, extras) in known:
        return
    known.add((name, extras))
    yield name
    for line in distribution(name).requires or ():
        required = Requirement(line)
        if required.marker is None or any(required.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield from needed(canonicalize_name(required.name), frozenset(required.extras), known)


def main(package: str) -> None:
    """Print the names, one per line."""
    # pip is kept so that derived images can add the packages for a file store or a log.
    kept = {"pip", *needed(canonicalize_name(package), frozenset(), set())}
    installed = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    print("\n".join(sorted(installed - kept)))


if __name__ == "__main__":
    main(sys.argv[1])
