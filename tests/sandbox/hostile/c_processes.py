"""C: processes, threads and signals."""

from tests.sandbox.hostile.case import (
    CALL,
    CT,
    EE,
    OK,
    RE,
    SG,
    WT,
    Hostile,
    case,
    refused,
    refused_call,
)

CASES: list[Hostile] = [
    case(
        "C1 fork bomb",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        CT,
        flag="pids_limit",
    ),
    case(
        "C1 fork bomb that sleeps",
        """
        import os, time
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(99)
        """,
        WT,
        flag="pids_limit",
    ),
    case(
        "C1 zombies",
        "import os, time\nwhile True:\n    if os.fork() == 0: os._exit(0)",
        RE,
        stderr="Resource temporarily unavailable",
        flag="pids_limit",
    ),
    case(
        "C2 thread bomb",
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        RE,
        stderr="can't start new thread",
    ),
    case(
        "C3 daemon",
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(300)
            os._exit(0)
        print("x")
        """,
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "C4 daemon keeps stdout",
        "import os, time\nif os.fork() == 0:\n    time.sleep(300)\nprint('x')",
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "C4 daemon floods stdout when its parent has ended",
        """
        import os
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                pass
            while True:
                print("x" * 1000)
        """,
        OK,
    ),
    case("C6 kills all", "import os; os.kill(-1, 9)", RE, stderr="No such process"),
    case("C6 kills all children", "import os\nif os.fork(): os.kill(-1, 9)\nelse: 1", OK),
    case(
        "C6 kills all and itself",
        "import os\nos.fork()\nos.kill(-1, 9)\nos.kill(os.getpid(), 9)",
        SG,
    ),
    # Process 1 does not feel it, but where programs share its uid nobody says no.
    case("C7 kills its parent", "import posix; posix.kill(posix.getppid(), 9)", RE, OK),
    case(
        "C7 sends its parent every signal",
        """
        import os
        for number in range(1, 65):
            try:
                os.kill(1, number)
            except PermissionError:
                pass
        print("sent")
        """,
        OK,
        stdout="sent\n",
    ),
    case("C7 kills its group", "import os; os.killpg(0, 9)", SG),
    case(
        "C10 reads its parent's limits",
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
        RE,
        stderr="PermissionError",
    ),
    refused(
        "C10 takes its parent's descriptors",
        "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))",
    ),
    refused("C10 nice", "import os; os.setpriority(os.PRIO_PROCESS, 1, 19)"),
    refused("C10 nice of the group", "import os; os.setpriority(os.PRIO_PGRP, 0, 19)"),
    refused("C10 nice of the user", "import os; os.setpriority(os.PRIO_USER, 0, 19)"),
    refused(
        "C10 SCHED_IDLE",
        "import os; os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))",
    ),
    refused("C10 affinity", "import os; os.sched_setaffinity(os.getppid(), {0})"),
    refused_call("C10 input priority", "251, 30, 1, 1, 0"),
    refused_call("C11 attaches to its parent", "101, 117, 16, 1, 0, 0"),
    refused_call("C11 seizes its parent", "101, 117, 0x4206, 1, 0, 0"),
    refused_call("C11 is traced by its parent", "101, 117, 0, 0, 0, 0"),
    refused_call("C11 reads its parent's memory", "310, 270, 1, 0, 0, 0, 0, 0"),
    refused_call("C11 writes its parent's memory", "311, 271, 1, 0, 0, 0, 0, 0"),
    refused(
        "C11 takes its parent's descriptors",
        f"{CALL}\npidfd = os.pidfd_open(1)\ncall(438, 438, pidfd, 1, 0)",
    ),
    *(
        refused(f"C12 reads {name} of 1", f"open('/proc/1/{name}', 'rb').read(1)", "denied")
        for name in ("mem", "environ", "maps", "smaps", "auxv", "stack", "syscall", "pagemap")
    ),
    *(
        refused(f"C12 lists {name} of 1", f"import os; os.listdir('/proc/1/{name}')", "denied")
        for name in ("fd", "fdinfo", "map_files")
    ),
    *(
        refused(f"C12 follows {name} of 1", f"import os; os.readlink('/proc/1/{name}')", "denied")
        for name in ("cwd", "root", "exe", "ns/net", "ns/pid")
    ),
    case(
        "C12 writes any file of 1",
        """
        import os
        found = []
        for folder, _, names in os.walk("/proc/1"):
            for name in names:
                try:
                    fd = os.open(folder + "/" + name, os.O_WRONLY)
                    os.write(fd, b"0")
                    found.append(folder + "/" + name)
                except OSError:
                    pass
        print(found)
        """,
        OK,
        stdout="[]\n",
    ),
    case(
        "C12 opens descriptors of 1",
        """
        import os
        found = []
        for fd in range(256):
            for mode in (os.O_RDONLY, os.O_WRONLY):
                try:
                    found.append(os.open(f"/proc/1/fd/{fd}", mode))
                except OSError:
                    pass
        print(found)
        """,
        OK,
        stdout="[]\n",
    ),
    case(
        "C13 lists processes",
        "import os; print(len([name for name in os.listdir('/proc') if name.isdigit()]))",
        OK,
        stdout="2\n",
    ),
    refused(
        "C15 runs a file of /tmp",
        """
        import os, shutil
        shutil.copy("/bin/true", "/tmp/true")
        os.chmod("/tmp/true", 0o755)
        os.execv("/tmp/true", ["true"])
        """,
        "Permission denied",
    ),
    refused(
        "C15 runs a file of /dev/shm",
        """
        import os, shutil
        shutil.copy("/bin/true", "/dev/shm/true")
        os.chmod("/dev/shm/true", 0o755)
        os.execv("/dev/shm/true", ["true"])
        """,
        "Permission denied",
    ),
    case(
        "C15 runs a file in memory",
        """
        import os
        fd = os.memfd_create("true", 0)
        os.write(fd, open("/bin/true", "rb").read())
        os.execv(f"/proc/self/fd/{fd}", ["true"])
        """,
        EE,
        RE,
    ),
    case(
        "C15 loads a library of /tmp",
        """
        import ctypes, glob, shutil
        shutil.copy(glob.glob("/usr/lib/*/libc.so.6")[0], "/tmp/evil.so")
        ctypes.CDLL("/tmp/evil.so")
        """,
        RE,
        stderr="failed to map segment",
    ),
    case(
        "C16 pool",
        """
        import multiprocessing
        def double(x):
            return 2 * x
        if __name__ == "__main__":
            with multiprocessing.Pool(2) as pool:
                print(pool.map(double, [1, 2, 3]))
        """,
        OK,
        stdout="[2, 4, 6]\n",
    ),
    case(
        "C16 queue, lock and value",
        """
        from multiprocessing import Lock, Process, Queue, Value
        def add(lock, queue, total):
            with lock:
                total.value += 1
                queue.put(total.value)
        if __name__ == "__main__":
            lock, queue, total = Lock(), Queue(), Value("i", 0)
            work = [Process(target=add, args=(lock, queue, total)) for _ in range(2)]
            [process.start() for process in work]
            [process.join() for process in work]
            print(total.value, queue.get() + queue.get())
        """,
        OK,
        stdout="2 3\n",
    ),
    case(
        "C16 executor of threads",
        "from concurrent.futures import ThreadPoolExecutor as T\n"
        "with T(4) as pool: print(sum(pool.map(int, '1234')))",
        OK,
        stdout="10\n",
    ),
    case(
        "C18 shell job",
        "import subprocess\nsubprocess.run(['sh', '-c', 'sleep 99 &'])\nprint('x')",
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case("C19 segfault", "import ctypes; ctypes.string_at(0)", SG),
    case("C19 abort", "import os; os.abort()", SG),
    case("C19 arithmetic", "import os, signal; os.kill(os.getpid(), signal.SIGFPE)", SG),
    case(
        "C19 beyond the end of a mapped file",
        """
        import mmap
        file = open("/tmp/f", "w+b")
        file.truncate(8192)
        block = mmap.mmap(file.fileno(), 8192)
        file.truncate(0)
        block[5000]
        """,
        SG,
    ),
]
