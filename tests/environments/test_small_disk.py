"""A disk that is really full: a small tmpfs, mounted where nobody else sees it. tests/kill refuses at single calls."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.floor.conftest import TOY, ToyWorld

# Fill the disk but for some KiB, run, make room, run again; what each says is kept elsewhere.
SCRIPT = """
mount -t tmpfs -o size=2048k none {state} || exit 1
dd if=/dev/zero of={state}/ballast bs=1k count=$((2048 - {room})) 2> /dev/null
{run} > {words}/full.txt 2>&1; echo $?
rm {state}/ballast
{run} > {words}/room.txt 2>&1; echo $?
{audit} > {words}/audit.txt 2>&1; echo $?
find {state} -name '.tmp-*'
"""


@pytest.mark.parametrize("room", [0, 20, 60])
def test_a_full_disk_ends_a_run_with_74_and_a_sentence_and_with_room_the_next_one_ends_the_work(
    toy: ToyWorld, room: int
) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, of util-linux")
    python = shlex.quote(sys.executable)
    commands = {"run": f"{python} {TOY / 'run_pipeline.py'}", "audit": f"{python} -m common audit verify"}
    toy.state.mkdir()
    script = SCRIPT.format(state=toy.state, words=toy.path, room=room, **commands)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], env=toy.environment(), capture_output=True, text=True, timeout=120
    )
    if not done.stdout:  # whatever ran has told its exit code
        pytest.skip(f"needs the right to mount: {done.stderr.strip()[-100:]}")
    full, *rest = done.stdout.split()
    words = (toy.path / "full.txt").read_text()
    assert full == "74", words
    assert rest == ["0", "0"], (toy.path / "room.txt").read_text() + (toy.path / "audit.txt").read_text()
    told = json.loads(words.splitlines()[-1])
    assert (told["code"], bool(told["cause"]), bool(told["hint"])) == (74, True, True)
    assert "Traceback" not in words
    assert (toy.path / "total.txt").read_text() == "6"
