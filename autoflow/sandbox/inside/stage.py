"""The first code in a new process: takes the program from stdin, gives up what it must not have, runs it.

Run as `python -c <this file> STATUS_FD`. stdin brings eight bytes of length, a marshalled plan, then the program's own
stdin. One byte on STATUS_FD says that the program begins: until then, whatever goes wrong is the sandbox's fault.
"""

# pathlib takes longer to import than all of this to run.
# ruff: noqa: PTH103, PTH109, PTH112, PTH120, PTH123

import marshal
import os
import resource
import sys


def _read(size: int) -> bytes:  # pragma: no cover - in a process of its own
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            raise EOFError("the plan on stdin is cut short")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write_files(files: dict[str, str]) -> None:  # pragma: no cover - in a process of its own
    for name, text in files.items():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(text)


def _confine(readable: list[str], seccomp: bytes, parent: int) -> None:  # pragma: no cover - in a process of its own
    """Leave this process the files named for reading, no capability and few system calls."""
    import ctypes  # costs 3 ms, which programs behind namespaces need not pay

    libc = ctypes.CDLL(None, use_errno=True)

    def call(what: str, result: int) -> int:
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"{what}: {os.strerror(error)}")
        return result

    def syscall(what: str, number: int, *arguments: object) -> int:
        return call(what, libc.syscall(ctypes.c_long(number), *arguments))

    def prctl(what: str, option: int, *arguments: object) -> None:
        padded = [*arguments, *[ctypes.c_ulong(0)] * (4 - len(arguments))]
        call(what, libc.prctl(option, *padded))

    prctl("die with the parent", 1, ctypes.c_ulong(9))
    if os.getppid() != parent:
        raise OSError("the parent is gone")
    prctl("no new privileges", 38, ctypes.c_ulong(1))

    # Landlock; numbers and bits: linux/landlock.h
    abi = syscall("Landlock", 444, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    filesystem = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    rules = (ctypes.c_uint64 * 3)(filesystem, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = syscall("Landlock rules", 444, rules, ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in readable:
        try:
            found = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        execute, write, read, list_folder = 1, 2, 4, 8
        allowed = execute | read | (list_folder if os.path.isdir(path) else 0)
        if path == os.devnull:
            allowed = write | read
        rule = allowed.to_bytes(8, sys.byteorder) + found.to_bytes(4, sys.byteorder)
        syscall(f"Landlock rule for {path}", 445, ruleset, ctypes.c_int(1), rule, ctypes.c_uint32(0))
        os.close(found)
    syscall("Landlock", 446, ruleset, ctypes.c_uint32(0))
    os.close(ruleset)

    # Capabilities: version 3, this process, all sets empty
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    call("give up capabilities", libc.capset(header, (ctypes.c_uint32 * 6)()))

    code = ctypes.create_string_buffer(seccomp, len(seccomp))

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    seccomp_filter = Filter(len(seccomp) // 8, ctypes.addressof(code))
    prctl("seccomp", 22, ctypes.c_ulong(2), ctypes.byref(seccomp_filter))


def main() -> None:  # pragma: no cover - in a process of its own
    """Set the stage and run the program."""
    status = int(sys.argv[1])
    plan = marshal.loads(_read(int.from_bytes(_read(8), "big")))  # noqa: S302 - from our own host process
    _write_files(plan["files"])
    for kind, soft, hard in plan["limits"]:
        ceiling = resource.getrlimit(kind)[1]
        bounds = (soft, hard) if ceiling == resource.RLIM_INFINITY else (min(soft, ceiling), min(hard, ceiling))
        resource.setrlimit(kind, bounds)
    if plan["confine"] is not None:
        _confine(*plan["confine"])
    name = plan["main"]
    sys.argv[:] = [name, *plan["argv"]]
    sys.path.insert(0, os.getcwd())
    namespace = type(sys)("__main__")
    namespace.__file__ = name
    sys.modules["__main__"] = namespace
    source = plan["files"][name]
    del plan
    os.write(status, b"1")
    os.close(status)
    exec(compile(source, name, "exec"), namespace.__dict__)  # noqa: S102 - what a sandbox is for


if __name__ == "__main__":  # pragma: no cover - in a process of its own
    main()
