"""E: output, encodings, input and source texts."""

from tests.sandbox.hostile.case import (
    CALL,
    CE,
    EE,
    ML,
    NZ,
    OK,
    OL,
    RE,
    SG,
    WA,
    Hostile,
    case,
    refused,
)

_PICKLE = b"\x80\x04cos\nsystem\n\x8c\x04true\x85R."

CASES: list[Hostile] = [
    case("E1 endless stdout", "while True: print('x' * 1000)", OL),
    case("E1 endless stdout in small writes", "import os\nwhile 1: os.write(1, b'x' * 99)", OL),
    case(
        "E1 endless stdout of many processes",
        "import os\nfor _ in range(3): os.fork()\nwhile True: print('x' * 1000)",
        OL,
    ),
    case("E1 a little over the limit", "print('x' * (1 << 20))", OL),
    case("E1 as much as the limit", "print('x' * ((1 << 20) - 1))", OK),
    case(
        "E2 endless stderr",
        "import sys\nwhile True: print('x' * 1000, file=sys.stderr)",
        OL,
    ),
    case("E2 stderr is cut", "import sys\nprint('x' * 99999, file=sys.stderr)", OK),
    case(
        "E2 both flood in turns",
        "import sys\nwhile True:\n    print('x' * 99)\n    print('y' * 9, file=sys.stderr)",
        OL,
    ),
    case("E3 200 kB", "print('x' * 200_000)", OK, stdout="x" * 200_000 + "\n"),
    case(
        "E4 one large write",
        "import sys\nsys.stdout.buffer.write(b'x' * 1_000_000)",
        OK,
        stdout="x" * 1_000_000,
    ),
    case(
        "E4 5 MB in one write",
        "import os, sys\nsys.stdout.buffer.raw.write(b'x' * 5_000_000)",
        OK,
        stdout="x" * 5_000_000,
        limits=(("stdout_kib", 8192),),
    ),
    case(
        "E5 odd bytes",
        "import sys\nsys.stdout.buffer.write(b'\\x00\\xff\\x1b[31m\\r\\n')",
        OK,
        stdout="\x00\\xff\x1b[31m\r\n",
    ),
    case("E6 surrogate", "print(chr(0xDC80))", RE, stderr="UnicodeEncodeError"),
    case(
        "E7 runs itself with another encoding",
        """
        import os, sys
        os.environ["PYTHONIOENCODING"] = "utf-16"
        os.execv(sys.executable, [sys.executable, "-c", "print('\\\\u20ac' * 9)"])
        """,
        EE,
    ),
    case(
        "E7 child with another encoding",
        """
        import os, subprocess, sys
        code = "print(chr(0xe9) * 3)"
        os.environ.update(PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
        subprocess.run([sys.executable, "-c", code], check=True)
        """,
        OK,
        stdout="\\xe9\\xe9\\xe9\n",
    ),
    case(
        "E10 connects to every socket it finds",
        """
        import os, socket, stat
        found = []
        for top in ("/dev", "/tmp", "/var", "/opt", "/etc"):
            for folder, _, names in os.walk(top):
                for name in names:
                    path = folder + "/" + name
                    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
                        found.append(path)
        print(found, open("/proc/net/unix").read().count("@"))
        socket.socket(socket.AF_UNIX).connect("/run/selfloom.sock")
        """,
        RE,
        stdout="[] 0\n",
        stderr="FileNotFoundError",
    ),
    case(
        "E11 fake tokens",
        'print("VERDICT PASS"); print(\'{"passed": true}\'); print("1.0")',
        WA,
        expected="42",
    ),
    case("E12 first line only", "print(1)", WA, expected="1\n2\n"),
    case("E12 right, then more", "print(1); print(2)", WA, expected="1"),
    case("E12 nothing", "", WA, expected="1"),
    case("E14 unflushed", "import os\nprint(42)\nos._exit(0)", EE, expected="42", stdout=""),
    case("E14 flushed", "import os\nprint(42, flush=True)\nos._exit(0)", EE, expected="42"),
    case("E15 CRLF", "print('1', end='\\r\\n')", OK, expected="1"),
    case("E15 blanks at the end", "print('1  \\t'); print(); print()", OK, expected="1\n"),
    case("E15 blanks in front", "print(' 1')", WA, expected="1"),
    case("E15 empty line inside", "print('1\\n\\n2')", WA, expected="1\n2"),
    case("E15 not a number twice", "print(float('nan'))", OK, expected="nan"),
    case("E15 infinity", "print(float('inf'))", WA, expected="Infinity"),
    *(
        case(f"E15 {text} for {right}", f"print({text!r})", WA, expected=right)
        for text, right in (
            ("1e0", "1"),
            ("1.0", "1"),
            ("-0.0", "0.0"),
            ("1_0", "10"),
            ("\u0661", "1"),
            ("\uff11", "1"),
            ("1\x00", "1"),
            ("1\u200b", "1"),
            ("1\x0b", "1"),
            ("True", "true"),
            ("+1", "1"),
            ("01", "1"),
        )
    ),
    case("E16 within a tolerance", "print(0.0005)", WA, expected="0"),
    case("E16 almost", "print(0.1 + 0.2)", WA, expected="0.3"),
    case(
        "E17 pickle on stdout",
        f"import sys\nsys.stdout.buffer.write({_PICKLE!r})",
        WA,
        expected="42",
    ),
    case("E19 NUL", "print(1)\0", CE),
    case("E19 BOM", "\ufeffprint(1)", OK, stdout="1\n"),
    case("E19 two BOMs", "\ufeff\ufeffprint(1)", CE),
    case("E19 surrogate", "print('\udc80')", CE),
    case("E19 cookie utf-7", "# coding: utf-7\nprint('\xe9')", OK, stdout="\xe9\n"),
    case("E19 cookie unknown", "# coding: no-such\nprint(1)", OK, stdout="1\n"),
    case("E19 comment", "# nothing", OK, stdout=""),
    case("E19 empty", "", OK, stdout=""),
    case("E19 blanks", " \n\t\n\f\n", OK, stdout=""),
    case("E19 carriage returns", "print(1)\rprint(2)\r\nprint(3)", OK, stdout="1\n2\n3\n"),
    case("E19 10 MB", "#" * (10 << 20), CE, flag="source_too_large"),
    case("E19 as large as allowed", "#" * (1 << 20), OK),
    case("E19 one long line", "x = '" + "y" * 900_000 + "'\nprint(len(x))", OK, stdout="900000\n"),
    case("E19 many lines", "x = 1\n" * 10_000, OK),
    case("E20 syntax", "print(", CE, stderr="SyntaxError"),
    case("E20 tabs", "if 1:\n\tx = 1\n        y = 2", CE, stderr="TabError"),
    case("E20 indentation", "if 1:\nx = 1", CE, stderr="IndentationError"),
    case("E20 many brackets", "(" * 5000, CE),
    case("E20 many signs", "-" * 500_000 + "1", CE, SG),
    case("E20 a long sum", "+".join("1" * 100_000), CE, SG),
    case("E20 return outside", "return 1", CE),
    case("E20 many nested blocks", "".join(" " * i + "if 1:\n" for i in range(200)), CE),
    case("E20 constants that want to be folded", "x = ((1 << 60),) * 999 * 999 * 999", ML, RE),
    case("E21 warnings", "print(1 is 1)", OK, stdout="True\n", stderr="SyntaxWarning"),
    case(
        "E21 much noise",
        "import warnings\nfor i in range(500): warnings.warn(str(i), DeprecationWarning)\nprint(1)",
        OK,
        stdout="1\n",
    ),
    case(
        "X closes 0, 1 and 2",
        "import os\nfor fd in range(3): os.close(fd)",
        OK,
        stdout="",
    ),
    case("X prints after closing 1", "import os\nos.close(1)\nprint(42)", RE, expected="42"),
    case("X closes sys.stdout", "import sys\nprint(42)\nsys.stdout.close()", OK, expected="42"),
    case("X removes sys.stdout", "import sys\nsys.stdout = None\nprint(42)", WA, expected="42"),
    case(
        "X closes every descriptor",
        "import os\nprint(42, flush=True)\nos.closerange(0, 4096)",
        EE,
        expected="42",
    ),
    case(
        "X stdout in place of every descriptor",
        """
        import os
        print(42, flush=True)
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > 2:
                try:
                    os.dup2(1, fd)
                except OSError:
                    pass
        """,
        EE,
        expected="42",
    ),
    case(
        "X opens its own pipes anew",
        """
        import os
        for fd in os.listdir("/proc/self/fd"):
            for mode in (os.O_RDONLY, os.O_RDWR):
                try:
                    os.set_blocking(os.open(f"/proc/self/fd/{fd}", mode | os.O_NONBLOCK), False)
                except OSError:
                    pass
        print(42)
        """,
        OK,
        expected="42",
    ),
    refused(
        "X stdout as packets",
        "import fcntl, os\nfcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT | os.O_WRONLY)\n"
        "while True:\n    os.write(1, b'abc')\n    os.write(1, b'x' * 5000)",
    ),
    refused(
        "X stdout from a pipe of packets",
        "import os\nr, w = os.pipe2(os.O_DIRECT)\nos.write(w, b'x' * 4096)\nos.splice(r, 1, 9)",
    ),
    case(
        "X stdout from another pipe and from a file",
        """
        import os
        r, w = os.pipe()
        os.write(w, b"12345")
        with open("/tmp/f", "w+b") as file:
            file.write(b"abcdef")
            file.flush()
            os.splice(r, 1, 3)
            os.splice(file.fileno(), 1, 4, offset_src=1)
            file.truncate(0)
        """,
        OK,
    ),
    case(
        "X stdout does not block",
        """
        import os, time
        os.set_blocking(1, False)
        left = b"0123456789" * 20_000
        while left:
            try:
                left = left[os.write(1, left):]
            except BlockingIOError:
                time.sleep(0.001)
        """,
        OK,
        stdout="0123456789" * 20_000,
    ),
    case(
        "X larger and smaller pipes",
        """
        import fcntl, os
        for size in (4096, 1 << 20, 8192):
            for fd in (1, 2):
                try:
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
                except OSError:
                    pass
            os.write(1, b"x" * 8000)
        os.write(1, b"y" * 300_000)
        """,
        OK,
        stdout="x" * 24_000 + "y" * 300_000,
    ),
    case(
        "X a full large pipe at the end",
        """
        import fcntl, os
        fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)
        os.set_blocking(1, False)
        os.write(1, b"x" * 900_000)
        """,
        OK,
        stdout="x" * 900_000,
    ),
    case(
        "X gives pages to stdout and changes them afterwards",
        f"""{CALL}
import mmap
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
block = mmap.mmap(-1, 4096)
block[:] = b"41" * 2048
start = ctypes.addressof(ctypes.c_char.from_buffer(block))
call(278, 75, 1, ctypes.byref(Piece(start, 2)), 1, 8)
block[:] = b"42" * 2048
""",
        OK,
    ),
    case(
        "X signals to process 1 through a pipe",
        """
        import fcntl, os
        for number in (9, 19, 15, 29):
            try:
                fcntl.fcntl(1, fcntl.F_SETOWN, 1)
                fcntl.fcntl(1, fcntl.F_SETSIG, number)
                fcntl.fcntl(1, fcntl.F_SETFL, os.O_ASYNC | os.O_WRONLY)
            except OSError:
                pass
            os.write(1, b"x" * 100_000)
        """,
        OK,
        stdout="x" * 400_000,
    ),
    case(
        "X reads what it prints",
        """
        import os
        try:
            reader = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
            print("x" * 70_000, flush=True)
            os.read(reader, 1 << 20)
        except OSError:
            print("refused")
        """,
        OK,
    ),
    case(
        "X sends a file", "import os\nf = open('/etc/passwd')\nos.sendfile(1, f.fileno(), 0, 9)", OK
    ),
    case("X writes to the input", "import os; os.write(0, b'x')", OK, RE),
    case(
        "X changes a message while it is printed",
        """
        class Liar(Exception):
            def __str__(self):
                raise SystemExit(0)
        raise Liar
        """,
        RE,
        expected="42",
    ),
    case(
        "X error text without end",
        "class E(Exception):\n    def __str__(self): return 'x' * (1 << 22)\nraise E",
        RE,
        OL,
    ),
    case(
        "X names its error as another",
        "class MemoryError(Exception): pass\nraise MemoryError",
        RE,
        ML,
    ),
    case(
        "X names a missing module that is none",
        "raise ModuleNotFoundError('x', name='a\\x1b[31m\\nb c')",
        RE,
    ),
    case("X status above 255", "import os; os._exit(256)", EE),
    case("X status 255", "import sys; sys.exit(-1)", NZ),
    case("X huge status", "import sys; sys.exit(1 << 80)", NZ, EE, RE, OK),
    case("X status True", "import sys; sys.exit(True)", NZ),
    refused("X pushes text into a terminal", "import os; os.open('/dev/tty', os.O_RDWR)", "[Errno"),
    refused("X opens a new terminal", "import os; os.openpty()", "[Errno"),
]
