"""A program with windows shows the error of a worker thread, in its own thread, and does not freeze meanwhile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

QT = """
import sys, threading, time
from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from orakul.operations import collector, operation
from orakul.operations.gui import QtErrorHandler
from orakul.operations.handlers import ErrorHandlers

app = QGuiApplication(sys.argv)
beats, shown = [], []

class Window(QObject):
    failed = Signal(str, str)

window = Window()

def show(title, text):
    shown.append((title, text, threading.current_thread() is threading.main_thread(), len(beats)))
    QTimer.singleShot(100, app.quit)

window.failed.connect(show)
collector.sinks.append(ErrorHandlers([QtErrorHandler(window.failed)]))

@operation("LOAD_FILE")
def load():
    time.sleep(0.3)
    raise OSError("no such file")

ticker = QTimer()
ticker.timeout.connect(lambda: beats.append(time.monotonic()))
ticker.start(10)
threading.excepthook = lambda args: None
threading.Thread(target=load).start()
QTimer.singleShot(10_000, app.quit)
app.exec()
print(shown[0][0], "|", shown[0][1], "|", shown[0][2], "|", max(b - a for a, b in zip(beats, beats[1:])))
"""

TK = """
import threading, time, tkinter
from orakul.operations import collector, operation
from orakul.operations.gui import TkErrorHandler
from orakul.operations.handlers import ErrorHandlers

root = tkinter.Tk()
beats, shown = [], []

def show(title, text):
    shown.append((title, text, threading.current_thread() is threading.main_thread()))
    tkinter.Label(root, text=text).pack()
    root.after(100, root.destroy)

collector.sinks.append(ErrorHandlers([TkErrorHandler(root, show)]))

@operation("LOAD_FILE")
def load():
    time.sleep(0.3)
    raise OSError("no such file")

def beat():
    beats.append(time.monotonic())
    root.after(10, beat)

beat()
threading.excepthook = lambda args: None
threading.Thread(target=load).start()
root.after(10_000, root.destroy)
root.mainloop()
print(shown[0][0], "|", shown[0][1], "|", shown[0][2], "|", max(b - a for a, b in zip(beats, beats[1:])))
"""


@pytest.mark.parametrize("toolkit", ["qt", "tk"])
def test_the_error_of_a_worker_thread_is_shown_in_the_gui_thread_without_freezing(toolkit: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(QT if toolkit == "qt" else TK)
    command = [sys.executable, str(program)]
    if toolkit == "tk":
        assert shutil.which("xvfb-run"), "the Tk test needs a virtual screen: apt-get install xvfb"
        command = ["xvfb-run", "-a", *command]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    title, text, in_gui_thread, longest_pause = done.stdout.strip().split(" | ")
    assert (title, text, in_gui_thread) == ("LOAD_FILE failed", "OSError: no such file", "True")
    # The work takes 0.3 s; a program that froze with it would have paused as long.
    assert float(longest_pause) < 0.25
