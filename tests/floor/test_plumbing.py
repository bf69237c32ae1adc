"""The small things that everything stands on: whole files, commands with a deadline, quick --help."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import DeadlineExceeded
from common.keys import code_digest
from common.paths import ROOT
from common.process import CommandFailed, run_command
from common.publish import scratch, sweep_temporaries, whole_file, write_atomically
from tests.floor.conftest import wait_for

SCRIPTS = sorted([*ROOT.glob("uc*/uc*_*.py"), *ROOT.glob("uc*/run_pipeline.py"), ROOT / "run_all.py"])
HEAVY = {
    "pandas", "numpy", "sklearn", "mlflow", "feast", "kfp", "great_expectations", "evidently", "kserve", "kubernetes",
    "boto3", "pyarrow", "sqlalchemy", "structlog", "matplotlib", "onnxruntime", "requests", "rich",
    "aiohttp",
}  # fmt: skip


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail_half_way() -> None:
        with whole_file(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-file.abc").write_text("half")
    (tmp_path / ".gitignore").write_text("kept")
    assert sweep_temporaries(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".gitignore"]


def test_a_file_is_no_more_open_than_the_users_umask_lets_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "private", b"")
        os.umask(0o022)
        write_atomically(tmp_path / "usual", b"")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {"private": 0o600, "usual": 0o644}


def test_what_a_killed_command_without_a_lock_left_goes_and_what_another_one_works_in_stays(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom common.publish import scratch\n"
        "with scratch(Path(sys.argv[1])) as here:\n    (here / sys.argv[2]).write_bytes(b'')\n    time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    others = {name: subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], env=env) for name in "ab"}
    try:
        assert wait_for(lambda: len(list(tmp_path.glob(".tmp-*/[ab]"))) == 2)
        others["a"].kill()
        others["a"].wait()
        with scratch(tmp_path) as ours:
            assert [path.name for path in tmp_path.glob(".tmp-*/[ab]")] == ["b"]
        assert not ours.exists()
    finally:
        for other in others.values():
            other.kill()
            other.wait()


def test_a_command_over_its_deadline_is_ended_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '61.7']).pid, flush=True); time.sleep(60)"
    with pytest.raises(DeadlineExceeded, match="did not end within 1 s"):
        run_command([sys.executable, "-c", code], deadline_seconds=1)

    def sleeping() -> bool:
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return "sleep 61.7" in shown.splitlines()

    assert wait_for(lambda: not sleeping(), 5)


def test_a_failed_command_says_its_last_line_and_keeps_its_code() -> None:
    with pytest.raises(CommandFailed, match="ended with code 3: it broke") as failed:
        run_command([sys.executable, "-c", "import sys; sys.stderr.write('it broke'); sys.exit(3)"], deadline_seconds=9)
    assert failed.value.returncode == 3


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_of_every_script_answers_from_any_directory_without_importing_anything_heavy(script: Path) -> None:
    shown = (
        "import runpy, sys\n"
        f"sys.argv = [{str(script)!r}, '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as left:\n    assert left.code == 0\n"
        "print('\\nimported:', *sorted(name for name in sys.modules if '.' not in name))\n"
    )
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, cwd="/", check=True)
    assert "--from-step" in done.stdout
    assert not HEAVY & set(done.stdout.rsplit("imported:", 1)[1].split())


def test_a_step_uses_only_the_tools_that_it_declares() -> None:
    for script in [path for path in SCRIPTS if path.name[5:6].isdigit()]:
        tree = ast.parse(script.read_text())
        used = {
            node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tools"
        } - {"settings", "context"}  # fmt: skip
        declared = {
            constant.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "needs"
            for constant in ast.walk(node.value) if isinstance(constant, ast.Constant)
        }  # fmt: skip
        assert used <= declared, f"{script.name} uses {used - declared} without declaring it"


def test_one_changed_byte_of_a_module_or_of_what_it_imports_changes_the_key(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("import churn.features\n")
    two.write_text("import churn.features  \n")
    assert code_digest(one) != code_digest(two)
    three = tmp_path / "three.py"
    three.write_text("import os\n")
    assert code_digest(three) != code_digest(one)


def test_importing_the_floor_makes_nothing(tmp_path: Path) -> None:
    code = "import common.cli, common.config, common.session, common.tools, common.doctor"
    environment = {**os.environ, "MLOPS_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
