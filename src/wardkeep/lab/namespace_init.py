"""The first process of a `namespace` host: makes its file system, then buries the dead until it is told to end.

`python -S namespace_init.py FOLDER NAME`, in new mount, uts, ipc and pid namespaces. Runs alone: standard library only.
"""

import contextlib
import ctypes
import os
import signal
import sys
import uuid

MS_RDONLY, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1, 0x1000, 0x4000, 0x40000, 0x2
LAYERED = ("etc", "usr", "var", "opt")  # this machine's, with what is written kept apart
OWN = ("root", "home", "srv", "mnt", "media")  # empty at first, kept over a reboot
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "net/tun")
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    words = [word.encode() if word is not None else None for word in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), data.encode() if data else None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind or 'bind'} on {target}: {os.strerror(number)}")


def layer(folder: str, root: str, name: str) -> None:
    upper, work = (f"{folder}/layers/{name}/{part}" for part in ("upper", "work"))
    for path in (upper, work, f"{root}/{name}"):
        os.makedirs(path, exist_ok=True)
    mount("overlay", f"{root}/{name}", "overlay", 0, f"lowerdir=/{name},upperdir={upper},workdir={work}")


def file_system(folder: str) -> str:
    """The host's root, mounted below `folder`."""
    root = f"{folder}/root"
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("lab", root, "tmpfs", 0, "mode=755,size=256m")
    for name in LAYERED:
        if os.path.isdir(f"/{name}"):
            layer(folder, root, name)
    for name in MERGED:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            layer(folder, root, name)
    for name in OWN:
        kept = f"{folder}/layers/{name}"
        os.makedirs(kept, exist_ok=True)
        os.mkdir(f"{root}/{name}")
        mount(kept, f"{root}/{name}", None, MS_BIND)
    os.chmod(f"{root}/root", 0o700)
    for name, mode in (
        ("run", 0o755),
        ("tmp", 0o1777),
        ("proc", 0o555),
        ("sys", 0o555),
        ("dev", 0o755),
        ("run/lock", 0o1777),
    ):
        os.mkdir(f"{root}/{name}")
        os.chmod(f"{root}/{name}", mode)
    mount("proc", f"{root}/proc", "proc")
    mount("sysfs", f"{root}/sys", "sysfs", MS_RDONLY)  # the machine's own devices are looked at, not changed
    devices(f"{root}/dev")
    return root


def devices(dev: str) -> None:
    for name in ("pts", "shm", "net"):
        os.mkdir(f"{dev}/{name}")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            with open(f"{dev}/{name}", "w"):
                pass
            mount(f"/dev/{name}", f"{dev}/{name}", None, MS_BIND)
    mount("devpts", f"{dev}/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    mount("shm", f"{dev}/shm", "tmpfs", 0, "mode=1777,size=64m")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                         ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):  # fmt: skip
        os.symlink(target, f"{dev}/{name}")


def enter(root: str, name: str) -> None:
    os.chdir(root)
    os.makedirs("run/before")
    if libc.pivot_root(b".", b"run/before"):
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chroot(".")
    os.chdir("/")
    libc.umount2(b"/run/before", MNT_DETACH)
    os.rmdir("/run/before")
    libc.sethostname(name.encode(), len(name.encode()))
    for path, text in (("hostname", name), ("hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}"),
                       ("machine-id", uuid.uuid4().hex)):  # fmt: skip
        with open(f"/etc/{path}", "w") as file:
            file.write(f"{text}\n")


def main(folder: str, name: str) -> None:
    outside = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    awaited = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    os.umask(0o022)
    enter(file_system(folder), name)
    os.close(os.open("ready", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=outside))
    os.close(outside)
    while True:
        signal.sigwait(awaited)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
