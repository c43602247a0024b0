"""The system calls that no sandboxed program needs, as a seccomp filter (classic BPF).

A second wall behind namespaces or Landlock, and the one that keeps a program to a single process: RLIMIT_NPROC does
not bind processes whose real owner is root. Numbers are the kernel's own (asm/unistd_64.h, asm-generic/unistd.h).
"""

import struct

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_EPERM, _ENOSYS = 1, 38
_X32 = 0x40000000
_NEWEST = 469  # from 424 on, numbers are the same everywhere; what came later is unknown to this filter

# name -> (x86_64, aarch64); None where the architecture lacks the call
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # processes
    "fork": (57, None),
    "vfork": (58, None),
    # network; AF_VSOCK and AF_ALG are in no network namespace
    "socket": (41, 198),
    # memory that counts as nobody's
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # signals to others
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    # looking into others
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "ioprio_set": (251, 30),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # much kernel for no use here
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "personality": (135, 92),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "fanotify_init": (300, 262),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}

# What Landlock leaves open on files that the program can name.
_REFUSED_ON_HOST_FILES: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
    "mknod": (133, None),
    "mknodat": (259, 33),
}

_CLONE = (56, 220)
_CLONE3 = (435, 435)
_PRCTL = (157, 167)
_PRLIMIT64 = (302, 261)

_CLONE_THREAD = 0x00010000
_PR_SET_PDEATHSIG = 1

_LOAD, _EQUAL, _AT_LEAST, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, little endian
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def filter_for(machine: str, *, host_files: bool) -> bytes | None:
    """The filter as an array of `struct sock_filter`, or `None` for a machine whose numbers are not known here.

    Args:
        machine: As `platform.machine()` says it.
        host_files: Whether the program sees the machine's own file system, so that owners and modes need guarding.
    """
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        return None
    column = list(_ARCHITECTURES).index(machine)
    calls = {**_REFUSED, **(_REFUSED_ON_HOST_FILES if host_files else {})}
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    code += [(_GREATER, 0, 1, _NEWEST), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    for numbers in calls.values():
        if numbers[column] is not None:
            code += [(_EQUAL, 0, 1, numbers[column] or 0), (_RETURN, 0, 0, _ERROR | _EPERM)]
    # glibc falls back to clone, whose flags a filter can read.
    code += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    code += _by_argument(_CLONE[column], (_ANY_BIT, 1, 0, _CLONE_THREAD))
    code += _by_argument(_PRCTL[column], (_EQUAL, 0, 1, _PR_SET_PDEATHSIG))
    code += _by_argument(_PRLIMIT64[column], (_EQUAL, 1, 0, 0))
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _by_argument(number: int, test: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    # The test skips one instruction, the refusal, to allow.
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        test,
        (_RETURN, 0, 0, _ERROR | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
