"""One master key for all processes of a folder, and subkeys that don't tell it."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor_guards._digest import hkdf
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.keys import Keys
from supervisor_guards.errors import ConfigurationError

MASTER = bytes(range(32))


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_MASTER_KEY", raising=False)


@pytest.mark.parametrize(
    "text",
    [
        MASTER.hex(),
        MASTER.hex().upper(),
        f" {MASTER.hex()}\n",
        base64.b64encode(MASTER).decode(),
        base64.urlsafe_b64encode(MASTER).decode().rstrip("="),
    ],
)
def test_the_environment_gives_the_key_in_either_spelling(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUPERVISOR_MASTER_KEY", text)
    keys = Keys.load(tmp_path / ".supervisor")
    assert keys.subkey("digest") == Keys(MASTER).subkey("digest")
    assert not (tmp_path / ".supervisor").exists()


@pytest.mark.parametrize("text", ["secret", MASTER[:31].hex(), "g" * 64 + "!", base64.b64encode(b"x").decode()])
def test_a_bad_key_is_refused_without_being_told(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUPERVISOR_MASTER_KEY", text)
    with pytest.raises(ConfigurationError, match=r"SUPERVISOR_MASTER_KEY.*32 bytes") as caught:
        Keys.load(tmp_path)
    assert text not in str(caught.value)


def test_hkdf_gives_the_output_of_rfc_5869() -> None:
    # Test case 3 of appendix A: no salt, no info, the first block of its output.
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert hkdf(b"\x0b" * 22, b"").hex() == expected


def test_each_purpose_has_its_own_key() -> None:
    keys = Keys(MASTER)
    made = {keys.subkey(purpose) for purpose in ("digest", "evidence", "secrets")}
    assert len(made) == 3
    assert {len(key) for key in made} == {32}
    assert Keys(MASTER).key_id == keys.key_id != Keys(MASTER[::-1]).key_id
    assert MASTER.hex() not in repr(keys)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".supervisor"
    first = Keys.load(folder)
    assert Keys.load(folder).key_id == first.key_id
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "master.key"]
    assert stat.S_IMODE((folder / "master.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    script = (
        "import sys; from supervisor_guards.embedded.keys import Keys; print('ready', flush=True); "
        "sys.stdin.readline(); print(Keys.load(sys.argv[1]).key_id)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / ".supervisor")]
    root = Path(__file__).parents[1]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    assert set(answers) == {Keys.load(tmp_path / ".supervisor").key_id}


def test_a_damaged_key_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    for content in (b"", b"abc", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"master\.key"):
            Keys.load(tmp_path)
        assert path.read_bytes() == content


def test_without_a_place_for_the_file_the_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SUPERVISOR_MASTER_KEY"):
        Keys.load(None)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"file/\.supervisor"):
        Keys.load(tmp_path / "file" / ".supervisor")
