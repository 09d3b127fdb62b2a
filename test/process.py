"""Looking into a running process: its memory, its state, its end. Linux only; memory needs root."""

import ctypes
import fcntl
import os
import pty
import select
import signal
import termios
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long

# <linux/ptrace.h>
TRACEME, PEEKUSER, POKEUSER, CONT, SYSCALL, SETOPTIONS, SEIZE = 0, 3, 6, 7, 24, 0x4200, 0x4206
EVENT_EXIT, OPTION_CALLS, OPTION_EXIT, OPTION_KILL = 6, 1, 1 << 6, 1 << 20


def ptrace(request, pid=0, address=0, data=0):
    if LIBC.ptrace(request, pid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def memory(pid):
    """All that can be read of it; what the kernel itself maps is left out."""
    pieces = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, rights, *rest = line.split()
            if rights[0] != "r" or rest[-1] in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                continue
            start, end = (int(text, 16) for text in span.split("-"))
            mem.seek(start)
            pieces.append(mem.read(end - start))
    return b"\n".join(pieces)


def read_memory(pid, address, length):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        mem.seek(address)
        return mem.read(length)


def status(pid):
    """/proc/PID/status as a dictionary."""
    pairs = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}


def calls(process, leave):
    """Lets a process that was started with trace_me run to its end and calls leave(register, set_register) after each of
    its system calls. x86_64 alone, its registers by their place in struct user."""
    def register(place):
        ctypes.set_errno(0)
        return LIBC.ptrace(PEEKUSER, process.pid, place * 8, 0)

    def set_register(place, value):
        ptrace(POKEUSER, process.pid, place * 8, value)
    os.waitpid(process.pid, 0)
    ptrace(SETOPTIONS, process.pid, 0, OPTION_CALLS | OPTION_KILL)
    number, inside = 0, False
    while True:
        ptrace(SYSCALL, process.pid, 0, number)
        _, ended = os.waitpid(process.pid, 0)
        if not os.WIFSTOPPED(ended):
            process.returncode = os.waitstatus_to_exitcode(ended)
            return
        number = os.WSTOPSIG(ended)
        if number == signal.SIGTRAP | 0x80:
            number, inside = 0, not inside
            if not inside:
                leave(register, set_register)


def trace_me():
    """In the child, before its exec (preexec_fn)."""
    ptrace(TRACEME)


def memory_at_exit(process):
    """Lets a process that was started with trace_me run to its end. Gives its memory there, or None where a signal ended it."""
    found = None
    os.waitpid(process.pid, 0)  # stopped after its exec
    ptrace(SETOPTIONS, process.pid, 0, OPTION_EXIT | OPTION_KILL)
    number = 0
    while True:
        ptrace(CONT, process.pid, 0, number)
        _, ended = os.waitpid(process.pid, 0)
        if not os.WIFSTOPPED(ended):
            process.returncode = os.waitstatus_to_exitcode(ended)
            return found
        number = os.WSTOPSIG(ended)
        if ended >> 16 == EVENT_EXIT:
            found, number = memory(process.pid), 0


def peak_memory(process):
    """Lets a process that was started with trace_me run to its end. Gives the most memory that it had, in KB. It is looked
    at around each system call: without one it only grows. (The kernel's own mark, VmHWM, is not exact.)"""
    most, number = 0, 0
    os.waitpid(process.pid, 0)
    ptrace(SETOPTIONS, process.pid, 0, OPTION_CALLS | OPTION_EXIT | OPTION_KILL)
    while True:
        ptrace(SYSCALL, process.pid, 0, number)
        _, ended = os.waitpid(process.pid, 0)
        if not os.WIFSTOPPED(ended):
            process.returncode = os.waitstatus_to_exitcode(ended)
            return most
        number = os.WSTOPSIG(ended)
        if number == signal.SIGTRAP | 0x80 or ended >> 16 == EVENT_EXIT:
            most, number = max(most, int(status(process.pid).get("VmRSS", "0").split()[0])), 0


class Terminal:
    """A terminal for one process, whose controlling one it becomes (preexec_fn)."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.seen = b""

    def control(self):
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def wait_for(self, text, seconds):
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], f"no {text} on the terminal: {self.seen}"
            self.seen += os.read(self.master, 4096)

    def type(self, data):
        os.write(self.master, data)

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def ended_by(code):
    """The name of the signal in a returncode, or the exit status."""
    return signal.Signals(-code).name if code < 0 else code
