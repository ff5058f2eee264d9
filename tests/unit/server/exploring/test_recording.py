from pathlib import Path

from explorer.records import Citation
from explorer.repository.workspace import Workspace
from server.exploring.recording import lines_cited
from tests.tooling import write_tree


def test_the_cited_lines_of_a_record_hold_no_secret(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    root = write_tree(tmp_path / "source", {"a.py": f"x = 1\nTOKEN = '{token}'\n"})
    with Workspace.open(root) as workspace:
        [found] = lines_cited([Citation("a.py", 1, 2)], workspace)
    assert found.lines == ("x = 1", "TOKEN = '[masked]'")
