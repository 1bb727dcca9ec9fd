"""X: programs that turn processes and signals on whoever watches them."""

from tests.sandbox.hostile.case import CALL, CT, EE, OK, RE, SG, Hostile, case

CASES: list[Hostile] = [
    case("X sends itself the CPU limit's signal", "import os; os.kill(os.getpid(), 24)", SG),
    case("X sends itself the memory killer's signal", "import os; os.kill(os.getpid(), 9)", SG),
    case(
        "X stops its parent from being told",
        """
        import os, time
        if os.fork() == 0:
            os.kill(os.getppid(), 19)
            time.sleep(0.05)
            os.kill(os.getppid(), 9)
            os._exit(0)
        time.sleep(99)
        """,
        SG,
    ),
    case(
        "X has a sibling under process 1",
        # CLONE_PARENT: the new process is a child of process 1, not of the program.
        f"{CALL}\nif call(56, 220, 0x8011, 0, 0, 0, 0) == 0:\n    libc.pause()\nprint('x')",
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "X siblings under process 1 that end at once",
        f"""{CALL}
for _ in range(10):
    if call(56, 220, 0x8011, 0, 0, 0, 0) == 0:
        os._exit(9)
print('x')
""",
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "X child without an exit signal",
        f"{CALL}\nif call(56, 220, 0, 0, 0, 0, 0) == 0:\n    libc.pause()\nprint('x')",
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "X collects the orphans of its children",
        """
        import ctypes, os, time
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(99)
            os._exit(0)
        os.wait()
        print("x")
        """,
        OK,
        stdout="x\n",
        flag="left_processes",
    ),
    case(
        "X forks for ever, each time from the newest",
        "import os\nwhile True:\n    if os.fork(): os._exit(0)",
        EE,
    ),
    case(
        "X dies with its parent's death signal",
        "import ctypes; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); print('x')",
        OK,
        stdout="x\n",
    ),
    case(
        "X threads that print while the end comes",
        """
        import threading
        def talk(word):
            for _ in range(1000):
                print(word)
        threads = [threading.Thread(target=talk, args=(word,)) for word in "abcd"]
        [thread.start() for thread in threads]
        """,
        OK,
    ),
    case(
        "X daemon threads at the end",
        """
        import threading, time
        def sleep():
            time.sleep(99)
        for _ in range(14):
            threading.Thread(target=sleep, daemon=True).start()
        print("x")
        """,
        OK,
        stdout="x\n",
    ),
    case("X exit hook forks", "import atexit, os\natexit.register(os.fork)\nprint('x')", OK),
    case(
        "X exit hook forks for ever",
        "import atexit, os\n@atexit.register\ndef f():\n  while True: os.fork()",
        OK,
        CT,
    ),
    case(
        "X name that looks like counters",
        """
        import ctypes
        ctypes.CDLL(None).prctl(15, b") R 1 0 0\\n(", 0, 0, 0)
        while True:
            pass
        """,
        CT,
    ),
    case("X huge argument", "import os; os.execv('/bin/true', ['true', 'x' * (1 << 22)])", RE),
    case(
        "X huge environment",
        "import os; os.execve('/bin/true', ['true'], {'x': 'y' * (1 << 22)})",
        RE,
    ),
    case(
        "X exec loop",
        "import os\ns = 'exec sh -c \"$0\" \"$0\"'\nos.execv('/bin/sh', ['sh', '-c', s, s])",
        CT,
    ),
    case(
        "X preloads a library into children",
        """
        import os, subprocess
        done = subprocess.run(["true"], env={"LD_PRELOAD": "/tmp/x.so", "LD_AUDIT": "/tmp/x.so"})
        print(done.returncode)
        """,
        OK,
        stdout="0\n",
    ),
    case(
        "X every signal to everyone",
        """
        import os, signal, time
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        if os.fork() == 0:
            for number in range(1, 65):
                os.kill(-1, number)
        time.sleep(99)
        """,
        SG,
    ),
]
