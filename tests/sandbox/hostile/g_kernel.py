"""G: the network and the rest of the kernel."""

from tests.sandbox.hostile.case import CALL, CT, OK, RE, SG, Hostile, case, refused, refused_call

_RAISE = "import resource\nresource.setrlimit(resource.RLIMIT_{name}, (-1, -1))"

CASES: list[Hostile] = [
    refused("G1 tcp", "import socket; socket.create_connection(('1.1.1.1', 80))"),
    refused("G1 udp", "import socket; socket.socket(2, 2).sendto(b'x', ('1.1.1.1', 53))"),
    refused("G1 icmp", "import socket; socket.socket(2, 3, 1)"),
    refused("G1 ping", "import socket; socket.socket(2, 2, 1)"),
    refused("G1 tcp over IPv6", "import socket; socket.socket(10, 1).connect(('::1', 80))"),
    refused("G1 raw IPv6", "import socket; socket.socket(10, 3, 58)"),
    refused(
        "G1 http",
        "import urllib.request; urllib.request.urlopen('http://example.org', timeout=9)",
        "URLError",
    ),
    refused("G2 dns", "import socket; socket.getaddrinfo('example.org', 80)", "gaierror"),
    refused("G3 metadata", "import socket; socket.create_connection(('169.254.169.254', 80))"),
    *(
        refused(f"G4 family {name}", f"import socket; socket.socket({family}, {kind})")
        for name, family, kind in (
            ("packet", 17, 3),
            ("vsock", 40, 1),
            ("netlink", 16, 3),
            ("alg", 38, 5),
            ("bluetooth", 31, 5),
            ("tipc", 30, 5),
            ("can", 29, 3),
            ("x25", 9, 5),
            ("rds", 21, 5),
            ("xdp", 44, 3),
            ("qipcrtr", 42, 2),
            ("key", 15, 3),
        )
    ),
    refused_call("G4 pair of tipc", "53, 199, 30, 1, 0, (ctypes.c_int * 2)()"),
    refused_call("G4 pair of inet", "53, 199, 2, 1, 0, (ctypes.c_int * 2)()"),
    case(
        "G4 pair of local sockets works",
        "import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(9))",
        OK,
        stdout="b'x'\n",
    ),
    case(
        "G6 sockets of services",
        """
        import socket
        for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
                     "/run/podman/podman.sock", "/run/dbus/system_bus_socket", "/dev/log"):
            try:
                socket.socket(socket.AF_UNIX).connect(path)
                print("connected", path)
            except OSError:
                pass
        """,
        OK,
        stdout="",
    ),
    refused("G7 local server", "import socket; socket.create_server(('127.0.0.1', 8000))"),
    refused_call("G8 unshare user", "272, 97, 0x10000000"),
    refused_call("G8 unshare mount", "272, 97, 0x20000"),
    refused_call("G8 unshare pid", "272, 97, 0x20000000"),
    *(
        refused_call(f"G8 clone {name}", f"56, 220, {flag:#x} | 17, 0, 0, 0, 0")
        for name, flag in (
            ("user", 0x10000000),
            ("pid", 0x20000000),
            ("net", 0x40000000),
            ("mount", 0x20000),
            ("uts", 0x4000000),
            ("ipc", 0x8000000),
            ("cgroup", 0x2000000),
        )
    ),
    refused_call(
        "G8 clone3", "435, 435, (ctypes.c_uint64 * 11)(0x10000000), 88", "not implemented"
    ),
    refused(
        "G8 setns",
        f"{CALL}\ncall(308, 268, os.open('/proc/self/ns/net', os.O_RDONLY), 0)",
        "Error",
    ),
    refused("G8 own user map", "open('/proc/self/uid_map', 'w').write('0 0 1')", "rror: [Errno"),
    *(
        refused_call(f"G9 {name}", arguments)
        for name, arguments in (
            ("io_uring", "425, 425, 1, (ctypes.c_uint64 * 15)()"),
            ("io_uring_enter", "426, 426, -1, 0, 0, 0, 0, 0"),
            ("bpf", "321, 280, 0, (ctypes.c_uint64 * 9)(), 72"),
            ("perf_event_open", "298, 241, (ctypes.c_uint64 * 15)(), 0, -1, -1, 0"),
            ("userfaultfd", "323, 282, 1"),
            ("keyctl", "250, 219, 0, -3, 0, 0, 0"),
            ("add_key", "248, 217, b'user', b'x', b'y', 1, -3"),
            ("request_key", "249, 218, b'user', b'x', 0, 0"),
            ("kexec_load", "246, 104, 0, 0, 0, 0"),
            ("init_module", "175, 105, 0, 0, b''"),
            ("finit_module", "313, 273, 0, b'', 0"),
            ("delete_module", "176, 106, b'x', 0"),
            ("open_by_handle_at", "304, 265, -100, b'', 0"),
            ("name_to_handle_at", "303, 264, -100, b'/', 0, 0, 0"),
            ("fanotify_init", "300, 262, 0, 0"),
            ("shmget", "29, 194, 0, 4096, 0o1600"),
            ("semget", "64, 190, 0, 1, 0o1600"),
            ("msgget", "68, 186, 0, 0o1600"),
            ("mq_open", "240, 180, b'x', 0o100, 0o600, 0"),
            ("personality", "135, 92, 0x0040000"),
            ("memfd_secret", "447, 447, 0"),
            ("quotactl", "179, 60, 0, b'', 0, 0"),
            ("acct", "163, 89, 0"),
            ("reboot", "169, 142, 0xfee1dead, 672274793, 0, 0"),
            ("swapon", "167, 224, b'/tmp/x', 0"),
            ("kcmp", "312, 272, 1, 1, 0, 0, 0"),
            ("migrate_pages", "256, 238, 1, 0, 0, 0"),
            ("set_mempolicy", "238, 237, 0, 0, 0"),
        )
    ),
    refused_call("G9 a call of the future", "1000, 1000, 0", "not implemented"),
    *(
        refused(
            f"G11 {name}",
            f"import os\nos.write(os.open('/proc/{name}', os.O_WRONLY), b'0')",
            "rror: [Errno",
        )
        for name in (
            "sysrq-trigger",
            "sys/kernel/core_pattern",
            "sys/kernel/modprobe",
            "sys/kernel/hostname",
            "sys/fs/binfmt_misc/register",
            "sys/kernel/randomize_va_space",
            "sys/kernel/ns_last_pid",
            "irq/default_smp_affinity",
        )
    ),
    refused("G11 release_agent", "open('/sys/fs/cgroup/memory/release_agent', 'w')", "[Errno"),
    refused("G11 own control group", "open('/sys/fs/cgroup/cgroup.procs', 'w')", "[Errno"),
    *(
        refused(f"G12 raises {name}", _RAISE.format(name=name), "rror: ")
        for name in ("AS", "CPU", "FSIZE", "NOFILE", "STACK", "MEMLOCK", "MSGQUEUE", "CORE")
    ),
    refused("G12 setuid", "import os; os.setuid(0)", "rror: [Errno"),
    refused("G12 setgid", "import os; os.setgid(0)", "rror: [Errno"),
    refused("G12 setresuid", "import os; os.setresuid(0, 0, 0)", "rror: [Errno"),
    refused("G12 setgroups", "import os; os.setgroups([0])"),
    refused(
        "G12 gives a file away",
        "import os; open('/tmp/x', 'w'); os.chown('/tmp/x', 0, 0)",
        "rror: [Errno",
    ),
    refused(
        "G12 file capabilities",
        "import os\nopen('/tmp/x', 'w').close()\n"
        "rights = bytes.fromhex('0100000200200000') + bytes(12)\n"
        "os.setxattr('/tmp/x', 'security.capability', rights)",
        "rror: [Errno",
    ),
    case(
        "G12 setuid programs",
        """
        import glob, os, stat, subprocess
        for path in glob.glob("/usr/bin/*") + glob.glob("/usr/sbin/*"):
            if os.stat(path, follow_symlinks=False).st_mode & (stat.S_ISUID | stat.S_ISGID):
                if os.path.basename(path) in ("newgrp", "sg", "sudo", "pkexec"):
                    subprocess.run([path, "-c", "id -u"], stdin=subprocess.DEVNULL)
        """,
        OK,
        stdout="",
    ),
    case(
        "G12 own setuid file",
        """
        import os, shutil
        shutil.copy("/bin/true", "/tmp/x")
        os.chmod("/tmp/x", 0o6755)
        os.execv("/tmp/x", ["x"])
        """,
        RE,
        stderr="Permission denied",
    ),
    refused_call(
        "G12 capset",
        "126, 91, (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xffffffff] * 6)",
    ),
    refused_call("G13 clock_settime", "227, 112, 0, (ctypes.c_long * 2)()"),
    refused_call("G13 settimeofday", "164, 170, (ctypes.c_long * 2)(), 0"),
    refused_call("G13 adjtimex", "159, 171, (ctypes.c_long * 40)(1)"),
    refused("G13 sethostname", "import socket; socket.sethostname('x')"),
    refused_call("G13 setdomainname", "171, 162, b'x', 1"),
    refused_call("G13 syslog", "103, 116, 3, (ctypes.c_char * 99)(), 99"),
    case(
        "G14 spins on all processors",
        """
        import os
        for cpu in sorted(os.sched_getaffinity(0))[:8]:
            if os.fork() == 0:
                os.sched_setaffinity(0, {cpu})
                while True:
                    pass
        os.wait()
        """,
        CT,
    ),
    refused("G14 real time", "import os; os.sched_setscheduler(0, 1, os.sched_param(1))"),
    refused("G14 higher priority", "import os; os.nice(-5)"),
    case(
        "G16 side channels",
        """
        import os, re
        shown = open("/proc/loadavg").read() + open("/proc/self/cgroup").read()
        for name in ("unix", "dev", "route", "arp"):
            if os.path.exists(f"/proc/net/{name}"):
                shown += open(f"/proc/net/{name}").read()
        for name in ("cmdline", "keys", "key-users", "swaps", "locks"):
            try:
                shown += open(f"/proc/{name}").read() if name != "cmdline" else ""
            except OSError:
                pass
        print(re.findall("selfloom|docker|eth0|ens|home|_ses", shown), os.path.exists("/sys/class"))
        """,
        OK,
        stdout="[] False\n",
    ),
    refused(
        "G16 kernel addresses",
        "import re\nassert re.search('^0*[1-9a-f]', open('/proc/kallsyms').read(9999), re.M)",
        "rror",
    ),
    refused("G16 kernel log", "open('/dev/kmsg')", "rror: [Errno"),
    refused("G16 memory of the machine", "open('/dev/mem', 'rb').read(1)", "rror: [Errno"),
    refused("G16 kernel memory", "open('/proc/kcore', 'rb').read(1)", "rror: [Errno"),
    case(
        "X system call of another machine",
        """
        import ctypes, mmap, os
        if os.uname().machine != "x86_64":
            os.abort()
        code = bytes.fromhex("b814000000" "cd80" "c3")
        block = mmap.mmap(-1, 4096, prot=7)
        block[:len(code)] = code
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(block)))()
        """,
        SG,
    ),
    case(
        "X system call of x32",
        f"{CALL}\nif os.uname().machine != 'x86_64': os.abort()\ncall(0x40000027, None)",
        SG,
    ),
]
