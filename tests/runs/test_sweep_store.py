"""The directory of a sweep: identities, states and copies of code."""

import json
import os
import signal
import subprocess
import sys

import pytest

from lsgen.runs import RunDirectory, RunError, Sweep, take_snapshot


def filled(path, count=6):
    sweep = Sweep.create(path)
    for number in range(count):
        overrides = [f"seed={number}", "model=vae"]
        sweep.add(overrides, run=f"{number:03d}_{sweep.job_id(overrides)}", code="x")
        RunDirectory.create(sweep.path / sweep.jobs[-1].run, {"seed": number}, {"id": "x"})
    sweep.save()
    return sweep


def test_a_job_is_known_by_its_overrides_in_any_order(tmp_path):
    sweep = filled(tmp_path / "s")
    again = Sweep.create(tmp_path / "s")
    assert again.find(["model=vae", "seed=3"]) == sweep.jobs[3]
    assert again.find(["model=vae", "seed=9"]) is None
    assert again.job_id(["a=1", "b=2"]) == sweep.job_id(["b=2", "a=1"])
    assert len({sweep.job_id([f"seed={n}"]) for n in range(1000)}) == 1000
    assert Sweep.create(tmp_path / "other").job_id(["a=1"]) != sweep.job_id(["a=1"])
    assert len(sweep.job_id([])) == 8


def test_states_follow_from_status_lock_and_queue(tmp_path):
    sweep = filled(tmp_path / "s")
    runs = [sweep.run(job) for job in sweep.jobs]
    runs[1].set_status("finished")
    runs[2].set_status("failed")
    runs[3].set_status("interrupted")
    runs[4].set_status("running")
    runs[5].set_status("running")
    with runs[5].lock():
        assert sweep.states() == ["stopped", "done", "failed", "stopped", "stopped", "running"]
        queue = dict.fromkeys(range(5), "queued")
        assert sweep.states(queue) == ["queued", "done", "queued", "preempted", "preempted", "running"]
        assert sweep.states({0: "running", 2: "running"})[:3] == ["running", "done", "running"]


def test_what_a_living_launcher_has_is_queued_and_what_a_dead_one_had_is_not(tmp_path):
    sweep = filled(tmp_path / "s", 3)
    code = f"""
import sys, time
from lsgen.runs import Sweep
with Sweep.open({str(sweep.path)!r}).claim([0, 2]):
    print("claimed", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "claimed\n"
    assert sweep.states() == ["queued", "stopped", "queued"]
    sweep.run(sweep.jobs[0]).set_status("failed")  # after it was claimed: it has had its turn
    assert sweep.states() == ["failed", "stopped", "queued"]
    assert [claim["pid"] for claim in sweep.claims()] == [process.pid]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert sweep.states() == ["failed", "stopped", "stopped"]
    assert list(sweep.launchers.iterdir()) == []


def test_two_processes_that_add_jobs_lose_none(tmp_path):
    Sweep.create(tmp_path / "s")
    code = """
import sys
from lsgen.runs import Sweep
for number in range(20):
    sweep = Sweep.open(sys.argv[1])
    with sweep.lock():
        sweep.reload()
        sweep.add([f"seed={sys.argv[2]}{number}"], run=f"run{number}", code="x")
        sweep.save()
"""
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s"), digit]) for digit in "12"]
    assert [process.wait() for process in both] == [0, 0]
    expected = {f"seed={digit}{number}" for digit in "12" for number in range(20)}
    assert {job.overrides[0] for job in Sweep.open(tmp_path / "s").jobs} == expected


def test_what_is_no_sweep_or_damaged_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"expected the directory of a sweep .* got no such directory"):
        Sweep.open(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"got no sweep.json in it"):
        Sweep.open(tmp_path)
    sweep = filled(tmp_path / "s")
    sweep.file.write_text(json.dumps({"jobs": [{"no": "overrides"}]}))
    with pytest.raises(RunError, match=r"cannot read .*sweep.json"):
        Sweep.open(sweep.path)


def test_a_copy_of_the_code_is_what_the_package_is(tmp_path, monkeypatch):
    package = tmp_path / "submitted"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n")
    (package / "deep" / "table.yaml").write_text("a: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    first = take_snapshot(tmp_path / "code", ["submitted", "numpy"])
    copied = tmp_path / "code" / first
    assert (copied / "submitted" / "deep" / "table.yaml").read_text() == "a: 1\n"
    assert (copied / "lsgen" / "conf" / "train.yaml").exists()
    assert not (copied / "numpy").exists()
    assert take_snapshot(tmp_path / "code", ["submitted", "numpy"]) == first
    (package / "__init__.py").write_text("x = 2\n")
    assert take_snapshot(tmp_path / "code", ["submitted", "numpy"]) != first
    assert (copied / "submitted" / "__init__.py").read_text() == "x = 1\n"
    code = "import lsgen, lsgen.conf; print(lsgen.__file__); print(list(lsgen.conf.__path__)[0])"
    environment = {**os.environ, "PYTHONPATH": str(copied), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{copied}/lsgen/__init__.py", f"{copied}/lsgen/conf"]
