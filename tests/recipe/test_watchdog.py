"""After kill -9 to the driver its processes end, and nobody who reads its output waits for the watchdog."""

import signal
import subprocess
import sys
import time

import psutil

DRIVER = """
import subprocess, sys, time
from recipe.watchdog import Watchdog
with Watchdog():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    time.sleep(600)
"""


def test_after_a_kill_the_children_end_though_nobody_has_asked_for_the_drivers_status():
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(driver.stdout.readline()))
    driver.send_signal(signal.SIGKILL)
    assert driver.stdout.read() == ""  # the end of its output, though the driver is still a zombie
    deadline = time.monotonic() + 60
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert psutil.Process(driver.pid).status() == psutil.STATUS_ZOMBIE
    driver.communicate()
