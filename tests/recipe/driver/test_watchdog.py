"""After kill -9 to the driver its processes end, and nobody who reads its output waits for the watchdog."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from recipe.g2rl.driver.watchdog import RUN_ID

DRIVER = """
import subprocess, sys, time
from recipe.g2rl.driver.watchdog import Watchdog
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


ENGINE = (
    "import setproctitle, time; setproctitle.setproctitle('VLLM::EngineCore'); print(1, flush=True); time.sleep(600)"
)
SAMPLES = """
import subprocess, sys, time
from contextlib import nullcontext
from recipe.g2rl import vllm_plugin
from recipe.g2rl.driver.watchdog import Watchdog
with Watchdog() if sys.argv[1] == "driver" else nullcontext():
    vllm_plugin.register()
    engine = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stdout=subprocess.PIPE)
    engine.stdout.readline()
    time.sleep(2.5)  # seen by now
    engine.kill()
    engine.wait()
    time.sleep(3.5)
    print("goes on", flush=True)
"""


@pytest.mark.parametrize(("role", "printed", "status"), [("driver", "goes on\n", 0), ("server", "", 1)])
def test_a_server_ends_with_its_engine_and_the_driver_does_not(role, printed, status):
    environment = os.environ | {RUN_ID: "of-the-driver", "VERL_PLATFORM": ""}
    command = [sys.executable, "-c", SAMPLES, role, ENGINE]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=120)
    assert (ended.stdout, ended.returncode) == (printed, status)


FORKS = """
import os, time
import setproctitle
setproctitle.setproctitle("VLLM::EngineCore")
from recipe.g2rl import vllm_plugin
vllm_plugin.register()
if os.fork() == 0:  # stays where subprocess is for a moment, before exec
    time.sleep(2.5)
    os._exit(0)
os.wait()
time.sleep(2.5)
print("goes on", flush=True)
"""


def test_an_engines_child_before_exec_is_no_lost_engine():
    environment = os.environ | {RUN_ID: "of-the-driver", "VERL_PLATFORM": ""}
    ended = subprocess.run([sys.executable, "-c", FORKS], env=environment, stdout=subprocess.PIPE, text=True)
    assert (ended.stdout, ended.returncode) == ("goes on\n", 0)
