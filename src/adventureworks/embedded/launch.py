"""Starts a program in the place of this process: as another account if asked, ending with its parent if asked.

Run by path with `python -I -S`; it needs the standard library alone.
"""

import argparse
import ctypes
import os
import signal
import sys

CAPABILITIES = {"dac_override": 1, "dac_read_search": 2}
PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 4
CAPABILITY_VERSION_3 = 0x20080522
CANNOT_START = 126


def become(uid: int, gid: int, capability: str | None) -> None:
    """Gives up root for an account, except for one capability that the programs it starts keep too."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    if capability:
        # Without this, access(2) would ignore the capability, and PostgreSQL looks for its own files with access(2).
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setresuid(uid, uid, uid)
    if capability:
        _keep(CAPABILITIES[capability])


def end_with_parent(parent: int, number: int) -> None:
    """Asks Linux to send this process a signal when its parent dies."""
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit("the parent has ended")


def _keep(capability: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(*[1 << capability] * 3, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, first: int, second: int = 0) -> None:
    arguments = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, *arguments) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Prepares this process as told and becomes the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", choices=CAPABILITIES)
    parser.add_argument("--folder")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--signal", type=int, default=signal.SIGTERM)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    program = asked.program[1:] if asked.program[:1] == ["--"] else asked.program
    try:
        if asked.uid is not None:
            become(asked.uid, asked.gid, asked.capability)
        if asked.parent is not None and sys.platform == "linux":
            end_with_parent(asked.parent, asked.signal)
        if asked.folder:
            os.chdir(asked.folder)
        os.umask(0o077)
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        print(f"cannot start {program[0]}: {error}", file=sys.stderr)
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
