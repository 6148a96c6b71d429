"""Replace this process with a program, optionally under another account and ending with its parent.

Run by path with `python -I -S`. It needs only the standard library.
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
    """Switch from root to an account, keeping only one capability, which the programs it starts keep too."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    if capability:
        # Without this, access(2) would ignore the capability, and PostgreSQL looks for its own files with access(2).
        _prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.setresuid(uid, uid, uid)
    if capability:
        _keep(CAPABILITIES[capability])


def end_with_parent(parent: int, number: int) -> None:
    """Ask Linux to send this process a signal when its parent dies."""
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
    """Prepare this process as the arguments say, and become the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", choices=CAPABILITIES)
    parser.add_argument("--folder")
    parser.add_argument("--parent", type=int)
    parser.add_argument("--signal", type=int, default=signal.SIGTERM)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    try:
        if options.uid is not None:
            become(options.uid, options.gid, options.capability)
        if options.parent is not None and sys.platform == "linux":
            end_with_parent(options.parent, options.signal)
        if options.folder:
            os.chdir(options.folder)
        os.umask(0o077)
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        print(f"cannot start {program[0]}: {error}", file=sys.stderr)
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
