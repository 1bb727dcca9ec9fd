"""D: files, and what is left of them."""

from tests.sandbox.hostile.case import CALL, OK, RE, SG, Hostile, case, refused, refused_call

_WALK_WRITABLE = """
import os
found = []
for folder, folders, names in os.walk({top!r}):
    for name in names:
        if name == "ns_last_pid":
            continue  # Anybody may open it, see G11.
        try:
            os.close(os.open(folder + "/" + name, os.O_WRONLY | os.O_NONBLOCK))
            found.append(folder + "/" + name)
        except OSError:
            pass
print(found)
"""

CASES: list[Hostile] = [
    refused("D1 shadow", "open('/etc/shadow')", "No such file"),
    refused("D1 shadow of 1's root", "open('/proc/1/root/etc/shadow')", "denied"),
    refused("D1 root's keys", "import os; os.listdir('/root/.ssh')", "rror: [Errno"),
    case("D1 password file", "print(open('/etc/passwd').read().count('$'))", OK, stdout="0\n"),
    case(
        "D2 environment",
        "import os; print(*sorted(set(os.environ) - {'LC_CTYPE'}))",
        OK,
        stdout="HOME LANG LC_ALL MKL_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH "
        "PYTHONDONTWRITEBYTECODE PYTHONHASHSEED TZ USER\n",
    ),
    case(
        "D2 environment before Python",
        "data = open('/proc/self/environ').read()\n"
        "print([w for w in ('TOKEN', 'KEY', 'SECRET', 'AWS', 'HF_', 'WANDB') if w in data])",
        OK,
        RE,
    ),
    case("D3 home", "import os; print(os.listdir(os.path.expanduser('~')))", OK, stdout="[]\n"),
    *(
        refused(f"D3 {place}/{name}", f"open('{place}/{name}')", "rror: [Errno")
        for place, name in (
            ("/root", ".aws/credentials"),
            ("/root", ".netrc"),
            ("/tmp", ".netrc"),
            ("/root", ".ssh/id_rsa"),
            ("/home", "ubuntu/.ssh/id_rsa"),
            ("/root", ".config/gcloud/credentials.db"),
            ("/root", ".cache/huggingface/token"),
            ("/var/run", "secrets/kubernetes.io/serviceaccount/token"),
        )
    ),
    case(
        "D3 sockets",
        "import os\nprint([p for p in ('/run/docker.sock', '/var/run/docker.sock', "
        "'/run/containerd/containerd.sock', '/run/user', '/run/dbus', '/tmp/.X11-unix') "
        "if os.path.exists(p)])",
        OK,
        stdout="[]\n",
    ),
    case(
        "D4 looks for the sandbox's own files",
        """
        import os
        names = {"judging.py", "exchange.py", "test_hostile_programs.py"}
        found = []
        for top in ("/opt", "/tmp", "/var", "/dev/shm", "/etc"):
            for folder, _, files in os.walk(top):
                if "site-packages" not in folder:
                    found += [folder + "/" + name for name in names & set(files)]
        print(found)
        """,
        OK,
        stdout="[]\n",
    ),
    *(
        refused(f"D5 writes {path}", f"open({path!r}, 'w').write('1')", "rror: [Errno")
        for path in (
            "/x",
            "/usr/x",
            "/etc/x",
            "/etc/passwd",
            "/sys/x",
            "/dev/x",
            "/var/x",
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/hostname",
            "/proc/sys/vm/drop_caches",
        )
    ),
    case("D5 writes below /proc/sys", _WALK_WRITABLE.format(top="/proc/sys"), OK, stdout="[]\n"),
    case("D5 writes below /etc", _WALK_WRITABLE.format(top="/etc"), OK, stdout="[]\n"),
    case("D5 writes below /opt", _WALK_WRITABLE.format(top="/opt"), OK, stdout="[]\n"),
    case("D5 writes below /sys", _WALK_WRITABLE.format(top="/sys"), OK, stdout="[]\n"),
    refused("D5 makes a device", "import os; os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0))"),
    refused("D8 fills tmp", "f = open('/tmp/f', 'wb')\nwhile 1: f.write(b'x' * 99999)", "No space"),
    refused("D8 one large file", "open('/tmp/f', 'wb').truncate(1 << 25)", "File too large"),
    refused(
        "D8 reserves",
        "import os\nf = open('/tmp/f', 'w')\nos.posix_fallocate(f.fileno(), 0, 9 << 20)",
        "No space",
    ),
    refused("D8 many files", "for i in range(10**6): open(f'/tmp/{i}', 'w').close()", "No space"),
    refused(
        "D8 many links",
        "import os\nopen('/tmp/f', 'w').close()\n"
        "for i in range(10**6): os.link('/tmp/f', f'/tmp/{i}')",
        "No space",
    ),
    refused(
        "D8 many symlinks",
        "import os\nfor i in range(10**6): os.symlink('x' * 4000, f'/dev/shm/{i}')",
        "No space",
    ),
    refused(
        "D8 many attributes",
        "import os\nopen('/tmp/f', 'w').close()\n"
        "for i in range(10**6): os.setxattr('/tmp/f', f'user.{i}', b'x' * 60000)",
        "rror: [Errno",
    ),
    refused("D10 sparse petabyte", "open('/tmp/f', 'wb').truncate(1 << 50)", "File too large"),
    case(
        "D10 sparse file",
        "open('/tmp/f', 'wb').truncate(16 << 20); print('x')",
        OK,
        stdout="x\n",
        flag="left_files",
    ),
    case(
        "D11 links out of the folder",
        """
        import os
        os.symlink("/etc/passwd", "/tmp/a")
        os.symlink("/", "/tmp/b")
        os.symlink("/tmp/c", "/tmp/c")
        os.symlink("../../../../usr", "/tmp/d")
        os.symlink("/proc/1/root", "/dev/shm/e")
        """,
        OK,
        flag="left_files",
    ),
    refused(
        "D13 hard link to a foreign file",
        "import os; os.link('/etc/passwd', '/tmp/x')",
        "cross-device",
    ),
    refused(
        "D13 hard link out of the folder",
        "import os; open('/tmp/x', 'w'); os.link('/tmp/x', '/x')",
        "rror: [Errno",
    ),
    case(
        "D15 odd names",
        """
        for name in (b"\\xff\\n", b"a\\\\b", b"-rf", b"~", b"*", b" ", b"\\x1b[2J", b"x" * 255):
            open(b"/tmp/" + name, "w").close()
        """,
        OK,
        flag="left_files",
    ),
    case(
        "D16 leaves files",
        """
        import os
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            open(folder + "/left", "w").close()
        os.makedirs("/tmp/a/b/c")
        """,
        OK,
        flag="left_files",
    ),
    refused("D16 leaves a file in /run/lock", "open('/run/lock/x', 'w')", "rror: [Errno"),
    case(
        "D16 deep folders",
        "import os\nfor i in range(150):\n    os.mkdir('d' * 255); os.chdir('d' * 255)",
        OK,
        flag="left_files",
    ),
    case(
        "D17 closed folders",
        """
        import os
        os.makedirs("/tmp/a/b/c")
        open("/tmp/a/b/c/f", "w").close()
        os.chmod("/tmp/a/b/c/f", 0)
        for folder in ("/tmp/a/b/c", "/tmp/a/b", "/tmp/a"):
            os.chmod(folder, 0)
        """,
        OK,
        flag="left_files",
    ),
    refused(
        "D17 immutable file",
        """
        import array, fcntl
        file = open("/tmp/f", "w")
        fcntl.ioctl(file, 0x40086602, array.array("l", [0x10]))
        """,
        "rror: [Errno",
    ),
    case(
        "D17 access lists and attributes",
        """
        import os, struct
        os.mkdir("/tmp/a")
        nobody = [(2, -1, 1), (0, -1, 4), (0, -1, 16), (0, -1, 32)]
        rules = b"".join(struct.pack("<HHi", tag, mode, who) for mode, who, tag in nobody)
        for name, value in (("system.posix_acl_access", struct.pack("<I", 2) + rules),
                            ("user.x", b"x")):
            try:
                os.setxattr("/tmp/a", name, value)
            except OSError:
                pass
        open("/dev/shm/x", "w").close()
        """,
        OK,
        flag="left_files",
    ),
    # Where programs share the uid of process 1 the folders are theirs; the cell is thrown away.
    *(
        case(f"D17 {what} of the folder itself", f"import os; {source}", RE, OK)
        for what, source in (
            ("attribute", "os.setxattr('/tmp', 'user.x', b'for the next one')"),
            ("mode", "os.chmod('/tmp', 0o700)"),
            ("times", "os.utime('/tmp', (1, 1))"),
        )
    ),
    refused("D17 removes the folder itself", "import os; os.rmdir('/dev/shm')", "rror: [Errno"),
    case(
        "D18 archives with traps",
        """
        import io, tarfile, zipfile
        with zipfile.ZipFile("/tmp/bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr("../../zeros", bytes(10 << 20))
        with tarfile.open("/tmp/trap.tar", "w") as trap:
            for name, target in (("../../x", "/etc/passwd"), ("/etc/x", "/")):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = tarfile.SYMTYPE, target
                trap.addfile(member, io.BytesIO())
        """,
        OK,
        flag="left_files",
    ),
    refused_call("D19 mount", "165, 40, b'none', b'/tmp', b'tmpfs', 0, b''"),
    refused_call("D19 bind", "165, 40, b'/', b'/tmp', b'', 4096, b''"),
    refused_call("D19 second proc", "165, 40, b'proc', b'/tmp', b'proc', 0, b''"),
    refused_call("D19 remount", "165, 40, b'none', b'/', b'', 32, b''"),
    refused_call("D19 umount", "166, 39, b'/proc', 2"),
    refused_call("D19 pivot_root", "155, 41, b'/tmp', b'/tmp'"),
    refused_call("D19 chroot", "161, 51, b'/tmp'"),
    refused_call("D19 fsopen", "430, 430, b'tmpfs', 0"),
    refused_call("D19 open_tree", "428, 428, -100, b'/', 1"),
    refused_call("D19 move_mount", "429, 429, -1, b'', -1, b'', 0"),
    refused_call("D19 mount_setattr", "442, 442, -100, b'/', 0, 0, 0"),
    refused_call("D19 open_tree_attr", "467, 467, -100, b'/', 1, 0, 0", "not implemented"),
    case(
        "D21 core dump",
        """
        import ctypes, os, resource
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        except ValueError:
            print("refused")
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        if os.fork() == 0:
            os.abort()
        print(os.WCOREDUMP(os.wait()[1]), os.listdir("."), flush=True)
        os.abort()
        """,
        SG,
        stdout="refused\nFalse []\n",
    ),
    refused(
        "D21 raises the limit of core dumps",
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))",
        "rror",
    ),
    refused(
        "X leaves the root by an open folder",
        "import os\nfd = os.open('/', os.O_RDONLY)\n"
        "os.open('../../../../etc/shadow', os.O_RDONLY, dir_fd=fd)",
        "No such file",
    ),
    refused("X watches files of the host", f"{CALL}\ncall(294, 26, 0)", "Operation not permitted"),
    refused(
        "X is told about files of the host",
        "import fcntl, os\nfcntl.fcntl(os.open('/usr', os.O_RDONLY), fcntl.F_NOTIFY, 1)",
    ),
    refused(
        "X leases a file of the host",
        "import fcntl\nfcntl.fcntl(open('/etc/passwd'), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
        "rror: [Errno",
    ),
    refused_call("X writes the host's disks out", "162, 81"),
    refused_call("X writes one disk of the host out", "306, 267, 1"),
    refused_call("X asks what the host has in memory", "451, 451, 0, 0, 0, 0"),
]
